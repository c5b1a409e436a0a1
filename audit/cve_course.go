package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// fixCourse is what became of one fix while its kernel ran.
type fixCourse struct {
	p         *patchHistory
	cve       string
	intervals []Interval
	events    []int64

	with     *ranSpan // the last span that had it
	unbroken bool     // the interval goes on if the next span has it
}

// follow finds when a fix became active, was lost, and came back.
func (p *patchHistory) follow(cve string) fixCourse {
	c := fixCourse{p: p, cve: cve, intervals: []Interval{}}
	from, to := p.ofKernel()
	for i := from; i < len(p.spans) && (i < to || c.unbroken); i++ {
		s := &p.spans[i]
		switch {
		case s.loading && s.boot.KernelRelease == p.kernel:
		case s.BootID == "" && s.To.Sub(s.From.Time) <= downtime: // it reboots, most likely
		case s.Confidence == Unknown || s.boot.KernelRelease != p.kernel:
			c.unbroken = false
		default:
			c.step(s)
		}
	}
	return c
}

// since are the intervals of which something is later than a moment, and the one that may go on.
func (c *fixCourse) since(from record.Timestamp) []Interval {
	last := len(c.intervals) - 1
	list := []Interval{}
	for i, in := range c.intervals {
		if lost := orZero(in.Lost); in.To.After(from.Time) || !lost.Before(from.Time) || in.Lost == nil && i == last {
			list = append(list, in)
		}
	}
	return list
}

// step takes in a span of the kernel in which something is known.
func (c *fixCourse) step(s *ranSpan) {
	switch c.p.holds(s.PatchSpan, c.cve) {
	case maybe:
		c.unbroken = false
	case yes:
		if !c.unbroken || !c.continues(s) {
			c.intervals = append(c.intervals, Interval{From: active(s.PatchSpan), Confidence: Proven})
		}
		in := &c.intervals[len(c.intervals)-1]
		if in.To = &s.To; s.Confidence == Inferred || s.boot.Confidence == Inferred {
			in.Confidence = Inferred
		}
		c.with, c.unbroken, c.events = s, true, ends(c.events, s.Events...)
	case no:
		c.unbroken = false
		if c.with == nil || !s.known.Before(s.To.Time) { // then a later span tells
			return
		}
		in := &c.intervals[len(c.intervals)-1]
		in.Lost, in.LostBy, c.events = &s.known, c.lostBy(s), ends(c.events, s.Events...)
		c.with = nil
	}
}

// continues says whether a fix was active from the last span that had it on: within the boot, or
// from its end on by a boot that loaded it from the initrd.
func (c *fixCourse) continues(s *ranSpan) bool {
	if s.BootID == c.with.BootID {
		return !s.From.After(c.with.To.Time)
	}
	return s.Phase == record.PhaseInitrd && !c.with.To.Before(c.with.boot.To.Time)
}

// lostBy says what took a fix away before a span.
func (c *fixCourse) lostBy(without *ranSpan) LossCause {
	// Until its boot ended: where that was long before the next one, the journal may lack its last hours.
	lasted := !c.with.To.Before(c.with.boot.To.Time) && without.boot.From.Sub(c.with.boot.To.Time) <= downtime
	switch {
	case c.with.BootID != without.BootID && lasted && c.bootedWithout(without):
		return LostByBoot
	case c.with.BootID != without.BootID:
		return LostByUnknown
	case without.Module != "": // where nobody looked between the two, it may have been disabled before
		n, next := c.p.numberOf(without.Module), !without.From.After(c.with.To.Time)
		if n > 0 && n < c.p.numberOf(c.with.Module) && next {
			return LostByDowngrade
		}
		return LostByUnknown
	}
	return c.removedAt(c.with.To.Time, without.From.Time)
}

// removedAt says whether a loss was by a removal of the package, or by disabling alone. It was at a moment, or
// at some time between two, in which an older live patch may have come and gone.
func (c *fixCourse) removedAt(from, to time.Time) LossCause {
	const commit = 10 * time.Minute // a long one
	cause := LostByDisabling
	for _, ch := range c.p.changes {
		found := ch.Source == record.SourceDrift                                            // which says until when it was removed
		older := PatchNumberOf(ch.Version) < c.p.numberOf(c.with.Module) && !from.Equal(to) // it may have been active between
		switch {
		case ch.Action != record.ActionRemove && !older, ch.Time.Before(from.Add(-commit)), !found && ch.Time.After(to.Add(commit)):
		case ch.Result == record.ResultOK && !ch.elsewhere && !found && from.Equal(to): // so it is a removal
			return LostByRemoval
		default: // whether that was here, or done, or just then, is not on record
			cause = LostByUnknown
		}
	}
	return cause
}

// bootedWithout says whether a boot is known to have been without the fix from its start on, or
// from where the initrd had done its work.
func (c *fixCourse) bootedWithout(s *ranSpan) bool {
	return !s.From.After(s.boot.From.Time) || s.Phase == record.PhaseInitrd
}

// numberOf returns the number of the live patch in a module, 0 if it is not known.
func (p *patchHistory) numberOf(module string) int { return PatchNumberOf(p.versionOf(module)) }

