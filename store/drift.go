package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// KindDrift is the kind of events that say that packages changed without a recorded commit.
const KindDrift EventKind = "drift"

// Drift is the payload of a drift event: what is installed is not what the record knew last.
type Drift struct {
	Cause     DriftCause `json:"cause"`
	Compared  int64      `json:"compared_with"` // event whose snapshot this is the difference to
	Since     Timestamp  `json:"since"`         // its time: the changes were between then and this event
	Changes   []Change   `json:"changes"`
	Installed []Package  `json:"installed"`       // tracked packages now
	RPMDB     string     `json:"rpmdb,omitempty"` // stamp of the rpm database that this was read from
	// Fixes are those of the live patches among them, by NEVRA.
	Fixes map[string]Fixes `json:"fixes,omitempty"`
	// Subvolume is where the root directory is within its file system, empty if that is not
	// known. After a rollback, or a transactional update, it is another one.
	Subvolume string   `json:"root_subvolume,omitempty"`
	Previous  string   `json:"previous_root_subvolume,omitempty"`
	Problems  []string `json:"problems,omitempty"`
}

// DriftCause says how packages can have changed without a recorded commit.
type DriftCause string

// The causes of drift.
const (
	DriftUnrecorded DriftCause = "unrecorded" // rpm by hand, or a commit without the plugin
	DriftSnapshot   DriftCause = "snapshot"   // the root file system is another snapshot
)

// applyDrift writes the changes of a drift into the views. When a package was removed nothing
// says, and neither does the install time of one that came with another snapshot, where it was
// installed before, or an older rpm database: then it is the time of finding it out, and maybe
// another boot.
func applyDrift(seq int64, ev *Event) (m []mutation) {
	for i, c := range ev.Drift.Changes {
		from := origin{source: "drift", time: ev.Time, timeSource: "found", utcOffset: ev.UTCOffset}
		since := ev.Drift.Since.Time
		if t := c.InstallTime; t != nil && ev.Drift.Cause != DriftSnapshot && !t.Before(since.Truncate(time.Second)) && !t.After(ev.Time.Time) {
			from.time, from.timeSource, since = ev.Drift.installed(t, ev.Time), "rpm", t.Time
		}
		if booted := ev.Time.Add(-time.Duration(ev.BoottimeUS) * time.Microsecond); since.After(booted) {
			from.bootID = ev.BootID
		}
		m = append(m, insertChangeFrom(from, seq, i, ev, "", &c, nil))
	}
	return m
}

// installed is when a package of a drift came, by a time in seconds: after the snapshot that did
// not have it, also within its second.
func (d *Drift) installed(second *Timestamp, found Timestamp) Timestamp {
	if t := notBefore(*second, d.Since.Add(time.Microsecond)); !t.After(found.Time) {
		return t
	}
	return *second
}

// notBefore is the moment that a time in whole seconds stands for, if it cannot have been before
// another one: within the second an order is all that is known.
func notBefore(second Timestamp, bound time.Time) Timestamp {
	if bound.After(second.Time) && bound.Sub(second.Time) < time.Second {
		return Timestamp{bound.UTC()}
	}
	return second
}

// Snapshot is what was installed as an event has it: all tracked packages.
type Snapshot struct {
	Event     int64
	Time      Timestamp
	BootID    string  // of the event
	Recorder  Program // that wrote the event
	Installed []Package
	RPMDB     string // stamp of the rpm database that they were read from; empty: not known
	Subvolume string // of the root directory, as the newest event that knew it has it; empty: none did
}

// applySnapshot notes that an event says what was installed on the running system, and that
// all that differs from the snapshot before it is on record.
func applySnapshot(seq int64, ev *Event) []mutation {
	s := ev.snapshot()
	if s.Installed == nil {
		return nil
	}
	return []mutation{{
		query: `INSERT INTO snapshots (event, root_subvolume) VALUES (?, ?)`,
		args:  []any{seq, orNull(s.Subvolume)},
	}}
}

// snapshot returns what an event says of the packages on the running system. Installed is nil
// if it says nothing of them, or what was not compared with the record.
func (ev *Event) snapshot() Snapshot {
	s := Snapshot{Time: ev.Time, BootID: ev.BootID, Recorder: ev.Recorder}
	switch {
	case ev.End != nil && ev.End.Compared && ev.End.Outcome != OutcomeStaged:
		s.Installed, s.RPMDB = ev.End.Installed, ev.End.RPMDB
	case ev.Observation != nil && ev.Observation.Compared:
		s.Installed, s.RPMDB, s.Subvolume = ev.Observation.Installed, ev.Observation.RPMDB, ev.Observation.Subvolume
	case ev.Drift != nil:
		s.Installed, s.RPMDB, s.Subvolume = ev.Drift.Installed, ev.Drift.RPMDB, ev.Drift.Subvolume
	}
	return s
}

// LastSnapshot returns the newest snapshot of the installed packages, nil if the record has
// none.
func (s *Store) LastSnapshot(ctx context.Context) (*Snapshot, error) {
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
	last := ev.snapshot()
	last.Event, last.Subvolume = event, subvolume
	return &last, nil
}

// RecordedFixes are the fixes of live patches that an event lists, by NEVRA, with the packages
// that were installed then.
type RecordedFixes struct {
	Recorder  Program // that read the changelogs
	Installed []Package
	Fixes     map[string]Fixes
}

// AllEvents is as many events as there are.
const AllEvents = -1

// LastFixes returns the fixes that the newest event which lists any has, nil if there is none. It
// looks at so many of the newest events only that say what is installed.
func (s *Store) LastFixes(ctx context.Context, newest int) (*RecordedFixes, error) {
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
		return &RecordedFixes{ev.Recorder, ev.End.Installed, ev.End.Fixes}, nil
	}
	return &RecordedFixes{ev.Recorder, ev.Drift.Installed, ev.Drift.Fixes}, nil
}

// ChangesAfter returns what commits did, or may have done, to the running system that ended
// after an event of the log.
func (s *Store) ChangesAfter(ctx context.Context, event int64) (changes []Change, err error) {
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
			if c.Result == ResultOK || c.Result == ResultUnknown {
				changes = append(changes, c)
			}
		}
	}
	return changes, rows.Err()
}
