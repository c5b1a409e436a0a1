package audit

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Period is a stretch of time in which one thing was so, as people ask for it: a boot, a live patch being active, or
// what was amiss. It is put together from the spans of a timeline.
type Period struct {
	Span
	Seconds       int64        `json:"seconds"`        // that it lasted
	KernelRelease string       `json:"kernel_release"` // empty: not known
	BootID        string       `json:"boot_id"`        // in which it began; empty: none, or not known
	Module        string       `json:"module"`         // of a boot, what was active in it last; empty: none, or not known
	Package       *string      `json:"package"`        // null: no package on record has the module
	Version       *string      `json:"version"`
	PatchNumber   *int         `json:"patch_number"`
	Phase         record.Phase `json:"phase"` // where the live patch was loaded; empty: there is none, or that was not asked
	Fixes         []string     `json:"fixes"` // that waited; null: which is not known
	Why           string       `json:"why"`   // in a sentence; empty: it needs no reason
}

// LongestLoad is how long a live patch that is installed may take to be active before that is worth a line.
const LongestLoad = time.Minute

// Periods are what people ask a timeline for, each list in the order of time.
type Periods struct {
	From        record.Timestamp `json:"from"`
	To          record.Timestamp `json:"to"`
	Boots       []Period         `json:"boots"`
	Patches     []Period         `json:"patches"`       // which live patch was active; without a module none, or that is not known
	NotActive   []Period         `json:"not_active"`    // a live patch was installed, and fixes of it were not active
	NotInInitrd []Period         `json:"not_in_initrd"` // a live patch was active, and a reboot would have lost it
	Gaps        []Period         `json:"gaps"`          // not recorded, or not all
	// InitrdUnknown is for how many seconds it is not known whether the initrd held the live patch.
	InitrdUnknown int64 `json:"initrd_unknown_seconds"`
}

// NewPeriods reads the periods of a stretch of time: a zero moment is the beginning, or the end, of the record.
func NewPeriods(ctx context.Context, s Reader, since, until time.Time) (*Periods, error) {
	if until.IsZero() {
		until = record.Always()
	}
	whole, err := TimelineUntil(ctx, s, until)
	if err != nil {
		return nil, err
	}
	since = later(record.At(since), whole.From).Time
	if !since.Before(whole.To.Time) || !since.Before(until) {
		return &Periods{From: record.At(since), To: record.At(since), Boots: []Period{}, Patches: []Period{}, NotActive: []Period{}, NotInInitrd: []Period{}, Gaps: []Period{}}, nil
	}
	t, err := whole.Between(ctx, s, since, whole.To.Time)
	if err != nil {
		return nil, err
	}
	f, err := readFixesUntil(ctx, s, whole, until)
	if err != nil {
		return nil, err
	}
	waits, err := f.notActive()
	if err != nil {
		return nil, err
	}
	p := &Periods{
		From: t.From, To: t.To, Boots: t.bootPeriods(), Patches: t.patchPeriods(), NotInInitrd: t.unkeptPeriods(),
		NotActive: clipped(waits, t.From.Time, t.To.Time), Gaps: []Period{},
	}
	for _, g := range t.Gaps {
		p.Gaps = append(p.Gaps, Period{Span: g.Span, Fixes: []string{}, Why: g.Why})
	}
	for _, s := range t.Initrds {
		if s.Confidence == Unknown {
			p.InitrdUnknown += int64(s.To.Sub(s.From.Time) / time.Second)
		}
	}
	for _, list := range [][]Period{p.Boots, p.Patches, p.NotActive, p.NotInInitrd, p.Gaps} {
		for i := range list {
			list[i].Seconds, list[i].Open = int64(list[i].To.Sub(list[i].From.Time)/time.Second), list[i].To.Equal(t.To.Time)
		}
	}
	return p, nil
}

