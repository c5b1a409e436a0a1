// Package audit works out what follows from a record: which kernel and live patch ran when, what an initrd held,
// which fixes were active, and how a machine was at a moment. It reads rows through a Reader, and knows no database
// and no format.
package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Timeline is what the record says of the machine from one moment to another: the one
// thing that a state, exposures, latencies and the picture of them are read from. The spans
// of a kind follow each other without a hole and without an overlap: what is not known is a
// span, too, of confidence unknown.
type Timeline struct {
	From    record.Timestamp `json:"from"`
	To      record.Timestamp `json:"to"`
	Kernels []KernelSpan     `json:"kernels"`
	Patches []PatchSpan      `json:"patches"`
	Initrds []InitrdSpan     `json:"initrds"`
	Gaps    []Gap            `json:"gaps"` // in the order of their beginnings; may overlap

	rows *rows // that it was cut out of
}

// NewTimeline reads from the record what it says of a stretch of time, from before to.
func NewTimeline(ctx context.Context, s Reader, from, to time.Time) (*Timeline, error) {
	r, err := readRows(ctx, s)
	if err != nil {
		return nil, err
	}
	return r.timeline(ctx, s, from, to)
}

// Between is what the same record says of another stretch of time: the record is not read again.
func (t *Timeline) Between(ctx context.Context, s Reader, from, to time.Time) (*Timeline, error) {
	return t.rows.timeline(ctx, s, from, to)
}

// timeline cuts a stretch out of what the whole record says: what is asked for changes no
// answer.
func (r *rows) timeline(ctx context.Context, s Reader, from, to time.Time) (*Timeline, error) {
	t := &Timeline{
		rows: r, From: record.At(from), To: record.At(to), Gaps: clipped(r.gaps(from, to), from, to),
		Kernels: filled(r.spans.kernels, from, to), Patches: filled(r.spans.patches, from, to), Initrds: joined(filled(r.spans.initrds, from, to)),
	}
	return t, name(ctx, s, t.Kernels, t.Patches)
}

// whole is the timeline with what the record has of the time before it: where a prune took things
// away, that is not all of it.
func (t *Timeline) whole() *Timeline {
	if r := t.rows; len(r.ran) > 0 && r.ran[0].From.Before(t.From.Time) {
		from, to := r.ran[0].From, t.To
		return &Timeline{
			From: from, To: to, Kernels: filled(r.spans.kernels, from.Time, to.Time),
			Patches: filled(r.spans.patches, from.Time, to.Time), Initrds: joined(filled(r.spans.initrds, from.Time, to.Time)),
		}
	}
	return t
}

// WholeTimeline is the timeline from the first thing on record to the newest observation.
func WholeTimeline(ctx context.Context, s Reader) (*Timeline, error) {
	return TimelineUntil(ctx, s, record.Always())
}

// TimelineUntil is the timeline from the first thing on record to the last one before a
// moment, and empty where the record begins later.
func TimelineUntil(ctx context.Context, s Reader, at time.Time) (*Timeline, error) {
	from, to, err := s.Extent(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the extent of the record: %w", err)
	}
	to = earlier(to, record.At(at))
	return NewTimeline(ctx, s, from.Time, later(from, to).Add(instant))
}

// gaps are when not everything was recorded.
func (r *rows) gaps(from, to time.Time) (gaps []Gap) {
	kernels := r.spans.kernels
	add := func(kind GapKind, from, to record.Timestamp, why string, events ...int64) {
		gaps = append(gaps, Gap{Span: Span{From: from, To: to, Confidence: Unknown, Events: ends(nil, events...)}, Kind: kind, Why: why})
	}
	if len(r.recorders) > 0 {
		first := r.recorders[0]
		add(GapBefore, record.At(from), first.Time, "The recorder was not installed yet; only the journal and imports can tell of that time.", first.Event)
	}
	for _, rec := range r.recorders {
		if why := brokenText[rec.Cause]; why != "" {
			add(GapBroken, r.observedBefore(rec.Time, from), record.At(rec.Time.Add(instant)), why, rec.Event)
		}
	}
	for i := 1; i < len(kernels); i++ {
		if a, b := kernels[i-1], kernels[i]; b.From.Sub(a.To.Time) > downtime {
			add(GapOff, a.To, b.From, "No boot is on record: the machine was off, or its journal is lost.", a.Events[len(a.Events)-1], b.Events[0])
		}
	}
	for i := 1; i < len(r.observed); i++ {
		if a, b := r.observed[i-1], r.observed[i]; b.Time.Sub(a.Time.Time) > silence && ran(kernels, a.Time, b.Time) {
			add(GapSilence, a.Time, b.Time, "The machine ran without being observed, as it is daily: the recorder did not work.", a.Event, b.Event)
		}
	}
	for _, c := range r.commits {
		if c.Begin != nil && c.End == nil {
			add(GapCommit, *c.Begin, r.observedAfter(*c.Begin, to), "A commit began here and has no end on record.", *c.BeginEvent)
		}
	}
	if n := len(r.observed); n == 0 {
		add(GapAfter, record.At(from), record.At(to), "The machine was not observed in this time.")
	} else if last := r.observed[n-1]; last.Time.Before(to) {
		add(GapAfter, record.At(last.Time.Add(instant)), record.At(to), "The machine was not observed since.", last.Event)
	}
	slices.SortStableFunc(gaps, func(a, b Gap) int { return a.From.Compare(b.From.Time) })
	return gaps
}

var brokenText = map[record.Cause]string{
	record.CauseRecordLost:      "An earlier record was lost.",
	record.CauseIdentityChanged: "The machine id changed: the machine was cloned or restored from a copy.",
	record.CauseProofBroken:     "The log was not the one that was signed last.",
}

func (r *rows) observedBefore(at record.Timestamp, from time.Time) record.Timestamp {
	before := record.At(from)
	for _, o := range r.observed {
		if o.Time.Before(at.Time) {
			before = o.Time
		}
	}
	return before
}

func (r *rows) observedAfter(at record.Timestamp, to time.Time) record.Timestamp {
	for _, o := range r.observed {
		if o.Time.After(at.Time) {
			return o.Time
		}
	}
	return record.At(to)
}

// ran says whether the machine is known to have run for longer than a day and a half of a
// stretch of time.
func ran(kernels []KernelSpan, from, to record.Timestamp) bool {
	var total time.Duration
	for _, k := range kernels {
		if d := earlier(k.To, to).Sub(later(k.From, from).Time); d > 0 {
			total += d
		}
	}
	return total > silence
}
