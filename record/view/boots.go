package view

import (
	"cmp"
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

// Boots combines looks at boots. The zero Boots has none.
type Boots struct {
	byID map[string]*Boot
	list []*Boot
}

// Boot is a boot, combined from all looks at it.
type Boot struct {
	record.BootRow // without its lists
	Looks          []Look
	Loads          []Placed[record.LoadRow]
	Builds         []Placed[record.Build]
}

// Look is a stretch of a boot, in microseconds since 1970, for which the journal was complete.
type Look struct {
	Event       int64 // the newest one that showed a part of it
	First, Last int64
}

// Placed is a line of a boot with its position among the lines.
type Placed[T any] struct {
	Place int64
	Line  T
}

// Place orders the lines of a boot: what a later look no longer shows came before what it shows. i
// is the number of the line in an event.
func Place(event int64, i int) int64 { return event<<20 + int64(i) }

// All returns the boots in the order in which they were first seen.
func (bs *Boots) All() []*Boot { return bs.list }

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
		r.boots.Add(o.Event, &b)
	}
	if of.Booted != 0 {
		r.settle(o)
	}
}

// Add merges a look at a boot. What a look shows stays, even after the journal lost it: overlapping
// looks are joined. A look that left files out or lost messages adds what it shows and removes
// nothing. No look revises what became of a load: a load that was complete can be disabled, but not
// turned back.
func (bs *Boots) Add(event int64, b *record.Boot) {
	of := bs.byID[b.ID]
	if of == nil {
		if bs.byID == nil {
			bs.byID = map[string]*Boot{}
		}
		of = &Boot{}
		bs.byID[b.ID], bs.list = of, append(bs.list, of)
	}
	if of.Event == 0 || !b.Incomplete || of.Incomplete {
		of.take(event, b)
	}
	first, last, whole := Shown(b)
	if whole {
		of.join(Look{event, first, last})
	}
	for i, l := range b.Loads {
		row := record.LoadRow{Load: l, Event: event, Until: l.Time}
		if whole && b.Last.After(l.Time.Time) {
			row.Until = b.Last
		}
		of.addLoad(Place(event, i), row, whole)
	}
	for i, img := range b.Builds {
		was := slices.IndexFunc(of.Builds, func(o Placed[record.Build]) bool {
			return o.Line.Cursor == img.Cursor && o.Line.Time.Equal(img.Time.Time)
		})
		of.Builds = put(of.Builds, was, Placed[record.Build]{Place(event, i), img}, whole)
	}
}

// take copies what a look says about the boot as a whole.
func (of *Boot) take(event int64, b *record.Boot) {
	was := of.BootRow
	of.Event, of.Boot = event, *b
	of.Boot.Loads, of.Boot.Builds = nil, nil
	if was.Event == 0 {
		return // this is the first one
	}
	of.KernelRelease = cmp.Or(b.KernelRelease, was.KernelRelease)
	of.StartInJournal = b.StartInJournal || was.StartInJournal
	if was.StartInJournal && !b.StartInJournal || was.StartInJournal == b.StartInJournal && was.First.Before(b.First.Time) {
		of.First = was.First
	}
}

// join adds a look, merged with those it overlaps.
func (of *Boot) join(l Look) {
	joined := l
	of.Looks = slices.DeleteFunc(of.Looks, func(o Look) bool {
		overlaps := o.First <= l.Last && o.Last >= l.First
		if overlaps {
			joined.First, joined.Last = min(joined.First, o.First), max(joined.Last, o.Last)
		}
		return overlaps || o.Event == l.Event
	})
	of.Looks = append(of.Looks, joined)
}

// put adds a line of a boot, or replaces line i, which an earlier look showed; -1: none did. What a
// look no longer shows came before what it shows.
func put[T any](rows []Placed[T], i int, row Placed[T], whole bool) []Placed[T] {
	if i >= 0 && !whole {
		rows[i].Line = row.Line
		return rows
	}
	if i >= 0 {
		rows = slices.Delete(rows, i, i+1)
	}
	return append(rows, row)
}

func (of *Boot) addLoad(place int64, l record.LoadRow, whole bool) {
	i := slices.IndexFunc(of.Loads, func(o Placed[record.LoadRow]) bool { return o.Line.Patch == l.Patch && o.Line.Time.Equal(l.Time.Time) })
	if i >= 0 {
		was := of.Loads[i].Line
		l.Event, l.Load = was.Event, merged(&was.Load, &l.Load)
		if was.Until.After(l.Until.Time) {
			l.Until = was.Until
		}
	}
	of.Loads = put(of.Loads, i, Placed[record.LoadRow]{place, l}, whole)
}

// merged returns what two looks together say about a load.
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

// disabled returns when a load was disabled again, according to two looks; nil: not on record.
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
