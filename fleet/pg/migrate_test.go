package pg

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/klp-audit/klp-audit/internal/pgtest"
)

// later are the migrations of a later program: this program's, and some more.
func later(t *testing.T, more ...string) fstest.MapFS {
	t.Helper()
	steps := fstest.MapFS{}
	have, err := fs.Glob(migrations, "migrations/*.sql")
	check(t, err)
	for _, name := range have {
		text, err := fs.ReadFile(migrations, name)
		check(t, err)
		steps[name] = &fstest.MapFile{Data: text}
	}
	for i, text := range more {
		steps[fmt.Sprintf("migrations/%03d_more.sql", len(have)+i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	return steps
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// upgrade is what a later program does to a database.
func upgrade(ctx context.Context, dsn string, steps fs.FS) (before, after int, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close(ctx)
	return migrateOn(ctx, conn, steps)
}

// A later program has two more migrations, and the second fails in its middle. Nothing of either
// stays, so this program goes on. Once the cause is gone, both are done, and this program refuses.
func TestFailedUpgradeLeavesThisProgramWorking(t *testing.T) {
	dsn := pgtest.DSN(t)
	_, have, err := Migrate(t.Context(), dsn)
	check(t, err)
	steps := later(t, "create table one (n int);", "create table two (n int); insert into two select 1/n from one_more; create table three (n int);")

	before, after, err := upgrade(t.Context(), dsn, steps)
	if err == nil || !strings.Contains(err.Error(), "_more.sql") || before != have || after != have {
		t.Fatalf("a failed upgrade: %d, %d, %v", before, after, err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	check(t, err)
	defer conn.Close(t.Context())
	var left int
	check(t, conn.QueryRow(t.Context(), "select count(*) from pg_class where relname in ('one', 'two', 'three') and pg_table_is_visible(oid)").Scan(&left))
	if left != 0 {
		t.Errorf("the failed upgrade left %d tables", left)
	}
	db, err := Open(t.Context(), dsn)
	if err != nil {
		t.Fatalf("after the failed upgrade: %v", err)
	}
	db.Close()

	_, err = conn.Exec(t.Context(), "create table one_more (n int)")
	check(t, err)
	if before, after, err = upgrade(t.Context(), dsn, steps); err != nil || before != have || after != have+2 {
		t.Errorf("again: %d, %d, %v", before, after, err)
	}
	if _, err = Open(t.Context(), dsn); err == nil || !strings.Contains(err.Error(), "a newer klp-audit-fleet made them") {
		t.Errorf("after the upgrade, the earlier program says %v", err)
	}
}

// Several programs upgrade at a time: one does it, and all succeed.
func TestUpgradeIsDoneOnce(t *testing.T) {
	dsn := pgtest.DSN(t)
	steps := later(t, "create table one (n int);")
	var wg sync.WaitGroup
	var mu sync.Mutex
	did := 0
	for range 6 {
		wg.Go(func() {
			before, after, err := upgrade(t.Context(), dsn, steps)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if before != after {
				did++
			}
		})
	}
	wg.Wait()
	if did != 1 {
		t.Errorf("%d programs did it", did)
	}
}
