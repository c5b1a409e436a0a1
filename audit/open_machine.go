package audit

import (
	"math"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// openSince is from when on a machine was without a fix that had been released: since it was issued, since the first boot
// of a kernel without it, or since the record begins, whichever is the latest; nil where it is not open, or nobody knows.
func (o *openFixes) openSince(e *Exposure, others []*Exposure) *record.Timestamp {
	switch {
	case !e.isOpen():
		return nil
	case e.Lost != nil && e.Status == StatusLost:
		return e.Lost
	case e.Released == nil, e.MayBeActive(), o.wasPerhapsActive(e):
		return nil
	}
	released, from := o.releasedBy(e), o.timeline.From
	for i := len(o.spans) - 1; i >= 0; i-- {
		s := &o.spans[i]
		if s.BootID == "" || s.Confidence == Unknown {
			continue
		}
		if until, had := o.had(e.CVE, s, others); had && s.KernelRelease != o.running {
			if until == nil {
				return nil
			}
			if until.Before(s.To.Time) {
				from = *until
			}
			break
		}
		if from = s.From; !from.After(released.Time) {
			break // what ran before that makes no difference
		}
	}
	return new(later(released, from))
}

// wasPerhapsActive says whether a live patch was active in the running kernel that has a fix by its number, though nobody saw
// what it fixes; or one with the fix was installed, and may have been active.
func (o *openFixes) wasPerhapsActive(e *Exposure) bool {
	first := o.issued[issue{e.CVE, e.Package}]
	if first == nil || e.Active != nil || e.Package != o.patch {
		return false
	}
	n := slices.IndexFunc(first.Packages, func(p Brought) bool { return p.Name == o.patch })
	number := PatchNumberOf(first.Packages[n].Version)
	has := func(version string) bool {
		return PatchNumberOf(version) >= number && o.history.has(version, e.CVE) != no
	}
	for version := range o.ran {
		if has(version) {
			return true
		}
	}
	course := fixCourse{p: o.history, cve: e.CVE}
	for version, v := range o.history.versions {
		if v.present && has(version) && !course.neverActive(v) {
			return true
		}
	}
	return false
}

// versionsThatRan are those of the live patches that were active in the running kernel, or being loaded.
func (o *openFixes) versionsThatRan() map[string]bool {
	ran := map[string]bool{}
	for _, s := range o.setting.spans {
		if s.boot.KernelRelease == o.running && s.Module != "" && s.Confidence != Unknown {
			ran[o.history.versionOf(s.Module)] = true
		}
	}
	return ran
}

// releasedBy is by when a fix had surely been released, by the first advisory of such a package: where only the day is known,
// at its end, or when it was seen or its package installed, if that was before.
func (o *openFixes) releasedBy(e *Exposure) record.Timestamp {
	by := *e.Released
	if e.ReleasedBy == ReleasedOnDay {
		by = earlier(record.At(by.Add(24*time.Hour)), record.At(o.at))
	}
	if first := o.issued[issue{e.CVE, e.Package}]; first != nil {
		by = earlier(by, first.From)
	}
	if e.Installed != nil {
		by = earlier(by, *e.Installed)
	}
	return by
}

// had says whether a fix was active in the boot of another kernel, or that kernel has it by itself, and until when; nil:
// nobody knows.
func (o *openFixes) had(cve string, s *KernelSpan, others []*Exposure) (until *record.Timestamp, had bool) {
	if o.offers.hasItself(s.KernelRelease, cve) {
		return &s.To, true
	}
	var last record.Timestamp
	for _, e := range others {
		if e.KernelRelease != s.KernelRelease {
			continue
		}
		for _, in := range e.Intervals {
			end := s.To
			if in.To != nil {
				end = earlier(end, *in.To)
			}
			if !in.From.Before(s.To.Time) || !end.After(s.From.Time) || end.Before(last.Time) {
				continue
			}
			last, until, had = end, nil, true
			if !end.Before(s.To.Time) || in.Lost != nil && in.Lost.Equal(in.To.Time) {
				until = &end
			}
		}
	}
	return until, had
}

// findKernel looks among installed packages for that of the running kernel.
func (o *openFixes) findKernel(installed []record.Package) bool {
	for _, p := range installed {
		if IsKernel(p, o.running) && (o.kernel.Name == "" || len(p.Name) < len(o.kernel.Name)) { // not kernel-default-base
			o.kernel = p
		}
	}
	return o.kernel.Name != ""
}

// installedNext is what was installed when that was seen next, after it was last: in the system that ran, not in a snapshot
// that was booted since.
func (o *openFixes) installedNext(last *Seen) ([]record.Package, error) {
	next, err := o.seenNext()
	switch {
	case err != nil || next == nil:
		return nil, err
	case last != nil && o.newest != nil && last.Boot == o.newest.BootID && next.BootID != last.Boot && inAnother(next.Observation, last.Observation):
		return nil, nil
	}
	return next.Observation.Installed, nil
}

// inAnother says whether two observations are known to be of two snapshots.
func inAnother(a, b *record.Observation) bool {
	return a.Subvolume != "" && b.Subvolume != "" && a.Subvolume != b.Subvolume
}

// seenNext is the first observation after the moment that tells what is installed; nil: there is none, or many do not.
func (f *fixRecord) seenNext() (*record.Event, error) {
	at := f.at
	for range mostReads {
		list, err := f.store.Observations(f.ctx, at, at)
		if err != nil || len(list) == 0 || !list[len(list)-1].Time.After(at) {
			return nil, err
		}
		o := list[len(list)-1]
		ev, err := f.store.Event(f.ctx, o.Event)
		if err != nil || ev.Observation.Installed != nil {
			return ev, err
		}
		at = o.Time.Time
	}
	return nil, nil
}

// activeMayFix says whether a live patch is active, or was when that was known last, of which it is not on record whether it
// has a fix.
func (o *openFixes) activeMayFix(cve string) bool {
	for _, s := range slices.Backward(o.setting.spans) {
		if s.Confidence != Unknown {
			return s.Module != "" && s.boot.KernelRelease == o.running && o.history.has(o.history.versionOf(s.Module), cve) == maybe
		}
	}
	return false
}

// unseenSince is the highest number of the live patches that were active after what is installed was seen, or when that was
// known last, and of which it is not on record what they fix, or which were loaded after that: they may be installed, or
// active. It is 0 if there were none, and above all others where one does not tell its number.
func (o *openFixes) unseenSince(at record.Timestamp) (highest int) {
	last := true // nothing is known of what came after the span
	for i := range slices.Backward(o.setting.spans) {
		s := &o.setting.spans[i]
		if s.Confidence == Unknown {
			continue
		}
		if !last && !s.To.After(at.Time) {
			break
		}
		last = false
		v := o.history.versions[o.history.modules[s.Module]]
		seen := v != nil && v.all && !s.From.After(at.Time)
		if s.Module == "" || s.boot.KernelRelease != o.running || seen {
			continue
		}
		number := o.history.numberOf(s.Module)
		if number == 0 {
			number = math.MaxInt
		}
		highest = max(highest, number)
	}
	return highest
}

// releasedWith notes that an advisory released a fix.
func (e *Exposure) releasedWith(a *Offered) {
	e.Advisory, e.Severity, e.Title = &a.ID, record.OrNil(a.Severity), record.OrNil(a.Title)
	e.Released, e.ReleasedBy = a.Issued, "advisory"
	switch {
	case a.Issued == nil || a.Issued.After(a.From.Time) && !a.DayOnly:
		e.Released = new(a.From) // it was seen, and had been issued by then
	case a.DayOnly:
		e.ReleasedBy = ReleasedOnDay
	}
}

// releasedFirst notes of a fix that is open, and was never active, the advisory that released it first: that of a live patch
// that was never installed.
func (o *openFixes) releasedFirst(e *Exposure) {
	first := o.issued[issue{e.CVE, e.Package}]
	if e.isOpen() && e.Active == nil && e.Released != nil && first != nil && first.From.Before(e.Released.Time) {
		e.releasedWith(first)
	}
}
