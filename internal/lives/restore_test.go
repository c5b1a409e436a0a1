package lives

import (
	"maps"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// memory is a snapshot of a virtual machine with its memory and disks.
type memory struct {
	at           time.Time
	clock        time.Duration
	current      int // of boots; -1: off
	boots        []*boot
	patch        patch
	systems      []*system
	past, left   []*system
	working      bool
	timer        time.Time
	events, late []*record.Event
	known        map[string]time.Time
	last         []record.Package
	lastAt       record.Timestamp
	lastSeq      int64
	lastRoot     int
	missed       []record.Change
	repos        []*repo
	spooled      bool
}

func (l *life) save() *memory {
	m := &memory{
		at: l.now, clock: l.clock, current: slices.Index(l.boots, l.boot), patch: l.patch, systems: []*system{l.sys.clone(), l.next.clone()}, past: slices.Clone(l.past), left: l.left,
		working: l.working, timer: l.timer, events: slices.Clone(l.events), late: slices.Clone(l.late), known: maps.Clone(l.known),
		last: l.last, lastAt: l.lastAt, lastSeq: l.lastSeq, lastRoot: l.lastRoot, missed: slices.Clone(l.missed), repos: cloneRepos(l.repos), spooled: l.spooled,
	}
	if l.sys == l.next {
		m.systems[1] = m.systems[0]
	}
	for _, b := range l.boots {
		m.boots = append(m.boots, b.clone())
	}
	return m
}

// restore goes back to a snapshot. The wall clock goes on with the time that it had.
func (l *life) restore(m *memory) {
	gone := l.now.Sub(m.at)
	l.boots, l.patch, l.sys, l.next, l.past, l.left = m.boots, m.patch, m.systems[0], m.systems[1], m.past, m.left
	l.boot = nil
	if m.current >= 0 {
		l.boot = l.boots[m.current]
		l.boot.base = l.boot.base.Add(gone)
	}
	l.clock = m.clock - gone
	l.working, l.timer, l.events, l.late, l.known, l.last = m.working, m.timer.Add(gone), m.events, m.late, m.known, m.last
	l.lastAt, l.lastSeq, l.lastRoot, l.missed, l.repos, l.spooled = m.lastAt, m.lastSeq, m.lastRoot, m.missed, m.repos, m.spooled
	l.changing, l.open = false, nil
	l.mark()
}
