// Package audit works out what follows from a record: which kernel and live patch ran when, what an initrd held,
// which fixes were active, and how a machine was at a moment. It reads rows through a Reader, and knows no database
// and no format.
package audit

import (
	"context"
	"fmt"
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

// timeline cuts a stretch out of what the whole record says: what is asked for changes no
// answer.
func (r *rows) timeline(ctx context.Context, s Reader, from, to time.Time) (*Timeline, error) {
	t := &Timeline{
		rows: r, From: record.At(from), To: record.At(to), Gaps: clipped(r.gaps(from, to), from, to),
		Kernels: filled(r.kernels(), from, to), Patches: filled(r.patches(), from, to), Initrds: joined(filled(r.initrds(), from, to)),
	}
	return t, name(ctx, s, t.Kernels, t.Patches)
}

// whole is the timeline with what the record has of the time before it: where a prune took things
// away, that is not all of it.
func (t *Timeline) whole() *Timeline {
	if r := t.rows; len(r.ran) > 0 && r.ran[0].From.Before(t.From.Time) {
		from, to := r.ran[0].From, t.To
		return &Timeline{
			From: from, To: to, Kernels: filled(r.kernels(), from.Time, to.Time),
			Patches: filled(r.patches(), from.Time, to.Time), Initrds: joined(filled(r.initrds(), from.Time, to.Time)),
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
