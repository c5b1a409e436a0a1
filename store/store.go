// Package store keeps the record: an append-only log of events in SQLite, a Merkle tree
// over their exact bytes with signed checkpoints, and views that are derived from the
// events alone. It is the only importer of database/sql and go-sqlite3.
package store

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mattn/go-sqlite3"
)

const (
	// StateDir is where the record lives, below the root of the file system.
	StateDir = "var/lib/klp-audit"
	// Schema is the version of the views. An older one is rebuilt from the events, a
	// newer one is refused.
	Schema = 3

	noSchema      = -1         // of a database without tables
	applicationID = 0x4b4c5041 // "KLPA"
	busyTimeout   = "2000"     // milliseconds: longer, and the event goes to the spool
)

var (
	//go:embed schema.sql
	logSchema string
	//go:embed views.sql
	viewSchema string
	views      = []string{"recorders", "commits", "changes", "observations", "boots", "patch_loads", "image_builds", "exceptions", "snapshots", "totals"}
)

var (
	// ErrNoRecord says that there is no record at a path. Readers never create one.
	ErrNoRecord = errors.New("no record")
	// ErrNewer says that a newer klp-audit wrote the record.
	ErrNewer = errors.New("record of a newer klp-audit")
	// ErrUnfinished says that a writer died in the middle, and that the next writer has
	// to roll back what it left before a reader without write permission can read.
	ErrUnfinished = errors.New("unfinished write")
	// ErrDamaged says that SQLite cannot make sense of the file.
	ErrDamaged = errors.New("damaged record")
)

// Store is an open record.
type Store struct {
	db      *sql.DB
	root    string // of a writer
	version string // of a writer: the program's
	temp    string // folder with rebuilt views, removed by Close

	toJournal func() bool // whether a checkpoint goes to the journal; nil: it does
}

// Path returns the path of the record of the machine whose file tree is at root.
func Path(root string) string { return filepath.Join(root, "/", StateDir, "klp-audit.db") }

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
		"_txlock": {"immediate"}, "_busy_timeout": {busyTimeout},
		"_synchronous": {"EXTRA"}, "_foreign_keys": {"on"},
	})
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, root: root, version: version}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(named(path, err), db.Close())
	}
	return s, nil
}

// OpenReadOnly opens the record at path without any need to write. Views of an older
// schema are rebuilt into a temporary file.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w at %q", ErrNoRecord, path)
	} else if err != nil {
		return nil, err
	}
	db, err := openDB(path, readOnly())
	if err != nil {
		return nil, err
	}
	schema, err := schemaOf(ctx, db)
	if err == nil && schema == noSchema {
		err = ErrNoRecord
	}
	if err != nil {
		return nil, errors.Join(named(path, err), db.Close())
	}
	if schema < Schema {
		s, _, err := openRebuilt(ctx, path)
		return s, errors.Join(err, db.Close())
	}
	return &Store{db: db}, nil
}

// AnnounceIf has checkpoints go to the journal only where wanted says so; it is asked when
// there is one.
func (s *Store) AnnounceIf(wanted func() bool) { s.toJournal = wanted }

// announces says whether checkpoints go to the journal: those of this machine's record.
func (s *Store) announces() bool {
	return ownMachine(s.root) && (s.toJournal == nil || s.toJournal())
}

// Close closes the record.
func (s *Store) Close() error {
	err := s.db.Close()
	if s.temp != "" {
		err = errors.Join(err, os.RemoveAll(s.temp))
	}
	return err
}

func readOnly() url.Values {
	return url.Values{"mode": {"ro"}, "_query_only": {"1"}, "_busy_timeout": {busyTimeout}}
}

