package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// ErrUnproven says that an event to be removed is not the one that was recorded.
var ErrUnproven = errors.New("the event does not match its hash, and stays as evidence: see klp-audit verify")

var errGap = errors.New("no prune removed it, and a prune now would hide that: see klp-audit verify")

// PlanPrune returns what a prune with this horizon would do; Gone is 0 if nothing is older.
func (s *Store) PlanPrune(ctx context.Context, horizon time.Time) (*record.Prune, error) {
	return planPrune(ctx, s.db, horizon)
}

// Prune removes the bodies of the events before a horizon, except for those that make up the state
// at the horizon, and records that. It returns what it did; if there is nothing to remove it does
// nothing. SQLite overwrites removed data with zeros.
func (s *Store) Prune(ctx context.Context, horizon time.Time) (plan *record.Prune, err error) {
	if _, err := s.db.ExecContext(ctx, `PRAGMA secure_delete = 1`); err != nil {
		return nil, sqlite.Classify(err)
	}
	cp, err := s.write(ctx, func(a *appender) error {
		if _, err := rebuild(ctx, a.tx, a.tx); err != nil { // what stays is decided by what the events say
			return err
		}
		if plan, err = planPrune(ctx, a.tx, horizon); err != nil || plan.Gone == 0 {
			return err
		}
		if err := proven(ctx, a.tx, plan); err != nil {
			return err
		}
		if err := a.addEvent(&record.Event{Header: NewHeader(record.KindPrune, s.root, s.version), Prune: plan}); err != nil {
			return err
		}
		work := progress.Begin(ctx, "removing old events", 0)
		_, err := a.tx.ExecContext(ctx, `DELETE FROM events WHERE seq <= ? AND seq NOT IN (SELECT value FROM json_each(?))`, plan.Through, record.Numbers(plan.Kept))
		work.End()
		if err != nil {
			return err
		}
		_, err = rebuild(ctx, a.tx, a.tx)
		return err
	})
	if err == nil {
		s.announce(cp)
	}
	return plan, err
}

// planPrune finds out what would be removed. The log is cut at one place: before the first event
// that is young enough, whatever the clock showed. Events that stay in any case do not matter for
// that.
func planPrune(ctx context.Context, q sqlite.Querier, horizon time.Time) (*record.Prune, error) {
	p := &record.Prune{Horizon: record.At(horizon.Truncate(time.Microsecond)), Kept: []int64{}}
	for e, err := range all(ctx, q, "looking for old events") {
		if err != nil {
			return nil, err
		}
		ev, err := record.DecodeAt(e.seq, e.body)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", e.seq, err)
		}
		if ev.Kind == record.KindRecorder || ev.Kind == record.KindPrune {
			continue
		}
		if !ev.Time.Before(p.Horizon.Time) {
			break
		}
		p.Through = e.seq
	}
	var size int64
	if err := q.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM events`).Scan(&size); err != nil {
		return nil, sqlite.Classify(err)
	}
	before, err := lastPrune(ctx, q, size)
	if err != nil || p.Through == 0 || before != nil && p.Through < before.Through {
		return p, err
	}
	if p.Kept, err = stateAt(ctx, q, p.Through, p.Horizon); err != nil {
		return nil, err
	}
	var there, looks int64
	err = q.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE json_extract(body, '$.kind') IN (?, ?) AND seq IN (SELECT value FROM json_each(?)))
		FROM events WHERE seq <= ?`, record.KindObservation, record.KindDrift, record.Numbers(p.Kept), p.Through).Scan(&there, &looks)
	if looks <= proof.MaxLooks+p.Through-int64(len(p.Kept)) { // else so few would be removed that they would look hand-picked
		p.Gone = there - int64(len(p.Kept))
	}
	return p, sqlite.Classify(err)
}

