package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/klp-audit/klp-audit/internal/scratch"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// Open opens the record below root for writing and creates it if there is none: the folder with
// mode 0750, the database with 0640, both owned by the group klp-audit if it exists, whatever the
// umask. version is the program's version. Views of an older schema are rebuilt.
func Open(ctx context.Context, root, version string) (*Store, error) {
	path := Path(root)
	if err := createFile(root, path); err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, path: path, root: root, version: version}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(named(path, err), db.Close())
	}
	return s, nil
}

// OpenReadOnly opens the record at path and needs no write permission. Views of an older schema are
// rebuilt into a temporary file.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	db, l, err := openToRead(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	if !l.exact() {
		s, _, err := openRebuilt(ctx, path)
		return s, errors.Join(err, db.Close())
	}
	return &Store{db: db, path: path}, nil
}

// openToRead opens a record whose log can be read, and checks its tables. That check may fail with
// the tolerated error; nil: with none.
func openToRead(ctx context.Context, path string, tolerated error) (*sqlite.DB, *layout, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w at %q", ErrNoRecord, path)
	} else if err != nil {
		return nil, nil, err
	}
	db, err := sqlite.OpenReadOnly(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	l, err := readLayout(ctx, db)
	if errors.Is(err, errNothingThere) {
		err = ErrNoRecord
	}
	if err != nil && !errors.Is(err, tolerated) {
		return nil, nil, errors.Join(named(path, err), db.Close())
	}
	return db, l, nil
}

// createFile makes the state folder and an empty database in it, with the modes that they must have
// from the start.
func createFile(root, path string) error {
	if err := own(filepath.Dir(path)); err != nil {
		return named(path, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(path)
	gid := groupID(root, "klp-audit")
	if err := makeDir(dir, 0o750, gid); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o640)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o640), chownGroup(f, gid), f.Close())
}

// prepare updates a new or older database, and repairs one that somebody else has changed.
func (s *Store) prepare(ctx context.Context) error {
	l, err := readLayout(ctx, s.db)
	if err == nil && l.exact() {
		s.exact = &l.cookie
		return nil
	} else if err != nil && !errors.Is(err, errNothingThere) {
		return err
	}
	// A record always has an event: one without any has lost them.
	_, err = s.write(ctx, func(*appender) error { return nil })
	return err
}

// OpenAltered opens as much as can be understood of a record that is not intact, to report what it
// says. As with an export, the views are built from its events in a temporary file, because its own
// views cannot be trusted. Events that cannot be read are left out.
func OpenAltered(ctx context.Context, path string) (*Store, error) {
	source, err := sqlite.OpenReadOnly(ctx, path)
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
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, logSchema); err != nil {
			return err
		}
		if err := salvage(ctx, tx, source); err != nil {
			return err
		}
		return rebuildReadable(ctx, tx)
	})
	if err != nil {
		return nil, errors.Join(named(path, sqlite.Classify(err)), s.Close())
	}
	return s, nil
}

// salvage copies the readable events and the checkpoint.
func salvage(ctx context.Context, tx *sql.Tx, source *sqlite.DB) error {
	for e, err := range all(ctx, source, "copying events") {
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

// newTemp makes an empty database that is removed when it is closed. path is the record that it
// serves; empty: an export. It has its own folder: in a shared folder, anybody could place a
// journal next to it that SQLite would roll back into it.
func newTemp(path string) (*Store, error) {
	temp, err := scratch.NewFolder()
	if err != nil {
		return nil, err
	}
	db, err := sqlite.OpenTemp(filepath.Join(temp.Path, "views.db"))
	if err != nil {
		return nil, errors.Join(err, temp.Close())
	}
	return &Store{db: db, path: path, temp: temp}, nil
}

// openRebuilt makes a temporary database with the views, rebuilt from the events of the record at
// path. It attaches that record under the name `record` and only reads it. It returns how many
// events the views cover.
func openRebuilt(ctx context.Context, path string) (*Store, int64, error) {
	source, err := sqlite.OpenReadOnly(ctx, path)
	if err != nil {
		return nil, 0, err
	}
	defer source.Close()
	s, err := newTemp(path)
	if err != nil {
		return nil, 0, err
	}
	var size int64
	err = s.db.InTx(ctx, func(tx *sql.Tx) (err error) {
		size, err = rebuild(ctx, tx, source)
		return err
	})
	if err == nil {
		err = s.db.Attach(ctx, path, "record")
	}
	if sqlite.IsConstraint(err) || errors.Is(err, record.ErrNoEvent) {
		err = fmt.Errorf("%w: its events cannot be: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, 0, errors.Join(named(path, sqlite.Classify(err)), s.Close())
	}
	return s, size, nil
}
