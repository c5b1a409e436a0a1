package pgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A server takes nothing from the machine but its folder, syncs what it writes, and notices damage.
func TestServerIsPrivate(t *testing.T) {
	s := Start(t)
	conn := connect(t, s.DSN())
	for setting, want := range map[string]string{
		"listen_addresses": "", "fsync": "on", "data_checksums": "on", "shared_buffers": "32MB", "max_connections": "50",
		"server_encoding": "UTF8", "lc_collate": "C.UTF-8", "is_superuser": "on",
		"unix_socket_directories": s.engine.folder.path, "data_directory": s.engine.folder.path + "/data",
	} {
		// lc_collate is no setting any more in PostgreSQL 16.
		query := "SHOW " + setting
		if setting == "lc_collate" {
			query = "SELECT datcollate FROM pg_database WHERE datname = current_database()"
		}
		if got := ask[string](t, conn, query); got != want {
			t.Errorf("%s: got %q, want %q", setting, got, want)
		}
	}
	info, err := os.Stat(s.engine.outside(s.engine.folder.path))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("folder: got mode %o, want 700", got)
	}
}

// The newest PostgreSQL is used, or that of the tree which the environment names.
func TestServerIsTheOneThatWasFound(t *testing.T) {
	s := Start(t)
	want := version(s.engine.bin + "/initdb")
	if want == 0 {
		t.Skipf("the folder %q names no version", s.engine.bin)
	}
	if got := ask[int](t, connect(t, s.DSN()), "SELECT current_setting('server_version_num')::int / 10000"); got != want {
		t.Errorf("got PostgreSQL %d, want %d", got, want)
	}
	t.Logf("PostgreSQL %d below %q", want, s.engine.root)
}

func TestNewestIsTakenOfSeveral(t *testing.T) {
	root := t.TempDir()
	for _, bin := range []string{"usr/lib/postgresql/9.6/bin", "usr/lib/postgresql/15/bin", "usr/lib/postgresql17/bin", "usr/lib/postgresql/8.4/bin"} {
		if err := os.MkdirAll(filepath.Join(root, bin), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, bin, "initdb"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "usr/lib/postgresql/18/bin"), 0o755); err != nil { // a client only
		t.Fatal(err)
	}
	if got, want := newestBin(root), "/usr/lib/postgresql17/bin"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMissingServerIsAnErrorThatSaysWhatInstallsIt(t *testing.T) {
	t.Setenv("KLP_AUDIT_PG_BIN", t.TempDir())
	_, err := newEngine()
	if err == nil || !strings.Contains(err.Error(), "packaging/deps.sh") {
		t.Errorf("got %v, want an error that names packaging/deps.sh", err)
	}
}

// What PostgreSQL says itself is in the error.
func TestServerThatCannotStartSaysWhy(t *testing.T) {
	s := Start(t)
	s.Stop()
	settings := s.engine.outside(s.engine.data() + "/postgresql.conf")
	if err := os.WriteFile(settings, []byte("no_such_setting = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.engine.start(); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("got %v, want an error with PostgreSQL's own words", err)
	}
	s.engine.server = nil // it has gone
}

func TestCommittedSurvivesKillAndStop(t *testing.T) {
	s := Start(t)
	if err := execute(s.DSN(), "CREATE TABLE kept (n int)"); err != nil {
		t.Fatal(err)
	}
	for n, end := range []func(){s.Kill, s.Stop, s.Kill} {
		before := connect(t, s.DSN())
		tell(t, before, "INSERT INTO kept VALUES ($1)", n)
		tell(t, before, "BEGIN")
		tell(t, before, "INSERT INTO kept VALUES (-1)")
		end()
		if left := processes(t, s.engine.folder.path); len(left) != 1 { // who keeps the folder
			t.Errorf("after the server's end: got %q, want one process", left)
		}
		if err := before.Ping(t.Context()); err == nil {
			t.Error("the server still answers after its end")
		}
		s.Restart()
		got := ask[[]int](t, connect(t, s.DSN()), "SELECT array_agg(k.n ORDER BY k.n) FROM kept k")
		if len(got) != n+1 || got[0] != 0 || got[n] != n {
			t.Errorf("after end %d: got %v", n, got)
		}
	}
}

// Whoever restarts a server that runs gets a new one.
func TestRestartOfARunningServer(t *testing.T) {
	s := Start(t)
	started := func() string {
		return ask[string](t, connect(t, s.DSN()), "SELECT pg_postmaster_start_time()::text")
	}
	before := started()
	if s.Restart(); started() == before {
		t.Error("got the same server")
	}
}

// Two tests use one server and do not see each other, whichever client they use; when they have
// ended, nothing of them is left.
func TestSchemasDoNotSeeEachOther(t *testing.T) {
	var dsns, schemas []string
	t.Run("while they run", func(t *testing.T) {
		for _, text := range []string{"one", "two"} {
			dsn := DSN(t)
			conn := connect(t, dsn)
			schemas = append(schemas, ask[string](t, conn, "SELECT current_schema()"))
			tell(t, conn, "CREATE TABLE own (v text)")
			tell(t, conn, "INSERT INTO own VALUES ($1)", text)
			dsns = append(dsns, dsn)
		}
		for i, want := range []string{"one", "two"} {
			if got := ask[string](t, connect(t, dsns[i]), "SELECT string_agg(v, ' ') FROM own"); got != want {
				t.Errorf("pgx: got %q, want %q", got, want)
			}
			if got := psql(t, dsns[i], "SELECT string_agg(v, ' ') FROM own"); got != want {
				t.Errorf("psql: got %q, want %q", got, want)
			}
		}
	})
	conn := connect(t, DSN(t))
	if got := ask[int](t, conn, "SELECT count(*) FROM pg_namespace WHERE nspname = ANY($1)", schemas); got != 0 {
		t.Errorf("got %d of the schemas %q after the tests, want none", got, schemas)
	}
}

// The engine can be named, by either form of a DSN, and keeps the options that the DSN has.
func TestEngineCanBeNamed(t *testing.T) {
	s := Start(t)
	dir := s.engine.outside(s.engine.folder.path)
	for _, dsn := range []string{
		s.DSN(),
		s.DSN() + "&options=-cwork_mem%3D5MB%20-cown.words%3Da%5C%20b",
		"host=" + dir + " port=5432 user=postgres dbname=postgres",
		"host=" + dir + ` port=5432 user=postgres dbname=postgres options='-cwork_mem=5MB -cown.words=a\\ b'`,
	} {
		t.Run(dsn, func(t *testing.T) {
			t.Setenv("KLP_AUDIT_FLEET_DSN", dsn)
			within := DSN(t)
			const query = "SELECT concat_ws('|', current_setting('data_directory'), current_setting('work_mem'), current_setting('own.words', true), current_schema() LIKE 'test\\_%')"
			want := s.engine.data() + "|4MB|t"
			if strings.Contains(dsn, "work_mem") {
				want = s.engine.data() + "|5MB|a b|t"
			}
			if got := psql(t, within, query); got != want {
				t.Errorf("psql: got %q, want %q", got, want)
			}
			if got := ask[string](t, connect(t, within), query); got != want {
				t.Errorf("pgx: got %q, want %q", got, want)
			}
		})
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

func tell(t *testing.T, conn *pgx.Conn, statement string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// ask returns the one value that a query gives.
func ask[T any](t *testing.T, conn *pgx.Conn, query string, args ...any) (value T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// psql is what this machine's psql prints.
func psql(t *testing.T, dsn, query string) string {
	t.Helper()
	out, err := exec.Command("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", query, dsn).CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}