// notActive are the periods in which a live patch was installed, and fixes of it were not active.
func (f *fixRecord) notActive() (list []Period, err error) {
	for _, name := range slices.Sorted(maps.Keys(f.packages)) {
		p := f.packages[name]
		cves := slices.SortedFunc(maps.Keys(p.cves()), CompareCVE)
		for _, in := range p.installs(f.timeline.To) {
			for _, w := range p.notActive(in, cves) {
				if err := f.lookInto(&w, in); err != nil {
					return nil, err
				}
				list = append(list, w)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Period) int { return a.From.Compare(b.From.Time) })
	return list, nil
}

// lookInto asks the last observation of a period whether the version was still installed: it may have been taken away,
// and brought back, while nobody recorded that. Where nobody looked, it is known only of a period that began when it was
// installed.
func (f *fixRecord) lookInto(w *Period, in install) error {
	for _, o := range slices.Backward(f.timeline.rows.observed) {
		if !o.Time.Before(w.To.Time) {
			continue
		}
		if o.Time.Before(w.From.Time) {
			break
		}
		ev, err := f.store.Event(f.ctx, o.Event)
		if err != nil {
			return err
		}
		if list := ev.Observation.Installed; list != nil {
			if !slices.ContainsFunc(list, func(p record.Package) bool { return p.Name == *w.Package && p.Version == *w.Version }) {
				w.isUnknown("Whether it was still installed is not known.")
			}
			return nil
		}
	}
	if w.From.After(in.from.Time) {
		w.isUnknown("Whether it was still installed is not known.")
	}
	return nil
}

// isUnknown takes back that fixes were not active, for a reason.
func (p *Period) isUnknown(why string) { p.Confidence, p.Fixes, p.Why = Unknown, nil, why }

// bootPeriods are the boots, each with the live patch that was active in it last.
func (t *Timeline) bootPeriods() []Period {
	list := []Period{}
	for _, k := range t.Kernels {
		if k.BootID == "" {
			continue
		}
		b := Period{Span: k.Span, KernelRelease: k.KernelRelease, BootID: k.BootID, Fixes: []string{}}
		for _, s := range t.Patches {
			if s.BootID == k.BootID && s.Confidence != Unknown && !s.Transition && s.From.Before(k.To.Time) && k.From.Before(s.To.Time) {
				b.patch(s)
			}
		}
		b.Phase = ""
		list = append(list, b)
	}
	return list
}

// patch says which live patch it is about.
func (p *Period) patch(s PatchSpan) {
	p.Module, p.Package, p.Version, p.PatchNumber, p.Phase = s.Module, s.Package, s.Version, s.PatchNumber, s.Phase
}

// patchPeriods are the live patches of each boot. What a boot does until its initrd has loaded one is no period.
func (t *Timeline) patchPeriods() []Period {
	list := []Period{}
	for _, s := range t.Patches {
		if s.BootID == "" && s.To.Sub(s.From.Time) <= downtime || s.loading {
			continue
		}
		p := Period{Span: s.Span, Fixes: []string{}}
		p.KernelRelease, p.BootID = t.kernelAt(s.From)
		if p.patch(s); s.Transition {
			p.Why = "It was being loaded, and not complete."
		}
		if n := len(list) - 1; n >= 0 && list[n].goesOn(&p) {
			list[n].join(&p)
			continue
		}
		list = append(list, p)
	}
	return list
}

// unkeptPeriods are when a live patch was active, and not in the initrd.
func (t *Timeline) unkeptPeriods() []Period {
	list := []Period{}
	for _, s := range t.Initrds {
		if s.Verdict != record.VerdictMissing || s.Confidence == Unknown {
			continue
		}
		p := Period{Span: s.Span, Module: s.Module, Fixes: []string{}}
		p.KernelRelease, p.BootID = t.kernelAt(s.From)
		for _, a := range t.Patches {
			if a.Module == s.Module && a.BootID == p.BootID {
				p.patch(a)
			}
		}
		if n := len(list) - 1; n >= 0 && list[n].goesOn(&p) {
			list[n].join(&p)
			continue
		}
		list = append(list, p)
	}
	return list
}

// kernelAt is the kernel that ran at a moment, and its boot; empty where that is not known.
func (t *Timeline) kernelAt(at record.Timestamp) (release, boot string) {
	for _, k := range t.Kernels {
		if !k.From.After(at.Time) && at.Before(k.To.Time) {
			return k.KernelRelease, k.BootID
		}
	}
	return "", ""
}

// goesOn says whether a period that comes after another one says the same: one that is unknown never joins one that is not.
func (p *Period) goesOn(next *Period) bool {
	return p.To.Equal(next.From.Time) && p.BootID == next.BootID && p.Module == next.Module && p.Why == next.Why &&
		(p.Confidence == Unknown) == (next.Confidence == Unknown) && slices.Equal(p.Fixes, next.Fixes)
}

// join makes one period of two. It is as sure as the less sure one, unless that was shorter than a load.
func (p *Period) join(next *Period) {
	if p.To.Sub(p.From.Time) < LongestLoad || next.Confidence == Inferred && next.To.Sub(next.From.Time) >= LongestLoad {
		p.Confidence = next.Confidence
	}
	p.To, p.Events = next.To, ends(p.Events, next.Events...)
	if p.Phase == "" || p.Phase == record.PhaseUnknown {
		p.Phase = next.Phase
	}
}

// notActive is when fixes of an installed version were not active, or when that is not known.
func (p *patchHistory) notActive(in install, cves []string) (list []Period) {
	fixes := slices.DeleteFunc(slices.Clone(cves), func(cve string) bool { return p.has(in.version, cve) != yes })
	if len(fixes) == 0 && (in.all || in.number == 1) {
		return nil // the initial one, for which nothing waits
	}
	first, last := p.ofKernel()
	begin, _ := slices.BinarySearchFunc(p.spans, in.from, func(s ranSpan, at record.Timestamp) int { return s.To.Compare(at.Time) })
	for i := begin; i < len(p.spans) && p.spans[i].From.Before(in.to.Time); i++ {
		s := p.spans[i]
		s.From, s.To = later(s.From, in.from), earlier(s.To, in.to)
		foreign := s.boot.KernelRelease != p.kernel
		switch {
		case !s.From.Before(s.To.Time), s.BootID == "", s.loading && !foreign: // it was off, or was about to load
			continue
		case foreign && s.boot.KernelRelease != "" && last > 0 && i >= first: // there was nothing to protect: another kernel had come
			continue
		}
		w := p.waits(&s, in, fixes)
		if w == nil {
			continue
		}
		if n := len(list) - 1; n >= 0 && list[n].goesOn(w) {
			list[n].join(w)
		} else {
			list = append(list, *w)
		}
	}
	return slices.DeleteFunc(list, func(w Period) bool { return w.To.Sub(w.From.Time) < LongestLoad })
}

// waits says which fixes of an installed version were not active in a span; nil: all were.
func (p *patchHistory) waits(s *ranSpan, in install, fixes []string) *Period {
	w := &Period{
		Span:          Span{From: s.From, To: s.To, Confidence: Proven, Events: ends(s.Events, in.event)},
		KernelRelease: p.kernel, BootID: s.BootID, Module: moduleOfPackage(p.name, in.version), Package: &p.name, Version: &in.version,
		Fixes: []string{}, Why: p.whyNotActive(s),
	}
	if in.number > 0 {
		w.PatchNumber = &in.number
	}
	if s.Confidence == Inferred || s.boot.Confidence == Inferred {
		w.Confidence = Inferred
	}
	is := yes
	for _, cve := range fixes {
		active := p.protects(s, func() answer { return p.holds(s.PatchSpan, cve) })
		if is = both(is, active); active == no {
			w.Fixes = append(w.Fixes, cve)
		}
	}
	if len(fixes) == 0 { // nobody saw what it fixes
		is, w.Fixes = p.protects(s, func() answer { return p.replaces(&s.PatchSpan, in.patchVersion) }), nil
	}
	switch {
	case in.unsure && is != yes, is == maybe:
		w.isUnknown(p.whyUnknown(s, in))
	case is == yes:
		return nil
	}
	return w
}

// protects says whether what a live patch holds was active in a span, whatever kernel ran.
func (p *patchHistory) protects(s *ranSpan, holds func() answer) answer {
	switch s.boot.KernelRelease {
	case "":
		return maybe
	case p.kernel:
		return holds()
	}
	return no
}

// replaces says whether a version was active in a span, or a higher one, which has its fixes, too.
func (p *patchHistory) replaces(s *PatchSpan, v *patchVersion) answer {
	n := p.numberOf(s.Module)
	switch {
	case s.Confidence == Unknown:
		return maybe
	case s.Module == "":
		return no
	case s.Transition, s.unsure, n == 0, v.number == 0:
		return maybe
	}
	return answerOf(n >= v.number)
}

// whyNotActive says what ran instead of a live patch of the package.
func (p *patchHistory) whyNotActive(s *ranSpan) string {
	switch {
	case s.boot.KernelRelease != p.kernel:
		return "Kernel " + s.boot.KernelRelease + " ran."
	case s.Module == "":
		return "No live patch was active."
	case s.Transition:
		return "The load of " + s.Module + " was not complete."
	}
	return s.Module + " was active."
}

// whyUnknown says why it is not known whether the fixes of a version were active in a span.
func (p *patchHistory) whyUnknown(s *ranSpan, in install) string {
	switch {
	case in.unsure:
		return "What became of a change of the package is not known."
	case s.Confidence == Unknown, s.boot.KernelRelease == "":
		return "Which live patch was active is not known."
	case s.unsure, s.Transition:
		return "Whether the load of " + s.Module + " was complete is not known."
	}
	return "Whether " + s.Module + " has the same fixes is not on record."
}
