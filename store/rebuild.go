package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"strings"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store/sqlite"
	"github.com/klp-audit/klp-audit/store/views"
)

// rebuildReadable builds the views of a log that is not intact. It leaves out events that do not
// fit into them: no recorder wrote those.
func rebuildReadable(ctx context.Context, tx *sql.Tx) error {
	if err := emptyViews(ctx, tx); err != nil {
		return err
	}
	for e, err := range all(ctx, tx, "deriving views") {
		if err != nil {
			return err
		}
		ev, bad := record.DecodeAt(e.seq, e.body)
		if bad != nil {
			continue
		}
		if err := attempt(ctx, tx, func() error { return views.Project(ctx, tx, view.Of(e.seq, ev)) }); err != nil {
			return err
		}
	}
	return nil
}

// attempt does something in a transaction, and undoes it if the database refuses it.
func attempt(ctx context.Context, tx *sql.Tx, do func() error) error {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT attempt`); err != nil {
		return err
	}
	err := do()
	if err != nil && !sqlite.IsConstraint(err) {
		return err
	}
	if err != nil {
		if _, err := tx.ExecContext(ctx, `ROLLBACK TO attempt`); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `RELEASE attempt`)
	return err
}

// collectLess makes garbage collection rarer until the returned function is called. Reading a log
// from end to end uses little memory at a time, so the extra memory is small.
func collectLess() (again func()) {
	before := debug.SetGCPercent(300)
	return func() { debug.SetGCPercent(before) }
}

// Rebuild drops the views and derives them again from the events.
func (s *Store) Rebuild(ctx context.Context) error {
	defer collectLess()()
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := rebuild(ctx, tx, tx)
		return err
	})
	if err != nil {
		err = named(Path(s.root), err)
	}
	return err
}

// rebuild builds the views from a log, which may be in another database, and returns the sequence
// number of the last event in them.
func rebuild(ctx context.Context, tx *sql.Tx, log sqlite.Querier) (last int64, err error) {
	load, err := newLoad(ctx, tx)
	if err != nil {
		return 0, err
	}
	for o, err := range sqlite.RowsOf(outlines(allPages(ctx, log, "deriving views"))) {
		if err != nil {
			return last, err
		}
		// Reading the next page notices if ctx has ended; checking for each statement would cost a
		// goroutine.
		if err := load.Add(context.WithoutCancel(ctx), o); err != nil {
			return last, err
		}
		last = o.Event
	}
	return last, load.Finish(ctx)
}

// newLoad starts to build the views.
func newLoad(ctx context.Context, tx *sql.Tx) (*views.Load, error) {
	if err := dropViews(ctx, tx); err != nil {
		return nil, err
	}
	return views.NewLoad(ctx, tx)
}

// emptyViews creates the views without rows.
func emptyViews(ctx context.Context, tx *sql.Tx) error {
	err := dropViews(ctx, tx)
	if err == nil {
		_, err = tx.ExecContext(ctx, views.SQL)
	}
	return err
}

// dropViews drops the views and stores the version of those that will follow.
func dropViews(ctx context.Context, tx *sql.Tx) error {
	for _, v := range views.Tables {
		if _, err := tx.ExecContext(ctx, `DROP TABLE IF EXISTS `+v); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d`, ApplicationID, Schema))
	return err
}

// projectAll adds the events after a sequence number to the views, which already hold those before.
func projectAll(ctx context.Context, tx *sql.Tx, log sqlite.Querier, after int64) error {
	for o, err := range sqlite.RowsOf(outlines(pages(ctx, log, after))) {
		if err != nil {
			return err
		}
		if err := views.Project(context.WithoutCancel(ctx), tx, o); err != nil {
			return err
		}
	}
	return nil
}

// outlines yields the outlines of the events of a log, page by page.
func outlines(pages iter.Seq2[[]event, error]) iter.Seq2[[]*view.Outline, error] {
	return sqlite.Beside(pages, outlined)
}

// outlined returns the outlines of the first events of a page that can be read, and the error of
// the next one.
func outlined(page []event) (list []*view.Outline, err error) {
	for _, e := range page {
		ev, err := record.DecodeAt(e.seq, e.body)
		if err != nil {
			return list, fmt.Errorf("event %d: %w", e.seq, err)
		}
		list = append(list, view.Of(e.seq, ev))
	}
	return list, nil
}

// prepareIn is prepare within a transaction, because another writer may have been faster. It
// returns what had been changed.
func (s *Store) prepareIn(ctx context.Context, tx *sql.Tx) (problem string, err error) {
	var cookie int64
	err = tx.QueryRowContext(ctx, `PRAGMA main.schema_version`).Scan(&cookie)
	if err != nil || s.exact != nil && *s.exact == cookie {
		return "", err
	}
	l, err := readLayout(ctx, tx)
	switch {
	case errors.Is(err, errNothingThere):
		_, err = tx.ExecContext(ctx, logSchema)
	case err != nil || l.exact():
		return "", err
	default:
		var differences []string
		if differences, err = l.differences(ctx); len(differences) > 0 {
			return strings.Join(differences, "; "), errors.Join(l.repair(ctx, tx), rebuildReadable(ctx, tx))
		}
	}
	if err == nil {
		_, err = rebuild(ctx, tx, tx)
	}
	if errors.Is(err, record.ErrNoEvent) || errors.Is(err, record.ErrNewerEvent) || sqlite.IsConstraint(err) {
		return fmt.Sprintf("its events cannot all be read: %v", err), rebuildReadable(ctx, tx)
	}
	return "", err
}
