package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/store"
)

// The disk with the state folder becomes full at each page that a commit writes, from the first one
// to the last. The spool below /var/log is full, too. Whatever the record and the spool cannot take
// is in the journal; when there is room again, the spool is taken in.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	m.room(logDir, 0)
	where := map[string]bool{}
	for free := range 31 {
		name := fmt.Sprintf("%d-pages", free)
		m.room(stateDir, free)
		stderr := m.commit(name, around{})
		spooled, sent := len(m.spooled(stateDir)), len(m.journal.events(t))
		where[fmt.Sprintf("spool %t, journal %t", spooled > 0, sent > 0)] = true
		if lost := spooled+sent > 0; lost != strings.Contains(stderr, "full") && lost != strings.Contains(stderr, "no space left") {
			t.Errorf("%d pages: %d in the spool, %d in the journal, stderr %q", free, spooled, sent, stderr)
		}
		m.resize(stateDir, 1000)
		m.settle("first", name)
		m.undo()
		m.journal.forget()
	}
	for _, want := range []string{"spool false, journal false", "spool true, journal false", "spool false, journal true"} {
		if !where[want] {
			t.Errorf("the disk was never as full that %s: %v", want, where)
		}
	}
}

// A disk that is full from the beginning: first there is no record, and later there is.
func TestDiskFullAtFirst(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for free := 1; free < 64; free *= 2 {
		name := fmt.Sprintf("%d-pages", free)
		m.room(stateDir, free)
		m.commit(name, around{})
		m.resize(stateDir, 1000)
		m.settle(name)
		m.undo()
		m.check(os.RemoveAll(m.root + logDir))
		m.journal.forget()
	}
}

// Commands that write say which file the disk has no room for, and leave the record as it was; the
// observation is in the journal. With room they do what they should have done.
func TestDiskFullOfCommands(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	m.write("/history", history(20))
	m.room(stateDir, 1)
	m.room(logDir, 0)
	full := []string{`"` + recordPath + `"`, "database or disk is full"}
	m.refuses(1, full, "rebuild")
	m.refuses(1, full, "import", "/history")
	m.room(stateDir, 0)
	m.mustAudit("observe")
	if sent := m.journal.events(t); len(sent) != 1 || sent[0].Kind != "observation" {
		t.Errorf("%d events in the journal, want the observation", len(sent))
	}
	m.undo()
	m.intact()
	m.room("/tmp", 0) // needed by verify and a copy
	m.refuses(1, []string{"disk"}, "verify")
	m.undo()
	m.resize(stateDir, 1000)
	m.mustAudit("rebuild")
	if got := m.mustAudit("import", "/history"); !strings.Contains(got, "20 changes taken in") {
		t.Errorf("import: %s", got)
	}
	m.settle("first")
}

// history is a libzypp history with this many commits.
func history(commits int) string {
	var b strings.Builder
	for i := range commits {
		fmt.Fprintf(&b, "2026-%02d-%02d 10:00:00|command|root@db01|'zypper' 'in' 'kernel-default'|\n", 1+i/28%12, 1+i%28)
		fmt.Fprintf(&b, "2026-%02d-%02d 10:00:01|install|kernel-default|%d-1|x86_64|root@db01|pool|aa|\n", 1+i/28%12, 1+i%28, i+1)
	}
	return b.String()
}

// A file system becomes read-only, as after a disk error: first that of the state folder, then that
// of /var/log, too. Readers can still read.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	m.commit("spare", around{}) // makes no folder for the second spool
	m.readOnly(stateDir)
	m.says(result{stderr: m.commit("state", around{})}, 0, "readonly database", recordPath, "goes to the spool")
	if n := len(m.spooled(logDir)); n != 2 {
		t.Errorf("%d events in the spool below /var/log, want 2", n)
	}
	m.readOnly("/var/log")
	m.says(result{stderr: m.commit("both", around{})}, 0, "readonly database")
	m.once(m.journal.events(t), "both")
	m.intact()
	if got := m.audit("report", "history"); got.exit != 0 || !strings.Contains(got.stdout, "2 of 2 changes shown") {
		t.Errorf("report: %+v", got)
	}
	m.refuses(1, []string{"readonly database"}, "rebuild")
	m.undo()
	m.undo()
	m.settle("first", "spare", "state", "both")
}

// fsync reports that the disk did not take what was written: for the database, its journal, the
// folder, or every file. An event is not considered stored unless that is certain.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		paths         []string
		spooled, sent int // events that end up in the spool, and in the journal
	}{
		"database":    {[]string{recordPath}, 2, 0},
		"its journal": {[]string{recordPath + "-journal"}, 2, 0},
		// Its journal is gone then: the event is in the record, but perhaps not durably. Whoever
		// takes it in from the spool finds it there.
		"folder": {[]string{stateDir}, 1, 0},
		"all":    {nil, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.commit("first", around{})
			stderr := m.commit("failed", around{before: strace("fsync,fdatasync", "error=EIO", tt.paths...)})
			if spooled, sent := len(m.spooled(stateDir)), len(m.journal.events(t)); spooled != tt.spooled || sent != tt.sent {
				t.Errorf("%d events in the spool, %d in the journal, stderr %q", spooled, sent, stderr)
			}
			m.says(result{stderr: stderr}, 0, "disk I/O error", "goes to the spool")
			m.settle("first", "failed")
		})
	}
	// A machine's first record: neither it nor its key appears before it is safe.
	t.Run("at first", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t)
		m.commit("failed", around{before: strace("fsync,fdatasync", "error=EIO")})
		m.once(m.journal.events(t), "failed")
		if left, _ := filepath.Glob(m.root + stateDir + "/.new-*"); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
		m.commit("next", around{})
		m.settle("failed", "next")
		if n := store.Waiting(m.root); n != 0 {
			t.Errorf("%d events wait", n)
		}
	})
}
