package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/store"
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
	From    store.Timestamp `json:"from"`
	To      store.Timestamp `json:"to"`
	Kernels []KernelSpan    `json:"kernels"`
	Patches []PatchSpan     `json:"patches"`
	Initrds []InitrdSpan    `json:"initrds"`
	Gaps    []Gap           `json:"gaps"` // in the order of their beginnings; may overlap
}

// Span is a stretch of time: from From on, before To.
type Span struct {
	From store.Timestamp `json:"from"`
	To   store.Timestamp `json:"to"`
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

// PatchSpan is a live patch being active within one boot, from its load on; or that none is.
type PatchSpan struct {
	Span
	BootID      string           `json:"boot_id"`
	Module      string           `json:"module"`  // empty: none is active, unless the confidence is unknown
	Package     *string          `json:"package"` // null: no package on record has this module
	Version     *string          `json:"version"`
	PatchNumber *int             `json:"patch_number"`
	Initial     *bool            `json:"initial"`
	Phase       string           `json:"phase"` // initrd, system, unknown: where it was loaded
	Since       *store.Timestamp `json:"since"` // when it was loaded; null: not on record
}

// InitrdSpan is a verdict on the initrd for the running kernel and its active patch; a reboot
// in it would have kept the fixes, or not.
type InitrdSpan struct {
	Span
	Module  string        `json:"module"` // that the verdict is about
	Verdict store.Verdict `json:"verdict"`
	Basis   store.Basis   `json:"basis"`
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
func NewTimeline(ctx context.Context, s *store.Store, from, to time.Time) (*Timeline, error) {
	r, err := readRows(ctx, s, from, to)
	if err != nil {
		return nil, err
	}
	return r.timeline(ctx, s, from, to)
}

func (r *rows) timeline(ctx context.Context, s *store.Store, from, to time.Time) (*Timeline, error) {
	kernels := r.kernels()
	t := &Timeline{
		From: stamp(from), To: stamp(to), Gaps: clipped(r.gaps(kernels, from, to), from, to),
		Kernels: filled(kernels, from, to), Patches: filled(r.patches(kernels), from, to), Initrds: filled(r.initrds(), from, to),
	}
	return t, name(ctx, s, kernels, t.Patches)
}

func stamp(t time.Time) store.Timestamp { return store.Timestamp{Time: t.UTC()} }

// rows are the rows of the record about a stretch of time, and the next ones before and
// behind it.
type rows struct {
	observed  []store.Observed
	boots     []store.BootRow
	commits   []store.CommitRow
	recorders []store.RecorderRow
}

func readRows(ctx context.Context, s *store.Store, from, to time.Time) (r rows, err error) {
	if r.observed, err = s.Observations(ctx, from, to); err != nil {
		return r, fmt.Errorf("reading observations: %w", err)
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
	return r, nil
}

// boot is the place of a boot among those that the journal showed, -1 if it did not.
func (r *rows) boot(id string) int {
	return slices.IndexFunc(r.boots, func(b store.BootRow) bool { return b.ID == id })
}

// kernels are the boots, each as far as the journal, observations and commits show it.
func (r *rows) kernels() []KernelSpan {
	byID := map[string]*KernelSpan{}
	see := func(id, release string, from, to store.Timestamp, event int64) {
		k := byID[id]
		if k == nil {
			k = &KernelSpan{Span: Span{From: from, To: to, Confidence: Proven}, BootID: id}
			byID[id] = k
		}
		k.From, k.To = earlier(k.From, from), later(k.To, stamp(to.Add(instant)))
		k.KernelRelease = cmp.Or(k.KernelRelease, release)
		k.Events = ends(k.Events, event)
	}
	for _, b := range r.boots {
		see(b.ID, b.KernelRelease, b.First, b.Last, b.Event)
	}
	for _, o := range r.observed {
		from := o.Time
		if byID[o.BootID] == nil { // the journal did not show it
			from = earlier(o.BootTime, o.Time)
		}
		see(o.BootID, o.KernelRelease, from, o.Time, o.Event)
	}
	for _, c := range r.commits {
		if c.Begin != nil {
			see(c.BootID, "", *c.Begin, *c.Begin, *c.BeginEvent)
		}
	}
	delete(byID, "") // where /proc did not say
	return inOrder(byID)
}

// inOrder sorts boots. Where two overlap, for the clock was wrong, neither is known.
func inOrder(byID map[string]*KernelSpan) []KernelSpan {
	var list []KernelSpan
	for _, k := range byID {
		list = append(list, *k)
	}
	slices.SortFunc(list, func(a, b KernelSpan) int {
		return cmp.Or(a.From.Compare(b.From.Time), cmp.Compare(a.BootID, b.BootID))
	})
	for i := 1; i < len(list); i++ {
		if before, k := &list[i-1], &list[i]; before.To.After(k.From.Time) {
			before.To, k.From = k.From, before.To
			k.To = later(k.To, k.From)
		}
	}
	list = slices.DeleteFunc(list, func(k KernelSpan) bool { return !k.From.Before(k.To.Time) })
	if len(list) > 0 {
		list[len(list)-1].Open = true
	}
	return list
}

// WholeTimeline is the timeline from the first thing on record to the newest observation.
func WholeTimeline(ctx context.Context, s *store.Store) (*Timeline, error) {
	return TimelineUntil(ctx, s, store.Always().Time)
}

// TimelineUntil is the timeline from the first thing on record to the last one before a
// moment, and empty where the record begins later.
func TimelineUntil(ctx context.Context, s *store.Store, at time.Time) (*Timeline, error) {
	from, to, err := s.Extent(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the extent of the record: %w", err)
	}
	to = earlier(to, stamp(at))
	return NewTimeline(ctx, s, from.Time, later(from, to).Add(instant))
}
