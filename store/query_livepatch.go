package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

const patchesSeen = `SELECT kernel_release, module, coalesce(version, ''), min(event), min(time),
	min(CASE WHEN transition = 0 THEN time END) FROM observations
	WHERE package = ?1 GROUP BY kernel_release, module, version ORDER BY min(event)`

// PatchesSeen returns the live patches of a package that observations saw active, and when first.
func (s *Store) PatchesSeen(ctx context.Context, name string) ([]record.PatchSeen, error) {
	return sqlite.ReadRows(ctx, s.db, patchesSeen, []any{name}, func(c *sqlite.Cells) record.PatchSeen {
		return record.PatchSeen{
			KernelRelease: c.Text(), Module: c.Text(), Version: c.Text(), Event: c.Number(), Time: c.Moment(), Complete: c.MomentOrNil(),
		}
	})
}

// A change staged in a snapshot counts as staged until the snapshot is booted or discarded. The
// plus makes SQLite use the index of packages.
const patchChanges = `SELECT CASE WHEN booted THEN effective ELSE time END, booted, event, begin_event, action, version, previous, kernel_release, result,
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
	return sqlite.ReadRows(ctx, s.db, patchChanges, []any{name, until.UnixMicro()}, func(c *sqlite.Cells) record.PatchChange {
		return record.PatchChange{
			Time: c.Moment(), Booted: c.Yes(), Event: c.Number(), Begin: c.Number(), Action: record.Action(c.Text()), Version: c.Text(), Previous: c.Text(),
			KernelRelease: c.Text(), Result: record.Result(c.Text()), Outcome: record.Outcome(c.Text()), Source: record.Source(c.Text()),
			CVEsAdded: c.Texts(), CVEsRemoved: c.Texts(),
		}
	})
}

// Forced says whether the journal of a boot, as far as it is on record, shows that tasks were
// forced to switch to a live patch; nil if it does not show the patch's load.
func (s *Store) Forced(ctx context.Context, boot, module string) (*bool, error) {
	var forced bool
	err := s.db.QueryRowContext(ctx, `SELECT forced FROM patch_loads WHERE boot_id = ? AND patch = ? ORDER BY pos DESC LIMIT 1`, boot, module).Scan(&forced)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &forced, sqlite.Classify(err)
}

// LastGood returns when a package was last changed successfully, up to a moment; zero if never.
// Downgrades do not count, because they improve nothing; nor do changes in a snapshot that was not
// booted.
func (s *Store) LastGood(ctx context.Context, name string, at time.Time) (time.Time, error) {
	var us *int64
	err := s.db.QueryRowContext(ctx, `SELECT max(time) FROM changes AS c WHERE package = ? AND result = 'ok' AND action <> 'downgrade' AND time <= ?
		AND NOT EXISTS (SELECT 1 FROM commits AS t WHERE t.id = c.commit_id AND t.outcome IN ('staged', 'discarded'))`,
		name, at.UnixMicro()).Scan(&us)
	if err != nil || us == nil {
		return time.Time{}, sqlite.Classify(err)
	}
	return sqlite.Moment(*us).Time, nil
}

const patchPackage = `SELECT package, coalesce(version, '') FROM observations WHERE kernel_release = ? AND module = ?
	AND package IS NOT NULL ORDER BY event LIMIT 1`

// PatchPackage returns the name and version of the package that a live patch module of a kernel
// came from, according to the first observation that knew it; empty if none did.
func (s *Store) PatchPackage(ctx context.Context, kernel, module string) (name, version string, err error) {
	err = s.db.QueryRowContext(ctx, patchPackage, kernel, module).Scan(&name, &version)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return name, version, sqlite.Classify(err)
}

const firstSeen = `SELECT coalesce(min(event), 0) FROM observations WHERE kernel_release = ? AND module = ? AND package IS NOT NULL`

// FirstSeen returns the number of the first observation that saw a live patch module of a
// kernel active and knew its package, 0 if there is none.
func (s *Store) FirstSeen(ctx context.Context, kernel, module string) (event int64, err error) {
	err = s.db.QueryRowContext(ctx, firstSeen, kernel, module).Scan(&event)
	return event, sqlite.Classify(err)
}

const livePatches = `SELECT package FROM changes WHERE kind = 'livepatch' AND result = 'ok' AND time BETWEEN ?1 AND ?2
	UNION SELECT package FROM observations WHERE package IS NOT NULL AND time BETWEEN ?1 AND ?2 ORDER BY package`

// LivePatches returns the names of the live patch packages that changed, or that were seen
// active, from one moment to another, both included.
func (s *Store) LivePatches(ctx context.Context, from, to time.Time) ([]string, error) {
	return sqlite.ReadRows(ctx, s.db, livePatches, []any{from.UnixMicro(), to.UnixMicro()}, (*sqlite.Cells).Text)
}

const livePatchBegin = `SELECT min(t) FROM (
	SELECT min(time) AS t FROM changes WHERE package = ?1
	UNION ALL SELECT min(time) FROM observations WHERE package = ?1
	UNION ALL SELECT min(b.first) FROM (SELECT DISTINCT kernel_release, module FROM observations WHERE package = ?1) m
		JOIN patch_loads l ON l.patch = m.module JOIN boots b ON b.boot_id = l.boot_id
		WHERE coalesce(b.kernel_release, m.kernel_release) = m.kernel_release)`

// LivePatchBegin returns when a live patch package first appears: by a change of it, by an
// observation that saw it active, or by the boot that loaded its module first. The time is zero if
// it never does.
func (s *Store) LivePatchBegin(ctx context.Context, name string) (time.Time, error) {
	var us *int64
	if err := s.db.QueryRowContext(ctx, livePatchBegin, name).Scan(&us); err != nil || us == nil {
		return time.Time{}, sqlite.Classify(err)
	}
	return sqlite.Moment(*us).Time, nil
}
