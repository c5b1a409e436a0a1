package view

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// between returns rows[i:j], the rows from one moment to another, both included; rows are in the
// order of time. There are none if j is not after i.
func between[T any](rows []T, when func(T) record.Timestamp, from, to time.Time) (i, j int) {
	first, last := from.UnixMicro(), to.UnixMicro()
	i, _ = slices.BinarySearchFunc(rows, first, func(row T, us int64) int { return cmp.Compare(when(row).UnixMicro(), us) })
	j, _ = slices.BinarySearchFunc(rows, last, func(row T, us int64) int {
		if when(row).UnixMicro() <= us {
			return -1
		}
		return 1
	})
	return i, j
}

// around returns the rows from one moment to another, both included, with the newest one before and
// the oldest one after them.
func around[T, R any](rows []T, when func(T) record.Timestamp, from, to time.Time, answer func(T) R) (list []R) {
	i, j := between(rows, when, from, to)
	if i > 0 {
		list = append(list, answer(rows[i-1]))
	}
	for n := i; n < j; n++ {
		list = append(list, answer(rows[n]))
	}
	if j < len(rows) {
		list = append(list, answer(rows[j]))
	}
	return list
}

// from returns the position of the first event with this number or a later one.
func (r *Record) from(seq int64) int {
	i, _ := slices.BinarySearchFunc(r.outlines, seq, func(o *Outline, seq int64) int { return cmp.Compare(o.Event, seq) })
	return i
}

func (o *Observation) when() record.Timestamp { return o.Time }
func (c *Change) when() record.Timestamp      { return c.Time }
func (of *Boot) when() record.Timestamp       { return of.First }
func (c *Commit) when() record.Timestamp      { return c.Begun() }

// Observations returns the observations from one moment to another, both included, with
// the newest one before and the oldest one after them, in the order of time.
func (r *Record) Observations(_ context.Context, from, to time.Time) ([]record.Observed, error) {
	return around(r.observed, (*Observation).when, from, to, func(o *Observation) record.Observed { return o.Observed }), nil
}

// NewestPart returns a part from the newest observation between since and at that has it; nil if
// none has.
func (r *Record) NewestPart(_ context.Context, name record.PartName, since, at time.Time) (*record.RawPart, error) {
	i, j := between(r.observed, (*Observation).when, since, at)
	for n := j - 1; n >= i; n-- {
		if o := r.observed[n]; o.Parts[name] != nil {
			return &record.RawPart{Event: o.Event, Time: o.Time, JSON: json.RawMessage(o.Parts[name])}, nil
		}
	}
	return nil, nil
}

// Sightings returns when the machine is known to have run, according to all events, in the order of
// the log.
func (r *Record) Sightings(context.Context) (list []record.Sighting, err error) {
	for _, o := range r.outlines {
		if h := &o.Header; h.BootID != "" { // empty if /proc did not say
			list = append(list, record.Sighting{Event: o.Event, Time: micro(h.Time), BootID: h.BootID,
				Boottime: time.Duration(h.BoottimeUS) * time.Microsecond, Spooled: h.Spooled != "", Snapshot: o.Snapshot})
		}
	}
	return list, nil
}

// Boots returns the boots that began from one moment to another, both included, with the
// newest one before and the oldest one after them, in the order of time.
func (r *Record) Boots(_ context.Context, from, to time.Time) ([]record.BootRow, error) {
	return around(r.byFirst, (*Boot).when, from, to, (*Boot).row), nil
}

// row returns the boot with its lists.
func (of *Boot) row() record.BootRow {
	b := of.BootRow
	for _, l := range of.Loads {
		b.Loads = append(b.Loads, l.Line)
	}
	for _, img := range of.Builds {
		b.Builds = append(b.Builds, img.Line)
	}
	for _, l := range of.Looks {
		b.Looks = append(b.Looks, record.Look{First: record.At(time.UnixMicro(l.First)), Last: record.At(time.UnixMicro(l.Last))})
	}
	return b
}

// Forced says whether the journal of a boot, as far as it is on record, shows that tasks were
// forced to switch to a live patch; nil if it does not show the patch's load.
func (r *Record) Forced(_ context.Context, boot, module string) (*bool, error) {
	if of := r.boots.byID[boot]; of != nil {
		for _, l := range slices.Backward(of.Loads) {
			if l.Line.Patch == module {
				return new(l.Line.Forced), nil
			}
		}
	}
	return nil, nil
}

// Commits returns the commits that began from one moment to another, both included, with the newest
// one before and the oldest one after them, in the order of time. A commit whose begin is not on
// record is placed by its end; imported ones belong to no boot and are left out.
func (r *Record) Commits(_ context.Context, from, to time.Time) ([]record.CommitRow, error) {
	return around(r.recorded, (*Commit).when, from, to, func(c *Commit) record.CommitRow { return c.CommitRow }), nil
}

// CommitsOpenAt returns the commits that had not ended at a moment, oldest first.
func (r *Record) CommitsOpenAt(_ context.Context, at time.Time) (list []record.OpenAt, err error) {
	for _, c := range r.byBegin {
		if c.BeginEvent != nil && !c.Begin.After(at) && (c.EndEvent == nil || c.End.After(at)) {
			list = append(list, record.OpenAt{Event: *c.BeginEvent, Time: *c.Begin})
		}
	}
	slices.SortFunc(list, func(a, b record.OpenAt) int { return cmp.Compare(a.Event, b.Event) })
	return list, nil
}

// CommitBefore returns the begin and the end of the newest commit that ended before a moment, nil
// if there is none. begin is nil if it is not on record. Imported commits are ignored: nobody
// looked at what was installed then.
func (r *Record) CommitBefore(_ context.Context, at time.Time) (begin, end *record.Event, seq int64, err error) {
	us := at.UnixMicro()
	c := r.lastEnded(func(c *Commit) bool {
		return c.End.UnixMicro() < us && (c.BeginEvent != nil || r.at(*c.EndEvent).Header.Kind != record.KindImport)
	})
	if c == nil {
		return nil, nil, 0, nil
	}
	if c.BeginEvent != nil {
		begin = r.at(*c.BeginEvent).Whole
	}
	return begin, r.at(*c.EndEvent).Whole, *c.EndEvent, nil
}

// Attribution counts the commits from one moment to another, and those whose author is not known.
func (r *Record) Attribution(_ context.Context, since, at time.Time) (a record.Attribution, err error) {
	i, j := between(r.byBegin, (*Commit).when, since, at)
	for n := i; n < j; n++ {
		c := r.byBegin[n]
		if a.Commits++; !c.byNobody() {
			continue
		}
		if a.Unknown++; a.Unknown <= 5 {
			a.Events = append(a.Events, *cmp.Or(c.BeginEvent, c.EndEvent))
		}
	}
	return a, nil
}

// byNobody says whether nothing shows which person or automation ran the commit.
func (c *Commit) byNobody() bool {
	isUnset := func(name *string) bool { return record.OrEmpty(name) == "" || *name == "unset" }
	return isUnset(c.Actor.Login) && isUnset(c.Actor.SudoUser) && record.OrEmpty(c.Actor.Automation) == ""
}
