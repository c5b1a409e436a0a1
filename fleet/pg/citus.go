package pg

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed citus.sql
var citus string

// ErrNoCitus says that a database cannot be distributed.
var ErrNoCitus = errors.New("the database does not have the extension citus")

// Distribute distributes the tables over the workers of Citus, so that each log is on one of them.
// From then on Migrate does it, too, with tables that are new.
func Distribute(ctx context.Context, dsn string) error {
	db, err := connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.checkVersion(ctx); err != nil {
		return err
	}
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	has, err := hasCitus(ctx, conn.Conn())
	if err == nil && !has {
		err = ErrNoCitus
	}
	if err == nil {
		err = distribute(ctx, conn.Conn())
	}
	if err != nil {
		return fmt.Errorf("distributing the tables: %w", err)
	}
	return nil
}

func distribute(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, citus)
	return err
}

func hasCitus(ctx context.Context, conn *pgx.Conn) (has bool, err error) {
	err = conn.QueryRow(ctx, `select exists (select from pg_extension where extname = 'citus')`).Scan(&has)
	return has, err
}

// distributed says whether a table of the schema is distributed.
func distributed(ctx context.Context, conn *pgx.Conn) (yes bool, err error) {
	if has, err := hasCitus(ctx, conn); err != nil || !has {
		return false, err
	}
	err = conn.QueryRow(ctx, `select exists (select from pg_dist_partition p join pg_class c on c.oid = p.logicalrelid
		join pg_namespace n on n.oid = c.relnamespace where n.nspname = current_schema())`).Scan(&yes)
	return yes, err
}
