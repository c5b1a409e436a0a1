// Package pg keeps the collector's logs in PostgreSQL. It is the only one that knows SQL of the
// fleet; what an upload means is decided elsewhere.
package pg

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable holds the number of the newest migration, in the schema of all other tables.
const versionTable = "schema_version"

// DefaultDatabase is the name of the database, unless PGDATABASE or the connection names another.
const DefaultDatabase = "klp_audit_fleet"

// DB is the collector's database.
type DB struct {
	pool *pgxpool.Pool
}

// Open connects to a database: dsn is a URI or keywords as libpq has them, and what it leaves out
// comes from libpq's environment variables. The user is by default the one of the system, with peer
// authentication on the server's socket.
func Open(ctx context.Context, dsn string) (*DB, error) {
	db, err := connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	if err := db.checkVersion(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func connect(ctx context.Context, dsn string) (*DB, error) {
	conf, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("reading the database's address: %w", err)
	}
	if conf.ConnConfig.Database == "" {
		conf.ConnConfig.Database = DefaultDatabase
	}
	if conf.ConnConfig.RuntimeParams["application_name"] == "" {
		conf.ConnConfig.RuntimeParams["application_name"] = "klp-audit-fleet"
	}
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, err
	}
	db := &DB{pool}
	if err := db.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// Ping returns an error, ErrConnect, if the database does not answer.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.pool.Ping(ctx); err != nil {
		return fmt.Errorf("%w %q: %w", ErrConnect, db.pool.Config().ConnConfig.Database, err)
	}
	return nil
}

// Close ends the connections.
func (db *DB) Close() { db.pool.Close() }

// ErrConnect says that the database cannot be reached.
var ErrConnect = errors.New("connecting to database")

// ErrVersion says that a database was made for another version of the program.
var ErrVersion = errors.New("the database does not fit this program")

// checkVersion demands the tables of this program's version.
func (db *DB) checkVersion(ctx context.Context) error {
	var have int
	err := db.pool.QueryRow(ctx, "select version from "+versionTable).Scan(&have)
	if missing(err) {
		return fmt.Errorf("%w: it has no tables: run klp-audit-fleet migrate", ErrVersion)
	}
	if err != nil {
		return err
	}
	want, err := newest()
	switch {
	case err != nil:
		return err
	case have < want:
		return fmt.Errorf("%w: its tables have version %d, this program needs %d: run klp-audit-fleet migrate", ErrVersion, have, want)
	case have > want:
		return fmt.Errorf("%w: its tables have version %d, this program knows %d: a newer klp-audit-fleet made them", ErrVersion, have, want)
	}
	return nil
}

// missing says whether a table does not exist.
func missing(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "42P01"
}

// newest is the version that the migrations lead to.
func newest() (int, error) {
	list, err := fs.Glob(migrations, "migrations/*.sql")
	return len(list), err
}

// Migrate brings the tables of a database to this program's version, and returns the versions before
// and after. All steps are done or none, so that after an error the earlier program still fits. Only
// one of several programs does it.
func Migrate(ctx context.Context, dsn string) (before, after int, err error) {
	db, err := connect(ctx, dsn)
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Release()
	before, after, err = migrateOn(ctx, conn.Conn(), migrations)
	if err != nil {
		return before, after, err
	}
	if yes, err := distributed(ctx, conn.Conn()); err != nil || !yes {
		return before, after, err
	}
	return before, after, distribute(ctx, conn.Conn())
}

func migrateOn(ctx context.Context, conn *pgx.Conn, steps fs.FS) (before, after int, err error) {
	sub, err := fs.Sub(steps, "migrations")
	if err != nil {
		return 0, 0, err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// tern's own lock is gone before the commit.
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtext('klp-audit-fleet migrate'))"); err != nil {
			return err
		}
		before, after, err = migrateWithin(ctx, conn, sub)
		return err
	})
	if err != nil {
		return before, before, fmt.Errorf("migrating: %w", err)
	}
	return before, after, nil
}

// migrateWithin migrates in the transaction that a connection is in.
func migrateWithin(ctx context.Context, conn *pgx.Conn, steps fs.FS) (before, after int, err error) {
	m, err := migrate.NewMigratorEx(ctx, conn, versionTable, &migrate.MigratorOptions{DisableTx: true})
	if err != nil {
		return 0, 0, err
	}
	if err := m.LoadMigrations(steps); err != nil {
		return 0, 0, err
	}
	have, err := m.GetCurrentVersion(ctx)
	if err != nil {
		return 0, 0, err
	}
	before, after = int(have), len(m.Migrations)
	if before > after {
		return before, before, fmt.Errorf("%w: its tables have version %d, this program knows %d: a newer klp-audit-fleet made them", ErrVersion, before, after)
	}
	return before, after, m.Migrate(ctx)
}

// again says whether a statement that failed with err may succeed if it is run again: the server
// was restarted, the connection was lost, or a deadlock was found. It may have been done.
func again(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains([]string{"08", "57", "40"}, pgErr.Code[:2]) || pgErr.Code == "XX000" && strings.HasPrefix(pgErr.Message, "postmaster was shut down") // the latter from Citus
	}
	_, network := errors.AsType[net.Error](err)
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return network || connecting || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}
