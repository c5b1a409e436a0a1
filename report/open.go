package report

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/report/table"
)

// openFacts are what is open at a moment: how much, the worst of it, and what to do.
func openFacts(o *audit.Open, at, made time.Time) (out table.Facts) {
	text := openText(o)
	if o.LookedAt != nil {
		text += "; as seen " + seenText(*o.LookedAt, at, made)
	}
	out.Add("Open fixes", "%s", text)
	if o.Numbers > 0 {
		out.Add("Worst", "%s", worstText(&o.Worst[0]))
		out.Add("To do", "%s", toDoText(o))
	}
	return out
}

// openText says how much is open, and since when, or why that is not known.
func openText(o *audit.Open) string {
	switch {
	case o.Numbers == 0 && o.Unknown == "":
		return "none of what the vendor has released"
	case o.Numbers == 0:
		return "none is known. " + strings.TrimSuffix(o.Unknown, ".")
	}
	text := say.Plural(o.Numbers, "CVE") + " (" + severities(o) + ")"
	if o.Unknown != "" {
		text = "at least " + text
	}
	if o.Since != nil {
		text += ", the oldest since " + day10(*o.Since)
	}
	if o.Accepted > 0 {
		text += fmt.Sprintf("; %d accepted by exceptions", o.Accepted)
	}
	return text
}

// severities counts the open fixes by the severity of their advisories.
func severities(o *audit.Open) string {
	var names []string
	count := map[string]int{}
	for _, g := range o.Groups {
		if count[g.Severity] == 0 {
			names = append(names, g.Severity)
		}
		count[g.Severity] += g.Numbers
	}
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%d %s", count[name], severityText(name)))
	}
	return say.Join(parts)
}

// severityText is the severity of an advisory.
func severityText(severity string) string {
	if severity == "" {
		return "of unknown severity"
	}
	return say.Clip(severity, 20)
}

// worstText says what the weightiest of the open fixes is.
func worstText(w *audit.OpenFix) string {
	text := w.String()
	if w.Inferred {
		text += ", which is inferred"
	}
	if w.Accepted {
		text += ", accepted by an exception"
	}
	return text
}

// toDoText says what closes what is open, and how much of it.
func toDoText(o *audit.Open) string {
	count := map[audit.Remedy]int{}
	for _, g := range o.Groups {
		count[g.Remedy] += g.Numbers
	}
	var parts []string
	for _, r := range audit.Remedies() {
		if n := count[r]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s (%d)", briefly(r), n))
		}
	}
	return strings.Join(parts, "; ")
}

// mayBeMore says why more may be open than is known; empty: nothing says so.
func mayBeMore(o *audit.Open) string {
	if o.Unknown == "" {
		return ""
	}
	return "There may be more: " + say.Clip(o.Unknown, maxText)
}

// noneOpen says that nothing is open, or not known to be.
func noneOpen(o *audit.Open) string {
	if o.Unknown == "" {
		return "Nothing that the vendor has released is open."
	}
	return "No open fix is known. " + say.Clip(o.Unknown, maxText)
}

// briefly says in a word or two what a remedy takes.
func briefly(r audit.Remedy) string {
	return map[audit.Remedy]string{
		audit.RemedyPatch: "zypper patch", audit.RemedyLoad: "load or reboot", audit.RemedyReboot: "reboot", audit.RemedyKernel: "newer kernel",
	}[r]
}

// openBlock are the weightiest open fixes.
func openBlock(o *audit.Open) block {
	b := block{
		Note:    strings.TrimSpace("The gravest advisories come first, of these what is done most quickly, of these what is open for the longest. " + mayBeMore(o)),
		Caption: "Open fixes, the weightiest first", None: noneOpen(o),
		Columns: []column{{Name: "CVE", Class: "name"}, {Name: "Severity"}, {Name: "Since", Class: "day"}, {Name: "To do"}, {Name: "Advisory"}, {Name: "Event", Class: "day"}},
	}
	for _, w := range o.Worst {
		todo := string(w.Remedy)
		if w.Accepted {
			todo = "none" // somebody accepts it
		}
		b.Rows = append(b.Rows, []string{say.Clip(w.CVE, 20), say.Clip(cmp.Or(w.Severity, "not known"), 20), cmp.Or(date(w.Since), "not known"), todo, say.Clip(w.Advisory, 80), numbers(w.Events)})
	}
	return b
}

// latencyFact is how long fixes took to protect.
func latencyFact(l *audit.Latency) (out table.Facts) {
	if l.Measured == 0 {
		out.Add("Time to protect", "not known")
		return out
	}
	out.Add("Time to protect", "median %s, 90th percentile %s, of %s", duration(l.Median), duration(l.P90), say.Plural(l.Measured, "CVE"))
	return out
}

// quartersBlock says how long the fixes took that were released in each quarter.
func quartersBlock(l *audit.Latency) block {
	b := block{Caption: "Time to protect, by the quarter of the release", Columns: []column{{Name: "Released in", Class: "day"}, {Name: "Fixes"}, {Name: "Active"}, {Name: "Median"}, {Name: "90th percentile"}}}
	for _, q := range l.Quarters {
		b.Rows = append(b.Rows, []string{q.Quarter, strconv.Itoa(q.Fixes), strconv.Itoa(q.Measured), duration(q.Median), duration(q.P90)})
	}
	return b
}
