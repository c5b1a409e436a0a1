package report

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/page"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
)

// StateSection is a state as a section of its own.
type StateSection struct {
	*audit.State
	Provenance *Provenance
}

// stateAt is its command.
func stateAt() SectionAt {
	return SectionAt{
		Name: "state", Short: "Print what protected the machine at a moment",
		Long: `Print what protected the machine at a moment: the kernel that ran, the active live patch, since
when and what it fixes, whether the initrd held it, what was installed, and how sure all that
is.

Sections read the same timeline, so they say the same.
What is proven follows from an observation at that very moment, or from the journal that
observations carry. A boot that nobody looked at while it ran is inferred: its clock may have
been set. What else is inferred follows from what was before and after, where nothing on
record speaks against it. Else it is unknown, with the reason: before the recorder was
installed, in a gap, between two boots, where the clock was set, while a commit was changing
packages, and after the newest observation. While an update waits in another snapshot, next
boot and initrd are unknown. A live patch whose load is not complete fixes nothing yet.`,
		Example: `  klp-audit report state
  klp-audit report state --at 2026-03-11T20:00:00Z
  klp-audit report state --at yesterday --format json`,
		At: "the state at `TIME` (when the machine was observed last)", Formats: Formats(&StateSection{}),
		Make: func(ctx context.Context, s *store.Store, at time.Time, p *Provenance) (Section, error) {
			st, err := StateAt(ctx, s, at, p)
			return &StateSection{State: st, Provenance: p}, err
		},
	}
}

// StateAt returns the state at a moment, which the provenance notes as asked for; a zero one is when
// the machine was observed last.
func StateAt(ctx context.Context, s *store.Store, at time.Time, p *Provenance) (*audit.State, error) {
	if !at.IsZero() {
		p.Filters["at"] = asOf(record.At(at))
		return audit.NewState(ctx, s, at)
	}
	last, err := s.LastObserved(ctx)
	if err != nil {
		return nil, err
	}
	return audit.NewState(ctx, s, cmp.Or(last, p.LastEvent, &p.MadeAt).Time)
}

func (s *StateSection) forms() []form {
	return []form{{"table", s.writeTable}, object(struct {
		Schema     string      `json:"schema"`
		Warning    *string     `json:"warning"`
		Provenance *Provenance `json:"provenance"`
		*audit.State
	}{audit.StateSchema, record.OrNil(s.Provenance.Warning()), s.Provenance, s.State}), alone(s.Provenance, "state", "State", func(p *page.Page) error {
		stateOnPage(p, s.State, slices.Concat(stateFacts(s.State, s.asOf(), s.Provenance.MadeAt.Time), inferredFact(s.State), proofFact(s.State)))
		return nil
	})}
}

// pageFixes is how many CVE numbers of a state a page shows.
const pageFixes = 600

func stateOnPage(p *page.Page, s *audit.State, facts table.Facts) {
	out := &p.State
	out.Title, out.At, out.Confidence, out.Facts = "State", s.At.Short(), string(s.Confidence), pageFacts(facts)
	out.Installed = block{Caption: "Installed kernels and live patches", Columns: []column{{Name: "Package", Class: "name"}, {Name: "Version", Class: "name"}, {Name: "Architecture", Class: "name"}}, None: "Which kernels and live patches are installed is not known."}
	for _, pkg := range s.Installed {
		out.Installed.Rows = append(out.Installed.Rows, []string{say.Clip(pkg.Name, maxText), say.Clip(pkg.Version, maxText), say.Clip(pkg.Arch, 20)})
	}
	for _, cve := range s.CVEs {
		out.Fixes = append(out.Fixes, say.Clip(cve, 40))
	}
	if n := len(out.Fixes); n > pageFixes {
		out.Fixes, out.MoreFixes = out.Fixes[:pageFixes], n-pageFixes
	}
}

func (s *StateSection) writeTable(w io.Writer, style table.Style) error {
	style = style.Sized()
	if err := writeWarning(w, s.Provenance.Warning(), style); err != nil {
		return err
	}
	if err := table.WriteParagraphs(w, []string{"State at " + s.At.Shown(time.RFC3339Nano) + ": " + strings.ToUpper(string(s.Confidence)) + ".", ""}, style); err != nil {
		return err
	}
	out := stateFacts(s.State, s.asOf(), s.Provenance.MadeAt.Time)
	for i, p := range s.Installed {
		out.Add(once(i, "Installed"), "%s-%s.%s", p.Name, p.Version, p.Arch)
	}
	if len(s.CVEs) > 0 {
		out.Add("Fixes", "%s", strings.Join(s.CVEs, " "))
	}
	if len(s.Inferred) > 0 {
		out.Add("Inferred", "%s: observations before and after agree, and nothing on record speaks against it", inferredParts(s.State))
	}
	out = append(out, proofFact(s.State)...)
	if err := out.Write(w, style); err != nil {
		return err
	}
	if s.Provenance == nil {
		return nil
	}
	return table.WriteParagraphs(w, append([]string{""}, s.Provenance.lines()...), style)
}

