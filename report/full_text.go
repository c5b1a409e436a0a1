package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// What the whole report says in words, whatever it is rendered as.

// verdictText is a verdict as a manager reads it.
func verdictText(r compliance.Rating) string {
	switch r {
	case compliance.Pass:
		return "Compliant"
	case compliance.Warn:
		return "Compliant, with warnings"
	case compliance.Fail:
		return "Not compliant"
	}
	return "Not determined"
}

// verdictReason says how the checks came to a verdict, in a sentence.
func verdictReason(c *compliance.Summary) string {
	count := map[compliance.Rating]int{}
	for _, check := range c.Checks {
		count[check.Result]++
	}
	judged := len(c.Checks) - count[compliance.NotApplicable]
	if judged == 0 {
		return fmt.Sprintf("No check of profile %s applies.", say.Printable(c.Profile))
	}
	var parts []string
	for _, r := range []struct {
		rating    compliance.Rating
		one, many string
	}{{compliance.Fail, "fails", "fail"}, {compliance.NotDetermined, "cannot be determined", "cannot be determined"}, {compliance.Warn, "warns", "warn"}, {compliance.Pass, "passes", "pass"}} {
		switch n := count[r.rating]; n {
		case 0:
		case 1:
			parts = append(parts, "1 "+r.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, r.many))
		}
	}
	if len(parts) == 1 && count[compliance.Pass] > 1 {
		return fmt.Sprintf("All %d checks of profile %s that apply pass.", judged, say.Printable(c.Profile))
	}
	return fmt.Sprintf("Of %s of profile %s that %s, %s.", say.Plural(judged, "check"), say.Printable(c.Profile), map[bool]string{true: "applies", false: "apply"}[judged == 1], say.Join(parts))
}

// keyFacts are what somebody asks first.
func keyFacts(f *Full) (out table.Facts) {
	s := f.State
	out.Add("Kernel", "%s", unknownIfNull(s.KernelRelease))
	out.Add("Live patch", "%s", activeText(s))
	out.Add("In the initrd", "%s", initrdText(s))
	out.Add("Covered until", "%s", unknownIfNull(s.CoveredUntil))
	out.Add("Not protected", "%s", openText(f.Latency))
	out.Add("Record", "%s", recordText(f.Provenance, f.Integrity))
	return out
}

func activeText(s *audit.State) string {
	lp := s.LivePatch
	switch {
	case lp == nil && s.Unknown["live_patch"] != "":
		return "not known: " + s.Unknown["live_patch"]
	case lp == nil && s.Confidence == audit.Unknown:
		return "not known"
	case lp == nil:
		return "none active"
	}
	text := lp.Module
	if lp.PatchNumber != nil {
		text = fmt.Sprintf("patch %d", *lp.PatchNumber)
	}
	switch {
	case lp.Initial != nil && *lp.Initial:
		text += ", the initial one, which fixes nothing"
	case lp.CVEs != nil:
		text += ", " + say.Plural(len(lp.CVEs), "CVE") + " fixed"
	}
	if lp.Transition {
		text += ", its transition not complete"
	}
	if !lp.Enabled {
		text += ", being disabled"
	}
	if lp.Since != nil {
		text += ", since " + day10(*lp.Since)
	}
	return text
}

func initrdText(s *audit.State) string {
	i, sure := s.Initrd, "proven"
	if i != nil && i.Basis == record.BasisInferred || slices.Contains(s.Inferred, "initrd") {
		sure = "inferred"
	}
	switch {
	case i == nil:
		return "not known"
	case i.Reason == record.ReasonNoImage:
		return "no initrd, " + sure + ": this kernel does not boot"
	case i.Verdict == record.VerdictContained:
		return "yes, " + sure + ": a reboot keeps the fixes"
	case i.Verdict == record.VerdictMissing:
		return "no, " + sure + ": an unexpected reboot loses the fixes"
	case i.Reason == record.ReasonNoPatch:
		return "no live patch to look for"
	}
	return "not provable: " + string(i.Reason)
}