// status returns what became of a fix in the end, and why, if it is not active, or not known to be.
func (p *patchHistory) status(c *fixCourse, first *patchVersion) (ExposureStatus, string) {
	was := len(c.intervals) > 0 || p.seenActive(c.cve) != nil
	now, reason := p.now(c.cve)
	here, whyHere := p.isInstalled(c.cve)
	switch {
	case p.newest != nil && p.newest.Confidence != Unknown && p.newest.KernelRelease != "" && p.newest.KernelRelease != p.kernel:
		if was {
			return StatusOtherKernel, ""
		}
		now = no
	case now == yes:
		return StatusFixed, ""
	}
	switch {
	case now == no && was:
		return StatusLost, ""
	case was:
		return StatusUnknown, reason
	case now == maybe:
		return StatusUnknown, reason
	case here == maybe:
		return StatusUnknown, whyHere
	case here == yes && c.neverActive(first):
		return StatusInstalled, reason + " It was never active."
	case here == yes:
		return StatusInstalled, reason + " It is not known to have been active."
	case first.installed == nil && !p.wasInstalled(c.cve):
		return StatusUnknown, "No snapshot that had it is known to have been booted."
	}
	return StatusLost, "Its package was taken away before it is known to have been active."
}

// now says whether a fix is active at the end of the timeline, by the newest that is known of the
// newest boot, and why that is not known or not so.
func (p *patchHistory) now(cve string) (answer, string) {
	k := p.newest
	switch {
	case k == nil:
		return maybe, "No boot is on record."
	case k.Confidence == Unknown || k.KernelRelease == "":
		return maybe, fmt.Sprintf("Which kernel runs since %s is not known.", k.From.Short())
	case k.KernelRelease != p.kernel:
		return no, fmt.Sprintf("Kernel %s runs.", k.KernelRelease)
	}
	for i := len(p.spans) - 1; i >= 0 && !p.spans[i].To.Before(k.From.Time); i-- {
		s := &p.spans[i]
		switch {
		case s.Confidence == Unknown && p.goesOn:
			return maybe, "Which live patch was active then is not known."
		case s.BootID != k.BootID || s.Confidence == Unknown:
			continue
		}
		if s.loading {
			return maybe, "The boot was loading its live patch from the initrd then."
		}
		holds := p.holds(s.PatchSpan, cve)
		if changed := p.changedSince(cve, s, holds); changed != "" {
			return maybe, changed
		}
		switch {
		case holds == yes:
			return yes, ""
		case s.Transition && p.has(p.versionOf(s.Module), cve) != no:
			return holds, fmt.Sprintf("The load of %s is not complete: some tasks may run without it.", s.Module)
		case holds == maybe:
			return maybe, fmt.Sprintf("Whether %s fixes it is not on record.", s.Module)
		case s.Module == "":
			return no, "No live patch is active."
		default:
			return no, fmt.Sprintf("%s is active, which does not fix it.", s.Module)
		}
	}
	return maybe, fmt.Sprintf("Nobody saw which live patch is active since the boot at %s.", k.From.Short())
}

// changedSince says what on record may have made it otherwise since a span in which a fix was
// active, or was not; empty if nothing may.
func (p *patchHistory) changedSince(cve string, s *ranSpan, was answer) string {
	for _, c := range p.changes {
		has := no
		if c.Action != record.ActionRemove {
			has = p.has(c.Version, cve)
		}
		if !c.Time.Before(s.To.Time) && has != was {
			return fmt.Sprintf("%s %s: %s at %s, and nobody saw which live patch is active since.", p.name, c.Version, c.Action, c.Time.Short())
		}
	}
	switch {
	case p.stepped.After(s.To.Time):
		return fmt.Sprintf("Live patches changed at %s, and nobody saw which one is active since.", record.At(p.stepped).Short())
	case p.blind != nil && p.blind.Time.Sub(s.To.Time) > briefly:
		return fmt.Sprintf("The observation at %s could not read which live patch is active (event %d).", p.blind.Time.Short(), p.blind.Event)
	}
	return ""
}

// isInstalled says whether an installed version of the package has a fix.
func (p *patchHistory) isInstalled(cve string) (answer, string) {
	versions, known, reason := p.installedNow()
	if !known {
		return maybe, reason
	}
	found := no
	for _, v := range versions {
		switch p.has(v, cve) {
		case yes:
			return yes, ""
		case maybe:
			found, reason = maybe, fmt.Sprintf("Whether %s %s fixes it is not on record.", p.name, v)
		}
	}
	return found, reason
}

// wasInstalled says whether a version with a fix was taken away here. What was taken away in a
// snapshot that was booted may have been in the one alone that it was made of.
func (p *patchHistory) wasInstalled(cve string) bool {
	return slices.ContainsFunc(p.changes, func(c patchChange) bool {
		before, _ := p.sides(c.PatchChange)
		return before != nil && p.has(before.version, cve) == yes && (!c.Booted && !c.elsewhere || before.installed != nil)
	})
}

// neverActive says whether the record shows the whole time since a version came, and the fix in
// none of it.
func (c *fixCourse) neverActive(first *patchVersion) bool {
	since := first.since()
	return !slices.ContainsFunc(c.p.spans, func(s ranSpan) bool {
		switch {
		case !s.To.After(since):
			return false
		case s.BootID == "" || s.boot.KernelRelease == "":
			return true
		case s.boot.KernelRelease != c.p.kernel:
			return false
		}
		return c.p.holds(s.PatchSpan, c.cve) != no
	})
}
