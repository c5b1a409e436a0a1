package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

const observedColumns = `SELECT event, time, boot_id, kernel_release, boot_time, patched, module, package, version, transition,
	since, verdict, basis, reason, next_kernel, covered_until FROM observations `

// Observations returns the observations from one moment to another, both included, with
// the newest one before and the oldest one after them, in the order of time.
func (s *Store) Observations(ctx context.Context, from, to time.Time) ([]record.Observed, error) {
	list, err := s.observed(ctx, `WHERE time < ? ORDER BY time DESC, event DESC LIMIT 1`, from.UnixMicro())
	if err != nil {
		return nil, err
	}
	last := record.Observed{Time: record.At(from)}
	for {
		page, err := s.observed(ctx, `WHERE time <= ? AND (time, event) > (?, ?) ORDER BY time, event LIMIT ?`,
			to.UnixMicro(), last.Time.UnixMicro(), last.Event, pageSize)
		if err != nil {
			return nil, err
		}
		if list = append(list, page...); len(page) < pageSize {
			break
		}
		last = page[len(page)-1]
	}
	after, err := s.observed(ctx, `WHERE time > ? ORDER BY time, event LIMIT 1`, to.UnixMicro())
	return append(list, after...), err
}

func (s *Store) observed(ctx context.Context, where string, args ...any) ([]record.Observed, error) {
	return collect(ctx, s.db, observedColumns+where, args, func(rows *sql.Rows) (o record.Observed, err error) {
		var at, boot int64
		var since *int64
		var basis, reason *string
		err = rows.Scan(&o.Event, &at, &o.BootID, &o.KernelRelease, &boot, &o.Patched, &o.Module, &o.Package, &o.Version, &o.Transition,
			&since, &o.Verdict, &basis, &reason, &o.NextKernel, &o.CoveredUntil)
		o.Time, o.BootTime, o.Since = microseconds(at), microseconds(boot), microsOrNil(since)
		o.Basis, o.Reason = record.Basis(orEmpty(basis)), record.Reason(orEmpty(reason))
		return o, err
	})
}

// Sightings returns when the machine is known to have run, by all events, in the order of the log.
func (s *Store) Sightings(ctx context.Context) ([]record.Sighting, error) {
	const query = `SELECT event, time, boot_id, boottime_us, spooled, EXISTS (SELECT 1 FROM snapshots n WHERE n.event = s.event) FROM sightings s ORDER BY event`
	return collect(ctx, s.db, query, nil, func(rows *sql.Rows) (v record.Sighting, err error) {
		var at, since int64
		err = rows.Scan(&v.Event, &at, &v.BootID, &since, &v.Spooled, &v.Snapshot)
		v.Time, v.Boottime = microseconds(at), time.Duration(since)*time.Microsecond
		return v, err
	})
}

const bootColumns = `SELECT boot_id, event, coalesce(kernel_release, ''), first, last, start_in_journal, messages_lost, incomplete FROM boots `

const bootPage = `WHERE first <= ? AND (first, boot_id) > (?, ?) ORDER BY first, boot_id LIMIT ?`

// Boots returns the boots that began from one moment to another, both included, with the
// newest one before and the oldest one after them, in the order of time.
func (s *Store) Boots(ctx context.Context, from, to time.Time) ([]record.BootRow, error) {
	list, err := s.boots(ctx, `WHERE first < ? ORDER BY first DESC, boot_id DESC LIMIT 1`, from.UnixMicro())
	if err != nil {
		return nil, err
	}
	last, id := from.UnixMicro(), ""
	for {
		page, err := s.boots(ctx, bootPage, to.UnixMicro(), last, id, pageSize)
		if err != nil {
			return nil, err
		}
		if list = append(list, page...); len(page) < pageSize {
			break
		}
		last, id = page[len(page)-1].First.UnixMicro(), page[len(page)-1].ID
	}
	after, err := s.boots(ctx, `WHERE first > ? ORDER BY first, boot_id LIMIT 1`, to.UnixMicro())
	return append(list, after...), err
}

func (s *Store) boots(ctx context.Context, where string, args ...any) ([]record.BootRow, error) {
	list, err := collect(ctx, s.db, bootColumns+where, args, func(rows *sql.Rows) (b record.BootRow, err error) {
		var first, last int64
		err = rows.Scan(&b.ID, &b.Event, &b.KernelRelease, &first, &last, &b.StartInJournal, &b.MessagesLost, &b.Incomplete)
		b.First, b.Last = microseconds(first), microseconds(last)
		return b, err
	})
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
	return collect(ctx, s.db, query, []any{boot}, func(rows *sql.Rows) (l record.LoadRow, err error) {
		var at, until int64
		var completed, reverted, disabled *int64
		err = rows.Scan(&l.Patch, &l.Phase, &l.Rule, &l.Result, &l.Forced, &at, &completed, &reverted, &disabled, &l.Replaced, &l.Cursor, &l.Event, &until)
		l.Time, l.Until = microseconds(at), microseconds(until)
		l.Completed, l.Reverted, l.Disabled = microsOrNil(completed), microsOrNil(reverted), microsOrNil(disabled)
		return l, err
	})
}