func openText(l *audit.Latency) string {
	text := "none of " + say.Plural(l.Fixes, "CVE") + " on record"
	switch {
	case l.Fixes == 0:
		text = "no CVE is on record"
	case l.Open > 0:
		text = fmt.Sprintf("%d of %s on record installed, but not active", l.Open, say.Plural(l.Fixes, "CVE"))
	}
	if l.Lost > 0 {
		text += fmt.Sprintf("; %d taken away again", l.Lost)
	}
	if n := l.Losses; n > l.Lost {
		text += fmt.Sprintf("; taken away %s in all", times(n))
	}
	return text
}

func times(n int) string { return say.Plural(n, "time") }

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

func verifiedText(i *Integrity) string {
	if i.Verified == nil {
		return "no full verification on record"
	}
	return fmt.Sprintf("found %s at %s", i.Result, (*i.Verified).Short())
}

// day10 is the date of a moment in ten characters.
func day10(t record.Timestamp) string { return t.UTC().Format(time.DateOnly) }

func unknownIfNull(s *string) string {
	if s == nil {
		return "not known"
	}
	return say.OrUnknown(*s)
}

// latencyFacts are what exposures sum up to.
func latencyFacts(l *audit.Latency) (out table.Facts) {
	out.Add("Fixes on record", "%d", l.Fixes)
	out.Add("Not active", "%d", l.Open)
	lost := strconv.Itoa(l.Lost)
	if l.Losses > l.Lost {
		lost += "; in all it happened " + times(l.Losses)
	}
	out.Add("Taken away again", "%s", lost)
	out.Add("Median", "%s", duration(l.Median))
	worst := duration(l.Worst)
	if l.WorstCVE != "" {
		worst += " (" + l.WorstCVE + ")"
	}
	out.Add("Worst", "%s", worst)
	out.Add("Measured", "%d of %d", l.Measured, l.Fixes)
	return out
}

// duration is a time span as people say it, in its two largest units.
func duration(seconds *int64) string {
	if seconds == nil {
		return "not known"
	}
	s := *seconds
	switch {
	case s < 0:
		return "none: active before its release date"
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 24*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// latencyText is how long a fix took to be active, in days where no more than the day of its release is
// known; empty: that is not known.
func latencyText(e *audit.Exposure) string {
	switch {
	case e.Seconds == nil:
		return ""
	case e.ReleasedBy == audit.ReleasedOnDay && *e.Seconds >= 0:
		return fmt.Sprintf("%d d", *e.Seconds/86400)
	}
	return duration(e.Seconds)
}

// worthALook are the exposures that a page shows: what does not protect first, then the
// slowest; and how many there are beyond these.
func worthALook(all []audit.Exposure, limit int) (shown []audit.Exposure, more int) {
	weight := []audit.ExposureStatus{audit.StatusLost, audit.StatusInstalled, audit.StatusUnknown, audit.StatusFixed, audit.StatusOtherKernel, audit.StatusNotInRecord}
	rank := func(e audit.Exposure) int { return slices.Index(weight, e.Status) }
	seconds := func(e audit.Exposure) int64 {
		if e.Seconds == nil {
			return -1
		}
		return *e.Seconds
	}
	shown = slices.Clone(all)
	slices.SortStableFunc(shown, func(a, b audit.Exposure) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(seconds(b), seconds(a)), cmp.Compare(a.CVE, b.CVE))
	})
	if len(shown) > limit {
		return shown[:limit], len(all) - limit
	}
	return shown, 0
}

// integrityFacts are what is known of the record itself.
func integrityFacts(i *Integrity) (out table.Facts) {
	out.Add("Events", "%d", i.TreeSize)
	out.Add("Root hash", "%s", i.RootHash)
	out.Add("Key", "%s", say.OrUnknown(i.Key))
	out.Add("Verified", "%s", verifiedText(i))
	return out
}

// integrityNote says what integrity means, and how to make sure oneself.
const integrityNote = "The record is tamper-evident, not tamper-proof: klp-audit verify proves it intact, and with --checkpoint FILE that an earlier checkpoint, kept elsewhere, is a prefix of it."

