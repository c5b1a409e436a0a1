package store

import (
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Always is a moment after all that is on record.
func Always() time.Time { return time.UnixMicro(math.MaxInt64) }

const patchesSeen = `SELECT kernel_release, module, coalesce(version, ''), min(event), min(time),
	min(CASE WHEN transition = 0 THEN time END) FROM observations
	WHERE package = ?1 GROUP BY kernel_release, module, version ORDER BY min(event)`

// PatchesSeen returns the live patches of a package that observations saw active, and when first.
func (s *Store) PatchesSeen(ctx context.Context, name string) ([]record.PatchSeen, error) {
	return collect(ctx, s.db, patchesSeen, []any{name}, func(rows *sql.Rows) (p record.PatchSeen, err error) {
		var us int64
		var complete *int64
		err = rows.Scan(&p.KernelRelease, &p.Module, &p.Version, &p.Event, &us, &complete)
		p.Time, p.Complete = microseconds(us), microsOrNil(complete)
		return p, err
	})
}

// patchChanges selects changes of a live patch package. A change in a btrfs snapshot stays staged until
// that is booted or discarded. The plus has SQLite use the index of packages.
const patchChanges = `SELECT CASE WHEN booted THEN effective ELSE time END, event, begin_event, action, version, previous, kernel_release, result,
	CASE WHEN effective IS NULL OR booted THEN outcome ELSE 'staged' END, source, cves_added, cves_removed FROM (
		SELECT c.time, c.event, c.pos, c.action, c.version, coalesce(c.previous, '') AS previous, coalesce(c.kernel_release, '') AS kernel_release,
		c.result, c.source, coalesce(t.begin_event, 0) AS begin_event, coalesce(t.outcome, '') AS outcome, t.effective,
		coalesce(t.effective <= ?2, 0) AS booted, c.cves_added, c.cves_removed
		FROM changes c LEFT JOIN commits t ON t.id = c.commit_id
		WHERE c.package = ?1 AND c.time <= ?2 AND c.kind = 'livepatch' AND +c.result IN ('ok', 'unknown')
		AND (c.event IS NOT t.begin_event OR t.end_event IS NULL))
	ORDER BY 1, event, pos`

// PatchChanges returns the changes of a live patch package up to a moment, in the order of time.
func (s *Store) PatchChanges(ctx context.Context, name string, until time.Time) ([]record.PatchChange, error) {
	return collect(ctx, s.db, patchChanges, []any{name, until.UnixMicro()}, func(rows *sql.Rows) (c record.PatchChange, err error) {
		var us int64
		err = rows.Scan(&us, &c.Event, &c.Begin, &c.Action, &c.Version, &c.Previous, &c.KernelRelease, &c.Result, &c.Outcome, &c.Source,
			jsonList{&c.CVEsAdded}, jsonList{&c.CVEsRemoved})
		c.Time = microseconds(us)
		return c, err
	})
}
