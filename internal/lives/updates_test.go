package lives

import (
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
)

const day = 24 * time.Hour

// lateAfter is for how long a live patch on offer may wait by the profile that is asked, by the severity of its advisory.
var lateAfter = map[string]time.Duration{"critical": 14 * day, "important": 30 * day, "moderate": 90 * day}

// seenAt is the newest observation up to a time that is on record; nil: there is none.
func (l *life) seenAt(at time.Time) (newest *record.Event) {
	for _, ev := range l.events {
		if ev.Observation != nil && !ev.Time.After(at) && (newest == nil || !ev.Time.Before(newest.Time.Time)) {
			newest = ev
		}
	}
	return newest
}

// decidedOpen checks a number that the observation at a moment decides: it must not be less than that.
func (a *answers) decidedOpen(o *openings, e audit.Exposure) {
	ev, k := o.seenAt(o.at), o.lookAt(o.at)
	if ev == nil || k == nil || k.event != ev.ID || !k.kept || o.at.Sub(k.at) > 2*time.Second || ev.Observation.Patches == nil || len(ev.Observation.Boots) == 0 || ev.Observation.Unknown["journal"] != "" {
		return
	}
	m := o.life.at(k.at)
	if m.moving != "" || m.changing || m.kernel != e.KernelRelease {
		return
	}
	is := func(list ...audit.ExposureStatus) bool { return slices.Contains(list, e.Status) }
	part, ok := "", false
	switch {
	case o.kernelHas(m.kernel):
		part, ok = "fixed by kernel", is(audit.StatusFixed)
	case o.patched(m) && !o.incomplete(ev) && ev.Observation.LivePatch != nil && ev.Observation.LivePatch.Version != nil:
		part, ok = "fixed by patch", is(audit.StatusFixed, audit.StatusUnknown)
	case o.patched(m):
		return
	case o.onOffer(m):
		part, ok = "on offer", e.OnOffer != nil || is(audit.StatusInstalled, audit.StatusLost) || is(audit.StatusUnknown) && e.Package != ""
	case o.any(func(s *sighting) bool { return s.offers() && s.newerKernel(m.kernel) }):
		part, ok = "in a newer kernel", is(audit.StatusNeedsKernel, audit.StatusInstalled, audit.StatusAvailable, audit.StatusLost) || e.Package != "" && !e.ByKernel()
	default:
		return
	}
	says := e.CVE + " " + string(e.Status)
	if o.byDay(e.CVE) {
		says += byDay
	}
	a.add("open", "decided "+part, says, false, func(moment) bool { return ok })
}

// incomplete says whether the journal of an observation does not tell all of its boot.
func (o *openings) incomplete(ev *record.Event) bool {
	return slices.ContainsFunc(ev.Observation.Boots, func(b record.Boot) bool { return b.Incomplete || b.MessagesLost || !b.StartInJournal })
}

// updateChecks checks what checks say of what is on offer, at a moment that may be long after the last observation.
func (a *answers) updateChecks(l *life, checks []compliance.CheckResult, at time.Time, begin time.Time) {
	ev := l.seenAt(at)
	if !l.sound() || ev == nil {
		return
	}
	until := at
	if until.After(l.now) {
		until = l.now
	}
	j := judged{life: l, at: at, begin: begin, ev: ev, seen: l.at(ev.Time.Time), now: l.at(until), all: l.sightings(at)}
	for _, r := range checks {
		if is := map[string]func(compliance.CheckResult) bool{"updates": j.updates, "residual": j.residual, "metadata": j.metadata}[r.ID]; is != nil {
			ok, says := is(r), string(r.Result)
			if !ok {
				says += ": " + r.Detail
			}
			a.add("check", r.ID, says, false, func(moment) bool { return ok })
		}
	}
}

// judged is what checks judge by.
type judged struct {
	*life
	at, begin time.Time
	ev        *record.Event // the newest observation
	seen, now moment        // what was true then, and at the end
	all       []*sighting
}

// numbers are what is known of each number.
func (j *judged) numbers() (list []*openings) {
	for _, cve := range j.vendor.numbers() {
		o := j.openings(j.at, cve, j.all)
		o.begin = j.begin
		list = append(list, o)
	}
	return list
}

// isOpen says whether a number is open by a live patch on offer: as it was seen, or was at the end, or both.
func (j *judged) isOpen(o *openings, both bool) bool {
	open := func(m moment) bool { return m.boot != "" && !o.fixed(m) && o.onOffer(m) }
	if both {
		return open(j.seen) && open(j.now) && j.seen.kernel == j.now.kernel
	}
	return open(j.seen) || open(j.now)
}

