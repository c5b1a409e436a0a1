package compliance

import (
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// latency checks that fixes were active soon after their release.
func latency(g *grounds, c Criteria) finding {
	l, a := latencies{rating: Pass}, accepted{}
	for _, e := range g.exposures {
		if g.counts(e, c) && !(grantedInTime(&e) && a.has(&e)) {
			l.add(e, g.at, c)
		}
	}
	if l.n == 0 && a.numbers > 0 {
		return a.on(found(Pass, "No other fix of a live patch came in since %s.", record.At(g.since).Short()))
	}
	return a.on(l.finding(g))
}

// grantedInTime says whether the exception for a number was granted before its fix was active: one that came later
// does not make up for how long that took.
func grantedInTime(e *audit.Exposure) bool {
	return e.Exception != nil && (e.Active == nil || !e.Active.Before(e.Exception.Granted.Time))
}

// latencies are the fixes of a period, and how long they took.
type latencies struct {
	rating           Rating // of the slowest
	n, slow          int
	waiting          int // installed and not active
	unmeasured, lost int
	worst            time.Duration
	which            string // the slowest
	slowest          finding
}

func (l *latencies) add(e audit.Exposure, at time.Time, c Criteria) {
	l.n++
	took, known := tookBy(e, at)
	if !known {
		l.unmeasured++
		return
	}
	switch e.Status {
	case audit.StatusLost:
		l.lost++
	case audit.StatusInstalled, audit.StatusAvailable:
		l.waiting++
	}
	r := c.longer(took)
	if r != Pass {
		l.slow++
		l.slowest = l.slowest.by(e.Events...)
	}
	if r.weight() < l.rating.weight() {
		l.rating = r
	}
	if took > l.worst {
		l.worst, l.which = took, e.CVE
	}
}

func (l *latencies) finding(g *grounds) (f finding) {
	switch {
	case l.n == 0:
		return found(NotApplicable, "No fix of a live patch came in since %s.", record.At(g.since).Short())
	case l.rating != Pass:
		f = found(l.rating, "%d of %d fixes took longer than they may; the slowest is %s with %s", l.slow, l.n, l.which, say.Duration(l.worst))
		f.evidence = l.slowest.evidence
	case l.unmeasured > 0:
		f = found(NotDetermined, "Of %d of %d fixes release or activation are not on record", l.unmeasured, l.n)
	case l.waiting > 0:
		f = found(Warn, "%d of %d fixes are released, and not active; it is not too late for any yet", l.waiting, l.n).
			toDo("install what is on offer with `zypper patch`, and have it loaded; see `klp-audit report cve`")
	default:
		f = found(Pass, "All fixes were active in time (%d); the slowest took %s", l.n, say.Duration(l.worst))
	}
	if l.lost > 0 {
		f.detail += fmt.Sprintf("; taken away again: %d", l.lost)
	}
	f.detail += "."
	return f
}

// ofPeriod are the fixes of the period, whoever brings them.
func (g *grounds) ofPeriod() []audit.Exposure {
	return slices.DeleteFunc(slices.Clone(g.exposures), func(e audit.Exposure) bool { return !g.isOfPeriod(&e) })
}

// isOfPeriod says whether a fix became active in the period, or could have.
func (g *grounds) isOfPeriod(e *audit.Exposure) bool {
	if e.Active != nil {
		return !e.Active.Before(g.since)
	}
	return g.running == "" || e.KernelRelease == g.running // else there is nothing to protect
}

// counts says whether a fix belongs to the period, and whether the profile wants it in time.
func (g *grounds) counts(e audit.Exposure, c Criteria) bool {
	if e.Status == audit.StatusNotInRecord || e.NotOffered != "" || e.ByKernel() || e.Status == audit.StatusFixed && e.Active == nil || !g.isOfPeriod(&e) {
		return false
	}
	return len(c.Severities) == 0 || e.Severity == nil || slices.Contains(c.Severities, *e.Severity)
}

// tookBy is how long a fix was on its way, or is, if it is not active yet.
func tookBy(e audit.Exposure, at time.Time) (time.Duration, bool) {
	switch {
	case e.Released == nil, e.Active == nil && e.Status == audit.StatusUnknown:
		return 0, false
	case e.Active != nil:
		at = e.Active.Time
	case e.OpenSince != nil:
		return max(0, at.Sub(e.OpenSince.Time)), true
	}
	return max(0, at.Sub(e.Released.Time)), true // a package may be there before its advisory
}
