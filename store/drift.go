package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// applyDrift writes the changes of a drift into the views. Nothing says when a package was removed. Nor
// does the install time say when a package came with another btrfs snapshot, in which it was installed
// before, or with an older rpm database: then the change has the time at which it was found, maybe in
// another boot.
func applyDrift(seq int64, ev *record.Event) (m []mutation) {
	for i, c := range ev.Drift.Changes {
		from := origin{source: "drift", time: ev.Time, timeSource: "found", utcOffset: ev.UTCOffset}
		since := ev.Drift.Since.Time
		if t := c.InstallTime; t != nil && ev.Drift.Cause != record.DriftSnapshot && !t.Before(since.Truncate(time.Second)) && !t.After(ev.Time.Time) {
			from.time, from.timeSource, since = ev.Drift.InstalledAt(t, ev.Time), "rpm", t.Time
		}
		if booted := ev.Time.Add(-time.Duration(ev.BoottimeUS) * time.Microsecond); since.After(booted) {
			from.bootID = ev.BootID
		}
		m = append(m, insertChangeFrom(from, seq, i, ev, "", &c, nil))
	}
	return m
}

// applySnapshot notes that an event says what was installed on the running system, and that
// all that differs from the snapshot before it is on record.
func applySnapshot(seq int64, ev *record.Event) []mutation {
	s := ev.Snapshot()
	if s.Installed == nil {
		return nil
	}
	return []mutation{{
		query: `INSERT INTO snapshots (event, root_subvolume) VALUES (?, ?)`,
		args:  []any{seq, orNull(s.Subvolume)},
	}}
}

// LastSnapshot returns the newest snapshot of the installed packages, nil if the record has
// none.
func (s *Store) LastSnapshot(ctx context.Context) (*record.Snapshot, error) {
	const query = `SELECT event, coalesce((SELECT root_subvolume FROM snapshots WHERE root_subvolume IS NOT NULL ORDER BY event DESC LIMIT 1), '')
		FROM snapshots ORDER BY event DESC LIMIT 1`
	var event int64
	var subvolume string
	err := s.db.QueryRowContext(ctx, query).Scan(&event, &subvolume)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, classify(err)
	}
	ev, err := s.Event(ctx, event)
	if err != nil {
		return nil, err
	}
	last := ev.Snapshot()
	last.Event, last.Subvolume = event, subvolume
	return &last, nil
}

// AllEvents is as many events as there are.
const AllEvents = -1

// LastFixes returns the fixes that the newest event which lists any has, nil if there is none. It
// looks at so many of the newest events only that say what is installed.
func (s *Store) LastFixes(ctx context.Context, newest int) (*record.RecordedFixes, error) {
	const query = `SELECT e.seq, e.body FROM
		(SELECT event FROM (SELECT event FROM snapshots ORDER BY event DESC LIMIT ?1)
		UNION SELECT end_event FROM (SELECT end_event FROM commits WHERE end_time IS NOT NULL ORDER BY end_time DESC, end_event DESC LIMIT ?1)) n
		JOIN events e ON e.seq = n.event
		WHERE coalesce(e.body -> '$.end.fixes', e.body -> '$.drift.fixes') IS NOT NULL ORDER BY n.event DESC LIMIT 1`
	rows, err := s.db.QueryContext(ctx, query, newest)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, classify(rows.Err())
	}
	_, ev, err := scanEvent(rows)
	switch {
	case err != nil:
		return nil, err
	case ev.End != nil:
		return &record.RecordedFixes{Recorder: ev.Recorder, Installed: ev.End.Installed, Fixes: ev.End.Fixes}, nil
	}
	return &record.RecordedFixes{Recorder: ev.Recorder, Installed: ev.Drift.Installed, Fixes: ev.Drift.Fixes}, nil
}

// ChangesAfter returns what commits did, or may have done, to the running system that ended
// after an event of the log.
func (s *Store) ChangesAfter(ctx context.Context, event int64) (changes []record.Change, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT e.seq, e.body FROM commits c JOIN events e ON e.seq = c.end_event
		WHERE c.end_event > ? ORDER BY c.end_event`, event)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		_, ev, err := scanEvent(rows)
		if err != nil {
			return nil, err
		}
		if ev.End == nil || ev.End.Outcome.Elsewhere() {
			continue
		}
		for _, c := range ev.End.Changes {
			if c.Result == record.ResultOK || c.Result == record.ResultUnknown {
				changes = append(changes, c)
			}
		}
	}
	return changes, rows.Err()
}
