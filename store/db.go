package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record/proof"
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

// ErrMoved says that others have written to the record since it was read.
var ErrMoved = errors.New("the record has grown meanwhile")

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

// maxText bounds a text of SQL or a value that SQLite makes: no event is longer than a line of an export.
const maxText = proof.MaxExportLine

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

// sqliteFiles are what SQLite opens beside a database, if it is there.
var sqliteFiles = [...]string{"", "-journal", "-wal", "-shm"}

func readOnly(ctx context.Context) url.Values {
	return url.Values{"mode": {"ro"}, "_query_only": {"1"}, "_busy_timeout": {milliseconds(lockTime(ctx))}}
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

// setLockTime has what follows on the connection wait no longer than it may.
func (s *Store) setLockTime(ctx context.Context) error {
	_, err := s.db.ExecContext(context.WithoutCancel(ctx), `PRAGMA busy_timeout = `+milliseconds(min(s.patience, lockTime(ctx))))
	return err
}

// lockTime is how long that is where ctx may end before.
func lockTime(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(0, min(maxLockTime, time.Until(deadline)))
	}
	return maxLockTime
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// maxLockTime is how long who holds the record is waited for: longer, and an event goes to the
// spool.
const maxLockTime = 2 * time.Second

// classify tells apart the SQLite errors that a user can do something about.
func classify(err error) error {
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrUnfinished) {
		return err // it was told already
	}
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