// taken says whether the live patch that is installed, or active, was taken back.
func (j *judged) taken(m moment) bool {
	return slices.ContainsFunc(j.all, func(s *sighting) bool {
		n := s.patchFor(m.kernel)
		return m.boot != "" && s.retracted && n > 0 && (n == installedLevel(m) || n == level(m.active) || n == level(m.moving))
	})
}

// longest is for how long a number has been open at most, and its severities.
func (o *openings) longest() (d time.Duration, severities []string) {
	since := o.at
	for _, s := range o.all {
		severities = append(severities, s.severity)
		if s.since().Before(since) {
			since = s.since()
		}
	}
	if since.Before(o.begin) {
		since = o.begin
	}
	return o.at.Sub(since), severities
}

func (j *judged) updates(r compliance.CheckResult) bool {
	open := func(both bool) []*openings {
		return slices.DeleteFunc(j.numbers(), func(o *openings) bool { return !j.isOpen(o, both) })
	}
	told := j.ev.Observation.Patches != nil && j.ev.Observation.Installed != nil
	switch r.Result {
	case compliance.Pass:
		late := strings.Contains(r.Detail, "not too late")
		return (late || len(open(true)) == 0 && !j.staleAt(j.at)) && !(told && j.taken(j.seen))
	case compliance.Fail:
		if strings.Contains(r.Detail, "took back") {
			return j.taken(j.seen)
		}
		return slices.ContainsFunc(open(false), func(o *openings) bool {
			d, severities := o.longest()
			return slices.ContainsFunc(severities, func(s string) bool { return d >= lateAfter[s]-time.Second })
		})
	case compliance.Warn:
		return len(open(false)) > 0
	case compliance.NotDetermined: // what is open stays open, however old what is known is
		return !told || strings.Contains(r.Detail, audit.WhetherInstalled) || strings.Contains(r.Detail, "whether that is active still is not known") || j.seen.boot != j.now.boot || j.seen.moving != "" || len(open(true)) == 0 || !j.decides()
	}
	return true
}

// decides says whether the newest observation looked at the repositories, and what it found came on record.
func (j *judged) decides() bool {
	k := j.lookAt(j.at)
	return k != nil && k.event == j.ev.ID && k.kept && j.seen.kernel == j.now.kernel && j.seen.installed == j.now.installed && j.seen.active == j.now.active
}

func (j *judged) residual(r compliance.CheckResult) bool {
	if r.Result != compliance.Pass || strings.Contains(r.Detail, "not too late") {
		return r.Result != compliance.Fail || j.at.Sub(j.begin) > 365*day
	}
	for _, o := range j.numbers() {
		only := func(m moment) bool {
			return m.boot != "" && !o.fixed(m) && !o.any(func(s *sighting) bool { return s.patchFor(m.kernel) > 1 }) && o.any(func(s *sighting) bool { return s.offers() && s.newerKernel(m.kernel) }) &&
				!slices.ContainsFunc(kernels[kernelNumber(m.kernel)+1:], m.hasKernel)
		}
		patch := slices.Contains(fixesOf(j.seen.kernel, 30).CVEs, o.cve)
		if only(j.seen) && only(j.now) && j.seen.kernel == j.now.kernel && !patch {
			return false
		}
	}
	return true
}

func (j *judged) metadata(r compliance.CheckResult) bool {
	k := j.lookAt(j.at)
	if k == nil {
		return r.Result == compliance.NotDetermined
	}
	ours := j.offering(k)
	off := slices.ContainsFunc(j.all, func(s *sighting) bool { return s.off && !s.retracted && !s.gone })
	want := compliance.Pass
	switch {
	case slices.ContainsFunc(ours, func(r repo) bool { return r.isStale(j.at, 7*day, 10000*day) }):
		want = compliance.Fail
	case len(ours) == 0:
		want = compliance.NotApplicable
	case off, slices.ContainsFunc(ours, func(r repo) bool { return r.isStale(j.at, 7*day, 90*day) }):
		want = compliance.Warn
	}
	if r.Result == compliance.Warn && slices.ContainsFunc(j.all, func(s *sighting) bool { return s.off }) {
		want = r.Result // that it was taken back does not come on record where its kernel is gone
	}
	return r.Result == want || j.at.Sub(k.at) > 365*day
}