// asOf is the moment that is asked about: now, unless one is named.
func (s *StateSection) asOf() time.Time {
	if s.Provenance.Filters["at"] == "" {
		return s.Provenance.MadeAt.Time
	}
	return s.At.Time
}

// once names the first of several facts.
func once(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}

// briefFacts are what somebody asks first of a state.
func briefFacts(s *audit.State, at, made time.Time) (out table.Facts) {
	out = append(out, observedFact(s.ObservedAt, at, made)...)
	out.Add("Kernel", "%s", unknownIfNull(s.KernelRelease))
	out.Add("Live patch", "%s", activeText(s))
	out.Add("In the initrd", "%s", initrdText(s))
	out.Add(nextBootName, "%s", nextBootText(s.NextBoot))
	out.Add("Covered until", "%s", untilText(unknownIfNull(s.CoveredUntil), at))
	return out
}

const nextBootName = "Next boot"

// stateFacts are what is known of a state, but for what was installed: when it was observed, how long before the moment
// that is asked about, and what of it is past then.
func stateFacts(s *audit.State, at, made time.Time) (out table.Facts) {
	out = append(out, observedFact(s.ObservedAt, at, made)...)
	out.Add("Kernel", "%s", unknownIfNull(s.KernelRelease))
	out.Add("Boot", "%s", unknownIfNull(s.BootID))
	out.Add("Live patch", "%s", activeText(s))
	if lp := s.LivePatch; lp != nil && lp.Package != nil && lp.Version != nil {
		out.Add("Package", "%s %s", *lp.Package, *lp.Version)
	}
	out.Add("In the initrd", "%s", initrdText(s))
	out.Add("Next boot", "%s", nextBootText(s.NextBoot))
	out.Add("Covered until", "%s", untilText(unknownIfNull(s.CoveredUntil), at))
	out.Add("Pending reboot", "%s", unknownIfNull(s.PendingReboot))
	return append(out, unknownFacts(s.Unknown)...)
}

// observedFact says when the machine was observed last.
func observedFact(observed *record.Timestamp, at, made time.Time) (out table.Facts) {
	if observed == nil {
		out.Add("Observed", "never")
		return out
	}
	out.Add("Observed", "%s", seenText(*observed, at, made))
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
		text = fmt.Sprintf("patch %d (%s)", *lp.PatchNumber, lp.Module)
	}
	switch {
	case lp.Initial != nil && *lp.Initial:
		text += ", the initial one, which fixes nothing"
	case lp.CVEs != nil && s.Unknown["cves"] != "":
		text += ", " + say.Plural(len(lp.CVEs), "CVE") + " in it, not known to be fixed"
	case lp.CVEs != nil && lp.Transition:
		text += ", " + say.Plural(len(lp.CVEs), "CVE") + " in it, not fixed yet"
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
	what := "the fixes"
	if lp := s.LivePatch; lp != nil && lp.Initial != nil && *lp.Initial {
		what = "the live patch, which fixes nothing"
	}
	switch {
	case i == nil && s.LivePatch == nil && s.Unknown["live_patch"] == "" && s.Confidence != audit.Unknown:
		return "no live patch to look for"
	case i == nil:
		return "not known"
	case i.Reason == record.ReasonNoImage:
		return "no initrd, " + sure + ": this kernel does not boot"
	case i.Verdict == record.VerdictContained:
		return "yes, " + sure + ": a reboot keeps " + what
	case i.Verdict == record.VerdictMissing:
		return "no, " + sure + ": an unexpected reboot loses " + what
	case i.Reason == record.ReasonNoPatch:
		return "no live patch to look for"
	}
	return "not provable: " + string(i.Reason)
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

func unknownIfNull(s *string) string {
	if s == nil {
		return "not known"
	}
	return say.OrUnknown(*s)
}

// unknownFacts are the reasons why something is not known, each with all that it is for.
func unknownFacts(unknown map[string]string) (out table.Facts) {
	parts := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		reason := unknown[name]
		parts[reason] = append(parts[reason], strings.ReplaceAll(name, "_", " "))
	}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		if reason := unknown[name]; parts[reason] != nil {
			out.Add("Not known", "%s: %s", say.Join(parts[reason]), reason)
			delete(parts, reason)
		}
	}
	return out
}

// proofFact names the events that show a state.
func proofFact(s *audit.State) (out table.Facts) {
	if len(s.Events) > 0 {
		out.Add("Proof", "%s; klp-audit show EVENT prints one", eventsText(numbers(s.Events)))
	}
	return out
}

// inferredFact names what is not proven.
func inferredFact(s *audit.State) (out table.Facts) {
	if len(s.Inferred) > 0 {
		out.Add("Inferred", "%s", inferredParts(s))
	}
	return out
}

// inferredParts are the parts of a state that are not proven, in words.
func inferredParts(s *audit.State) string {
	return strings.ReplaceAll(say.Join(s.Inferred), "_", " ")
}
