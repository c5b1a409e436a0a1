package store_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// roleVar names what the test binary does instead of testing when it is started again as another
// process.
const roleVar = "KLP_AUDIT_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVar); role {
	case "reader":
		read(os.Args[1])
	case "crash":
		crash(os.Args[1])
	case "hold":
		hold(os.Args[1])
	default:
		os.Exit(m.Run())
	}
}

// read reads the record as the current user, and prints what it sees.
func read(path string) {
	ctx := context.Background()
	s, err := store.OpenReadOnly(ctx, path)
	if err != nil {
		fmt.Println(errors.Is(err, store.ErrUnfinished), err)
		return
	}
	defer s.Close()
	rows := 0
	for _, err := range s.History(ctx, record.HistoryFilter{}) {
		if err != nil {
			fmt.Println(err)
		}
		rows++
	}
	v, err := s.Verify(ctx, "")
	fmt.Println(rows, "rows,", v.Result, err)
}

// crash dies in the middle of a transaction that has reached the database file.
func crash(path string) {
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		fmt.Println(err)
		return
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`PRAGMA cache_size = 2; BEGIN IMMEDIATE;
		WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
		INSERT INTO hashes SELECT i, randomblob(32) FROM n`)
	fmt.Println(err)
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// again starts the test binary in a role and returns what it prints.
func again(t *testing.T, role, path string, attr *syscall.SysProcAttr) string {
	t.Helper()
	cmd := osexec.Command("/proc/self/exe", path)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{roleVar + "=" + role}, "/", attr
	out, err := cmd.Output()
	var exit *osexec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

// readAsNobody reads the record below root as a user who may not write to it.
func readAsNobody(t *testing.T, root string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become someone else")
	}
	path := store.Path(root)
	check(t, os.Chmod(path, 0o644))
	for dir := filepath.Dir(path); dir != filepath.Dir(filepath.Dir(root)); dir = filepath.Dir(dir) { // folders that this test made
		check(t, os.Chmod(dir, 0o755))
	}
	return again(t, "reader", path, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
}

func TestReaderNeedsNoWritePermission(t *testing.T) {
	if got, want := readAsNobody(t, sample(t)), "3 rows, intact <nil>\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriterThatDiedIsRepairedByTheNext(t *testing.T) {
	root := sample(t)
	check(t, os.Chmod(store.Path(root), 0o644)) // its journal inherits the mode
	before := verify(t, root, "")
	if out := again(t, "crash", store.Path(root), nil); out != "<nil>\n" {
		t.Fatalf("crash: %s", out)
	}
	if _, err := store.OpenReadOnly(t.Context(), store.Path(root)); !errors.Is(err, store.ErrUnfinished) {
		t.Errorf("reader: %v", err)
	}
	if os.Geteuid() == 0 {
		if out := readAsNobody(t, root); !strings.HasPrefix(out, "true ") {
			t.Errorf("unprivileged reader: %s", out)
		}
	}
	check(t, open(t, root).Close())
	if diff := cmp.Diff(before, verify(t, root, "")); diff != "" {
		t.Error(diff)
	}
}

func TestReaderRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(t *testing.T, root string)
		want error
		text string
	}{
		"nothing":          {func(t *testing.T, root string) { check(t, os.Remove(store.Path(root))) }, store.ErrNoRecord, "no record"},
		"an empty file":    {func(t *testing.T, root string) { put(t, store.Path(root), "") }, store.ErrNoRecord, "no record"},
		"no database":      {func(t *testing.T, root string) { put(t, store.Path(root), strings.Repeat("text ", 999)) }, store.ErrDamaged, "not a database"},
		"another database": {func(t *testing.T, root string) { exec(t, raw(t, root), `PRAGMA application_id = 1`) }, store.ErrDamaged, "another program"},
		"a newer record": {func(t *testing.T, root string) { exec(t, raw(t, root), `PRAGMA user_version = 99`) }, store.ErrNewer,
			fmt.Sprintf("its schema is 99, this program knows %d", store.Schema)},
	} {
		t.Run(name, func(t *testing.T) {
			root := sample(t)
			tt.make(t, root)
			_, err := store.OpenReadOnly(t.Context(), store.Path(root))
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), store.Path(root)) {
				t.Errorf("reader: %v", err)
			}
			if _, statErr := os.Stat(store.Path(root)); errors.Is(statErr, fs.ErrNotExist) != (name == "nothing") {
				t.Errorf("the file: %v", statErr)
			}
			if tt.want == store.ErrNoRecord {
				return
			}
			if _, err := store.Open(t.Context(), root, program); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("writer: %v", err)
			}
		})
	}
}