func (s *Store) looks(ctx context.Context, boot string) ([]record.Look, error) {
	const query = `SELECT first, last FROM boot_looks WHERE boot_id = ? ORDER BY first`
	return collect(ctx, s.db, query, []any{boot}, func(rows *sql.Rows) (l record.Look, err error) {
		var first, last int64
		err = rows.Scan(&first, &last)
		l.First, l.Last = microseconds(first), microseconds(last)
		return l, err
	})
}

func (s *Store) builds(ctx context.Context, boot string) ([]record.Build, error) {
	const query = `SELECT coalesce(kernel_release, ''), coalesce(image, ''), success, time, cursor FROM image_builds WHERE boot_id = ? ORDER BY pos`
	return collect(ctx, s.db, query, []any{boot}, func(rows *sql.Rows) (b record.Build, err error) {
		var at int64
		err = rows.Scan(&b.KernelRelease, &b.Image, &b.Success, &at, &b.Cursor)
		b.Time = microseconds(at)
		return b, err
	})
}

// commitColumns is for commits that the recorder saw: imported ones are of no boot.
const commitColumns = `SELECT id, begin_event, end_event, begin_time, end_time, outcome, boot_id, effective
	FROM (SELECT * FROM commits WHERE begin_event IS NOT NULL OR boot_id != '') `

// begun is when a commit began, as the index commits_time has it.
const begun = `coalesce(begin_time, end_time)`

// commitPage has a lower bound of its own: of an expression SQLite finds none in a row value.
const commitPage = `WHERE ` + begun + ` BETWEEN ? AND ? AND (` + begun + `, id) > (?, ?) ORDER BY ` + begun + `, id LIMIT ?`

// Commits returns the commits that began from one moment to another, both included, with
// the newest one before and the oldest one after them, in the order of time. Those whose
// begin is not on record count by their end.
func (s *Store) Commits(ctx context.Context, from, to time.Time) ([]record.CommitRow, error) {
	list, err := s.commits(ctx, `WHERE `+begun+` < ? ORDER BY `+begun+` DESC, id DESC LIMIT 1`, from.UnixMicro())
	if err != nil {
		return nil, err
	}
	last, id := from.UnixMicro(), ""
	for {
		page, err := s.commits(ctx, commitPage, last, to.UnixMicro(), last, id, pageSize)
		if err != nil {
			return nil, err
		}
		if list = append(list, page...); len(page) < pageSize {
			break
		}
		last, id = page[len(page)-1].Begun().UnixMicro(), page[len(page)-1].ID
	}
	after, err := s.commits(ctx, `WHERE `+begun+` > ? ORDER BY `+begun+`, id LIMIT 1`, to.UnixMicro())
	return append(list, after...), err
}

func (s *Store) commits(ctx context.Context, where string, args ...any) ([]record.CommitRow, error) {
	return collect(ctx, s.db, commitColumns+where, args, func(rows *sql.Rows) (c record.CommitRow, err error) {
		var begin, end, effective *int64
		err = rows.Scan(&c.ID, &c.BeginEvent, &c.EndEvent, &begin, &end, &c.Outcome, &c.BootID, &effective)
		c.Begin, c.End, c.Effective = microsOrNil(begin), microsOrNil(end), microsOrNil(effective)
		return c, err
	})
}

// Recorders returns the recorder events of a log, in its order: there are few.
func (s *Store) Recorders(ctx context.Context) ([]record.RecorderRow, error) {
	return collect(ctx, s.db, `SELECT event, time, cause FROM recorders ORDER BY event`, nil, func(rows *sql.Rows) (r record.RecorderRow, err error) {
		var at int64
		err = rows.Scan(&r.Event, &at, &r.Cause)
		r.Time = microseconds(at)
		return r, err
	})
}

const patchPackage = `SELECT package, coalesce(version, '') FROM observations WHERE kernel_release = ? AND module = ?
	AND package IS NOT NULL ORDER BY event LIMIT 1`

// PatchPackage returns the name and version of the package that a live patch module of a
// kernel came from, as the first observation that knew it says; empty if none does.
func (s *Store) PatchPackage(ctx context.Context, kernel, module string) (name, version string, err error) {
	err = s.db.QueryRowContext(ctx, patchPackage, kernel, module).Scan(&name, &version)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return name, version, classify(err)
}

