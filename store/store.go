// Package store keeps the record: an append-only log of events in SQLite, a Merkle tree
// over their exact bytes with signed checkpoints, and views that are derived from the
// events alone. It is the only importer of database/sql and go-sqlite3.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

const (
	// StateDir is where the record lives, below the root of the file system.
	StateDir = "var/lib/klp-audit"
	// Schema is the version of the views. An older one is rebuilt from the events, a
	// newer one is refused.
	Schema = 4

	applicationID = 0x4b4c5041 // "KLPA"
)

var (
	//go:embed schema.sql
	logSchema string
	//go:embed views.sql
	viewSchema string
	//go:embed views-3.sql
	viewSchema3 string // of 0.1.0
	views       = []string{"recorders", "commits", "changes", "observations", "sightings", "boots", "boot_looks", "patch_loads", "image_builds", "exceptions", "snapshots", "totals"}
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
	path    string // of the file; empty: of an export
	exact   *int64 // of a writer: SQLite's number of the tables that were found to be right; nil: none
	temp    string // folder with rebuilt views, removed by Close
	known   *known // of a record of the first events of another one; nil: it is whole

	patience time.Duration // with who holds the record
	stuck    []error       // why files stay in the spool

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

// AnnounceIf has checkpoints go to the journal only where wanted says so; it is asked when
// there is one.
func (s *Store) AnnounceIf(wanted func() bool) { s.toJournal = wanted }

// announces says whether checkpoints go to the journal: those of this machine's record.
func (s *Store) announces() bool {
	return ownMachine(s.root) && (s.toJournal == nil || s.toJournal())
}

func (s *Store) announce(cp *Checkpoint) {
	if cp != nil && s.announces() {
		cp.announce()
	}
}

// Close closes the record.
func (s *Store) Close() error {
	err := s.db.Close()
	if s.temp != "" {
		err = errors.Join(err, os.RemoveAll(s.temp))
	}
	return err
}

func readOnly(ctx context.Context) url.Values {
	return url.Values{"mode": {"ro"}, "_query_only": {"1"}, "_busy_timeout": {milliseconds(lockTime(ctx))}}
}

// sqliteFiles are what SQLite opens beside a database, if it is there.
var sqliteFiles = [...]string{"", "-journal", "-wal", "-shm"}

func openDB(path string, params url.Values) (*sql.DB, error) {
	// database/sql gives a connection to one goroutine at a time, so that SQLite's mutexes
	// around each column of each row guard nothing.
	params.Set("_mutex", "no")
	params.Set("_stmt_cache_size", "64") // more than there are: each is prepared once
	for _, suffix := range sqliteFiles {
		if err := rooted.Regular(path + suffix); err != nil {
			return nil, err // SQLite would wait for a FIFO
		}
	}
	db := sql.OpenDB(connector("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + params.Encode()))
	db.SetMaxOpenConns(1)
	return db, nil
}

// connector opens a database by its name, which is a URI.
type connector string

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(string(c)) }

// Driver implements driver.Connector.
func (connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{ConnectHook: defend} }

// maxText bounds a text of SQL or a value that SQLite makes.
const maxText = maxExportLine

// defend readies a connection for a file that somebody may have made to do harm: its schema runs
// no function with effects, each page is checked as it is read, and nothing in it grows without
// end (see sqlite.org/security.html).
func defend(c *sqlite3.SQLiteConn) error {
	for limit, most := range map[int]int{
		sqlite3.SQLITE_LIMIT_LENGTH: maxText, sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 20, sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 4,
		sqlite3.SQLITE_LIMIT_ATTACHED: 1, sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100, sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
	} {
		c.SetLimit(limit, most)
	}
	_, err := c.Exec(`PRAGMA trusted_schema = 0; PRAGMA cell_size_check = 1`, nil)
	return err
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

// prepareIn is prepare within a transaction: another writer may have been faster. It says what
// was found to be changed.
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
	if errors.Is(err, record.ErrNoEvent) || errors.Is(err, record.ErrNewerEvent) || isConstraint(err) {
		return fmt.Sprintf("its events cannot all be read: %v", err), rebuildReadable(ctx, tx)
	}
	return "", err
}

// inTx runs f in one transaction. When ctx ends, a statement of f fails, and the transaction is
// rolled back before inTx returns: database/sql would do that in its own time, and a process
// that ends before leaves the record unfinished.
func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.setLockTime(ctx); err != nil {
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

// named names the record that an error is about, and who holds it, if that is what is wrong.
func named(path string, err error) error {
	if IsLocked(err) {
		if h := HeldBy(path); h != nil {
			return fmt.Errorf("record %q: held by %s: %w", path, h, err)
		}
	}
	return fmt.Errorf("record %q: %w", path, err)
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

// makeDir creates a folder with exactly this mode, whatever the umask, and those above it, durably;
// an existing one stays as it is.
func makeDir(dir string, mode fs.FileMode, gid int) error {
	above := filepath.Dir(dir)
	if _, err := os.Stat(above); errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(above, 0o755, -1); err != nil {
			return err
		}
	}
	parent, err := os.OpenRoot(above)
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := parent.Mkdir(filepath.Base(dir), mode); errors.Is(err, fs.ErrExist) {
		return own(dir)
	} else if err != nil {
		return err
	}
	// Not even its owner may open a folder with the mode that some umasks leave.
	if err := parent.Chmod(filepath.Base(dir), mode); err != nil {
		return err
	}
	f, err := parent.OpenFile(filepath.Base(dir), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(chownGroup(f, gid), f.Close(), syncDir(above))
}

// chownGroup gives a file to a group; gid -1 and users that may not are left alone.
func chownGroup(f *os.File, gid int) error {
	if gid < 0 || os.Geteuid() != 0 {
		return nil
	}
	return f.Chown(0, gid)
}

// groupID looks a group up in the group file, -1 if it has none. The name service is not
// asked: it may wait for a network.
func groupID(root, name string) int {
	text, _ := readAtMost(filepath.Join(root, "etc/group"), rooted.MaxFile)
	for line := range strings.Lines(text) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] == name {
			if gid, err := strconv.Atoi(f[2]); err == nil {
				return gid
			}
		}
	}
	return -1
}