// If there is no time to rebuild the views of an older schema, the record stays as it was, and
// nobody has to roll anything back.
func TestRebuildThatIsCutShort(t *testing.T) {
	root := newRoot(t)
	s := open(t, root)
	for range 12 {
		var evs []*record.Event
		for range 100 {
			evs = append(evs, begin(1, patch(record.ResultUnknown)))
			evs[len(evs)-1].ID = rand.Text()
		}
		check(t, s.Append(t.Context(), evs...))
	}
	check(t, s.Close())
	db := raw(t, root)
	exec(t, db, fmt.Sprintf(`PRAGMA user_version = %d`, store.Schema-1))
	released(t, db)
	check(t, db.Close())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := store.Open(ctx, root, "1.0.0")
	if err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cut short: %v", err)
	}
	if _, err := os.Stat(store.Path(root) + "-journal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a journal is left: %v", err)
	}
	if v := verify(t, root, ""); v.Result != proof.Intact {
		t.Errorf("%+v", v)
	}
}

// released turns the tables of a database into those of the previous release.
func released(t *testing.T, db *sql.DB) {
	t.Helper()
	views := query(t, db, `SELECT sql FROM sqlite_schema WHERE tbl_name NOT IN ('events', 'hashes', 'checkpoint') AND sql IS NOT NULL ORDER BY rowid`)
	t.Cleanup(store.SetLayout(store.Schema-1, strings.Join(views, ";\n")+";\n"))
}

func TestOlderSchemaIsRebuiltElsewhereByAReader(t *testing.T) {
	root, tmp := sample(t), t.TempDir()
	want := verify(t, root, "")
	db := raw(t, root)
	exec(t, db, fmt.Sprintf(`DROP TRIGGER commits_ended; DROP TABLE changes; ALTER TABLE commits DROP COLUMN userdata; PRAGMA user_version = %d`, store.Schema-1))
	released(t, db)
	check(t, db.Close())
	path := store.Path(root)
	data, err := os.ReadFile(path)
	check(t, err)
	info, err := os.Stat(path)
	check(t, err)

	t.Setenv("TMPDIR", tmp)
	s, err := store.OpenReadOnly(t.Context(), path)
	check(t, err)
	if got := len(history(t, s, record.HistoryFilter{})); got != 3 {
		t.Errorf("%d rows, want 3", got)
	}
	v, err := s.Verify(t.Context(), "")
	check(t, err)
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
	check(t, s.Close())
	if left := files(t, tmp, ""); len(left) > 0 {
		t.Errorf("left in the temporary folder: %q", left)
	}
	after, err := os.ReadFile(path)
	check(t, err)
	infoAfter, err := os.Stat(path)
	check(t, err)
	if string(after) != string(data) || !infoAfter.ModTime().Equal(info.ModTime()) {
		t.Error("the record was written to")
	}

	check(t, open(t, root).Close())
	if diff := cmp.Diff(want, verify(t, root, "")); diff != "" {
		t.Errorf("rebuilt by a writer: %s", diff)
	}
}

// TestRebuild damages the views in every way and checks that they are restored.
func TestRebuild(t *testing.T) {
	root := sample(t)
	db := raw(t, root)
	want := dump(t, db)
	for _, sql := range []string{
		`SELECT 1`, `DELETE FROM changes WHERE event = 3`, `UPDATE commits SET login = 'eve', outcome = NULL`, `DELETE FROM recorders`,
		`DELETE FROM totals`,
	} {
		exec(t, db, sql)
		s := open(t, root)
		check(t, s.Rebuild(t.Context()))
		check(t, s.Close())
		if diff := cmp.Diff(want, dump(t, db)); diff != "" {
			t.Errorf("after %s:\n%s", sql, diff)
		}
	}
}

