package lives

import (
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
)

// more checks what else the timeline says of a moment: whether a load was complete, what it
// replaces, and when nothing was recorded.
func (a *answers) more(l *life, t *audit.Timeline) {
	if s, ok := spanAt(t.Patches, func(s audit.PatchSpan) audit.Span { return s.Span }, a.at); ok && s.Module != "" {
		inferred := s.Confidence == audit.Inferred
		says := s.Module
		if s.Transition {
			says += " in transition"
		}
		a.add("timeline", "load", says, inferred, func(m moment) bool {
			return s.Transition && m.moving == s.Module || !s.Transition && m.active == s.Module
		})
		if s.Transition && s.Replaces != nil {
			a.add("timeline", "replaces", says+" of "+*s.Replaces, inferred, func(m moment) bool { return m.moving == s.Module && m.active == *s.Replaces })
		}
		if s.Completed != nil {
			done := s.Completed.Add(time.Second)
			ok := done.After(s.To.Time) || l.right(done, func(m moment) bool {
				return m.active == s.Module || m.moving != "" && m.moving != s.Module || m.undoing
			})
			a.add("timeline", "completed", says, inferred, func(moment) bool { return ok }, s.Completed.Time)
		}
	}
	if !l.sound() {
		return // when something was recorded is not known
	}
	for _, g := range t.Gaps {
		if !g.From.After(a.at) && g.To.After(a.at) {
			a.add("timeline", "gap", string(g.Kind), false, func(moment) bool { return l.lacks(g) }, g.From.Time, g.To.Time)
		}
	}
	from, to := l.around(a.at)
	gap := slices.ContainsFunc(t.Gaps, func(g audit.Gap) bool { return g.From.Before(to) && g.To.After(from) })
	if l.ranFor(from, to) > 37*time.Hour {
		a.add("timeline", "no gap", "observed daily", false, func(moment) bool { return gap }, from, to)
	}
}

// lacks says whether the record lacks what a gap says that it does.
func (l *life) lacks(g audit.Gap) bool {
	within := func(ev *record.Event) bool {
		return ev.Time.After(g.From.Time) && ev.Time.Before(g.To.Add(-time.Microsecond))
	}
	switch g.Kind {
	case audit.GapSilence:
		return l.ranFor(g.From.Time, g.To.Time) > 35*time.Hour && !slices.ContainsFunc(l.events, func(ev *record.Event) bool { return ev.Observation != nil && within(ev) })
	case audit.GapAfter:
		return !slices.ContainsFunc(l.events, func(ev *record.Event) bool { return ev.Observation != nil && within(ev) })
	case audit.GapOff, audit.GapBefore:
		return !slices.ContainsFunc(l.events, within)
	case audit.GapCommit:
		i := slices.IndexFunc(l.events, func(ev *record.Event) bool { return ev.Begin != nil && ev.Time.Equal(g.From.Time) })
		return i >= 0 && !slices.ContainsFunc(l.events, func(ev *record.Event) bool { return ev.End != nil && ev.End.Commit == l.events[i].ID })
	}
	return true
}

// around are the times of the observations around a moment, the same twice if it has none.
func (l *life) around(at time.Time) (from, to time.Time) {
	for _, ev := range l.events {
		switch {
		case ev.Observation == nil:
		case !ev.Time.After(at) && (from.IsZero() || ev.Time.After(from)):
			from = ev.Time.Time
		case ev.Time.After(at) && (to.IsZero() || ev.Time.Before(to)):
			to = ev.Time.Time
		}
	}
	if from.IsZero() || to.IsZero() {
		return at, at
	}
	return from, to
}

// ranFor is for how long the host ran between two times.
func (l *life) ranFor(from, to time.Time) (total time.Duration) {
	for i, m := range l.history[:len(l.history)-1] {
		begin, end := m.from, l.history[i+1].from
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if d := end.Sub(begin); d > 0 && m.boot != "" {
			total += d
		}
	}
	return total
}
