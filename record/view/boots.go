package view

import (
	"cmp"
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

// boot is a boot, put together from all looks at it.
type boot struct {
	record.BootRow        // without the rows below
	looks          []look // in the order of their events
	loads          []*load
	builds         []*build
}

// look is a stretch of a boot, in microseconds since 1970, of which the journal showed everything.
type look struct{ event, first, last int64 }

type load struct {
	record.LoadRow
	place
}

type build struct {
	record.Build
	place
}

// place orders the lines of a boot: what a later look no longer shows was before what it shows.
type place struct{ event, pos int64 }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.event, q.event), cmp.Compare(p.pos, q.pos))
}

func (r *Record) addObservation(o *Outline) {
	of := o.Observation
	r.observed = append(r.observed, of)
	if of.Package != nil {
		r.patchesOf[*of.Package] = append(r.patchesOf[*of.Package], of)
		if key := (patchKey{of.KernelRelease, *of.Module}); r.patches[key] == nil {
			r.patches[key] = of
		}
	}
	for _, b := range of.Boots {
		r.addBoot(o.Event, &b)
	}
	if of.Snapshot != 0 {
		r.settle(o)
	}
}

// addBoot merges a look at a boot. What it shows stays, also when the journal has lost it since: looks
// that overlap are joined. A look that had to leave files out, or that lost messages, adds what it shows
// and takes nothing away. No look takes back what became of a load: a load that was complete was not
// turned back later, but disabled.
func (r *Record) addBoot(event int64, b *record.Boot) {
	of := r.boots[b.ID]
	if of == nil {
		of = &boot{}
		r.boots[b.ID] = of
		of.take(event, b)
	} else if !b.Incomplete || of.Incomplete {
		of.take(event, b)
	}
	first, last, whole := Shown(b)
	if whole {
		of.join(look{event, first, last})
	}
	for i, l := range b.Loads {
		row := &load{record.LoadRow{Load: l, Event: event, Until: l.Time}, place{event, int64(i)}}
		if whole && b.Last.After(l.Time.Time) {
			row.Until = b.Last
		}
		of.addLoad(row, whole)
	}
	for i, img := range b.Builds {
		of.addBuild(&build{img, place{event, int64(i)}}, whole)
	}
}

// take takes over what a look says of the boot as a whole.
func (of *boot) take(event int64, b *record.Boot) {
	was := of.BootRow
	of.Event, of.Boot = event, *b
	of.Boot.Loads, of.Boot.Builds = nil, nil
	if was.Event == 0 {
		return
	}
	of.KernelRelease = cmp.Or(b.KernelRelease, was.KernelRelease)
	of.StartInJournal = b.StartInJournal || was.StartInJournal
	if was.StartInJournal && !b.StartInJournal || was.StartInJournal == b.StartInJournal && was.First.Before(b.First.Time) {
		of.First = was.First
	}
}

// join adds a look, joined with those that it overlaps.
func (of *boot) join(l look) {
	joined := l
	of.looks = slices.DeleteFunc(of.looks, func(o look) bool {
		overlaps := o.first <= l.last && o.last >= l.first
		if overlaps {
			joined.first, joined.last = min(joined.first, o.first), max(joined.last, o.last)
		}
		return overlaps || o.event == l.event
	})
	of.looks = append(of.looks, joined)
}

func (of *boot) addLoad(l *load, whole bool) {
	i := slices.IndexFunc(of.loads, func(o *load) bool { return o.Patch == l.Patch && o.Time.Equal(l.Time.Time) })
	if i < 0 {
		of.loads = append(of.loads, l)
		return
	}
	was := of.loads[i]
	l.Load = merged(&was.Load, &l.Load)
	if l.Event = was.Event; was.Until.After(l.Until.Time) {
		l.Until = was.Until
	}
	if !whole {
		l.place = was.place
	}
	of.loads[i] = l
}

// merged is what two looks say of a load.
func merged(was, is *record.Load) record.Load {
	m := *is
	if is.Phase == "unknown" {
		m.Phase, m.Rule = was.Phase, was.Rule
	}
	switch {
	case is.Result == "unknown":
		m.Result = was.Result
	case is.Result == "reverted" && was.Completed != nil:
		m.Result = "complete"
	}
	m.Forced = was.Forced || is.Forced
	m.Completed = cmp.Or(is.Completed, was.Completed)
	if m.Reverted = cmp.Or(is.Reverted, was.Reverted); m.Completed != nil {
		m.Reverted = nil
	}
	m.Disabled = disabled(was, is)
	m.Replaced = cmp.Or(is.Replaced, was.Replaced)
	return m
}

// disabled is when a load was disabled again, by two looks; nil: not on record.
func disabled(was, is *record.Load) *record.Timestamp {
	after := func(a, b *record.Timestamp) bool { return a != nil && b != nil && a.After(b.Time) }
	completed := cmp.Or(is.Completed, was.Completed)
	switch {
	case was.Disabled != nil && completed != nil && !after(completed, was.Disabled):
		if other := cmp.Or(is.Disabled, is.Reverted); after(was.Disabled, other) {
			return other
		}
		return was.Disabled
	case is.Disabled != nil:
		return is.Disabled
	case was.Completed != nil && is.Reverted != nil:
		return is.Reverted
	case after(was.Reverted, is.Completed):
		return was.Reverted
	}
	return was.Disabled
}

func (of *boot) addBuild(b *build, whole bool) {
	i := slices.IndexFunc(of.builds, func(o *build) bool { return o.Cursor == b.Cursor && o.Time.Equal(b.Time.Time) })
	if i < 0 {
		of.builds = append(of.builds, b)
		return
	}
	if !whole {
		b.place = of.builds[i].place
	}
	of.builds[i] = b
}