// stateAt returns, in order, the events up to a number that make up the state after it. Begin and
// end of a commit stay or go together, because one alone would mean something else.
func stateAt(ctx context.Context, q sqlite.Querier, through int64, horizon record.Timestamp) ([]int64, error) {
	const query = `WITH state (seq) AS (
		-- who recorded with which keys, and what was pruned before
		SELECT event FROM recorders
		UNION SELECT seq FROM events WHERE json_extract(body, '$.kind') = 'prune'
		-- what was on offer, and the lists that later release events are made of
		UNION SELECT event FROM releases
		-- commits without an end, staged ones that may yet become effective, and those that
		-- packages were not compared after
		UNION SELECT begin_event FROM commits WHERE end_event IS NULL OR end_event > ?1
		UNION SELECT end_event FROM commits WHERE begin_event > ?1
		UNION SELECT end_event FROM commits WHERE outcome = 'staged' OR settled_event > ?1
		UNION SELECT end_event FROM commits WHERE end_event > (SELECT max(event) FROM snapshots)
		-- what was installed, where the root directory was, and what the live patches fixed
		UNION SELECT max(event) FROM snapshots WHERE event <= ?1
		UNION SELECT max(event) FROM snapshots WHERE event <= ?1 AND root_subvolume IS NOT NULL
		UNION SELECT max(n.event) FROM (SELECT event FROM snapshots UNION SELECT end_event FROM commits) n JOIN events e ON e.seq = n.event
			WHERE n.event <= ?1 AND coalesce(e.body -> '$.end.fixes', e.body -> '$.drift.fixes') IS NOT NULL
		-- how the installed live patches came, and what was installed when somebody looked last
		UNION SELECT event FROM (SELECT max(event) AS event, action FROM changes WHERE kind = 'livepatch' AND result = 'ok' AND event <= ?1 GROUP BY package)
			WHERE action <> 'remove'
		UNION SELECT event FROM changes WHERE kind = 'livepatch' AND result IN ('ok', 'unknown') AND event <= ?1 AND event > (
			SELECT coalesce(max(o.event), 0) FROM observations o JOIN snapshots s ON s.event = o.event WHERE o.event <= ?1)
		-- what tells of live patches and boots
		UNION SELECT value FROM json_each(?3)
		-- accepted findings
		UNION SELECT event FROM exceptions WHERE until >= ?2 AND (end_event IS NULL OR end_event > ?1)
	) SELECT seq FROM state WHERE seq <= ?1
	UNION SELECT begin_event FROM commits JOIN state ON seq = end_event WHERE begin_event <= ?1
	UNION SELECT end_event FROM commits JOIN state ON seq = begin_event WHERE end_event <= ?1
	-- and what became of a staged one
	UNION SELECT settled_event FROM commits JOIN state ON seq IN (begin_event, end_event) WHERE settled_event <= ?1 ORDER BY 1`
	told, err := keptFor(ctx, q, through, horizon)
	if err != nil {
		return nil, err
	}
	kept, err := sqlite.ReadRows(ctx, q, query, []any{through, horizon.UnixMicro(), record.Numbers(told)}, (*sqlite.Cells).Number)
	if kept == nil {
		kept = []int64{}
	}
	return kept, err
}

// proven checks that the events to be removed are those that were recorded, and that no other is
// missing: an altered event is evidence, and its hash alone would show nothing.
func proven(ctx context.Context, tx *sql.Tx, p *record.Prune) error {
	before, err := lastPrune(ctx, tx, math.MaxInt64)
	if err != nil {
		return err
	}
	next := int64(1)
	for e, err := range all(ctx, tx, "checking what goes") {
		if err != nil {
			return err
		}
		for ; next < min(e.seq, p.Through+1); next++ {
			if !before.Took(next) {
				return fmt.Errorf("event %d is missing: %w", next, errGap)
			}
		}
		if next++; e.seq > p.Through {
			return nil
		}
		stored, err := hashReader(ctx, tx)([]int64{tlog.StoredHashIndex(0, e.seq-1)})
		if err != nil {
			return err
		}
		if stored[0] != tlog.RecordHash(e.body) {
			return fmt.Errorf("event %d: %w", e.seq, ErrUnproven)
		}
	}
	return nil
}
