package audit

import (
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// bootEvidence is what is known of the live patches of a boot, while its clock was not set.
type bootEvidence struct {
	*run
	commits []record.CommitRow
}

func (b *bootEvidence) loads() []record.LoadRow {
	if b.row == nil {
		return nil
	}
	return b.row.Loads
}

// watched says whether the journal would show what becomes of a live patch between two moments: it
// does if it has the load, for the lines that follow are read as what became of that.
func (b *bootEvidence) watched(module string, from, until record.Timestamp) bool {
	return module == "" || slices.ContainsFunc(b.loads(), func(l record.LoadRow) bool {
		return l.Patch == module && l.Result != record.LoadFailed && !l.Undated && !l.Time.After(from.Time) && !until.After(l.Until.Add(instant))
	})
}

// dated are loads of a boot, with a mark where their times say that the clock was set meanwhile.
func dated(loads []record.LoadRow) []record.LoadRow {
	loads = slices.Clone(loads)
	for i := range loads {
		l := &loads[i]
		l.Undated = contradicts(&l.Load)
		next := slices.IndexFunc(loads[i+1:], func(n record.LoadRow) bool { return n.Result != record.LoadFailed })
		if next >= 0 { // no two are under way at once
			begun, moved := loads[i+1+next].Time, orTime(l.Completed, l.Reverted)
			l.Undated = l.Undated || !begun.Before(l.Time.Time) && moved.After(begun.Time)
		}
	}
	return loads
}

// contradicts says whether the journal has what became of a load in another order than it can have been.
func contradicts(l *record.Load) bool {
	at := l.Time
	for _, end := range []*record.Timestamp{l.Completed, l.Reverted, l.Disabled} {
		if end == nil {
			continue
		}
		if end.Before(at.Time) {
			return true
		}
		at = *end
	}
	return false
}

// point is a moment from which on a live patch is active, or being loaded, or none.
type point struct {
	at         record.Timestamp
	module     string
	transition bool              // it is being loaded
	replaces   *string           // by it
	known      bool              // else what is active from here on is not known
	lost       bool              // something is to follow, and nobody knows when: what is seen later tells nothing
	seen       bool              // by an observation
	sure       bool              // else it was loaded then, and complete at some time
	border     bool              // nothing happened, but what shows it is another thing from here on
	since      *record.Timestamp // when it was loaded
	completed  *record.Timestamp // and complete
	phase      record.Phase
	event      int64
}

// done says whether a load is known to have been complete at a time.
func (p *point) done(at record.Timestamp) bool {
	return p.transition || p.completed != nil && !p.completed.After(at.Time)
}

// like says whether two points say the same.
func (p *point) like(q *point) bool { return p.module == q.module && p.transition == q.transition }

// replacedBy is the live patch that was active when another one was loaded; empty: none; nil: not known.
func (b *bootEvidence) replacedBy(i int) *string {
	if !b.started || !b.covered(b.from, b.row.Loads[i].Time) {
		return nil
	}
	before, until := "", b.row.Loads[i].Time
	for _, l := range b.row.Loads[:i] {
		switch {
		case l.Result == record.LoadUnknown, l.Undated:
			return nil
		case l.Result == record.LoadComplete:
			before, until = l.Patch, record.At(l.Until.Add(instant))
		}
		if l.Disabled != nil && before == l.Patch && l.Disabled.Before(b.row.Loads[i].Time.Time) {
			before, until = "", b.row.Loads[i].Time
		}
	}
	again := before == b.row.Loads[i].Patch // then it must have gone meanwhile
	if l := &b.row.Loads[i]; l.Undated || again || l.Time.After(until.Time) {
		return nil
	}
	return &before
}

// journalPoints are the loads of a boot, in the order of the journal; at its start, none is
// active. Where a time does not fit that order, the clock was set: then nothing is known
// from what was before on.
func (b *bootEvidence) journalPoints() (points []point) {
	if b.row == nil {
		return nil
	}
	at := b.from
	if b.started && b.covered(b.from, record.At(b.from.Add(instant))) {
		points = append(points, point{at: at, known: true, sure: true, event: b.row.Event})
	}
	for i, l := range b.row.Loads {
		switch {
		case l.Result == record.LoadFailed:
		case b.last && !b.has(l.Event):
			points = append(points, b.endings(i)...)
		case b.order(at, l):
			points = append(points, b.load(i)...)
			at = l.Time
		case b.last, b.started && (b.early(l) || l.Event <= b.lastEvent || l.Time.Before(b.to.Time)): // of before the clock was set
			points = append(append(points, point{at: b.lastBefore(l, at), lost: true, event: b.row.Event}), b.endings(i)...)
		default:
			points = append(points, b.endings(i)...)
		}
	}
	return points
}

// lastBefore is the moment after which a load came whose time cannot be: what came before it, or the last look at
// the boot that did not show it yet.
func (b *bootEvidence) lastBefore(l record.LoadRow, at record.Timestamp) record.Timestamp {
	for _, o := range b.observed {
		if o.Event < l.Event && !o.Time.Before(at.Time) {
			at = record.At(o.Time.Add(instant))
		}
	}
	return at
}

// endings are when a load of before the clock was set, or after it, may have changed what is active: until the
// next one, for no two are under way at once.
func (b *bootEvidence) endings(i int) (points []point) {
	l, until := b.row.Loads[i], b.to
	if next := slices.IndexFunc(b.row.Loads[i+1:], func(n record.LoadRow) bool { return b.has(n.Event) && b.order(b.from, n) }); next >= 0 {
		until = b.row.Loads[i+1+next].Time
	}
	for _, at := range []*record.Timestamp{l.Completed, l.Reverted, l.Disabled} {
		if at != nil && at.After(b.from.Time) && at.Before(until.Time) {
			points = append(points, point{at: *at, lost: true, event: b.row.Event})
		}
	}
	return points
}

// order says whether the time of a load can be: after what was before it, and before the first
// event that has it.
func (b *bootEvidence) order(after record.Timestamp, l record.LoadRow) bool {
	until := b.to
	for _, o := range b.observed {
		if o.Event == l.Event {
			until = o.Time
		}
	}
	return !b.early(l) && !l.Time.Before(after.Time) && !l.Time.After(until.Add(LongestObservation)) && l.Time.Before(b.to.Time)
}

// early says whether a load is of the first minutes of a boot whose clock was set after them.
func (b *bootEvidence) early(l record.LoadRow) bool {
	since := l.Time.Sub(b.row.First.Time)
	return b.row.StartInJournal && since >= 0 && since < startup && b.setBefore()
}

// load are the points of one load: its beginning, and its end.
func (b *bootEvidence) load(i int) (points []point) {
	l := b.row.Loads[i]
	p := point{at: l.Time, module: l.Patch, known: true, sure: true, since: &l.Time, phase: l.Phase, event: b.row.Event}
	begun := p
	begun.transition, begun.replaces = true, b.replacedBy(i)
	switch {
	case l.Undated, l.Result == record.LoadReverted && l.Reverted == nil:
		return []point{{at: l.Time, lost: true, event: b.row.Event}}
	case l.Result == record.LoadReverted:
		return append([]point{begun, b.back(i, begun.replaces)}, b.denied(i, *l.Reverted)...)
	case l.Result == record.LoadUnknown:
		return []point{begun}
	case l.Completed == nil: // an event of before that was kept
		p.sure = l.Phase == record.PhaseInitrd
		points = []point{p}
	default:
		p.at, p.completed = *l.Completed, l.Completed
		points = []point{begun, p}
	}
	newer := slices.ContainsFunc(b.row.Loads[i+1:], func(n record.LoadRow) bool {
		return n.Result == record.LoadComplete && !n.Time.After(orZero(l.Disabled))
	})
	if l.Disabled != nil && !newer {
		points = append(points, point{at: *l.Disabled, known: true, sure: true, event: b.row.Event})
		points = append(points, b.denied(i, *l.Disabled)...)
	}
	return points
}

// back is where a load had been turned back: what it was to replace is active as before.
func (b *bootEvidence) back(i int, replaces *string) point {
	p := point{at: *b.row.Loads[i].Reverted, known: replaces != nil, sure: true, module: record.OrEmpty(replaces), phase: record.PhaseUnknown, event: b.row.Event}
	for j := range b.row.Loads[:i] {
		if l := &b.row.Loads[j]; l.Patch == p.module && l.Result == record.LoadComplete {
			p.since, p.completed, p.phase = &l.Time, l.Completed, l.Phase
		}
	}
	return p
}

// denied are where a load was seen last after the journal tells its end: the clock was wrong for a while, and
// when it ended after that is not known.
func (b *bootEvidence) denied(i int, end record.Timestamp) (points []point) {
	l := b.row.Loads[i]
	for _, o := range b.observed {
		again := slices.ContainsFunc(b.row.Loads[i+1:], func(n record.LoadRow) bool { return n.Patch == l.Patch && !n.Time.After(o.Time.Time) })
		if record.OrEmpty(o.Module) == l.Patch && o.Time.After(end.Add(LongestObservation)) && !again {
			points = []point{{at: record.At(o.Time.Add(instant)), lost: true, event: b.row.Event}}
		}
	}
	return points
}

// lastStep is when the journal says last that a live patch of a boot came or went, up to a moment, by the clock
// of its last run; zero: it does not.
func (r *rows) lastStep(boot string, at time.Time) (last time.Time) {
	for i := range r.ran {
		if v := &r.ran[i]; v.BootID == boot && v.last {
			for _, p := range (&bootEvidence{run: v, commits: r.commits}).journalPoints() {
				if p.at.After(last) && !p.at.After(at) {
					last = p.at.Time
				}
			}
		}
	}
	return last
}
