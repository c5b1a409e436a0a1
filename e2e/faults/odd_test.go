package faults

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/store"
)

// oddFiles are things that may be in the place of a file, with the words that a message uses for
// them.
var oddFiles = map[string]struct {
	make func(m *machine, path string)
	kind string
}{
	"fifo":   {func(m *machine, path string) { m.check(syscall.Mkfifo(path, 0o600)) }, "a FIFO"},
	"socket": {func(m *machine, path string) { m.check(syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0)) }, "a socket"},
	"folder": {func(m *machine, path string) { m.check(os.Mkdir(path, 0o700)) }, "a folder"},
	"device": {func(m *machine, path string) { m.check(os.Symlink("/dev/zero", path)) }, "a device"},
	"endless": {func(m *machine, path string) {
		m.check(os.WriteFile(path, nil, 0o600))
		m.check(os.Truncate(path, 1<<40))
	}, ""},
}

// Something else may be in the place of each file that is opened by name. Nothing ever blocks on
// it: the commit goes on in time, commands end, and where it matters they say what is wrong with
// which file.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]bool{
		recordPath: true, recordPath + "-journal": true, recordPath + "-wal": true, stateDir + "/key": true,
		"/etc/machine-id": false, "/etc/group": false, "/etc/passwd": false, "/etc/zypp/zypp.conf": false, "/etc/klp-audit/klp-audit.toml": false,
		"/var/log/zypp/history": false, "/run/klp-audit/observe": false, "/var/lib/rpm/.rpm.lock": false, "/etc/klp-audit/profiles/own.toml": false,
	} {
		for kind, odd := range oddFiles {
			if kind == "endless" && strings.HasPrefix(name, recordPath) {
				continue // SQLite reads only a page of it
			}
			t.Run(strings.TrimPrefix(name, "/")+" is "+kind, func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.commit("first", around{})
				path := m.root + name
				m.check(os.MkdirAll(filepath.Dir(path), 0o755))
				if err := os.Rename(path, path+".kept"); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
				odd.make(m, path)
				began := time.Now()
				got := result{stderr: m.commit("odd", around{plugin: pluginPath})}
				for _, command := range [][]string{{"status"}, {"observe"}, {"check", "--profile", "own"}} {
					r := m.audit(command...)
					got.stdout += r.stdout + r.stderr
				}
				if took := time.Since(began); took > hangs {
					t.Errorf("a commit and three commands took %v", took)
				}
				if says {
					m.says(got, 0, name, odd.kind)
				}
				m.check(os.RemoveAll(path))
				if err := os.Rename(path+".kept", path); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
				m.settle("first", "odd")
			})
		}
	}
}

// Something in the spool that is not an event is left where it is.
func TestOddFilesInTheSpool(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	reader := m.hold("BEGIN; SELECT count(*) FROM events;")
	m.commit("held", around{})
	reader.release()
	for kind, odd := range oddFiles {
		if kind != "endless" {
			odd.make(m, m.root+stateDir+"/spool/0-"+kind+".event")
		}
	}
	m.commit("next", around{})
	if n := store.Waiting(m.root); n != 0 {
		t.Errorf("%d events wait", n)
	}
	m.settle("first", "held", "next")
}
