package lives

import (
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
)

// course checks what is said of a fix at other moments than that of the question: while it was
// active, by what it was lost, and since when an initrd held it.
func (a *answers) course(l *life, e audit.Exposure) {
	fixes := func(module string) bool {
		return slices.Contains(fixesOf(e.KernelRelease, level(module)).CVEs, e.CVE)
	}
	has := func(m moment) bool { return m.kernel == e.KernelRelease && fixes(m.active) }
	for _, in := range e.Intervals {
		from, to := in.From.Time, a.at
		if in.To != nil {
			to = in.To.Time
		}
		for _, at := range []time.Time{from.Add(to.Sub(from) / 3), from.Add(to.Sub(from) * 2 / 3), to.Add(-time.Second)} {
			ok := !at.After(from) || l.right(at, func(m moment) bool { return has(m) || m.boot == "" || l.starts(m) })
			says := e.CVE
			if !ok {
				says += ", where " + l.truth(at)
			}
			a.add("cve", "interval", says, in.Confidence == audit.Inferred, func(moment) bool { return ok }, at)
		}
		if by := in.LostBy; in.Lost != nil && by != audit.LostByUnknown && l.sound() {
			truth := l.took(in.Lost.Time, fixes)
			ok := by == truth || by == audit.LostByRemoval && truth == audit.LostByDisabling && l.removed(e.Package, in.Lost.Time)
			a.add("cve", "lost by", e.CVE+" "+string(by), false, func(moment) bool { return ok }, in.Lost.Time)
		}
	}
	if n := len(e.Intervals); n > 0 && e.Status == audit.StatusLost {
		a.add("cve", "loss", e.CVE+" lost, and not when", false, func(moment) bool { return e.Intervals[n-1].Lost != nil })
	}
	if e.InInitrd != nil {
		a.check(l, "in initrd", e.CVE, e.InInitrd.Time, func(m moment) bool {
			return fixes(m.images[e.KernelRelease]) || fixes(m.running[e.KernelRelease])
		})
	}
}

// removed says whether a package was removed within some minutes of a time.
func (l *life) removed(name string, at time.Time) bool {
	has := func(m moment) bool { return strings.Contains(m.installed, name+"-") }
	for i, m := range l.history[1:] {
		if m.from.Sub(at).Abs() < 15*time.Minute && has(l.history[i]) && !has(m) {
			return true
		}
	}
	return false
}

// starts says whether the initrd of a boot is still at work at a moment.
func (l *life) starts(m moment) bool {
	i := slices.IndexFunc(l.history, func(o moment) bool { return o.boot == m.boot })
	return i >= 0 && m.from.Sub(l.history[i].from) < 10*time.Second && m.active == ""
}

// took is what took a fix away that is not active at a time.
func (l *life) took(at time.Time, fixes func(module string) bool) audit.LossCause {
	var with, without moment
	for _, m := range l.history {
		module := m.active
		if m.moving != "" && !m.undoing && !fixes(m.moving) {
			module = m.moving
		}
		switch {
		case m.from.After(at.Add(slack)), m.boot == "", l.starts(m):
		case fixes(module):
			with, without = m, moment{}
		case without.boot == "":
			without, without.active = m, module
		}
	}
	switch {
	case with.boot != without.boot:
		return audit.LostByBoot
	case without.active != "":
		return audit.LostByDowngrade
	}
	return audit.LostByDisabling
}

// changes are moments at which one live patch replaces another.
func (l *life) changes(n int) (list []time.Time) {
	var all []moment
	for _, m := range l.history {
		if m.moving != "" && m.active != "" {
			all = append(all, m)
		}
	}
	for range min(n, len(all)) {
		m := all[l.IntN(len(all))]
		list = append(list, m.from.Add(m.clock).Add(500*time.Millisecond))
	}
	return list
}

// losses are moments up to some hours after a live patch went while its boot went on.
func (l *life) losses(n int) (list []time.Time) {
	var all []moment
	for i, m := range l.history[1:] {
		if before := l.history[i]; m.boot == before.boot && m.active == "" && before.active != "" {
			all = append(all, m)
		}
	}
	for range min(n, len(all)) {
		m := all[l.IntN(len(all))]
		list = append(list, m.from.Add(m.clock).Add(l.between(time.Second, 6*time.Hour)))
	}
	return list
}
