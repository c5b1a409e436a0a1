package store

import (
	"context"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// applyException writes an exception, or its end, into the view. Only the first end counts.
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
	return readRows(ctx, s.db, query, []any{at.UnixMicro()}, func(c *cells) record.Exception {
		x := record.Exception{ID: c.text(), Event: c.number(), Time: c.moment(), Check: c.text(), Reason: c.text(), Until: c.moment()}
		x.By = record.RowActor{Login: c.textOrNil(), SudoUser: c.textOrNil(), Automation: c.textOrNil()}
		event, ended := c.numberOrNil(), c.momentOrNil()
		by := record.RowActor{Login: c.textOrNil(), SudoUser: c.textOrNil(), Automation: c.textOrNil()}
		if ended != nil && !ended.After(at) {
			x.Ended, x.EndedIn, x.EndedBy = ended, *event, &by
		}
		return x
	})
}
