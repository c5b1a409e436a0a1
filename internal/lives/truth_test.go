package lives

import (
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// slack is by how much a change and the line about it may be apart.
const slack = 300 * time.Millisecond

// right says whether something was so when the host's clock showed a time, or at that very time.
// What was so before the clock was set ahead was so at the times that it never showed.
func (l *life) right(at time.Time, isTrue func(moment) bool) bool {
	for i, m := range l.history {
		end, ahead := l.now, m.clock
		if i+1 < len(l.history) {
			end, ahead = l.history[i+1].from, max(m.clock, l.history[i+1].clock)
		}
		for _, clocks := range [][2]time.Duration{{0, 0}, {m.clock, ahead}} {
			if from, to := m.from.Add(clocks[0]-slack), end.Add(clocks[1]+slack); !at.Before(from) && at.Before(to) && isTrue(m) {
				return true
			}
		}
	}
	return false
}

// at is what was true at a time.
func (l *life) at(at time.Time) (found moment) {
	for _, m := range l.history {
		if m.from.After(at) {
			break
		}
		found = m
	}
	return found
}

// sound says whether the clock was right all the time.
func (l *life) sound() bool {
	for _, m := range l.history {
		if m.clock != 0 {
			return false
		}
	}
	return true
}

// situation is where a moment is among the observations of its boot; empty: it was off.
func (l *life) situation(at time.Time) string {
	id := l.at(at).boot
	if id == "" {
		return ""
	}
	before, after := false, false
	for _, ev := range l.events {
		if ev.Kind == record.KindObservation && ev.BootID == id {
			before = before || !ev.Time.After(at)
			after = after || !ev.Time.Before(at)
		}
	}
	switch {
	case before && after:
		return "between two observations of a boot"
	case after:
		return "boot, before its first observation"
	case before:
		return "boot, after its last observation"
	}
	return "boot without an observation"
}

// moments are those to ask about: around some of the changes, and any.
func (l *life) moments(n int) (list []time.Time) {
	for range n {
		m := l.history[l.IntN(len(l.history))]
		at := m.from.Add(m.clock).Add([]time.Duration{-time.Second, 0, time.Second}[l.IntN(3)])
		list = append(list, at)
	}
	first := l.history[0].from
	for range n / 3 {
		list = append(list, first.Add(l.between(0, l.now.Sub(first))))
	}
	return list
}

// observed are the times of some observations.
func (l *life) observed(n int) (list []time.Time) {
	var all []time.Time
	for _, ev := range l.events {
		if ev.Kind == record.KindObservation {
			all = append(all, ev.Time.Time)
		}
	}
	for range n {
		if len(all) > 0 {
			list = append(list, all[l.IntN(len(all))])
		}
	}
	return list
}
