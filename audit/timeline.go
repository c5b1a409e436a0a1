// Package audit works out what follows from a record: which kernel and live patch ran when, what an initrd held,
// which fixes were active, how a machine was at a moment, and whether a profile of compliance is met. It reads
// rows through a Reader, and knows no database and no format.
package audit

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Confidence says how sure a statement about a moment is.
type Confidence string

// The confidences.
const (
	Proven   Confidence = "proven"   // an observation, a boot or a load on record says so
	Inferred Confidence = "inferred" // it follows from events before and after, and nothing on record speaks against it
	Unknown  Confidence = "unknown"  // the record does not reach that far, or has a gap there
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

// Span is a stretch of time: from From on, before To.
type Span struct {
	From record.Timestamp `json:"from"`
	To   record.Timestamp `json:"to"`
	// Open: it went on when the machine was observed last.
	Open       bool       `json:"open"`
	Confidence Confidence `json:"confidence"`
	Events     []int64    `json:"events"` // sequence numbers of events that say so, the first and the last
}

// KernelSpan is a boot: one kernel running.
type KernelSpan struct {
	Span
	BootID        string `json:"boot_id"`        // empty: it was off, or that is not known
	KernelRelease string `json:"kernel_release"` // empty: not known
}

// PatchSpan is a live patch being active within one boot, or being loaded; or that none is.
type PatchSpan struct {
	Span
	BootID string `json:"boot_id"`
	Module string `json:"module"` // empty: none is active, unless the confidence is unknown
	// Transition: it is being loaded, and not complete. Until then it protects nothing, and the
	// one that it replaces goes on to protect.
	Transition  bool              `json:"transition"`
	Replaces    *string           `json:"replaces"` // in a transition: the module that was active before, empty: none; null: not known
	Package     *string           `json:"package"`  // null: no package on record has this module
	Version     *string           `json:"version"`
	PatchNumber *int              `json:"patch_number"`
	Initial     *bool             `json:"initial"`
	Phase       string            `json:"phase"`     // initrd, system, unknown: where it was loaded
	Since       *record.Timestamp `json:"since"`     // when it was loaded; null: not on record
	Completed   *record.Timestamp `json:"completed"` // and when that was complete: from then on it protects; null: likewise

	unsure  bool // it may not be complete
	loading bool // the initrd is about to load one, or is at it: it is so in every boot
}

// InitrdSpan is a verdict on the initrd for the running kernel and its active patch; a reboot
// in it would have kept the fixes, or not.
type InitrdSpan struct {
	Span
	Module  string         `json:"module"` // that the verdict is about
	Verdict record.Verdict `json:"verdict"`
	Basis   record.Basis   `json:"basis"`
	by      int64          // the observation whose verdict it is; 0: none, the boot's initrd loaded it
}

// Gap is a stretch of time in which nothing, or not everything, was recorded.
type Gap struct {
	Span
	Kind GapKind `json:"kind"`
	Why  string  `json:"why"` // in a sentence
}

// GapKind says what a gap comes from.
type GapKind string

// The kinds of gaps.
const (
	GapBefore  GapKind = "before-record" // the recorder was not installed yet
	GapSilence GapKind = "no-recorder"   // the machine ran, and was not observed for longer than a day and a half
	GapOff     GapKind = "off"           // no boot is on record for longer than a quarter of an hour
	GapCommit  GapKind = "open-commit"   // what became of a commit was not recorded
	GapBroken  GapKind = "broken-record" // the log was lost, cloned or altered
	GapAfter   GapKind = "after-record"  // the machine was not observed since
)

const (
	// silence is how long a machine with a daily observation is not observed at most.
	silence = 36 * time.Hour
	// downtime is how long no boot may be on record before that is a gap.
	downtime = 15 * time.Minute
	// instant is the shortest span: what is known of a moment alone.
	instant = time.Microsecond
)

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

// rows are what the record has of boots, live patches and who recorded, and what follows of
// when boots ran.
type rows struct {
	observed  []record.Observed
	sightings []record.Sighting
	boots     []record.BootRow
	commits   []record.CommitRow
	recorders []record.RecorderRow
	ran       []run
}

func readRows(ctx context.Context, s Reader) (r *rows, err error) {
	r = &rows{}
	from, to := time.UnixMicro(math.MinInt64), record.Always()
	if r.observed, err = s.Observations(ctx, from, to); err != nil {
		return r, fmt.Errorf("reading observations: %w", err)
	}
	if r.sightings, err = s.Sightings(ctx); err != nil {
		return r, fmt.Errorf("reading boots: %w", err)
	}
	if r.boots, err = s.Boots(ctx, from, to); err != nil {
		return r, fmt.Errorf("reading boots: %w", err)
	}
	if r.commits, err = s.Commits(ctx, from, to); err != nil {
		return r, fmt.Errorf("reading commits: %w", err)
	}
	if r.recorders, err = s.Recorders(ctx); err != nil {
		return r, fmt.Errorf("reading recorder events: %w", err)
	}
	r.ran = r.runs()
	return r, nil
}

// boot is the place of a boot among those that the journal showed, -1 if it did not.
func (r *rows) boot(id string) int {
	return slices.IndexFunc(r.boots, func(b record.BootRow) bool { return b.ID == id })
}

// isNewest says whether the newest event up to a moment is of a boot: by the log or, of one that waited in
// the spool, by its time.
func (r *rows) isNewest(boot string, at time.Time) bool {
	var newest record.Sighting
	for _, spooled := range []bool{false, true} {
		for _, v := range r.sightings {
			if v.Spooled == spooled && !v.Time.After(at) && (!spooled || v.Time.After(newest.Time.Time)) {
				newest = v
			}
		}
	}
	return newest.BootID == boot
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

// lastBlind is the newest observation up to a moment, if it could not read live patches; else nil.
func (r *rows) lastBlind(at time.Time) (blind *record.Observed) {
	for i, o := range r.observed {
		switch {
		case o.Time.After(at):
		case o.Patched == nil:
			blind = &r.observed[i]
		default:
			blind = nil
		}
	}
	return blind
}

// kernels are the boots, as far as it is known when they ran.
func (r *rows) kernels() (spans []KernelSpan) {
	for i := range r.ran {
		spans = append(spans, within([]KernelSpan{r.ran[i].KernelSpan}, &r.ran[i])...)
	}
	return spans
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
