package lives

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// stale is how old the newest observation may be that checks judge the machine by.
const stale = 48 * time.Hour

// ofState are checks that judge the newest observation.
var ofState = []string{"kernel-supported", "patch-state", "patch-loaded", "patch-in-initrd", "next-boot", "coverage", "reboot-lag"}

// judged is when that was seen by which checks judge a moment; zero: nothing was, for long.
func (l *life) judged(at time.Time) (seen time.Time) {
	for _, ev := range l.events {
		if ev.Observation != nil && !ev.Time.After(at) && !ev.Time.Before(seen) {
			seen = ev.Time.Time
		}
	}
	if at.Sub(seen) > stale {
		return time.Time{}
	}
	return seen
}

// furtherChecks checks results that are about the record, or that more than one state is right for.
func (a *answers) furtherChecks(l *life, checks []compliance.CheckResult) {
	asked, seen := a.at, l.judged(a.at)
	if a.at.After(l.now) {
		a.at = l.now // the history ends there
	}
	for _, r := range checks {
		isTrue, at := l.furtherCheck(r, asked), a.at
		switch {
		case r.Result == compliance.NotDetermined:
			continue
		case slices.Contains(ofState, r.ID) && seen.IsZero():
			isTrue = func(moment) bool { return false }
		case slices.Contains(ofState, r.ID):
			at = seen
		}
		if isTrue == nil {
			continue
		}
		ok, says := l.right(at, isTrue), string(r.Result)
		if !ok {
			says += ": " + r.Detail
		}
		a.add("check", r.ID+" more", says, false, func(moment) bool { return ok })
	}
}

func (l *life) furtherCheck(r compliance.CheckResult, at time.Time) func(moment) bool {
	switch r.ID {
	case "patch-state":
		return func(m moment) bool {
			switch r.Result {
			case compliance.NotApplicable:
				return m.active == "" && m.moving == ""
			case compliance.Pass:
				return m.active != "" || m.moving != ""
			}
			if strings.Contains(r.Detail, "was in transition for") && l.sound() && !l.movedFor(r.Detail, l.judged(at)) {
				return false
			}
			one := !strings.Contains(r.Detail, "are enabled, not one") // each replaces the one before
			return one && (m.moving != "" || m.active != m.loaded)     // being disabled, or of no package
		}
	case "coverage":
		return func(m moment) bool {
			if r.Result == compliance.NotApplicable {
				return m.active == "" && m.loaded == ""
			}
			day := covered(m.kernel)
			over := at.Format(time.DateOnly) > day
			return strings.Contains(r.Detail, day) && strings.Contains(r.Detail, " ended on ") == over && (!over || r.Result == compliance.Fail)
		}
	case "reboot-lag":
		return func(m moment) bool {
			waits := !strings.Contains(r.Detail, "no newer one waits")
			return m.changing || (m.newest != m.kernel) == waits && !strings.Contains(r.Detail, "for -")
		}
	case "downgrades": // of before a time, which a wrong clock does not tell
		surely, perhaps := l.lowered(at)
		return func(moment) bool {
			return !l.sound() || surely && r.Result != compliance.Pass || !surely && (perhaps || r.Result == compliance.Pass)
		}
	case "failed-commits":
		last, ever := l.failures(at)
		return func(moment) bool {
			return (!last || r.Result != compliance.Pass) && (ever || r.Result == compliance.Pass)
		}
	case "completeness":
		return func(moment) bool { return r.Result != compliance.Pass || !l.drifted(at) }
	}
	return nil
}

// movedFor says whether a text tells for how long a transition had been under way when it was seen.
func (l *life) movedFor(text string, seen time.Time) bool {
	var begun time.Time
	for i, m := range l.history {
		if m.from.After(seen.Add(slack)) {
			break
		}
		if m.moving != "" && (i == 0 || l.history[i-1].moving != m.moving) {
			begun = m.from
		}
	}
	return slices.ContainsFunc([]time.Duration{-time.Second, 0, time.Second}, func(d time.Duration) bool {
		return strings.Contains(text, "was in transition for "+say.Duration(max(0, seen.Sub(begun)+d)))
	})
}