// Event returns the event with a sequence number.
func (s *Store) Event(ctx context.Context, seq int64) (*record.Event, error) {
	var body []byte
	if err := s.db.QueryRowContext(ctx, `SELECT body FROM events WHERE seq = ?`, seq).Scan(&body); err != nil {
		return nil, fmt.Errorf("event %d: %w", seq, classify(err))
	}
	ev, err := record.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("event %d: %w", seq, err)
	}
	return ev, nil
}

// LastObserved returns the time of the newest observation, nil if there is none.
func (s *Store) LastObserved(ctx context.Context) (*record.Timestamp, error) {
	var at *int64
	err := s.db.QueryRowContext(ctx, `SELECT max(time) FROM observations`).Scan(&at)
	return microsOrNil(at), classify(err)
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, db *sql.DB, query string, args []any, scan func(*sql.Rows) (T, error)) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, classify(rows.Err())
}

func microsOrNil(us *int64) *record.Timestamp {
	if us == nil {
		return nil
	}
	return new(microseconds(*us))
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Each end is one step into an index.
const extent = `SELECT
	(SELECT min(t) FROM (SELECT min(time) AS t FROM observations UNION ALL SELECT min(first) FROM boots UNION ALL SELECT min(time) FROM changes
		UNION ALL SELECT min(time) FROM recorders
		UNION ALL SELECT * FROM (SELECT ` + begun + ` FROM commits ORDER BY ` + begun + ` LIMIT 1))),
	(SELECT max(t) FROM (SELECT max(time) AS t FROM observations UNION ALL SELECT max(first) FROM boots UNION ALL SELECT max(time) FROM changes
		UNION ALL SELECT max(time) FROM recorders
		UNION ALL SELECT * FROM (SELECT ` + begun + ` FROM commits ORDER BY ` + begun + ` DESC LIMIT 1)))`

// Extent returns the times of the first thing on record, or of the horizon of what was pruned,
// and of the last event.
func (s *Store) Extent(ctx context.Context) (from, to record.Timestamp, err error) {
	var first, last *int64
	if err := s.db.QueryRowContext(ctx, extent).Scan(&first, &last); err != nil || first == nil {
		return from, to, classify(err)
	}
	size, err := s.size(ctx)
	if err != nil {
		return from, to, classify(err)
	}
	pruned, err := s.lastPrune(ctx, size)
	if from, to = microseconds(*first), microseconds(*last); pruned != nil && from.Before(pruned.Horizon.Time) {
		from = pruned.Horizon
	}
	return from, to, err
}

const firstSeen = `SELECT coalesce(min(event), 0) FROM observations WHERE kernel_release = ? AND module = ? AND package IS NOT NULL`

// FirstSeen returns the number of the first observation that saw a live patch module of a
// kernel active and knew its package, 0 if there is none.
func (s *Store) FirstSeen(ctx context.Context, kernel, module string) (event int64, err error) {
	err = s.db.QueryRowContext(ctx, firstSeen, kernel, module).Scan(&event)
	return event, classify(err)
}

const livePatches = `SELECT package FROM changes WHERE kind = 'livepatch' AND result = 'ok' AND time BETWEEN ?1 AND ?2
	UNION SELECT package FROM observations WHERE package IS NOT NULL AND time BETWEEN ?1 AND ?2 ORDER BY package`

// LivePatches returns the names of the live patch packages that changed, or that were seen
// active, from one moment to another, both included.
func (s *Store) LivePatches(ctx context.Context, from, to time.Time) ([]string, error) {
	return collect(ctx, s.db, livePatches, []any{from.UnixMicro(), to.UnixMicro()}, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) })
}

const livePatchBegin = `SELECT min(t) FROM (
	SELECT min(time) AS t FROM changes WHERE package = ?1
	UNION ALL SELECT min(time) FROM observations WHERE package = ?1
	UNION ALL SELECT min(b.first) FROM (SELECT DISTINCT kernel_release, module FROM observations WHERE package = ?1) m
		JOIN patch_loads l ON l.patch = m.module JOIN boots b ON b.boot_id = l.boot_id
		WHERE coalesce(b.kernel_release, m.kernel_release) = m.kernel_release)`

// LivePatchBegin returns when the first thing about a live patch package was: a change of it,
// an observation that saw it active, or the boot that loaded its module first. The time is
// zero if there is none.
func (s *Store) LivePatchBegin(ctx context.Context, name string) (time.Time, error) {
	var us *int64
	if err := s.db.QueryRowContext(ctx, livePatchBegin, name).Scan(&us); err != nil || us == nil {
		return time.Time{}, classify(err)
	}
	return microseconds(*us).Time, nil
}
