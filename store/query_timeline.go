package store

import (
	"context"
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// timed is a view whose rows belong to a moment or a stretch of time, and that reports read in the
// order of time.
type timed[T any] struct {
	from   string // SELECT … FROM …
	at, id string // time of a row, and what orders rows of the same time
	read   func(*sqlite.Cells) T
	place  func(T) []any     // both values of a row
	start  func(time.Time) T // a row that sorts before all rows of a moment
}

func (v timed[T]) before() string {
	return fmt.Sprintf(`%s WHERE %s < ? ORDER BY %[2]s DESC, %s DESC LIMIT 1`, v.from, v.at, v.id)
}

// page has its own lower bound: SQLite derives none from a row value that contains an expression.
func (v timed[T]) page() string {
	return fmt.Sprintf(`%s WHERE %s BETWEEN ? AND ? AND (%[2]s, %s) > (?, ?) ORDER BY %[2]s, %[3]s LIMIT ?`, v.from, v.at, v.id)
}

func (v timed[T]) after() string {
	return fmt.Sprintf(`%s WHERE %s > ? ORDER BY %[2]s, %s LIMIT 1`, v.from, v.at, v.id)
}

// around returns the rows from one moment to another, both included, with the newest one before and
// the oldest one after them.
func (v timed[T]) around(ctx context.Context, q sqlite.Querier, from, to time.Time) ([]T, error) {
	list, err := sqlite.ReadRows(ctx, q, v.before(), []any{from.UnixMicro()}, v.read)
	if err != nil {
		return nil, err
	}
	for page, err := range sqlite.Pages(v.start(from), func(last T) ([]T, bool, error) {
		at := v.place(last)
		page, err := sqlite.ReadRows(ctx, q, v.page(), []any{at[0], to.UnixMicro(), at[0], at[1], sqlite.PageSize}, v.read)
		return page, len(page) == sqlite.PageSize, err
	}) {
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
	}
	after, err := sqlite.ReadRows(ctx, q, v.after(), []any{to.UnixMicro()}, v.read)
	return append(list, after...), err
}

var observations = timed[record.Observed]{
	from: `SELECT event, time, boot_id, kernel_release, boot_time, patched, module, package, version, transition,
		since, verdict, basis, reason, next_kernel, covered_until FROM observations`,
	at: `time`, id: `event`,
	place: func(o record.Observed) []any { return []any{o.Time.UnixMicro(), o.Event} },
	start: func(t time.Time) record.Observed { return record.Observed{Time: record.At(t)} },
	read: func(c *sqlite.Cells) record.Observed {
		return record.Observed{
			Event: c.Number(), Time: c.Moment(), BootID: c.Text(), KernelRelease: c.Text(), BootTime: c.Moment(), Patched: c.YesOrNil(),
			Module: c.TextOrNil(), Package: c.TextOrNil(), Version: c.TextOrNil(), Transition: c.YesOrNil(), Since: c.MomentOrNil(),
			Verdict: record.Verdict(c.Text()), Basis: record.Basis(record.OrEmpty(c.TextOrNil())), Reason: record.Reason(record.OrEmpty(c.TextOrNil())),
			NextKernel: c.TextOrNil(), CoveredUntil: c.TextOrNil(),
		}
	},
}

// Observations returns the observations from one moment to another, both included, with
// the newest one before and the oldest one after them, in the order of time.
func (s *Store) Observations(ctx context.Context, from, to time.Time) ([]record.Observed, error) {
	return observations.around(ctx, s.db, from, to)
}

// Sightings returns when the machine is known to have run, according to all events, in the order of
// the log.
func (s *Store) Sightings(ctx context.Context) ([]record.Sighting, error) {
	const query = `SELECT event, time, boot_id, boottime_us, spooled, EXISTS (SELECT 1 FROM snapshots n WHERE n.event = s.event) FROM sightings s ORDER BY event`
	return sqlite.ReadRows(ctx, s.db, query, nil, func(c *sqlite.Cells) record.Sighting {
		return record.Sighting{
			Event: c.Number(), Time: c.Moment(), BootID: c.Text(), Boottime: time.Duration(c.Number()) * time.Microsecond,
			Spooled: c.Yes(), Snapshot: c.Yes(),
		}
	})
}

var boots = timed[record.BootRow]{
	from: `SELECT boot_id, event, coalesce(kernel_release, ''), first, last, start_in_journal, messages_lost, incomplete FROM boots`,
	at:   `first`, id: `boot_id`,
	place: func(b record.BootRow) []any { return []any{b.First.UnixMicro(), b.ID} },
	start: func(t time.Time) record.BootRow { return record.BootRow{Boot: record.Boot{First: record.At(t)}} },
	read: func(c *sqlite.Cells) record.BootRow {
		b := record.BootRow{Boot: record.Boot{ID: c.Text()}, Event: c.Number()}
		b.KernelRelease, b.First, b.Last = c.Text(), c.Moment(), c.Moment()
		b.StartInJournal, b.MessagesLost, b.Incomplete = c.Yes(), c.Yes(), c.Yes()
		return b
	},
}

// Boots returns the boots that began from one moment to another, both included, with the
// newest one before and the oldest one after them, in the order of time.
func (s *Store) Boots(ctx context.Context, from, to time.Time) ([]record.BootRow, error) {
	list, err := boots.around(ctx, s.db, from, to)
	for i := range list {
		if err == nil {
			list[i].Loads, err = s.loads(ctx, list[i].ID)
		}
		if err == nil {
			list[i].Builds, err = s.builds(ctx, list[i].ID)
		}
		if err == nil {
			list[i].Looks, err = s.looks(ctx, list[i].ID)
		}
	}
	return list, err
}

func (s *Store) loads(ctx context.Context, boot string) ([]record.LoadRow, error) {
	const query = `SELECT patch, phase, rule, result, forced, time, completed, reverted, disabled, coalesce(replaced, ''), cursor, event, until
		FROM patch_loads WHERE boot_id = ? ORDER BY pos`
	return sqlite.ReadRows(ctx, s.db, query, []any{boot}, func(c *sqlite.Cells) record.LoadRow {
		l := record.Load{
			Patch: c.Text(), Phase: record.Phase(c.Text()), Rule: c.Text(), Result: record.LoadResult(c.Text()), Forced: c.Yes(), Time: c.Moment(), Completed: c.MomentOrNil(),
			Reverted: c.MomentOrNil(), Disabled: c.MomentOrNil(), Replaced: c.Text(), Cursor: c.Text(),
		}
		return record.LoadRow{Load: l, Event: c.Number(), Until: c.Moment()}
	})
}

func (s *Store) looks(ctx context.Context, boot string) ([]record.Look, error) {
	const query = `SELECT first, last FROM boot_looks WHERE boot_id = ? ORDER BY first`
	return sqlite.ReadRows(ctx, s.db, query, []any{boot}, func(c *sqlite.Cells) record.Look { return record.Look{First: c.Moment(), Last: c.Moment()} })
}

func (s *Store) builds(ctx context.Context, boot string) ([]record.Build, error) {
	const query = `SELECT coalesce(kernel_release, ''), coalesce(image, ''), success, time, cursor FROM image_builds WHERE boot_id = ? ORDER BY pos`
	return sqlite.ReadRows(ctx, s.db, query, []any{boot}, func(c *sqlite.Cells) record.Build {
		return record.Build{KernelRelease: c.Text(), Image: c.Text(), Success: c.Yes(), Time: c.Moment(), Cursor: c.Text()}
	})
}

// begun is when a commit began, written as in the index commits_time.
const begun = `coalesce(begin_time, end_time)`

// commits are those that the recorder saw: imported ones belong to no boot.
var commits = timed[record.CommitRow]{
	from: `SELECT id, begin_event, end_event, begin_time, end_time, outcome, boot_id, effective
		FROM (SELECT * FROM commits WHERE begin_event IS NOT NULL OR boot_id != '')`,
	at: begun, id: `id`,
	place: func(c record.CommitRow) []any { return []any{c.Begun().UnixMicro(), c.ID} },
	start: func(t time.Time) record.CommitRow { return record.CommitRow{Begin: new(record.At(t))} },
	read: func(c *sqlite.Cells) record.CommitRow {
		return record.CommitRow{
			ID: c.Text(), BeginEvent: c.NumberOrNil(), EndEvent: c.NumberOrNil(), Begin: c.MomentOrNil(), End: c.MomentOrNil(),
			Outcome: (*record.Outcome)(c.TextOrNil()), BootID: c.Text(), Effective: c.MomentOrNil(),
		}
	},
}

// Commits returns the commits that began from one moment to another, both included, with the newest
// one before and the oldest one after them, in the order of time. A commit whose begin is not on
// record is placed by its end.
func (s *Store) Commits(ctx context.Context, from, to time.Time) ([]record.CommitRow, error) {
	return commits.around(ctx, s.db, from, to)
}

func microsOrNil(us *int64) *record.Timestamp {
	if us == nil {
		return nil
	}
	return new(sqlite.Moment(*us))
}
