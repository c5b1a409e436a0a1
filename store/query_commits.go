package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// Attribution counts the commits from one moment to another, and those whose author is not known.
func (s *Store) Attribution(ctx context.Context, since, at time.Time) (a record.Attribution, err error) {
	const in = ` FROM commits WHERE ` + begun + ` BETWEEN ? AND ?`
	const nobody = `coalesce(nullif(login, 'unset'), '') = '' AND coalesce(nullif(sudo_user, 'unset'), '') = '' AND coalesce(automation, '') = ''`
	from, to := since.UnixMicro(), at.UnixMicro()
	err = s.db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(`+nobody+`), 0)`+in, from, to).Scan(&a.Commits, &a.Unknown)
	if err != nil || a.Unknown == 0 {
		return a, sqlite.Classify(err)
	}
	a.Events, err = sqlite.ReadRows(ctx, s.db, `SELECT coalesce(begin_event, end_event)`+in+` AND `+nobody+` ORDER BY `+begun+`, id LIMIT 5`,
		[]any{from, to}, (*sqlite.Cells).Number)
	return a, err
}

const commitsOpenAt = `SELECT begin_event, begin_time FROM (
	SELECT begin_event, begin_time FROM commits WHERE end_event IS NULL AND begin_event IS NOT NULL AND begin_time <= ?1
	UNION SELECT begin_event, begin_time FROM commits WHERE end_time > ?1 AND begin_time <= ?1 AND begin_event IS NOT NULL) ORDER BY begin_event`

// CommitsOpenAt returns the commits that had not ended at a moment, oldest first.
func (s *Store) CommitsOpenAt(ctx context.Context, at time.Time) ([]record.OpenAt, error) {
	return sqlite.ReadRows(ctx, s.db, commitsOpenAt, []any{at.UnixMicro()}, func(c *sqlite.Cells) record.OpenAt {
		return record.OpenAt{Event: c.Number(), Time: c.Moment()}
	})
}

// CommitBefore returns the begin and the end of the newest commit that ended before a moment, nil
// if there is none. begin is nil if it is not on record. Imported commits are ignored: nobody
// looked at what was installed then.
func (s *Store) CommitBefore(ctx context.Context, at time.Time) (begin, end *record.Event, seq int64, err error) {
	var first, last []byte
	err = s.db.QueryRowContext(ctx, `SELECT c.end_event, b.body, e.body FROM commits c LEFT JOIN events b ON b.seq = c.begin_event
		JOIN events e ON e.seq = c.end_event WHERE c.end_time < ? AND (c.begin_event IS NOT NULL OR json_extract(e.body, '$.kind') <> 'import')
		ORDER BY c.end_time DESC, c.end_event DESC LIMIT 1`, at.UnixMicro()).Scan(&seq, &first, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, 0, nil
	} else if err != nil {
		return nil, nil, 0, sqlite.Classify(err)
	}
	if first != nil {
		if begin, err = record.Decode(first); err != nil {
			return nil, nil, 0, fmt.Errorf("begin of the commit of event %d: %w", seq, err)
		}
	}
	if end, err = record.Decode(last); err != nil {
		return nil, nil, 0, fmt.Errorf("event %d: %w", seq, err)
	}
	return begin, end, seq, nil
}

// OpenCommits returns the commits that have no end, oldest first.
func (s *Store) OpenCommits(ctx context.Context) ([]record.OpenCommit, error) {
	const query = `SELECT e.seq, e.body FROM commits c JOIN events e ON e.seq = c.begin_event WHERE c.end_event IS NULL ORDER BY e.seq`
	return sqlite.ReadRows(ctx, s.db, query, nil, func(c *sqlite.Cells) record.OpenCommit {
		begin := takeNumbered(c)
		return record.OpenCommit{Event: begin.seq, Begin: begin.event}
	})
}

// StagedChanges returns the changes, as the rpm database showed them, of commits to a btrfs
// snapshot or to those before it, that event number since did not know about yet. A reader that
// finds these packages changed after a boot knows why.
func (s *Store) StagedChanges(ctx context.Context, subvolume string, since int64) ([]record.Change, error) {
	const query = `SELECT e.seq, e.body FROM commits t JOIN events e ON e.seq = t.end_event
		WHERE (t.outcome = 'staged' AND t.snapshot <= :booted
			OR t.outcome = 'completed' AND t.snapshot <= :booted AND t.settled_event > :since
			OR t.outcome = 'discarded' AND t.snapshot = :booted)
		ORDER BY t.end_event`
	booted := record.SnapshotNumber(subvolume)
	if booted == 0 {
		return nil, nil
	}
	ends, err := sqlite.ReadRows(ctx, s.db, query, []any{sql.Named("booted", booted), sql.Named("since", since)}, takeNumbered)
	var changes []record.Change
	for _, end := range ends {
		for _, c := range end.event.End.Changes {
			if c.Result == record.ResultOK {
				changes = append(changes, c)
			}
		}
	}
	return changes, err
}

// LastSnapshot returns the newest package snapshot, nil if the record has none.
func (s *Store) LastSnapshot(ctx context.Context) (*record.Snapshot, error) {
	const query = `SELECT event, coalesce((SELECT root_subvolume FROM snapshots WHERE root_subvolume IS NOT NULL ORDER BY event DESC LIMIT 1), '')
		FROM snapshots ORDER BY event DESC LIMIT 1`
	var event int64
	var subvolume string
	err := s.db.QueryRowContext(ctx, query).Scan(&event, &subvolume)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, sqlite.Classify(err)
	}
	ev, err := s.Event(ctx, event)
	if err != nil {
		return nil, err
	}
	last := ev.Snapshot()
	last.Event, last.Subvolume = event, subvolume
	return &last, nil
}

// AllEvents means all events, however many there are.
const AllEvents = -1

// LastFixes returns the fixes in the newest event that lists any, nil if there is none. It looks
// only at this many of the newest events that say what is installed.
func (s *Store) LastFixes(ctx context.Context, newest int) (*record.RecordedFixes, error) {
	const query = `SELECT e.seq, e.body FROM
		(SELECT event FROM (SELECT event FROM snapshots ORDER BY event DESC LIMIT ?1)
		UNION SELECT end_event FROM (SELECT end_event FROM commits WHERE end_time IS NOT NULL ORDER BY end_time DESC, end_event DESC LIMIT ?1)) n
		JOIN events e ON e.seq = n.event
		WHERE coalesce(e.body -> '$.end.fixes', e.body -> '$.drift.fixes') IS NOT NULL ORDER BY n.event DESC LIMIT 1`
	events, err := sqlite.ReadRows(ctx, s.db, query, []any{newest}, takeNumbered)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	ev := events[0].event
	if ev.End != nil {
		return &record.RecordedFixes{Recorder: ev.Recorder, Installed: ev.End.Installed, Fixes: ev.End.Fixes}, nil
	}
	return &record.RecordedFixes{Recorder: ev.Recorder, Installed: ev.Drift.Installed, Fixes: ev.Drift.Fixes}, nil
}

// ChangesAfter returns what commits that ended after an event of the log did, or may have done, to
// the running system.
func (s *Store) ChangesAfter(ctx context.Context, event int64) (changes []record.Change, err error) {
	ends, err := sqlite.ReadRows(ctx, s.db, `SELECT e.seq, e.body FROM commits c JOIN events e ON e.seq = c.end_event
		WHERE c.end_event > ? ORDER BY c.end_event`, []any{event}, takeNumbered)
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
