package faults

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/klp-audit/klp-audit/store"
)

// nobody is a user without any right; auditor is another user, in the group of the record.
var (
	nobody  = &syscall.Credential{Uid: 65534, Gid: 65534}
	auditor = &syscall.Credential{Uid: 65534, Gid: 0}
)

// auditAs runs klp-audit as another user.
func (m *machine) auditAs(user *syscall.Credential, args ...string) result {
	m.Helper()
	cmd := m.command(programPath, args...)
	cmd.SysProcAttr.Credential = user
	return m.end(cmd)
}

// A user without permission is told who has it. A plugin without permission stores its events in
// the journal, which accepts them from everybody.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	for _, command := range [][]string{{"report", "history"}, {"status"}, {"verify"}, {"export"}} {
		m.says(m.auditAs(nobody, command...), 1, recordPath, "permission denied", "root and members of the group klp-audit may read the record")
	}
	m.says(m.auditAs(auditor, "report", "history"), 0, "1 of 1 changes shown")
	m.says(m.auditAs(auditor, "rebuild"), 1, recordPath, "readonly database")
	m.says(result{stderr: m.commit("denied", around{user: nobody})}, 0, recordPath, "permission denied", "goes to the spool")
	m.once(m.journal.events(t), "denied")
	m.settle("first", "denied")
}

// held is a program that does something to the record and stays in the middle of it.
type held struct {
	m     *machine
	in    io.WriteCloser
	pid   int
	ended func() error
}

// hold starts the sqlite3 program with statements that print a line, and leaves it there.
func (m *machine) hold(statements string) *held {
	m.Helper()
	cmd := m.command("/usr/bin/sqlite3", recordPath)
	in, err := cmd.StdinPipe()
	m.check(err)
	out, err := cmd.StdoutPipe()
	m.check(err)
	m.check(cmd.Start())
	_, err = io.WriteString(in, statements+"\nSELECT 'held';\n")
	m.check(err)
	for lines := bufio.NewScanner(out); lines.Text() != "held"; {
		if !lines.Scan() {
			m.Fatalf("sqlite3 ended: %v", cmd.Wait())
		}
	}
	return &held{m, in, cmd.Process.Pid, cmd.Wait}
}

func (h *held) release() {
	h.m.Helper()
	h.in.Close()
	h.m.check(h.ended())
}

func (h *held) kill() {
	h.m.Helper()
	h.m.check(syscall.Kill(h.pid, syscall.SIGKILL))
	h.ended()
}

// sqlite3 runs statements on the record and returns what they print.
func (m *machine) sqlite3(statements string) string {
	m.Helper()
	got := m.end(m.command("/usr/bin/sqlite3", recordPath, statements))
	if got.exit != 0 {
		m.Fatalf("sqlite3: %s", got.stderr)
	}
	return strings.TrimSpace(got.stdout)
}

// A program reads the record and does not end, for a minute or for ever: a commit waits for it for
// 2 s, and puts its events into the spool. Here the reader holds the record as long as the commit
// runs, which is the same to the plugin. Other readers do not matter.
func TestReaderHoldsTheRecord(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	reader := m.hold("BEGIN; SELECT count(*) FROM events;")
	m.says(result{stderr: m.commit("held", around{})}, 0, recordPath, "database is locked", "goes to the spool")
	if n := len(m.spooled(stateDir)); n != 2 {
		t.Errorf("%d events in the spool, want 2", n)
	}
	m.says(m.auditAs(auditor, "report", "history"), 0, "1 of 1 changes shown")
	reader.release()
	m.commit("next", around{})
	if got := begun(m.recorded()); !slices.Equal(got, []string{"first", "held", "next"}) {
		t.Errorf("recorded %q: not in order", got)
	}
	m.settle("first", "held", "next")
}

// A writer dies in the middle of a transaction that has reached the file. Users who may only read
// are told what to do, and the next commit repairs the record by itself.
func TestHotJournal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	m.hold(`PRAGMA cache_size = 2; BEGIN IMMEDIATE; WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
		INSERT INTO hashes SELECT i, randomblob(32) FROM n;`).kill()
	for _, command := range [][]string{{"report", "history"}, {"verify"}} {
		m.says(m.auditAs(auditor, command...), 1, recordPath, "unfinished write", "run `klp-audit status` once as root")
	}
	m.commit("next", around{})
	m.says(m.auditAs(auditor, "report", "history"), 0, "2 of 2 changes shown")
	m.settle("first", "next")
}