// dump returns every row of every table, and the schema.
func dump(t *testing.T, db *sql.DB) (lines []string) {
	t.Helper()
	for _, table := range query(t, db, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`) {
		rows := query(t, db, `SELECT * FROM `+table)
		slices.Sort(rows) // their order does not say in which order they were written
		lines = append(lines, rows...)
	}
	return append(lines, query(t, db, `SELECT type, name, sql FROM sqlite_schema ORDER BY type, name`)...)
}

func TestSchema(t *testing.T) {
	const golden = "testdata/schema.golden"
	db := raw(t, sample(t))
	lines := query(t, db, `SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name`)
	lines = append(lines, fmt.Sprintf("PRAGMA application_id = %s;", query(t, db, `PRAGMA application_id`)[0]),
		fmt.Sprintf("PRAGMA user_version = %s;", query(t, db, `PRAGMA user_version`)[0]))
	got := strings.Join(lines, "\n\n") + "\n"
	if *update {
		put(t, golden, got)
	}
	want, err := os.ReadFile(golden)
	check(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the schema changed: raise Schema if a view did, then run with -update\n%s", diff)
	}
	if mode := query(t, db, `PRAGMA journal_mode`)[0]; mode != "delete" {
		t.Errorf("journal mode %s", mode)
	}
}

func TestModesWhateverTheUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	for _, umask := range []int{0, 0o022, 0o077, 0o777} {
		root := newRoot(t)
		put(t, filepath.Join(root, "etc/group"), "root:x:0:\nklp-audit-x:x:1:\nklp-audit:x:4711:tux\n")
		syscall.Umask(umask)
		write(t, root, begin(1))
		spool(t, root, begin(2))
		check(t, store.Spool(root, begin(3), errBusy, true))
		syscall.Umask(0)
		for path, mode := range map[string]fs.FileMode{
			"": 0o750, "klp-audit.db": 0o640, "key": 0o600, "spool": 0o700,
			"../../log/klp-audit": 0o750, "../../log/klp-audit/spool": 0o700, "..": 0o755, "../../log": 0o755,
		} {
			info, err := os.Stat(filepath.Join(root, store.StateDir, path))
			check(t, err)
			if got := info.Mode().Perm(); got != mode {
				t.Errorf("umask %03o: %q has mode %o, want %o", umask, path, got, mode)
			}
			group := info.Sys().(*syscall.Stat_t).Gid
			if shared := mode == 0o750 || mode == 0o640; os.Geteuid() == 0 && (group == 4711) != shared {
				t.Errorf("umask %03o: %q has group %d", umask, path, group)
			}
		}
	}
}

func TestStateFolderThatIsThereKeepsItsMode(t *testing.T) {
	root := newRoot(t)
	dir := filepath.Join(root, store.StateDir)
	check(t, os.MkdirAll(dir, 0o755))
	check(t, os.Chmod(dir, 0o710))
	write(t, root, begin(1))
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o710 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestHostileTextSurvives(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"control characters": {"a\x1b[31m\r\n\t\x7f\u0085\u2028b", "a\x1b[31m\r\n\t\x7f\u0085\u2028b"},
		"NUL":                {"a\x00b", "a\x00b"},
		"invalid UTF-8":      {"a\xff\xc3(b", "a\ufffd\ufffd(b"},
		"markup and SQL":     {`<b>&"'; DROP TABLE changes; --\`, `<b>&"'; DROP TABLE changes; --\`},
		"1 MiB":              {strings.Repeat("ä", 1<<19), strings.Repeat("ä", 1<<19)},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			b := begin(1)
			b.Begin.UserData, b.Begin.Actor.Login, b.Host.Hostname = tt.text, tt.text, tt.text
			c := install(tt.text, tt.text, record.ResultOK)
			c.Added.CVEs = []string{tt.text}
			e := end(2, b, record.OutcomeCompleted, c)
			e.Host.Hostname = tt.text
			write(t, root, b, e)
			r := history(t, open(t, root), record.HistoryFilter{User: tt.want})
			if len(r) != 1 || r[0].Package != tt.want || r[0].Host != tt.want || *r[0].UserData != tt.want || r[0].CVEsAdded[0] != tt.want {
				t.Fatalf("%d rows, not the one that was written", len(r))
			}
			if v := verify(t, root, ""); v.Result != proof.Intact {
				t.Errorf("%q", v.Problems)
			}
		})
	}
}

func TestWriterNamesWhatStandsInItsWay(t *testing.T) {
	root := newRoot(t)
	put(t, filepath.Join(root, "var/lib/klp-audit"), "a file in place of the folder")
	if _, err := store.Open(t.Context(), root, program); err == nil || !strings.Contains(err.Error(), store.Path(root)) {
		t.Errorf("got %v", err)
	}
	if _, err := store.OpenReadOnly(t.Context(), store.Path(root)); err == nil || !strings.Contains(err.Error(), store.Path(root)) {
		t.Errorf("reader: %v", err)
	}
}
