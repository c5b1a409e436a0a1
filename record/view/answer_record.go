package view

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

var errNoEvent = errors.New("not on record")

// Event returns the event with a sequence number.
func (r *Record) Event(_ context.Context, seq int64) (*record.Event, error) {
	o := r.at(seq)
	if o == nil {
		return nil, fmt.Errorf("event %d: %w", seq, errNoEvent)
	}
	return o.Whole, nil
}

// Summarize returns the summary of the record.
func (r *Record) Summarize(context.Context) (*record.Summary, error) {
	sum := &record.Summary{Events: r.size(), Commits: int64(len(r.commits)), Checkpoint: r.log.Checkpoint}
	for _, c := range r.changes {
		if !r.announced(c, math.MaxInt64) {
			sum.Changes++
		}
	}
	for _, c := range r.commits {
		if c.EndEvent == nil {
			sum.Open++
		}
	}
	if n := len(r.recorders); n > 0 {
		sum.Key, sum.RecordedBy = r.recorders[n-1].Identity.Key, r.recorders[n-1].Header.Recorder.Version
	}
	if c := r.lastEnded(func(*Commit) bool { return true }); c != nil {
		sum.LastOutcome, sum.LastCommit = c.Outcome, c.End
	}
	if sum.Events == 0 {
		return sum, nil
	}
	if cp, err := proof.ParseCheckpoint(sum.Checkpoint, sum.Key); err == nil {
		sum.RootHash = cp.Root.String()
	}
	if r.log.Part != nil {
		sum.Part, sum.RootHash = true, r.log.Part.Root
	}
	rest := r.outlines[r.from(r.pruned.First()):]
	if len(rest) == 0 {
		return sum, fmt.Errorf("first event: %w", errNoEvent)
	}
	last := rest[len(rest)-1].Header
	sum.First, sum.Last, sum.Host = &rest[0].Header.Time, &last.Time, last.Host
	return sum, nil
}

// lastEnded returns the commit that ended last among those that ok accepts; nil: there is none.
func (r *Record) lastEnded(ok func(*Commit) bool) (last *Commit) {
	for _, c := range r.commits {
		if c.EndEvent == nil || !ok(c) {
			continue
		}
		if last == nil || c.End.After(last.End.Time) || c.End.Equal(last.End.Time) && *c.EndEvent > *last.EndEvent {
			last = c
		}
	}
	return last
}

// Extent returns the time of the first thing on record, or the horizon if events were pruned, and
// the time of the last event.
func (r *Record) Extent(context.Context) (from, to record.Timestamp, err error) {
	times := slices.Concat(ends(r.observed, (*Observation).when), ends(r.changes, (*Change).when), ends(r.byFirst, (*Boot).when), ends(r.byBegin, (*Commit).when))
	for _, o := range r.recorders {
		times = append(times, micro(o.Header.Time))
	}
	if len(times) == 0 {
		return from, to, nil
	}
	order := func(a, b record.Timestamp) int { return a.Compare(b.Time) }
	from, to = slices.MinFunc(times, order), slices.MaxFunc(times, order)
	if r.pruned != nil && from.Before(r.pruned.Horizon.Time) {
		from = r.pruned.Horizon
	}
	return from, to, nil
}

// ends returns the times of the first and the last row.
func ends[T any](rows []T, when func(T) record.Timestamp) []record.Timestamp {
	if len(rows) == 0 {
		return nil
	}
	return []record.Timestamp{when(rows[0]), when(rows[len(rows)-1])}
}

// RecordedAt returns when the last of some events entered the log: from then on, everything they
// say was known. It is nil if there are none, or if it is not known.
func (r *Record) RecordedAt(_ context.Context, events ...int64) (last *record.Timestamp, err error) {
	for _, seq := range events {
		at := r.recordedAt(seq)
		if at == nil {
			return nil, nil
		}
		if last == nil || at.After(last.Time) {
			last = new(*at)
		}
	}
	return last, nil
}

// recordedAt returns when an event entered the log. If an earlier version took it in from the
// spool, all that is known is that the next event came later. Nil: not known.
func (r *Record) recordedAt(seq int64) *record.Timestamp {
	if r.at(seq) == nil {
		return nil
	}
	rest := r.outlines[r.from(seq):]
	if at := rest[0].Header.Recorded(); at != nil {
		return at
	}
	for _, o := range rest {
		if o.Header.Spooled == "" {
			return &o.Header.Time
		}
	}
	return nil
}

// LastObserved returns the time of the newest observation, nil if there is none.
func (r *Record) LastObserved(context.Context) (*record.Timestamp, error) {
	if len(r.observed) == 0 {
		return nil, nil
	}
	return new(r.observed[len(r.observed)-1].Time), nil
}

// Recorders returns the recorder events of a log, in its order.
func (r *Record) Recorders(context.Context) (list []record.RecorderRow, err error) {
	for _, o := range r.recorders {
		list = append(list, record.RecorderRow{Event: o.Event, Time: micro(o.Header.Time), Cause: o.Identity.Cause})
	}
	return list, nil
}

// Releases returns the release events, in the order of the log.
func (r *Record) Releases(context.Context) ([]record.ReleaseRow, error) { return r.releases, nil }

// Exceptions returns the exceptions on record at a moment, oldest first, including those that had
// ended.
func (r *Record) Exceptions(_ context.Context, at time.Time) (list []record.Exception, err error) {
	for _, added := range r.exceptions {
		x := *added
		if x.Time.After(at) {
			break
		}
		if x.Ended != nil && x.Ended.After(at) {
			x.Ended, x.EndedIn, x.EndedBy = nil, 0, nil
		}
		list = append(list, x)
	}
	return list, nil
}
