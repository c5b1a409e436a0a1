package faults

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// eve is another user of the machine.
const eve = 4711

// The folder of the record or of the spool may be a symbolic link, belong to somebody other than
// root, or be writable for everybody: then anybody may have written what is in it, and what is
// written there may end up anywhere. Nothing is read from it and nothing is written through it. The
// event goes to the next place, and says for ever which folder it was and what was wrong.
func TestForeignFolders(t *testing.T) {
	t.Parallel()
	spool := stateDir + "/spool"
	for name, tt := range map[string]struct {
		dir   string
		make  func(m *machine, dir string)
		wrong string // what the message says
	}{
		"state is eve's":       {stateDir, (*machine).evesFolder, "belongs to user 4711"},
		"state is everybody's": {stateDir, (*machine).everybodysFolder, "everybody may write"},
		"state is a link":      {stateDir, (*machine).evesLink, "symbolic link"},
		"spool is eve's":       {spool, (*machine).evesFolder, "belongs to user 4711"},
		"spool is everybody's": {spool, (*machine).everybodysFolder, "everybody may write"},
		"spool is a link":      {spool, (*machine).evesLink, "symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			var schema string
			if tt.dir == spool {
				m.commit("first", around{})
				schema = m.sqlite3("PRAGMA user_version; PRAGMA user_version = 99") // so that the spool is needed
			}
			tt.make(m, tt.dir)
			m.forge(tt.dir)
			had := m.list()
			stderr := m.commit("commit", around{})
			spooled := m.spooled(logDir)
			m.once(spooled, "commit")
			for _, ev := range spooled {
				if !strings.Contains(ev.Spooled, tt.wrong) || !strings.Contains(ev.Spooled, `"`+tt.dir+`"`) {
					t.Errorf("spooled because %q; stderr %q; want %q of %q", ev.Spooled, stderr, tt.wrong, tt.dir)
				}
			}
			if has := m.list(); has != had {
				t.Errorf("eve has %q, had %q", has, had)
			}
			if tt.dir == spool {
				m.sqlite3("PRAGMA user_version = " + schema)
				m.settle("first", "commit")
				if slices.Contains(begun(m.recorded()), "forged") {
					t.Error("an event of eve's was taken in")
				}
			}
		})
	}
}

func (m *machine) evesFolder(dir string) {
	m.Helper()
	m.check(os.MkdirAll(m.root+dir, 0o755))
	m.check(os.Chown(m.root+dir, eve, eve))
}

func (m *machine) everybodysFolder(dir string) {
	m.Helper()
	m.check(os.MkdirAll(m.root+dir, 0o755))
	m.check(os.Chmod(m.root+dir, 0o777))
}

func (m *machine) evesLink(dir string) {
	m.Helper()
	m.evesFolder("/home/eve")
	m.check(os.MkdirAll(filepath.Dir(m.root+dir), 0o755))
	target, err := filepath.Rel(filepath.Dir(dir), "/home/eve")
	m.check(err)
	m.check(os.Symlink(target, m.root+dir))
}

// forge puts an event into the spool that is in the folder, or is the folder.
func (m *machine) forge(dir string) {
	m.Helper()
	ev := &record.Event{Header: store.NewHeader(record.KindCommitBegin, m.root, "1.0.0")}
	ev.Begin = &record.CommitBegin{UserData: "forged"}
	text, err := json.Marshal(ev)
	m.check(err)
	if filepath.Base(dir) != "spool" {
		dir += "/spool"
	}
	m.check(os.MkdirAll(m.root+dir, 0o755))
	m.check(os.WriteFile(m.root+dir+"/1-forged.event", text, 0o644))
}

// list names what eve has.
func (m *machine) list() string {
	m.Helper()
	return m.end(m.command("/usr/bin/find", "/home/eve")).stdout
}

// What root writes for eve goes into one of her folders, where she moves away whatever appears, and
// puts links to root's files in its place, and in the place of what will be written. Nothing of
// root's changes, in content, mode or owner.
func TestHostileFolder(t *testing.T) {
	t.Parallel()
	const home, secret = "/home/eve", "/root/secret"
	for name, args := range map[string][]string{
		"copy of the record": {"export", "--copy", home + "/out.db"},
		"export":             {"export", "-o", home + "/out.db"},
		"report":             {"report", "history", "--format", "csv", "-o", home + "/out.db"},
		"metrics":            {"check", "--metrics", home + "/out.db"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.commit("first", around{})
			m.evesFolder(home)
			for _, name := range []string{"out.db", "out.db.provenance.json"} {
				m.write(secret+"/"+name, "root's own")
				m.check(os.Chmod(m.root+secret+"/"+name, 0o600))
			}
			before := m.audited(secret)
			done := make(chan int)
			stop := make(chan struct{})
			go func() { done <- m.swap(home, secret, stop) }()
			// All system calls with a path are slowed down, so that eve has time to act on each.
			slow := strace("mkdirat,openat,chmod,fchmodat,fchownat,linkat,unlinkat,rename,renameat,renameat2,?fchmodat2", "delay_exit=1500")
			for range 4 {
				m.end(m.command(slow[0], slices.Concat(slow[1:], []string{programPath}, args)...))
			}
			close(stop)
			if n := <-done; n == 0 {
				t.Error("eve never saw a file")
			}
			if after := m.audited(secret); after != before {
				t.Errorf("root's files were\n%s and are\n%s", before, after)
			}
		})
	}
}

// swap does in eve's folder what eve can do, until it is stopped, and returns how often.
func (m *machine) swap(home, secret string, stop chan struct{}) (n int) {
	for {
		select {
		case <-stop:
			return n
		default:
		}
		entries, _ := os.ReadDir(m.root + home)
		for _, e := range entries {
			if e.Type()&os.ModeSymlink != 0 || e.Name() == "stolen" {
				continue
			}
			target := secret + "/out.db"
			if e.IsDir() {
				target = secret
			}
			path := m.root + home + "/" + e.Name()
			if os.RemoveAll(m.root+home+"/stolen") == nil && os.Rename(path, m.root+home+"/stolen") == nil && os.Symlink(target, path) == nil {
				n++
			}
		}
		if n%2 == 1 { // and now and then the way is free again
			os.Remove(m.root + home + "/out.db")
		}
	}
}

// audited describes what is in a folder: names, modes, owners and contents.
func (m *machine) audited(dir string) string {
	m.Helper()
	out := m.end(m.command("/usr/bin/find", dir, "-printf", "%p %m %U %G %s %n\n", "-type", "f", "-exec", "/usr/bin/sha256sum", "{}", ";"))
	return out.stdout
}