func openDB(path string, params url.Values) (*sql.DB, error) {
	// database/sql gives a connection to one goroutine at a time, so that SQLite's mutexes
	// around each column of each row guard nothing.
	params.Set("_mutex", "no")
	params.Set("_stmt_cache_size", "64") // more than there are: each is prepared once
	name := "file:" + (&url.URL{Path: path}).EscapedPath()
	db, err := sql.Open("sqlite3", name+"?"+params.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// prepare brings a new or older database up to date.
func (s *Store) prepare(ctx context.Context) error {
	schema, err := schemaOf(ctx, s.db)
	if err != nil || schema == Schema {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		// Another writer may have been faster.
		if schema, err = schemaOf(ctx, tx); err != nil || schema == Schema {
			return err
		}
		if schema == noSchema {
			if _, err := tx.ExecContext(ctx, logSchema); err != nil {
				return err
			}
		}
		if _, err := rebuild(ctx, tx, tx); err != nil || schema != noSchema {
			return err
		}
		// A record without any event does not exist: one with none has lost them.
		a, err := s.newAppender(ctx, tx)
		if err != nil {
			return err
		}
		_, err = a.finish()
		return err
	})
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaOf returns the view schema of a record, noSchema for an empty database.
func schemaOf(ctx context.Context, q querier) (int, error) {
	var app, schema, tables int
	const query = `SELECT (SELECT * FROM pragma_application_id), (SELECT * FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)`
	if err := q.QueryRowContext(ctx, query).Scan(&app, &schema, &tables); err != nil {
		return 0, classify(err)
	}
	switch {
	case app == 0 && schema == 0 && tables == 0:
		return noSchema, nil
	case app != applicationID:
		return 0, fmt.Errorf("%w: it is a database of another program", ErrDamaged)
	case schema > Schema:
		return 0, fmt.Errorf("%w: its schema is %d, this program knows %d", ErrNewer, schema, Schema)
	}
	return max(schema, 0), nil
}

// inTx runs f in one transaction. When ctx ends, a statement of f fails, and the transaction is
// rolled back before inTx returns: database/sql would do that in its own time, and a process
// that ends before leaves the record unfinished.
func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := s.db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return classify(err)
	}
	if err := f(tx); err != nil {
		tx.Rollback() // SQLite itself has rolled back where the disk is full, and complains
		return classify(err)
	}
	return classify(tx.Commit())
}

// classify tells apart the SQLite errors that a user can do something about.
func classify(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.ExtendedCode == sqlite3.ErrReadonlyRollback || e.ExtendedCode == sqlite3.ErrReadonlyRecovery:
		return fmt.Errorf("%w: %w", ErrUnfinished, err)
	case e.Code == sqlite3.ErrCorrupt, e.Code == sqlite3.ErrNotADB,
		e.Code == sqlite3.ErrError && strings.Contains(e.Error(), "no such"), // table or column
		e.Code == sqlite3.ErrError && strings.Contains(e.Error(), "unsupported file format"):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

func isConstraint(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrConstraint
}

// isStatement says whether SQLite found fault with a statement.
func isStatement(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrError
}

func named(path string, err error) error { return fmt.Errorf("record %q: %w", path, err) }

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
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o640), chownGroup(path, gid), f.Close())
}

// makeDir creates a folder with exactly this mode, durably; an existing one stays as it is.
func makeDir(dir string, mode fs.FileMode, gid int) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return own(dir)
		}
		return err
	}
	return errors.Join(os.Chmod(dir, mode), chownGroup(dir, gid), syncDir(filepath.Dir(dir)))
}

// chownGroup gives a file to a group; gid -1 and users that may not are left alone.
func chownGroup(path string, gid int) error {
	if gid < 0 || os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, 0, gid)
}

// groupID looks a group up in the group file, -1 if it has none. The name service is not
// asked: it may wait for a network.
func groupID(root, name string) int {
	b, _ := os.ReadFile(filepath.Join(root, "/etc/group"))
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] == name {
			if gid, err := strconv.Atoi(f[2]); err == nil {
				return gid
			}
		}
	}
	return -1
}
