package rpm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// settled waits until the file system's clock has moved on.
func settled() {
	for now := time.Now(); !fileClock().After(now); {
		time.Sleep(time.Millisecond)
	}
}

// snapshot reads the database, and fails if it cannot.
func (l *lab) snapshot() Snapshot {
	l.Helper()
	s, err := l.Snapshot(l.Context(), nil)
	if err != nil {
		l.Fatal(err)
	}
	return s
}

// A database that was only read keeps its stamp; whatever rpm does to it changes the stamp.
func TestStamp(t *testing.T) {
	l := newLab(t)
	one, other := l.build("a 1 1", "", ""), l.build("b 1 1", "", "")
	l.rpm("-i", one)
	settled()
	s := l.snapshot()
	if s.Stamp == "" {
		var fs unix.Statfs_t
		unix.Statfs(l.Root, &fs)
		t.Skipf("file system %x has no stamps", fs.Type)
	}
	for range 3 {
		if got := l.snapshot().Stamp; got != s.Stamp || !l.Unchanged(s.Stamp) {
			t.Fatalf("it was read, and now has the stamp\n%s\nafter\n%s", got, s.Stamp)
		}
	}
	for _, args := range [][]string{{"-i", other}, {"-U", "--force", one}, {"-e", "b"}} {
		before := l.snapshot().Stamp
		l.rpm(args...)
		if l.Unchanged(before) || l.Unchanged(s.Stamp) {
			t.Errorf("rpm %s: the stamp is the same", args)
		}
		settled()
		if after := l.snapshot().Stamp; after == "" || after == before {
			t.Errorf("rpm %s: the stamp was %q and is %q", args, before, after)
		}
	}
}

// A file that was written in the current step of the clock may be written again without a trace.
func TestStampOfWhatWasJustWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	file := filepath.Join(dir, "rpmdb.sqlite")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	db := DB{Root: filepath.Dir(dir)}
	write("rpmdb.sqlite", "1")
	_, newest := db.stamp("/db")
	for _, moment := range []time.Time{newest.Add(-time.Hour), newest} {
		if s := db.stampSince("/db", moment); s != "" {
			t.Errorf("written at %s, and not before %s: %q", newest, moment, s)
		}
	}
	settled()
	s := db.stampSince("/db", fileClock())
	if s == "" {
		t.Skip("the file system has no stamps")
	}
	if !strings.HasPrefix(string(s), "/db rpmdb.sqlite:") || !db.Unchanged(s) {
		t.Errorf("got %q", s)
	}
	write("rpmdb.sqlite-wal", "") // by a reader
	if !db.Unchanged(s) {
		t.Error("an empty log changes the stamp")
	}
	for name, change := range map[string]func(){
		"its log":    func() { write("rpmdb.sqlite-wal", "1") },
		"the file":   func() { write("rpmdb.sqlite", "2") },
		"its mode":   func() { os.Chmod(file, 0o600) },
		"another":    func() { os.Rename(file, file+".old"); write("rpmdb.sqlite", "1") },
		"none":       func() { os.Remove(file) },
		"Berkeley's": func() { write("Packages", "") },
		"seconds": func() {
			at := time.Unix(1700000000, 0)
			os.Chtimes(file, at, at)
		},
	} {
		os.RemoveAll(dir)
		write("rpmdb.sqlite", "1")
		settled()
		s := db.stampSince("/db", fileClock())
		change()
		if s == "" || db.Unchanged(s) {
			t.Errorf("%s: %q is the same", name, s)
		}
		if now, _ := db.stamp("/db"); now != "" && slices.Contains([]string{"its log", "none", "seconds", "Berkeley's"}, name) {
			t.Errorf("%s: %q", name, now)
		}
	}
	for _, s := range []Stamp{"", " ", "/db", "/none rpmdb.sqlite:1:1:1:1", "/../db x"} {
		if db.Unchanged(s) {
			t.Errorf("%q is unchanged", s)
		}
	}
}

// The stamp is that of the database, wherever rpm's lock is, and there is none in the middle of a
// transaction.
func TestStampIsOfTheDatabase(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		want   string // how the stamp begins
	}{
		"usual":          {`echo "/db/.rpm.lock\037/db$end"`, "/db rpmdb.sqlite:"},
		"lock elsewhere": {`echo "/left/.rpm.lock\037/db$end"`, "/db rpmdb.sqlite:"},
		"no such folder": {`echo "/db/.rpm.lock\037/none$end"`, ""},
		"not said":       {`echo "%{_rpmlock_path}\037%{_dbpath}$end"`, ""},
	} {
		root := t.TempDir()
		for _, dir := range []string{"db", "left"} {
			if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, dir, "rpmdb.sqlite"), []byte(dir), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		settled()
		// The mark follows the macros.
		db := script(t, `for a; do case $a in *_dbpath*) end=${a#*_dbpath\}};; esac; done; `+tt.script)
		db.Root = root
		s, err := db.Snapshot(t.Context(), nil)
		if err != nil || !strings.HasPrefix(string(s.Stamp), tt.want) || tt.want == "" && s.Stamp != "" {
			if known, _ := db.stamp("/db"); err == nil && known == "" {
				t.Skip("the file system has no stamps")
			}
			t.Errorf("%s: stamp %q, %v", name, s.Stamp, err)
		}
	}
}

// Installed packages are found without reading all packages.
func TestChangelogsByName(t *testing.T) {
	asked := filepath.Join(t.TempDir(), "asked")
	if _, err := script(t, `echo "$@" >>`+asked).Changelogs(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(asked)
	if err != nil || strings.Count(string(text), " -q --qf ") != 1 || !strings.HasSuffix(string(text), " -- a b\n") || strings.Contains(string(text), "-qa") {
		t.Errorf("asked for %q, %v", text, err)
	}
}
