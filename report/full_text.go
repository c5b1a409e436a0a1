package report

import (
	"fmt"
	"slices"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// What the whole report says in words, whatever it is rendered as.

// maxText is how many characters of a text from outside it shows.
const maxText = 300

// keyFacts are what somebody asks first.
func keyFacts(f *Full) (out table.Facts) {
	s, at, made := f.State, f.Compliance.At.Time, f.Provenance.MadeAt.Time
	out = append(out, briefFacts(s, at, made)...)
	out = append(out, openFacts(f.Compliance.Open, at, made)...)
	out.Add("Record", "%s", recordText(f.Provenance, f.Integrity))
	return out
}

// state is what is known of the machine as it was observed last.
func (f *Full) state() table.Facts {
	return append(stateFacts(f.State, f.Compliance.At.Time, f.Provenance.MadeAt.Time), inferredFact(f.State)...)
}

func recordText(p *Provenance, i *Integrity) string {
	if p.FirstEvent == nil {
		return "empty"
	}
	verified := "never fully verified"
	if i.Verified != nil {
		verified = "found " + i.Result + " on " + day10(*i.Verified)
	}
	return fmt.Sprintf("%s since %s, %s", say.Plural(int(p.TreeSize), "event"), day10(*p.FirstEvent), verified)
}

// gapsBlock are the times that the record does not know, or not wholly.
func gapsBlock(f *Full) block {
	b := block{
		Note:    "In a gap packages may have been changed, or the machine rebooted, without a line in this report; what it says of such a time is inferred or unknown, never proven.",
		Caption: "Times that are not, or not wholly, on record", Columns: []column{{"From", "time"}, {"To", "time"}, {"Why", "name"}}, None: "No gap is known.",
	}
	if f.Timeline == nil {
		return b
	}
	for _, g := range f.Timeline.Gaps {
		row := spanRow(g.Span, "", say.Clip(g.Why, maxText))
		b.Rows = append(b.Rows, []string{row.From, row.To, row.Detail})
	}
	return b
}

// pageSpan is a span in words.
type pageSpan struct {
	From, To, What, Detail, Confidence string
	at                                 record.Timestamp // when it began
}

// spanRow is a span as a row.
func spanRow(s audit.Span, what, detail string) pageSpan {
	to := s.To.Short()
	if s.Open {
		to = "goes on"
	}
	return pageSpan{From: s.From.Short(), To: to, What: what, Detail: detail, Confidence: string(s.Confidence), at: s.From}
}

// spanRows are boots and what was active in them, the newest first.
func spanRows(t *audit.Timeline) (rows []pageSpan) {
	for _, k := range t.Kernels {
		if k.BootID != "" {
			rows = append(rows, spanRow(k.Span, "boot", "kernel "+say.OrUnknown(k.KernelRelease)+", boot "+say.ID(k.BootID)))
		}
	}
	for _, p := range t.Patches {
		if p.Module != "" {
			rows = append(rows, spanRow(p.Span, "live patch", patchText(p)))
		}
	}
	slices.SortStableFunc(rows, func(a, b pageSpan) int { return b.at.Compare(a.at.Time) })
	return rows
}

func patchText(p audit.PatchSpan) string {
	text := say.Clip(p.Module, 120)
	if p.Initial != nil && *p.Initial {
		text += ", the initial one"
	}
	switch p.Phase {
	case record.PhaseInitrd:
		text += ", loaded in the initrd"
	case record.PhaseSystem:
		text += ", loaded after the initrd"
	}
	return text
}
