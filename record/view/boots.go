package view

import (
	"cmp"
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

// boot is a boot, put together from all looks at it.
type boot struct {
	record.BootRow        // without Looks
	looks          []look // in the order of their events
}

// look is a stretch of a boot, in microseconds since 1970, of which the journal showed everything.
type look struct{ event, first, last int64 }

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
	if of.Booted != 0 {
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
	}
	if of.Event == 0 || !b.Incomplete || of.Incomplete {
		of.take(event, b)
	}
	first, last, whole := Shown(b)
	if whole {
		of.join(look{event, first, last})
	}
	for _, l := range b.Loads {
		row := record.LoadRow{Load: l, Event: event, Until: l.Time}
		if whole && b.Last.After(l.Time.Time) {
			row.Until = b.Last
		}
		of.addLoad(row, whole)
	}
	for _, img := range b.Builds {
		i := slices.IndexFunc(of.Builds, func(o record.Build) bool { return o.Cursor == img.Cursor && o.Time.Equal(img.Time.Time) })
		of.Builds = put(of.Builds, i, img, whole)
	}
}

// take takes over what a look says of the boot as a whole.
func (of *boot) take(event int64, b *record.Boot) {
	was := of.BootRow
	of.Event, of.Boot = event, *b
	of.Boot.Loads, of.Builds = nil, was.Builds
	if was.Event == 0 {
		return // this is the first one
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

// put adds a line of a boot, or puts it in the place of what an earlier look showed of it; -1: none did. What a
// look no longer shows was before what it shows.
func put[T any](rows []T, i int, row T, whole bool) []T {
	if i >= 0 && !whole {
		rows[i] = row
		return rows
	}
	if i >= 0 {
		rows = slices.Delete(rows, i, i+1)
	}
	return append(rows, row)
}

func (of *boot) addLoad(l record.LoadRow, whole bool) {
	i := slices.IndexFunc(of.Loads, func(o record.LoadRow) bool { return o.Patch == l.Patch && o.Time.Equal(l.Time.Time) })
	if i >= 0 {
		was := of.Loads[i]
		l.Event, l.Load = was.Event, merged(&was.Load, &l.Load)
		if was.Until.After(l.Until.Time) {
			l.Until = was.Until
		}
	}
	of.Loads = put(of.Loads, i, l, whole)
}

// merged is what two looks say of a load.
func merged(was, is *record.Load) record.Load {
	m := *is
	if is.Phase == record.PhaseUnknown {
		m.Phase, m.Rule = was.Phase, was.Rule
	}
	switch {
	case is.Result == record.LoadUnknown:
		m.Result = was.Result
	case is.Result == record.LoadReverted && was.Completed != nil:
		m.Result = record.LoadComplete
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
