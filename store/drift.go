package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// applyDrift writes the changes of a drift into the views. When a package was removed nothing
// says, and neither does the install time of one that came with another snapshot, where it was
// installed before, or an older rpm database: then it is the time of finding it out, and maybe
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
		m = append(m, (&changed{Change: &c, seq: seq, pos: i, ev: ev, origin: from}).insert())
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
	events, err := readRows(ctx, s.db, query, []any{newest}, (*cells).numberedEvent)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	ev := events[0].event
	if ev.End != nil {
		return &record.RecordedFixes{Recorder: ev.Recorder, Installed: ev.End.Installed, Fixes: ev.End.Fixes}, nil
	}
	return &record.RecordedFixes{Recorder: ev.Recorder, Installed: ev.Drift.Installed, Fixes: ev.Drift.Fixes}, nil
}

// ChangesAfter returns what commits did, or may have done, to the running system that ended
// after an event of the log.
func (s *Store) ChangesAfter(ctx context.Context, event int64) (changes []record.Change, err error) {
	ends, err := readRows(ctx, s.db, `SELECT e.seq, e.body FROM commits c JOIN events e ON e.seq = c.end_event
		WHERE c.end_event > ? ORDER BY c.end_event`, []any{event}, (*cells).numberedEvent)
	for _, end := range ends {
		ev := end.event
		if ev.End == nil || ev.End.Outcome.Elsewhere() {
			continue
		}
		for _, c := range ev.End.Changes {
			if c.Result == record.ResultOK || c.Result == record.ResultUnknown {
				changes = append(changes, c)
			}
		}
	}
	return changes, err
}
