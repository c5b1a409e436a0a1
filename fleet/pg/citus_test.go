package pg_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/pgtest"
)

// onCitus says whether the tests run on Citus.
func onCitus(t *testing.T, conn *pgx.Conn) (yes bool) {
	t.Helper()
	check(t, conn.QueryRow(t.Context(), `select exists (select from pg_extension where extname = 'citus')`).Scan(&yes))
	return yes
}

// A server without Citus refuses to distribute tables, and they stay as they are.
func TestNoCitus(t *testing.T) {
	dsn := pgtest.DSN(t)
	if onCitus(t, open(t, dsn)) {
		t.Skip("this is Citus")
	}
	if err := pg.Distribute(t.Context(), dsn); !errors.Is(err, pg.ErrVersion) {
		t.Errorf("without tables: %v", err)
	}
	_, after, err := pg.Migrate(t.Context(), dsn)
	check(t, err)
	if err := pg.Distribute(t.Context(), dsn); !errors.Is(err, pg.ErrNoCitus) {
		t.Errorf("without the extension: %v", err)
	}
	before, _, err := pg.Migrate(t.Context(), dsn)
	if err != nil || before != after {
		t.Errorf("version %d was %d: %v", before, after, err)
	}
}

// An admin distributes tables that hold rows. They stay, and from then on new tables follow by
// themselves.
func TestDistribute(t *testing.T) {
	dsn := pgtest.DSN(t)
	conn := open(t, dsn)
	if !onCitus(t, conn) {
		t.Skip("KLP_AUDIT_FLEET_DSN names no database with the extension citus")
	}
	execute(t, conn, `drop table distributed`)
	_, _, err := pg.Migrate(t.Context(), dsn)
	check(t, err)
	if kept := places(t, conn); len(kept) != 0 {
		t.Fatalf("distributed before anybody asked for it: %q", kept)
	}
	db, err := pg.Open(t.Context(), dsn)
	check(t, err)
	defer db.Close()
	l := pg.NewLog("a+b+c", pg.Pending, "", time.Unix(1e9, 0))
	check(t, db.Begin(t.Context(), l))

	check(t, pg.Distribute(t.Context(), dsn))
	want := []string{"branch", "finding", "log", "receipt", "refusal", "segment", "successor", "verification", "withheld"}
	if kept := places(t, conn); !slices.Equal(kept, want) {
		t.Errorf("distributed beside the logs: %q, want %q", kept, want)
	}
	if _, err := db.ByID(t.Context(), l.ID); err != nil {
		t.Error(err)
	}
	var delegated bool
	check(t, conn.QueryRow(t.Context(), `select distribution_argument_index = 0 from pg_catalog.pg_dist_object where objid = 'grow'::regproc`).Scan(&delegated))
	if !delegated {
		t.Error("grow does not run beside the rows")
	}

	execute(t, conn, `create table later (log uuid primary key)`)
	for range 2 {
		_, _, err = pg.Migrate(t.Context(), dsn)
		check(t, err)
		check(t, pg.Distribute(t.Context(), dsn))
	}
	if kept := places(t, conn); !slices.Contains(kept, "later") {
		t.Errorf("distributed beside the logs: %q", kept)
	}
}

// places returns the tables of the schema whose rows are beside those of log.
func places(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `select c.relname from pg_dist_partition p join pg_class c on c.oid = p.logicalrelid
		where c.relnamespace = current_schema()::regnamespace and p.colocationid = (select colocationid from pg_dist_partition where logicalrelid = 'log'::regclass)
		order by c.relname`)
	check(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	check(t, err)
	return list
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	check(t, err)
}
