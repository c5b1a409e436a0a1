package sqlite_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/klp-audit/klp-audit/store/sqlite"
)

// roleVar names what the test binary does instead of testing when it is started again as another
// process.
const roleVar = "KLP_AUDIT_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "hold":
		hold(os.Args[1:])
	case "look":
		fmt.Println(sqlite.HeldBy(os.Args[1]))
	default:
		os.Exit(m.Run())
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// database is the path of a new database with one table.
func database(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	check(t, os.WriteFile(path, nil, 0o644))
	db, err := sqlite.Open(t.Context(), path)
	check(t, err)
	_, err = db.Exec(`CREATE TABLE t (n)`)
	check(t, err)
	check(t, db.Close())
	return path
}

// hold is another process that holds a database as a reader does, until its input ends. Its
// arguments are the database, the name that it gives itself, and the kind of lock: "file" for a
// lock of the open file and of no process, "writer" for a write transaction, and "waiting" for a
// writer that waits for readers.
func hold(args []string) {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err == nil && args[1] != "" {
		err = os.WriteFile("/proc/self/comm", []byte(args[1]), 0)
	}
	command := syscall.F_SETLK
	if args[2] == "file" {
		command = 37 // F_OFD_SETLK
	}
	if err == nil {
		err = syscall.FcntlFlock(f.Fd(), command, &syscall.Flock_t{Type: syscall.F_RDLCK, Start: 0x40000002, Len: 510})
	}
	for _, at := range map[string][]int64{"writer": {0x40000001}, "waiting": {0x40000001, 0x40000000}}[args[2]] {
		if err == nil {
			err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Start: at, Len: 1})
		}
	}
	fmt.Println("held", err)
	bufio.NewReader(os.Stdin).ReadString(0)
	f.Close()
}

// holder starts such a process.
func holder(t *testing.T, path, name, lock string) (pid int, release func()) {
	t.Helper()
	cmd := asOther("hold", path, name, lock)
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	release = func() { in.Close(); cmd.Wait() }
	t.Cleanup(release)
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "held <nil>\n" {
		t.Fatalf("the database is not held: %q", line)
	}
	return cmd.Process.Pid, release
}

// asOther is this program as another process.
func asOther(role string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Args = slices.Concat([]string{role}, args)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	return cmd
}

func TestHolderIsNamed(t *testing.T) {
	path := database(t)
	if h := sqlite.HeldBy(path); h != nil {
		t.Errorf("held by %v, want nobody", h)
	}
	pid, release := holder(t, path, "reader", "")
	want := fmt.Sprintf("process %d (reader)", pid)
	if h := sqlite.HeldBy(path); h == nil || h.String() != want {
		t.Errorf("held by %v, want %s", h, want)
	}
	db, err := sqlite.Open(t.Context(), path)
	check(t, err)
	defer db.Close()
	db.WaitAtMost(0)
	insert := func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO t VALUES (1)`)
		return err
	}
	if err := db.InTx(t.Context(), insert); !sqlite.IsLocked(err) {
		t.Errorf("error %v, want one that says it is locked", err)
	}
	release()
	check(t, db.InTx(t.Context(), insert))
}

// A process can give itself any name, and a lock may belong to no process.
func TestHolderWithAnOddName(t *testing.T) {
	path := database(t)
	_, release := holder(t, path, "a\x1b[31m\n\xff\u202e", "")
	if h := sqlite.HeldBy(path); h == nil || h.Command != "a?[31m???" {
		t.Errorf("held by %q, want a printable name", h)
	}
	release()
	_, release = holder(t, path, "", "file")
	if h := sqlite.HeldBy(path); h == nil || h.String() != "another process" {
		t.Errorf("held by %v, want another process", h)
	}
	release()
}

// Looking up who holds a database drops no lock of this process.
func TestLookingForAHolderKeepsLocks(t *testing.T) {
	path := database(t)
	db, err := sqlite.Open(t.Context(), path)
	check(t, err)
	defer db.Close()
	_, err = db.Exec(`BEGIN EXCLUSIVE`)
	check(t, err)
	sqlite.HeldBy(path)
	out, err := asOther("look", path).Output()
	check(t, err)
	if want := fmt.Sprintf("process %d ", os.Getpid()); !strings.HasPrefix(string(out), want) {
		t.Errorf("held by %s, want %s", out, want)
	}
}

// The process that the database waits for is named: the writer, or the reader that the writer waits
// for.
func TestHolderOfSeveral(t *testing.T) {
	for name, test := range map[string]struct {
		locks []string
		want  int // which of them is named; 0: none
	}{
		"reader, writer":           {[]string{"", "writer"}, 1},
		"writer, reader":           {[]string{"writer", ""}, 0},
		"readers, writer":          {[]string{"", "", "writer"}, 2},
		"reader, waiting writer":   {[]string{"", "waiting"}, 0},
		"waiting writer, reader":   {[]string{"waiting", ""}, 0}, // the system names the first one that has the lock
		"waiting writer alone":     {[]string{"waiting"}, 0},
		"a writer alone":           {[]string{"writer"}, 0},
		"a reader of no process":   {[]string{"file"}, 0},
		"no process, and a writer": {[]string{"file", "writer"}, 1},
	} {
		path := database(t)
		var pids []int
		for i, lock := range test.locks {
			pid, release := holder(t, path, fmt.Sprint("holder ", i), lock)
			if lock == "file" {
				pid = 0
			}
			pids = append(pids, pid)
			defer release()
		}
		if h := sqlite.HeldBy(path); h == nil || h.PID != pids[test.want] {
			t.Errorf("%s: held by %v, want %d of %d", name, h, pids[test.want], pids)
		}
	}
}
