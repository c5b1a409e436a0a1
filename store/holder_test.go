package store_test

import (
	"bufio"
	"fmt"
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/klp-audit/klp-audit/store"
)

// hold is another process that holds a record as a reader does, until its input ends: its
// arguments are the record, the name that it gives itself, and "file" where the lock is to be
// the open file's, of no process, "writer" where it is to be that of one who writes a transaction,
// and "waiting" of one who waits for readers.
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
func holder(t *testing.T, root, name, lock string) (pid int, release func()) {
	t.Helper()
	cmd := asOther("hold", store.Path(root), name, lock)
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	release = func() { in.Close(); cmd.Wait() }
	t.Cleanup(release)
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "held <nil>\n" {
		t.Fatalf("the record is not held: %q", line)
	}
	return cmd.Process.Pid, release
}

// asOther is this program as another process.
func asOther(role string, args ...string) *osexec.Cmd {
	cmd := osexec.Command(os.Args[0])
	cmd.Args = slices.Concat([]string{role}, args)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	return cmd
}

func TestHolderIsNamed(t *testing.T) {
	root := newRoot(t)
	write(t, root, begin(1))
	if h := store.HeldBy(store.Path(root)); h != nil {
		t.Errorf("held by %v, want nobody", h)
	}
	pid, release := holder(t, root, "reader", "")
	want := fmt.Sprintf("process %d (reader)", pid)
	if h := store.HeldBy(store.Path(root)); h == nil || h.String() != want {
		t.Errorf("held by %v, want %s", h, want)
	}
	s := open(t, root)
	if err := s.Append(t.Context(), begin(2)); !store.IsLocked(err) || !strings.Contains(err.Error(), "held by "+want) {
		t.Errorf("error %v, want one that names %s", err, want)
	}
	release()
	check(t, s.Append(t.Context(), begin(2)))
	check(t, s.Close())
}

// A process gives itself any name, and a lock may be one of no process.
func TestHolderWithAnOddName(t *testing.T) {
	root := newRoot(t)
	write(t, root, begin(1))
	_, release := holder(t, root, "a\x1b[31m\n\xff\u202e", "")
	if h := store.HeldBy(store.Path(root)); h == nil || h.Command != "a?[31m???" {
		t.Errorf("held by %q, want a printable name", h)
	}
	release()
	_, release = holder(t, root, "", "file")
	if h := store.HeldBy(store.Path(root)); h == nil || h.String() != "another process" {
		t.Errorf("held by %v, want another process", h)
	}
	release()
}

// To look who holds a record takes no lock away from this process.
func TestLookingForAHolderKeepsLocks(t *testing.T) {
	root := newRoot(t)
	write(t, root, begin(1))
	exec(t, raw(t, root), `BEGIN EXCLUSIVE`)
	store.HeldBy(store.Path(root))
	out, err := asOther("look", store.Path(root)).Output()
	check(t, err)
	if want := fmt.Sprintf("process %d ", os.Getpid()); !strings.HasPrefix(string(out), want) {
		t.Errorf("held by %s, want %s", out, want)
	}
}

// Whom the record waits for is named: the writer, unless it waits for a reader itself.
func TestHolderOfSeveral(t *testing.T) {
	for name, test := range map[string]struct {
		locks []string
		want  int // which of them is named
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
		root := newRoot(t)
		write(t, root, begin(1))
		var pids []int
		for i, lock := range test.locks {
			pid, release := holder(t, root, fmt.Sprint("holder ", i), lock)
			if lock == "file" {
				pid = 0
			}
			pids = append(pids, pid)
			defer release()
		}
		if h := store.HeldBy(store.Path(root)); h == nil || h.PID != pids[test.want] {
			t.Errorf("%s: held by %v, want %d of %d", name, h, pids[test.want], pids)
		}
	}
}
