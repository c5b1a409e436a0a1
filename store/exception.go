package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// applyException writes an exception, or its end, into the view. Only the first end is used.
func applyException(seq int64, ev *record.Event) []mutation {
	x := ev.Exception
	login, sudo, automation := orNull(x.Actor.Login), orNull(x.Actor.SudoUser), orNull(x.Actor.Automation)
	switch {
	case x.Action == record.ExceptionAdd && x.Until != nil:
		return []mutation{{
			query: `INSERT INTO exceptions (id, event, time, check_id, reason, until, login, sudo_user, automation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			args:  []any{ev.ID, seq, ev.Time.UnixMicro(), x.Check, x.Reason, x.Until.UnixMicro(), login, sudo, automation},
		}}
	case x.Action == record.ExceptionEnd:
		return []mutation{{
			query: `UPDATE exceptions SET end_event = ?, end_time = ?, end_login = ?, end_sudo_user = ?, end_automation = ?
				WHERE id = ? AND end_event IS NULL`,
			args: []any{seq, ev.Time.UnixMicro(), login, sudo, automation, x.Exception},
		}}
	}
	return nil
}

// Exceptions returns the exceptions that were on record at a moment, oldest first, those
// that had been ended included.
func (s *Store) Exceptions(ctx context.Context, at time.Time) ([]record.Exception, error) {
	const query = `SELECT id, event, time, check_id, reason, until, login, sudo_user, automation,
		end_event, end_time, end_login, end_sudo_user, end_automation FROM exceptions WHERE time <= ? ORDER BY time, event`
	return collect(ctx, s.db, query, []any{at.UnixMicro()}, func(rows *sql.Rows) (record.Exception, error) { return scanException(rows, at) })
}

func scanException(rows *sql.Rows, at time.Time) (x record.Exception, err error) {
	var since, until int64
	var endEvent, endTime *int64
	var by record.RowActor
	err = rows.Scan(&x.ID, &x.Event, &since, &x.Check, &x.Reason, &until, &x.By.Login, &x.By.SudoUser, &x.By.Automation,
		&endEvent, &endTime, &by.Login, &by.SudoUser, &by.Automation)
	x.Time, x.Until = microseconds(since), microseconds(until)
	if endTime != nil && *endTime <= at.UnixMicro() {
		x.Ended, x.EndedIn, x.EndedBy = new(microseconds(*endTime)), *endEvent, &by
	}
	return x, err
}
