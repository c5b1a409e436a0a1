// Package sqlite opens SQLite databases and reads rows from them: how a connection is made safe,
// how long to wait for a lock and who holds it, which errors there are, and what a column holds. It
// knows nothing about the content of a database. It is the only importer of go-sqlite3.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/url"
	"strconv"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// DB is an open database, with one connection.
type DB struct {
	*sql.DB
	patience time.Duration // how long to wait for another process that holds the database
}

// Querier is a database, or a transaction on it.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Open opens the existing database at path for writing. What was committed survives a power cut.
func Open(ctx context.Context, path string) (*DB, error) {
	return open(path, url.Values{
		"_txlock": {"immediate"}, "_busy_timeout": {milliseconds(lockTime(ctx))},
		"_synchronous": {"EXTRA"}, "_foreign_keys": {"on"},
	})
}

// OpenReadOnly opens the database at path and needs no write permission.
func OpenReadOnly(ctx context.Context, path string) (*DB, error) {
	return open(path, url.Values{"mode": {"ro"}, "_query_only": {"1"}, "_busy_timeout": {milliseconds(lockTime(ctx))}})
}

// OpenTemp makes a database at path that only this process uses, and that disappears with it.
func OpenTemp(path string) (*DB, error) {
	return open(path, url.Values{"_synchronous": {"OFF"}, "_journal_mode": {"MEMORY"}})
}

// OpenMemory makes a database that is not in a file.
func OpenMemory() (*DB, error) { return open(":memory:", url.Values{}) }

func open(path string, params url.Values) (*DB, error) {
	// database/sql gives a connection to one goroutine at a time, so SQLite's mutexes around each
	// column of each row protect nothing.
	params.Set("_mutex", "no")
	params.Set("_stmt_cache_size", "64") // more than there are statements: each is prepared once
	for _, suffix := range files {
		if err := rooted.Regular(path + suffix); err != nil {
			return nil, err // SQLite would block on a FIFO
		}
	}
	db := sql.OpenDB(connector(uri(path) + "?" + params.Encode()))
	db.SetMaxOpenConns(1)
	return &DB{db, maxLockTime}, nil
}

// files are the suffixes of the files that SQLite opens with a database, if they exist.
var files = [...]string{"", "-journal", "-wal", "-shm"}

// uri names a file for SQLite, whatever characters its path contains.
func uri(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// connector opens a database by its name, which is a URI.
type connector string

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(string(c)) }

// Driver implements driver.Connector.
func (connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{ConnectHook: defend} }

// MaxText limits the bytes of an SQL text or a value that SQLite makes.
const MaxText = 64 << 20

// defend prepares a connection for a file that somebody may have crafted to do harm: its schema
// runs no function with side effects, each page is checked when it is read, and nothing grows
// without limit (see sqlite.org/security.html).
func defend(c *sqlite3.SQLiteConn) error {
	for limit, most := range map[int]int{
		sqlite3.SQLITE_LIMIT_LENGTH: MaxText, sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 20, sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 4,
		sqlite3.SQLITE_LIMIT_ATTACHED: 1, sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100, sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
	} {
		c.SetLimit(limit, most)
	}
	_, err := c.Exec(`PRAGMA trusted_schema = 0; PRAGMA cell_size_check = 1`, nil)
	return err
}

// Attach adds the database at path under a name, for reading.
func (db *DB) Attach(ctx context.Context, path, name string) error {
	_, err := db.ExecContext(ctx, `ATTACH ? AS `+name, uri(path)+"?mode=ro")
	return err
}

// CopyTo copies a database that is open for reading to a new file. Unlike a copy of the file, it is
// consistent even if somebody writes meanwhile.
func (db *DB) CopyTo(ctx context.Context, path string) error {
	// query_only would forbid writing the new file, too.
	_, err := db.ExecContext(ctx, `PRAGMA query_only = 0; VACUUM INTO ?; PRAGMA query_only = 1`, uri(path))
	return Classify(err)
}

// InTx runs f in one transaction. When ctx ends, a statement of f fails, and the transaction is
// rolled back before InTx returns: database/sql would do that later, and a process that exits
// before that leaves the database unfinished. Errors are classified.
func (db *DB) InTx(ctx context.Context, f func(*sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := db.setLockTime(ctx); err != nil {
		return err
	}
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return Classify(err)
	}
	if err := f(tx); err != nil {
		tx.Rollback() // if the disk is full SQLite has already rolled back, and reports an error
		return Classify(err)
	}
	return Classify(tx.Commit())
}

// maxLockTime is the longest wait for a process that holds the database: after that, a commit goes
// on without the record.
const maxLockTime = 2 * time.Second

// WaitAtMost bounds how long a transaction waits for a process that holds the database. It never
// waits longer than its context or 2 s.
func (db *DB) WaitAtMost(d time.Duration) { db.patience = min(d, maxLockTime) }

// setLockTime limits how long the next statements on the connection may wait.
func (db *DB) setLockTime(ctx context.Context) error {
	_, err := db.ExecContext(context.WithoutCancel(ctx), `PRAGMA busy_timeout = `+milliseconds(min(db.patience, lockTime(ctx))))
	return err
}

// lockTime returns that limit, as ctx may end earlier.
func lockTime(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(0, min(maxLockTime, time.Until(deadline)))
	}
	return maxLockTime
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
