package audit

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Reader gives the rows of a record. Those of a stretch of time are the ones that may be of it, from from
// to to; lists are in the order of time.
type Reader interface {
	// Event is an event by its number; that there is none is an error.
	Event(ctx context.Context, seq int64) (*record.Event, error)
	// Summarize describes the record as a whole.
	Summarize(ctx context.Context) (*record.Summary, error)
	// Extent is from when to when the record says something.
	Extent(ctx context.Context) (from, to record.Timestamp, err error)
	// RecordedAt is when the last of some events came into the log; nil: that is not known, or there are none.
	RecordedAt(ctx context.Context, events ...int64) (*record.Timestamp, error)
	// LastObserved is when the machine was observed last; nil: never.
	LastObserved(ctx context.Context) (*record.Timestamp, error)

	Observations(ctx context.Context, from, to time.Time) ([]record.Observed, error)
	// Sightings are all events that say in which boot they were written, in the order of the log.
	Sightings(ctx context.Context) ([]record.Sighting, error)
	Boots(ctx context.Context, from, to time.Time) ([]record.BootRow, error)
	Commits(ctx context.Context, from, to time.Time) ([]record.CommitRow, error)
	// CommitsOpenAt are the commits that had no end at a moment.
	CommitsOpenAt(ctx context.Context, at time.Time) ([]record.OpenAt, error)
	// CommitBefore is the last commit that ended before a moment, and the number of its end; nil: there is none.
	CommitBefore(ctx context.Context, at time.Time) (begin, end *record.Event, seq int64, err error)
	// Attribution counts commits by whether it is known who made them.
	Attribution(ctx context.Context, since, at time.Time) (record.Attribution, error)
	Recorders(ctx context.Context) ([]record.RecorderRow, error)
	// Releases are the release events, in the order of the log.
	Releases(ctx context.Context) ([]record.ReleaseRow, error)
	// Exceptions are those that had been granted by a moment.
	Exceptions(ctx context.Context, at time.Time) ([]record.Exception, error)
	// History are the changes that a filter selects.
	History(ctx context.Context, f record.HistoryFilter) iter.Seq2[*record.HistoryRow, error]
	// LastGood is when a package was changed last as wanted, up to a moment; zero: it was not.
	LastGood(ctx context.Context, name string, at time.Time) (time.Time, error)
	// NewestPart is a part of the newest observation of a stretch of time that has it; nil: none has.
	NewestPart(ctx context.Context, name record.PartName, since, at time.Time) (*record.RawPart, error)

	// LivePatches are the live patch packages that changed, or were seen, in a stretch of time.
	LivePatches(ctx context.Context, from, to time.Time) ([]string, error)
	// LivePatchBegin is when the record first tells of a live patch package.
	LivePatchBegin(ctx context.Context, name string) (time.Time, error)
	PatchChanges(ctx context.Context, name string, until time.Time) ([]record.PatchChange, error)
	PatchesSeen(ctx context.Context, name string) ([]record.PatchSeen, error)
	// PatchPackage is the package that a module for a kernel is of; empty: none is on record.
	PatchPackage(ctx context.Context, kernel, module string) (name, version string, err error)
	// FirstSeen is the first observation that knew what a module for a kernel fixes; 0: none did.
	FirstSeen(ctx context.Context, kernel, module string) (event int64, err error)
	// Forced says whether tasks were forced over to a live patch; nil: the load is not on record.
	Forced(ctx context.Context, boot, module string) (*bool, error)
}

// NewestPart is a part of the newest observation of a stretch of time that has it; nil: none has.
func NewestPart[T record.PartType](ctx context.Context, r Reader, since, at time.Time) (*record.Part[T], error) {
	return record.PartFrom[T](r.NewestPart(ctx, record.PartNameOf[T](), since, at))
}

// Seen is an observation, with what its event says beside it.
type Seen struct {
	Event int64 // number of the event
	At    record.Timestamp
	Boot  string // id of the boot
	*record.Observation
}

// SeenAt is the newest observation at a moment or before it, nil if there is none.
func SeenAt(ctx context.Context, s Reader, at time.Time) (*Seen, error) {
	list, err := s.Observations(ctx, at, at)
	if err != nil {
		return nil, err
	}
	for _, o := range slices.Backward(list) {
		if o.Time.After(at) {
			continue
		}
		ev, err := s.Event(ctx, o.Event)
		if err != nil {
			return nil, err
		}
		return &Seen{o.Event, ev.Time, ev.BootID, ev.Observation}, nil
	}
	return nil, nil
}
