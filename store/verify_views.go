package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

// verifyViews compares the views with views that are rebuilt from the events.
func (s *Store) verifyViews(ctx context.Context, v *proof.Verification, l *layout) error {
	err := ErrMoved
	for n := 0; n < 5 && errors.Is(err, ErrMoved); n++ {
		err = s.compareViews(ctx, s.path, v, l)
	}
	if errors.Is(err, record.ErrNoEvent) || errors.Is(err, record.ErrNewerEvent) || errors.Is(err, ErrDamaged) || isConstraint(err) {
		v.Problem(proof.Altered, "the views cannot be rebuilt: %v", err)
		return nil
	}
	return err // no room for a temporary file, for example: that is no finding
}

// compareViews returns ErrMoved if the record was pruned meanwhile.
func (s *Store) compareViews(ctx context.Context, path string, v *proof.Verification, l *layout) error {
	const query = `SELECT coalesce(max(seq), 0) - count(*) FROM events`
	var gone, goneNow int64
	if err := s.db.QueryRowContext(ctx, query).Scan(&gone); err != nil {
		return classify(err)
	}
	r, size, err := openRebuilt(ctx, path)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.inTx(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, query).Scan(&goneNow); err != nil {
			return err
		}
		if goneNow != gone { // pruned while the views were rebuilt, which read page by page
			return ErrMoved
		}
		// What came in since the rebuild belongs to both sides.
		if _, err := projectAll(ctx, tx, tx, size); err != nil {
			return err
		}
		for _, view := range views {
			if !l.hasView(view) {
				continue // which is said already, and it may be anything
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
	// EXCEPT compares sets; the counts show rows that are there twice.
	query := fmt.Sprintf(`SELECT max((SELECT count(*) FROM (SELECT * FROM main.%[1]s EXCEPT SELECT * FROM record.%[1]s)) +
		(SELECT count(*) FROM (SELECT * FROM record.%[1]s EXCEPT SELECT * FROM main.%[1]s)),
		abs((SELECT count(*) FROM main.%[1]s) - (SELECT count(*) FROM record.%[1]s)))`, view)
	err := classify(tx.QueryRowContext(ctx, query).Scan(&differ))
	if errors.Is(err, ErrDamaged) || isStatement(err) { // no such table, or with other columns
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
