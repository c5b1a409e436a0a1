package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

var (
	// ErrNothingKnown says that nothing was on record yet at a moment.
	ErrNothingKnown = errors.New("nothing was on record then")
	// ErrKnownPruned says that what was known at a moment has been pruned.
	ErrKnownPruned = errors.New("what was known then was pruned")
)

// recordedAt is when event e entered the log, in the form of times in events. An event that waited
// in the spool says when it was taken in; if an earlier version took it in, all that is known is
// that the next event came later. Null: not known.
const recordedAt = `coalesce(e.body ->> '$.taken_in', CASE WHEN e.body ->> '$.spooled' IS NULL THEN e.body ->> '$.time'
	ELSE (SELECT n.body ->> '$.time' FROM events n WHERE n.seq > e.seq AND n.body ->> '$.spooled' IS NULL ORDER BY n.seq LIMIT 1) END)`

// RecordedAt returns when the last of some events entered the log: from then on, everything they
// say was known. It is nil if there are none, or if it is not known.
func (s *Store) RecordedAt(ctx context.Context, events ...int64) (last *record.Timestamp, err error) {
	for _, seq := range events {
		var text *string
		err := s.db.QueryRowContext(ctx, `SELECT `+recordedAt+` FROM events e WHERE seq = ?`, seq).Scan(&text)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, sqlite.Classify(err)
		}
		if text == nil {
			return nil, nil
		}
		at, err := time.Parse(record.TimeLayout, *text)
		if err != nil {
			return nil, nil // only in a record that is not intact
		}
		if last == nil || at.After(last.Time) {
			last = new(record.At(at))
		}
	}
	return last, nil
}

// KnownAt returns the record as it was known at a moment: with the events recorded by then, and no
// others. They are copied, so that nothing later can show through. Its answers do not change as the
// record grows.
func (s *Store) KnownAt(ctx context.Context, at time.Time) (*Store, error) {
	size, err := s.recordedUntil(ctx, at)
	if err != nil {
		return nil, err
	}
	pruned, err := lastPrune(ctx, s.db, math.MaxInt64)
	switch {
	case err != nil:
		return nil, err
	case pruned != nil && pruned.Horizon.After(at):
		return nil, fmt.Errorf("%w: its horizon is %s", ErrKnownPruned, pruned.Horizon.Exact())
	case size == 0:
		return nil, ErrNothingKnown
	}
	part, err := newTemp("")
	if err != nil {
		return nil, err
	}
	part.known = &known{pruned: pruned}
	if err := s.copyTo(ctx, part, size); err != nil {
		return nil, errors.Join(err, part.Close())
	}
	return part, nil
}

// copyTo copies the first events into an empty database and builds their views.
func (s *Store) copyTo(ctx context.Context, part *Store, size int64) error {
	return part.db.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, logSchema); err != nil {
			return err
		}
		var t proof.Tree
		for e, err := range all(ctx, s.db, "copying events") {
			if err != nil {
				return err
			}
			if e.seq > size {
				break
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO events (seq, body) VALUES (?, ?)`, e.seq, string(e.body)); err != nil {
				return err
			}
			if e.seq == t.Size()+1 {
				if err := t.Add(tlog.RecordHash(e.body)); err != nil {
					return err
				}
			}
		}
		if t.Size() == size {
			root, err := t.Root()
			if err != nil {
				return err
			}
			part.known.root = root.String()
		} else if root, err := tlog.TreeHash(size, hashReader(ctx, s.db)); err == nil {
			part.known.root = root.String()
		}
		return rebuildReadable(ctx, tx)
	})
}

// recordedUntil returns how many events the log had at a moment: all before the first one that came
// later. After the clock was set back its time is not trusted: an event then came after the newest
// one by as much as the boot had gone on. If that is not known either, the event came no later than
// the next one. A recorder event does not end the search: it may have been rewritten.
func (s *Store) recordedUntil(ctx context.Context, at time.Time) (size int64, err error) {
	const query = `SELECT seq, body ->> '$.kind', body ->> '$.time', coalesce(body ->> '$.taken_in', ''), body ->> '$.spooled' IS NOT NULL,
		coalesce(body ->> '$.boot_id', ''), coalesce(body ->> '$.boottime_us', 0) FROM events ORDER BY seq`
	var clock logClock
	err = sqlite.EachRow(ctx, s.db, query, nil, func(c *sqlite.Cells) {
		seq, kind, written, takenIn, spooled, boot := c.Number(), record.EventKind(c.Text()), parsed(c.Text()), parsed(c.Text()), c.Yes(), c.Text()
		boottime := time.Duration(c.Number()) * time.Microsecond
		own := kind == record.KindRecorder || kind == record.KindPrune
		came, known := written, true
		switch {
		case spooled:
			came, known = clock.tookIn(takenIn)
		case !own:
			came, known = clock.wrote(written, boot, boottime)
		}
		if known && !came.After(at) {
			size = seq
		} else if known && !own {
			c.Enough = true
		}
	})
	return size, err
}

func parsed(text string) time.Time {
	t, _ := time.Parse(record.TimeLayout, text)
	return t
}

// logClock follows when the events of a log entered it.
type logClock struct {
	last     time.Time // earliest time at which the newest event can have come
	shown    time.Time // latest time that the clock showed
	boot     string    // boot in which it showed that
	boottime time.Duration
}

// wrote returns when an event came that did not wait. known is false if the clock was set back and
// nothing says how much later it was.
func (c *logClock) wrote(at time.Time, boot string, boottime time.Duration) (came time.Time, known bool) {
	if at.Before(c.shown) {
		if boot == "" || boot != c.boot || boottime < c.boottime {
			return at, false
		}
		at = c.shown.Add(boottime - c.boottime)
	}
	c.shown, c.boot, c.boottime = at, boot, boottime
	if at.After(c.last) {
		c.last = at
	}
	return c.last, true
}

// tookIn returns when an event came that waited.
func (c *logClock) tookIn(at time.Time) (came time.Time, known bool) {
	if at.IsZero() || at.Before(c.shown) {
		return at, false
	}
	if at.After(c.last) {
		c.last = at
	}
	return c.last, true
}

// takenIn returns the body of an event that waited in the spool, with the time at which it entered
// the log.
func takenIn(body string, at time.Time) string {
	body = strings.TrimSuffix(body, "\n")
	if !strings.HasSuffix(body, "}") {
		return body // not an event
	}
	return strings.TrimSuffix(body, "}") + `,"taken_in":"` + record.At(at).Exact() + `"}`
}
