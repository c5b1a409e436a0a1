package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// shared is the engine of all tests of this program. The end of the program ends it, too, whether the
// program was killed or not, so no package needs a TestMain for it.
var shared = sync.OnceValues(newEngine)

// DSN is for pgx and psql: it leads to a new empty schema, which is the search path, and is dropped
// at the end of the test. All tests of a program share one server: the one that KLP_AUDIT_FLEET_DSN
// names, or else a private one. Roles and settings of the database are shared, too. If the database
// has the extension citus, the schema holds a distributed table, so that pg.Migrate distributes the
// others.
func DSN(t testing.TB) string {
	t.Helper()
	dsn, err := sharedDSN()
	if err != nil {
		t.Fatal(err)
	}
	schema := "test_" + strings.ToLower(rand.Text())
	if err := execute(dsn, "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(dsn, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	within, err := withSearchPath(dsn, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := execute(within, distribute); err != nil {
		t.Fatal(err)
	}
	return within
}

const distribute = `DO $$ BEGIN
	IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
		CREATE TABLE distributed (log uuid PRIMARY KEY);
		PERFORM create_distributed_table('distributed', 'log');
	END IF;
END $$`

func sharedDSN() (string, error) {
	if dsn := os.Getenv("KLP_AUDIT_FLEET_DSN"); dsn != "" {
		return dsn, nil
	}
	e, err := shared()
	if err != nil {
		return "", err
	}
	return e.dsn(), nil
}

// execute executes a statement. It waits only for a while for what a test may still hold.
func execute(dsn, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("executing %q: %w", statement, err)
	}
	return nil
}

// withSearchPath adds a search path to a DSN, a URI or keywords, as one of the server's options:
// libpq knows no parameter of that name. Options that were there stay.
func withSearchPath(dsn, schema string) (string, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "", err
	}
	options := strings.TrimSpace(config.RuntimeParams["options"] + " -csearch_path=" + schema)
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(options)
		return dsn + " options='" + quoted + "'", nil // the last one counts
	}
	uri, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	values := uri.Query()
	values.Set("options", options)
	uri.RawQuery = encode(values)
	return uri.String(), nil
}

// encode escapes the parameters of a URI as libpq demands: "+" is no space there.
func encode(values url.Values) string { return strings.ReplaceAll(values.Encode(), "+", "%20") }
