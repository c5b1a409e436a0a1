package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/klp-audit/klp-audit/record"
)

// Open opens the record below root to write to it and creates it if there is none: the
// folder with mode 0750, the database with 0640, both of the group klp-audit if it
// exists, whatever the umask. version is the program's. Views of an older schema are
// rebuilt.
func Open(ctx context.Context, root, version string) (*Store, error) {
	path := Path(root)
	if err := createFile(root, path); err != nil {
		return nil, err
	}
	db, err := openDB(path, url.Values{
		"_txlock": {"immediate"}, "_busy_timeout": {milliseconds(lockTime(ctx))},
		"_synchronous": {"EXTRA"}, "_foreign_keys": {"on"},
	})
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, path: path, root: root, version: version, patience: maxLockTime}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(named(path, err), db.Close())
	}
	return s, nil
}

// OpenReadOnly opens the record at path without any need to write. Views of an older
// schema are rebuilt into a temporary file.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	db, l, err := openToRead(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	if !l.exact() {
		s, _, err := openRebuilt(ctx, path)
		return s, errors.Join(err, db.Close())
	}
	return &Store{db: db, path: path, patience: maxLockTime}, nil
}

// openToRead opens a record whose log can be read, and looks at its tables. Of the errors of
// that look one may be tolerated; nil: none.
func openToRead(ctx context.Context, path string, tolerated error) (*sql.DB, *layout, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w at %q", ErrNoRecord, path)
	} else if err != nil {
		return nil, nil, err
	}
	db, err := openDB(path, readOnly(ctx))
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

// createFile makes the state folder and an empty database in it, with the modes that the
// record must have from its first moment.
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

// prepare brings a new or older database up to date, and one that somebody else has changed.
func (s *Store) prepare(ctx context.Context) error {
	l, err := readLayout(ctx, s.db)
	if err == nil && l.exact() {
		s.exact = &l.cookie
		return nil
	} else if err != nil && !errors.Is(err, errNothingThere) {
		return err
	}
	// A record without any event does not exist: one with none has lost them.
	_, err = s.write(ctx, func(*appender) error { return nil })
	return err
}

// AnnounceIf has checkpoints go to the journal only where wanted says so; it is asked when
// there is one.
func (s *Store) AnnounceIf(wanted func() bool) { s.toJournal = wanted }

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

// newTemp makes an empty database that goes when it is closed. path is the record's that it is
// for; empty: an export's. It is in a folder of its own: beside a file in a shared one, anybody
// could lay a journal that SQLite would roll back into it.
func newTemp(path string) (*Store, error) {
	dir, err := os.MkdirTemp("", "klp-audit-views-")
	if err != nil {
		return nil, err
	}
	db, err := openDB(filepath.Join(dir, "views.db"), url.Values{"_synchronous": {"OFF"}, "_journal_mode": {"MEMORY"}})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &Store{db: db, path: path, temp: dir, patience: maxLockTime}, nil
}

// openRebuilt makes a temporary database with the views, rebuilt from the events of the
// record at path, which it attaches under the name `record` and only reads. It returns
// how many events the views hold.
func openRebuilt(ctx context.Context, path string) (*Store, int64, error) {
	source, err := openDB(path, readOnly(ctx))
	if err != nil {
		return nil, 0, err
	}
	defer source.Close()
	s, err := newTemp(path)
	if err != nil {
		return nil, 0, err
	}
	var size int64
	err = s.inTx(ctx, func(tx *sql.Tx) (err error) {
		size, err = rebuild(ctx, tx, source)
		return err
	})
	if err == nil {
		_, err = s.db.ExecContext(ctx, `ATTACH ? AS record`, "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro")
	}
	if isConstraint(err) || errors.Is(err, record.ErrNoEvent) {
		err = fmt.Errorf("%w: its events cannot be: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, 0, errors.Join(named(path, classify(err)), s.Close())
	}
	return s, size, nil
}
