package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/klp-audit/klp-audit/record"
)

// OpenAltered opens what can be understood of a record that is not intact, for a report on what
// it says: as with an export, the views are made from its events in a temporary file, and
// events that cannot be read are left out. The views of such a record may say anything.
func OpenAltered(ctx context.Context, path string) (*Store, error) {
	source, err := openDB(path, readOnly(ctx))
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if _, err := readLayout(ctx, source); err != nil {
		return nil, named(path, err)
	}
	s, err := newTemp(path)
	if err != nil {
		return nil, err
	}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, logSchema); err != nil {
			return err
		}
		if err := salvage(ctx, tx, source); err != nil {
			return err
		}
		return rebuildReadable(ctx, tx)
	})
	if err != nil {
		return nil, errors.Join(named(path, classify(err)), s.Close())
	}
	return s, nil
}

// salvage copies the events that can be read, and the checkpoint.
func salvage(ctx context.Context, tx *sql.Tx, source *sql.DB) error {
	for e, err := range events(ctx, source, 0) {
		if err != nil {
			return err
		}
		if _, bad := record.DecodeAt(e.seq, e.body); bad != nil {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO events (seq, body) VALUES (?, ?)`, e.seq, string(e.body)); err != nil {
			return err
		}
	}
	var size int64
	var note string
	err := source.QueryRowContext(ctx, `SELECT size, note FROM checkpoint`).Scan(&size, &note)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT OR IGNORE INTO checkpoint (id, size, note) VALUES (1, ?, ?)`, size, note)
	return err
}

// rebuildReadable makes the views of a log that is not intact. An event that does not fit into
// them was written by no recorder, and is left out.
func rebuildReadable(ctx context.Context, tx *sql.Tx) error {
	if err := emptyViews(ctx, tx); err != nil {
		return err
	}
	for e, err := range events(ctx, tx, 0) {
		if err != nil {
			return err
		}
		ev, bad := record.DecodeAt(e.seq, e.body)
		if bad != nil {
			continue
		}
		if err := attempt(ctx, tx, func() error { return project(ctx, tx, e.seq, ev) }); err != nil {
			return err
		}
	}
	return nil
}

// attempt does something in a transaction, and undoes it if the database does not take it.
func attempt(ctx context.Context, tx *sql.Tx, do func() error) error {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT attempt`); err != nil {
		return err
	}
	err := do()
	if err != nil && !isConstraint(err) {
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
