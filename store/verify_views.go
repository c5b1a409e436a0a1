package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store/sqlite"
	"github.com/klp-audit/klp-audit/store/views"
)

// madeViews is a temporary database with views built from the events of a record.
type madeViews struct {
	*Store
	size int64 // number of the last event in them
	gone int64 // how many events of the record up to that one had no body
	bad  error // why they could not be built; nil: they were
}

// newViews makes the database, still without views.
func (s *Store) newViews() (*madeViews, error) {
	temp, err := newTemp(s.path)
	return &madeViews{Store: temp}, err
}

var errNotTakenIn = fmt.Errorf("%w: not all can be taken in", record.ErrNoEvent)

// make builds the views of a record from the outlines of its events. It returns the error of
// reading them; a faulty event does not stop it.
func (m *madeViews) make(ctx context.Context, h head, pages iter.Seq2[[]*view.Outline, error]) error {
	m.size, m.gone = h.size, h.size-h.events
	return m.db.InTx(ctx, func(tx *sql.Tx) error {
		load, err := newLoad(ctx, tx)
		if err != nil {
			return err
		}
		for o, err := range sqlite.RowsOf(pages) {
			switch {
			case err != nil:
				return err
			case m.bad != nil:
			case o == nil:
				m.bad = errNotTakenIn
			default: // reading the next page notices that ctx has ended
				m.bad = load.Add(context.WithoutCancel(ctx), o)
			}
		}
		if m.bad == nil {
			m.bad = load.Finish(ctx)
		}
		return nil
	})
}

// verifyViews compares the views with those built from the events.
func (s *Store) verifyViews(ctx context.Context, v *proof.Verification, l *layout, made *madeViews) error {
	err := sqlite.Classify(made.bad)
	if err == nil {
		err = made.db.Attach(ctx, s.path, "record")
	}
	if err == nil {
		err = made.compare(ctx, v, l)
	}
	for n := 0; n < 5 && errors.Is(err, ErrMoved); n++ {
		err = s.compareAgain(ctx, v, l)
	}
	if errors.Is(err, record.ErrNoEvent) || errors.Is(err, record.ErrNewerEvent) || errors.Is(err, ErrDamaged) || sqlite.IsConstraint(err) {
		v.Problem(proof.Altered, "the views cannot be rebuilt: %v", err)
		return nil
	}
	return err // such as no room for a temporary file: not a finding
}

// gone counts the events without a body.
const gone = `SELECT coalesce(max(seq), 0) - count(*) FROM events`

// compareAgain compares the views with newly built ones.
func (s *Store) compareAgain(ctx context.Context, v *proof.Verification, l *layout) (err error) {
	var m madeViews
	if err := s.db.QueryRowContext(ctx, gone).Scan(&m.gone); err != nil {
		return sqlite.Classify(err)
	}
	if m.Store, m.size, err = openRebuilt(ctx, s.path); err != nil {
		return err
	}
	defer m.Close()
	return m.compare(ctx, v, l)
}

// compare compares the views of the attached record with those that were built. It returns ErrMoved
// if the record was pruned meanwhile.
func (m *madeViews) compare(ctx context.Context, v *proof.Verification, l *layout) error {
	return m.db.InTx(ctx, func(tx *sql.Tx) error {
		var goneNow int64
		if err := tx.QueryRowContext(ctx, gone).Scan(&goneNow); err != nil {
			return err
		}
		if goneNow != m.gone { // pruned while the views were built page by page
			return ErrMoved
		}
		// Events that were added since belong to both sides.
		if err := projectAll(ctx, tx, tx, m.size); err != nil {
			return err
		}
		work := progress.Begin(ctx, "comparing views", int64(len(views.Tables)))
		defer work.End()
		for _, view := range views.Tables {
			work.Add(1)
			if !l.hasView(view) {
				continue // already reported, and its content means nothing
			}
			if err := compareView(ctx, tx, view, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func compareView(ctx context.Context, tx *sql.Tx, view string, v *proof.Verification) error {
	var differ int64
	// EXCEPT compares sets; the counts reveal rows that appear twice.
	query := fmt.Sprintf(`SELECT max((SELECT count(*) FROM (SELECT * FROM main.%[1]s EXCEPT SELECT * FROM record.%[1]s)) +
		(SELECT count(*) FROM (SELECT * FROM record.%[1]s EXCEPT SELECT * FROM main.%[1]s)),
		abs((SELECT count(*) FROM main.%[1]s) - (SELECT count(*) FROM record.%[1]s)))`, view)
	err := sqlite.Classify(tx.QueryRowContext(ctx, query).Scan(&differ))
	if errors.Is(err, ErrDamaged) || sqlite.IsBadStatement(err) { // the table is missing, or has other columns
		v.Problem(proof.Altered, "view %q: %v; `klp-audit rebuild` makes it anew", view, err)
		return nil
	}
	if err != nil {
		return err
	}
	if differ > 0 {
		v.Problem(proof.Altered, "view %q differs from what the events say in %d rows; `klp-audit rebuild` makes it anew", view, differ)
	}
	return nil
}
