package store

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

func applyBegin(seq int64, ev *record.Event) []mutation {
	b := ev.Begin
	m := []mutation{{
		// Its end may be there already: the spool is in order, but a file may wait longer.
		query: `INSERT INTO commits (id, begin_event, begin_time, boot_id, pid, start_ticks, login, sudo_user, exe, tty,
			session, automation, command, userdata, snapshot) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET begin_event = excluded.begin_event, begin_time = excluded.begin_time,
			boot_id = excluded.boot_id, pid = excluded.pid, start_ticks = excluded.start_ticks, login = excluded.login,
			sudo_user = excluded.sudo_user, exe = excluded.exe, tty = excluded.tty, session = excluded.session,
			automation = excluded.automation, command = excluded.command, userdata = excluded.userdata,
			snapshot = excluded.snapshot`,
		args: []any{ev.ID, seq, ev.Time.UnixMicro(), ev.BootID, b.Libzypp.PID, int64(b.Libzypp.StartTicks), b.Actor.Login,
			orNull(b.Actor.SudoUser), b.Actor.Exe, b.Actor.TTY, b.Actor.Session, orNull(b.Actor.Automation),
			shellJoin(b.Command), orNull(b.UserData), stagedIn(b)},
	}}
	for i, c := range b.Announced {
		m = append(m, applyChange(seq, i, ev, ev.ID, &c, nil))
	}
	return m
}

func applyEnd(seq int64, ev *record.Event) []mutation {
	e := ev.End
	m := []mutation{
		{query: `INSERT OR IGNORE INTO commits (id, boot_id) VALUES (?, ?)`, args: []any{e.Commit, ev.BootID}},
		{query: `UPDATE commits SET end_event = ?, end_time = ?, outcome = ? WHERE id = ? AND end_event IS NULL`,
			args: []any{seq, ev.Time.UnixMicro(), e.Outcome, e.Commit}, guard: true},
	}
	for i, c := range e.Changes {
		m = append(m, applyChange(seq, i, ev, e.Commit, &c, e.Advisories))
	}
	return m
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

// shellJoin writes an argument vector as one line that a shell would split into it again.
func shellJoin(argv []string) any {
	if len(argv) == 0 {
		return nil
	}
	quoted := make([]string, len(argv))
	for i, a := range argv {
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\$`|&;<>()*?[]#~!{}") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		quoted[i] = a
	}
	return strings.Join(quoted, " ")
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

// project writes one event into the views.
func project(ctx context.Context, tx *sql.Tx, seq int64, ev *record.Event) error {
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

// Rebuild drops the views and derives them again from the events.
func (s *Store) Rebuild(ctx context.Context) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := rebuild(ctx, tx, tx)
		return err
	})
	if err != nil {
		err = named(Path(s.root), err)
	}
	return err
}

// rebuild makes the views anew from a log, which may be in another database, and returns
// the sequence number of the last event in them.
func rebuild(ctx context.Context, tx *sql.Tx, log rowQuerier) (int64, error) {
	if err := emptyViews(ctx, tx); err != nil {
		return 0, err
	}
	return projectAll(ctx, tx, log, 0)
}

// emptyViews makes the views without any row.
func emptyViews(ctx context.Context, tx *sql.Tx) error {
	for _, v := range views {
		if _, err := tx.ExecContext(ctx, `DROP TABLE IF EXISTS `+v); err != nil {
			return err
		}
	}
	stamp := fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d`, applicationID, Schema)
	_, err := tx.ExecContext(ctx, viewSchema+stamp)
	return err
}

// projectAll writes the events of a log after a sequence number into the views, and
// returns the sequence number of the last one.
func projectAll(ctx context.Context, tx *sql.Tx, log rowQuerier, last int64) (int64, error) {
	for e, err := range events(ctx, log, last) {
		if err != nil {
			return last, err
		}
		ev, err := record.DecodeAt(e.seq, e.body)
		if err != nil {
			return last, fmt.Errorf("event %d: %w", e.seq, err)
		}
		// Reading the next page notices that ctx has ended; for each statement that would cost a goroutine.
		if err := project(context.WithoutCancel(ctx), tx, e.seq, ev); err != nil {
			return last, err
		}
		last = e.seq
	}
	return last, nil
}
