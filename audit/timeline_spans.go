package audit

import (
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
	Phase       record.Phase      `json:"phase"`     // where it was loaded
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

// LongestObservation is how long an observation takes at most: it has its time from its beginning.
const LongestObservation = time.Minute

// spanned is a pointer to what has a span.
type spanned[T any] interface {
	*T
	span() *Span
}

func (s *Span) span() *Span { return s }

// clipped are the spans within a stretch of time.
func clipped[T any, P spanned[T]](spans []T, from, to time.Time) []T {
	list := []T{}
	for i := range spans {
		if s := P(&spans[i]).span(); !s.From.Before(to) || !s.To.After(from) {
			continue
		}
		v := spans[i]
		s := P(&v).span()
		if s.From, s.To = later(s.From, record.At(from)), earlier(s.To, record.At(to)); s.From.Before(s.To.Time) {
			list = append(list, v)
		}
	}
	return list
}

// filled are the spans within a stretch of time, with unknown ones where there are none.
func filled[T any, P spanned[T]](spans []T, from, to time.Time) []T {
	list, at := []T{}, record.At(from)
	unknown := func(until record.Timestamp) {
		if at.Before(until.Time) {
			var v T
			*P(&v).span() = Span{From: at, To: until, Confidence: Unknown, Events: []int64{}}
			list = append(list, v)
		}
	}
	for _, v := range clipped[T, P](spans, from, to) {
		s := P(&v).span()
		unknown(s.From)
		list, at = append(list, v), s.To
	}
	unknown(record.At(to))
	return list
}

func earlier(a, b record.Timestamp) record.Timestamp {
	if b.Before(a.Time) {
		return b
	}
	return a
}

func later(a, b record.Timestamp) record.Timestamp {
	if b.After(a.Time) {
		return b
	}
	return a
}

// ends keeps the first and the last of the numbers.
func ends(list []int64, more ...int64) []int64 {
	all := append(slices.Clone(list), more...)
	if len(all) == 0 {
		return []int64{}
	}
	low, high := slices.Min(all), slices.Max(all)
	if low == high {
		return []int64{low}
	}
	return []int64{low, high}
}

func orZero(t *record.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// Day returns the first moment of a day.
func Day(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}
