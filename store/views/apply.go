package views

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// mutation is one statement on the views.
type mutation struct {
	query string
	args  []any
	guard bool   // when it changes no row, the mutations after it do not apply
	row   string // of an INSERT: its values, which may stand there for many rows
}

// appliers say what the events of each kind change in the views.
var appliers = map[record.EventKind]func(seq int64, ev *record.Event) []mutation{
	record.KindRecorder:    applyIdentity,
	record.KindCommitBegin: applyBegin,
	record.KindCommitEnd:   applyEnd,
	record.KindObservation: applyObservation,
	record.KindDrift:       applyDrift,
	record.KindImport:      applyImport,
	record.KindException:   applyException,
	record.KindPrune:       applyNothing, // no view holds it: readers ask the log
}

func applyNothing(int64, *record.Event) []mutation { return nil }

// apply returns what an event changes in the views. It is pure: the same event gives the
// same mutations for ever, so that the views can be rebuilt byte for byte. A kind that a newer
// program writes changes only what every event does.
func apply(seq int64, ev *record.Event) []mutation {
	of := appliers[ev.Kind]
	if of == nil {
		of = applyNothing
	}
	return slices.Concat(applySighting(seq, ev), applySnapshot(seq, ev), of(seq, ev))
}

// applySighting notes that the machine ran when an event was written, as its header says.
func applySighting(seq int64, ev *record.Event) []mutation {
	if ev.BootID == "" { // /proc did not say
		return nil
	}
	return []mutation{{
		query: `INSERT INTO sightings (event, time, boot_id, boottime_us, spooled) VALUES (?, ?, ?, ?, ?)`,
		args:  []any{seq, ev.Time.UnixMicro(), ev.BootID, ev.BoottimeUS, ev.Spooled != ""},
	}}
}

func applyIdentity(seq int64, ev *record.Event) []mutation {
	return []mutation{{
		query: `INSERT INTO recorders (event, time, cause, version, machine_id, key) VALUES (?, ?, ?, ?, ?, ?)`,
		args:  []any{seq, ev.Time.UnixMicro(), ev.Identity.Cause, ev.Recorder.Version, ev.Host.MachineID, ev.Identity.Key},
	}}
}

func list[T any](s []T) string {
	if len(s) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(s)
	return string(b)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// rowsAtOnce is how many rows one statement inserts: SQLite keeps a copy of each page that a
// statement changes, so that a statement for each row takes five times as long.
const rowsAtOnce = 100

// together joins insertions into one table, as far as they fill a statement.
func together(ms []mutation) (joined []mutation) {
	for len(ms) > 0 {
		n := 1
		for n < min(len(ms), rowsAtOnce) && ms[0].row != "" && ms[n].query == ms[0].query {
			n++
		}
		if n < rowsAtOnce {
			n = 1
		}
		m := ms[0]
		m.query += strings.Repeat(", "+m.row, n-1)
		for _, next := range ms[1:n] {
			m.args = append(m.args, next.args...)
		}
		joined, ms = append(joined, m), ms[n:]
	}
	return joined
}

// Project writes one event into the views.
func Project(ctx context.Context, tx *sql.Tx, seq int64, ev *record.Event) error {
	for _, m := range together(apply(seq, ev)) {
		res, err := tx.ExecContext(ctx, m.query, m.args...)
		if err != nil {
			return fmt.Errorf("applying event %d: %w", seq, err)
		}
		if n, _ := res.RowsAffected(); m.guard && n == 0 {
			return nil
		}
	}
	return nil
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