// gapsNote says what gaps mean.
const gapsNote = "In a gap packages may have been changed, or the machine rebooted, without a line in this report; what it says of such a time is inferred or unknown, never proven."

// provenanceFacts are what the report was made from.
func provenanceFacts(p *Provenance) (out table.Facts) {
	out.Add("Host", "%s", hostName(p.Host))
	out.Add("Asked for", "%s", orElse(asked(p), "everything on record"))
	out.Add("Changes shown", "%d of %d, %s", p.RowsShown, p.RowsInRecord, p.Order)
	if p.FirstEvent != nil {
		out.Add("Events", "%d, from %s to %s", p.TreeSize, (*p.FirstEvent).Short(), (*p.LastEvent).Short())
		out.Add("Root hash", "%s", p.RootHash)
	}
	if p.Input != nil {
		out.Add("Made from", "%s, found %s", p.Input.File, p.Input.Result)
	}
	if p.OpenCommits > 0 {
		out.Add("Commits without an end", "%d: what became of their changes is unknown", p.OpenCommits)
	}
	out.Add("Times", "UTC; without a zone they were asked for as %s", p.TimeZone)
	out.Add("Made", "%s by %s %s", p.MadeAt.Short(), p.Program, p.Version)
	return out
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// stateFacts are what is known of a moment, beside what was installed.
func stateFacts(s *audit.State) (out table.Facts) {
	out.Add("Kernel", "%s", unknownIfNull(s.KernelRelease))
	out.Add("Boot", "%s", unknownIfNull(s.BootID))
	out.Add("Live patch", "%s", activeText(s))
	if lp := s.LivePatch; lp != nil {
		out.Add("Module", "%s", lp.Module)
		if lp.Package != nil && lp.Version != nil {
			out.Add("Package", "%s %s", *lp.Package, *lp.Version)
		}
	}
	out.Add("In the initrd", "%s", initrdText(s))
	out.Add("Next boot", "%s", nextBootText(s.NextBoot))
	out.Add("Covered until", "%s", unknownIfNull(s.CoveredUntil))
	out.Add("Pending reboot", "%s", unknownIfNull(s.PendingReboot))
	return append(out, unknownFacts(s.Unknown)...)
}

// unknownFacts are the reasons why something is not known, each with all that it is for.
func unknownFacts(unknown map[string]string) (out table.Facts) {
	parts := map[string][]string{}
	for _, name := range sortedKeys(unknown) {
		reason := unknown[name]
		parts[reason] = append(parts[reason], strings.ReplaceAll(name, "_", " "))
	}
	for _, name := range sortedKeys(unknown) {
		if reason := unknown[name]; parts[reason] != nil {
			out.Add("Not known", "%s: %s", say.Join(parts[reason]), reason)
			delete(parts, reason)
		}
	}
	return out
}

func nextBootText(n *audit.NextBoot) string {
	switch {
	case n == nil:
		return "not known"
	case n.LivePatch == nil:
		return say.OrUnknown(n.KernelRelease) + ", with which live patch is not known"
	}
	return say.OrUnknown(n.KernelRelease) + " with " + *n.LivePatch
}

// inferredFact names what is not proven.
func inferredFact(s *audit.State) (out table.Facts) {
	if len(s.Inferred) > 0 {
		out.Add("Inferred", "%s", strings.Join(s.Inferred, ", "))
	}
	return out
}

// exceptionText says what was granted.
func exceptionText(e *compliance.Exception) string {
	return fmt.Sprintf("%s, by %s: %s (event %d)", acceptedText(e), say.Clip(orElse(e.By, "unset"), 80), say.Clip(e.Reason, 300), e.Event)
}

// acceptedText says until when.
func acceptedText(e *compliance.Exception) string {
	if e.Expired {
		return "Acceptance expired " + day10(e.Until)
	}
	return "Accepted until " + day10(e.Until)
}

func date(t *record.Timestamp) string {
	if t == nil {
		return ""
	}
	return day10(*t)
}