// A newer klp-audit wrote the record, and then an older plugin runs: its events wait in the spool
// for the newer one.
func TestNewerRecord(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	schema := m.sqlite3("PRAGMA user_version")
	m.sqlite3("PRAGMA user_version = 99")
	m.says(result{stderr: m.commit("older", around{})}, 0, recordPath, "record of a newer klp-audit", "goes to the spool")
	for _, command := range [][]string{{"report", "history"}, {"verify"}, {"rebuild"}} {
		m.refuses(1, []string{recordPath, "record of a newer klp-audit", "update klp-audit"}, command...)
	}
	if n := len(m.spooled(stateDir)); n != 2 {
		t.Errorf("%d events in the spool, want 2", n)
	}
	m.sqlite3("PRAGMA user_version = " + schema)
	m.settle("first", "older")
}

// Commits of several roots may run at once, as with zypper --root. Each is recorded completely, in
// whatever order they come.
func TestPluginsAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	names := []string{"one", "two", "three"}
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() { m.commit(name, around{}) })
	}
	all.Wait()
	m.settle(names...)
	if causes := m.causes(); !slices.Equal(causes, []string{"installed"}) {
		t.Errorf("recorder events: %q", causes)
	}
}

// The service at boot, the timer, the .path unit and people observe at once.
func TestObserversAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if got := m.audit("observe"); got.exit != 0 || got.stderr != "" {
				t.Errorf("observe: %+v", got)
			}
		})
	}
	all.Wait()
	m.settle()
	ids := map[string]bool{}
	for _, ev := range m.recorded() {
		if ev.Kind == "observation" {
			ids[ev.ID] = true
		}
	}
	if len(ids) != 10 {
		t.Errorf("%d observations", len(ids))
	}
}

// The key is gone: another one signs from here on, and nothing vouches for the earlier events.
// Whoever kept a checkpoint of them can see that they are unaltered.
func TestMissingKey(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	noted := m.verification()
	m.check(os.Remove(store.KeyPath(m.root)))
	m.refuses(4, []string{"ALTERED", "the key that signs the record is gone"}, "verify")
	m.commit("next", around{})
	m.once(m.recorded(), "first", "next")
	if causes := m.causes(); !slices.Equal(causes, []string{"installed", "key-replaced"}) {
		t.Errorf("recorder events: %q", causes)
	}
	m.write("/noted", noted.Checkpoint)
	m.refuses(4, []string{"ALTERED", "did not sign that: nothing vouches for what is before it"}, "verify", "--key", noted.Key, "--checkpoint", "/noted")
	if v := m.verification("--checkpoint", "/noted"); len(v.Problems) != 1 {
		t.Errorf("more is wrong: %q", v.Problems)
	}
}

// A parent with a command line of 2 MiB and an environment of 1 MiB, with the longest texts that
// Linux passes on. The record keeps as much of them as is needed to know who it was; if only the
// journal accepts the event, it accepts this one, too.
func TestHugeProcess(t *testing.T) {
	const longest = 128<<10 - 1 // MAX_ARG_STRLEN, including the NUL
	m := newMachine(t)          // not in parallel: the limit applies to the whole process
	var before syscall.Rlimit
	m.check(syscall.Getrlimit(syscall.RLIMIT_STACK, &before))
	defer syscall.Setrlimit(syscall.RLIMIT_STACK, &before)
	m.check(syscall.Setrlimit(syscall.RLIMIT_STACK, &syscall.Rlimit{Cur: 64 << 20, Max: before.Max})) // a quarter of it is for both
	huge := around{env: []string{"SUDO_USER=" + strings.Repeat("\x1b", longest-len("SUDO_USER="))}}
	for i := range 17 {
		huge.args = append(huge.args, strings.Repeat("\x01", longest))
		if i > 8 { // 8 times 128 KiB
			huge.env = append(huge.env, fmt.Sprintf("V%d=%s", i, strings.Repeat("x", longest-len("V16="))))
		}
	}
	m.commit("huge", huge)
	m.settle("huge")
	for _, ev := range m.recorded() {
		if size := len(strings.Join(ev.Begin.Command, "")); ev.Kind == "commit-begin" && (size < 1<<10 || size > 256<<10 || ev.Begin.Actor.SudoUser == "") {
			t.Errorf("%d bytes of the command line, sudo user of %d bytes", size, len(ev.Begin.Actor.SudoUser))
		}
	}
	m.readOnly("/var")
	m.commit("sent", huge)
	m.once(m.journal.events(t), "sent")
}