// lowered says whether a downgrade, or a removal of a live patch whose kernel stayed, is on record up to a
// time: surely, or one whose own time is not known, or that another snapshot has, or whose kernel was taken away with
// it and then came back without it.
func (l *life) lowered(at time.Time) (surely, perhaps bool) {
	for _, ev := range l.events {
		list, from := changesOf(ev)
		for _, c := range list {
			low := c.Kind == "livepatch" && c.Result == record.ResultOK && (c.Action == "downgrade" || c.Action == "remove" && !l.kernelGone(c.KernelRelease, from))
			back := c.Kind == "livepatch" && c.Action == "remove" && slices.ContainsFunc(list, func(k record.Change) bool {
				return k.Kind == "kernel" && k.Action == "reinstall" && k.KernelRelease == c.KernelRelease
			})
			perhaps = perhaps || (low || back) && !from.After(at)
			surely = surely || low && !ev.Time.After(at) && (ev.End == nil || ev.End.Outcome != record.OutcomeStaged)
		}
	}
	return surely, perhaps
}

// kernelGone says whether the removal of a kernel is on record, within a minute of a time: an import has its
// live patch's by itself.
func (l *life) kernelGone(release string, at time.Time) bool {
	return slices.ContainsFunc(l.events, func(ev *record.Event) bool {
		list, from := changesOf(ev)
		return from.Sub(at).Abs() < time.Minute && slices.ContainsFunc(list, func(k record.Change) bool {
			return k.Kind == "kernel" && k.Action == "remove" && k.KernelRelease == release
		})
	})
}

// failures say of a time whether the last that was tried with some package failed, and whether anything ever did,
// or may have: what became of it is not on record.
func (l *life) failures(at time.Time) (last, ever bool) {
	failed, open := map[string]bool{}, map[string]bool{}
	for _, ev := range l.events {
		list, from := changesOf(ev)
		if ev.Time.After(at) {
			for _, c := range list { // which may have been made before
				failed[c.Package] = failed[c.Package] && (from.After(at) || c.Result != record.ResultOK)
			}
			continue
		}
		if ever = ever || ev.Import != nil; ev.Begin != nil {
			open[ev.ID] = true
			continue
		}
		if ev.End != nil {
			delete(open, ev.End.Commit)
		}
		for _, c := range list {
			failed[c.Package] = c.Result == record.ResultFailed
			ever = ever || c.Result != record.ResultOK
		}
	}
	last = l.sound() && !l.has["late spool"] && slices.Contains(slices.Collect(maps.Values(failed)), true)
	return last, ever || len(open) > 0 || l.has["late spool"] || !l.sound()
}

// drifted says whether a change without a commit is.
func (l *life) drifted(at time.Time) bool {
	return slices.ContainsFunc(l.events, func(ev *record.Event) bool {
		return ev.Drift != nil && !ev.Time.After(at) && len(ev.Drift.Changes) > 0
	})
}

// changesOf are the changes that an event has, and the earliest time that they may have been made.
func changesOf(ev *record.Event) (list []record.Change, from time.Time) {
	from = ev.Time.Time
	switch {
	case ev.End != nil:
		list = ev.End.Changes
		if ev.End.Begun != nil { // an end that was found later
			from = ev.End.Begun.Time
		}
		for _, c := range list {
			if c.InstallTime != nil && c.InstallTime.Before(from) {
				from = c.InstallTime.Time
			}
		}
	case ev.Drift != nil:
		list, from = ev.Drift.Changes, ev.Drift.Since.Time
	case ev.Import != nil:
		from = ev.Import.Time.Time
		for _, c := range ev.Import.Changes {
			list = append(list, c.Change)
		}
	}
	return list, from
}
