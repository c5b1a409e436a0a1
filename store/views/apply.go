package views

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
)

// mutation is one statement on the views: a query, or a row for a table.
type mutation struct {
	query string
	table *table
	args  []any
	guard bool // if it changes no row, the mutations after it do not apply
	wide  bool // it reads or changes rows that other events made in a table
}

// table is a view to which events only add rows, so its rows may wait.
type table struct{ insert, row string }

func newTable(name, columns string) *table {
	row := "(?" + strings.Repeat(", ?", strings.Count(columns, ",")) + ")"
	return &table{"INSERT INTO " + name + " (" + columns + ") VALUES " + row, row}
}

func (t *table) add(values ...any) mutation { return mutation{table: t, args: values} }

var (
	sightings = newTable("sightings", "event, time, boot_id, boottime_us, spooled")
	recorders = newTable("recorders", "event, time, cause, version, machine_id, key")
	snapshots = newTable("snapshots", "event, root_subvolume")
	releases  = newTable("releases", "event")
	changes   = newTable("changes", Names(ChangeColumns))
)

// apply returns what an event changes in the views. It is pure: the same event always gives the
// same mutations, so that the views can be rebuilt row for row. For a kind that only a newer
// program knows, it does what it does for every event.
func apply(o *view.Outline) []mutation {
	return slices.Concat(applyRows(o), applyBoots(o), applyBooted(o))
}

// applyRows is the part of apply for all tables except those of boots.
func applyRows(o *view.Outline) []mutation {
	return slices.Concat(applySighting(o), applySnapshot(o), applyIdentity(o), applyCommit(o), applyObservation(o), applyException(o), applyRelease(o))
}

// applySighting records that the machine ran when the event was written, according to its header.
func applySighting(o *view.Outline) []mutation {
	h := &o.Header
	if h.BootID == "" { // /proc did not say
		return nil
	}
	return []mutation{sightings.add(o.Event, h.Time.UnixMicro(), h.BootID, h.BoottimeUS, h.Spooled != "")}
}

func applyIdentity(o *view.Outline) []mutation {
	is, h := o.Identity, &o.Header
	if is == nil {
		return nil
	}
	return []mutation{recorders.add(o.Event, h.Time.UnixMicro(), is.Cause, h.Recorder.Version, h.Host.MachineID, is.Key)}
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

// rowsAtOnce is how many rows one statement inserts: SQLite copies each page that a statement
// changes, so a statement for each row takes five times as long.
const rowsAtOnce = 100

// together joins rows of the same table, up to a full statement.
func together(ms []mutation) (joined []mutation) {
	for len(ms) > 0 {
		n := 1
		for n < min(len(ms), rowsAtOnce) && ms[0].table != nil && ms[n].table == ms[0].table {
			n++
		}
		if n < rowsAtOnce {
			n = 1
		}
		if ms[0].table != nil {
			joined = append(joined, ms[0].table.insertion(ms[:n]))
		} else {
			joined = append(joined, ms[0])
		}
		ms = ms[n:]
	}
	return joined
}

// insertion returns the statement that adds rows.
func (t *table) insertion(rows []mutation) mutation {
	if len(rows) == 1 {
		return mutation{query: t.insert, args: rows[0].args}
	}
	m := mutation{query: t.insert + strings.Repeat(", "+t.row, len(rows)-1), args: make([]any, 0, len(rows)*len(rows[0].args))}
	for _, one := range rows {
		m.args = append(m.args, one.args...)
	}
	return m
}

// Project adds one event to the views.
func Project(ctx context.Context, tx *sql.Tx, o *view.Outline) error {
	return each(o.Event, together(apply(o)), func(m mutation) (int64, error) { return execute(ctx, tx, m) })
}

// each applies what an event changes in the views; do returns how many rows it changed.
func each(event int64, ms []mutation, do func(mutation) (int64, error)) error {
	for _, m := range ms {
		n, err := do(m)
		if err != nil {
			return fmt.Errorf("applying event %d: %w", event, err)
		}
		if m.guard && n == 0 {
			return nil
		}
	}
	return nil
}

func execute(ctx context.Context, tx *sql.Tx, m mutation) (changed int64, err error) {
	res, err := tx.ExecContext(ctx, m.query, m.args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// applySnapshot records that an event says what was installed on the running system, and that
// everything that differs from the previous snapshot is on record.
func applySnapshot(o *view.Outline) []mutation {
	if !o.Snapshot {
		return nil
	}
	return []mutation{snapshots.add(o.Event, orNull(o.Whole.Snapshot().Subvolume))}
}

// applyRelease records which events say what the vendor has released. The details stay in the
// event.
func applyRelease(o *view.Outline) []mutation {
	if o.Release == nil {
		return nil
	}
	return []mutation{releases.add(o.Event)}
}

// GrantColumns are the columns of the view exceptions that an added exception fills; writers and
// readers share the list.
const GrantColumns = `id, event, time, check_id, cve, advisory, reason, until, login, sudo_user, automation`

// applyException writes an exception, or its end, into the view. Only the first end counts.
func applyException(o *view.Outline) []mutation {
	x, h := o.Exception, &o.Header
	if x == nil {
		return nil
	}
	login, sudo, automation := orNull(x.Actor.Login), orNull(x.Actor.SudoUser), orNull(x.Actor.Automation)
	switch {
	case x.Action == record.ExceptionAdd && x.Until != nil:
		return []mutation{{
			query: `INSERT INTO exceptions (` + GrantColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			args:  []any{h.ID, o.Event, h.Time.UnixMicro(), x.Check, x.CVE, x.Advisory, x.Reason, x.Until.UnixMicro(), login, sudo, automation},
		}}
	case x.Action == record.ExceptionEnd:
		return []mutation{{
			query: `UPDATE exceptions SET end_event = ?, end_time = ?, end_login = ?, end_sudo_user = ?, end_automation = ?
				WHERE id = ? AND end_event IS NULL`,
			args: []any{o.Event, h.Time.UnixMicro(), login, sudo, automation, x.Exception},
		}}
	}
	return nil
}
