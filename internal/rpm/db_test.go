package rpm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/klp-audit/klp-audit/internal/rpm/rpmtest"
	"github.com/klp-audit/klp-audit/record"
)

// lab is a file tree with its own database, filled by the real rpm.
type lab struct {
	*testing.T
	DB
}

// newLab returns an empty lab, and skips the test if it cannot work.
func newLab(t *testing.T) lab {
	rpmtest.Need(t)
	return lab{t, DB{Root: t.TempDir()}}
}

// build makes a package without files; see rpmtest.
func (l lab) build(nvr, header, rest string) string {
	l.Helper()
	return rpmtest.Build(l, nvr, header, rest)
}

// rpm runs rpm in the lab, as the package under test does.
func (l lab) rpm(args ...string) {
	l.Helper()
	rpmtest.Rpm(l, l.Root, args...)
}

// installed returns what is installed in the lab.
func (l lab) installed() []record.Package {
	l.Helper()
	packages, err := l.Installed(l.Context(), nil)
	if err != nil {
		l.Fatal(err)
	}
	return packages
}

func TestInstalled(t *testing.T) {
	l := newLab(t)
	const changelog = "%changelog\n* Tue May 13 2025 a@example.com\n- Fix for CVE-2024-2\n  KLP: CVE-2024-2\n- commit 1\n\n* Mon May 12 2025 b@example.com\n- other\n"
	one := l.build("kernel-livepatch-6_4_0-1-default 1 1.1", "Epoch: 2\nVendor: Some <\x1f\x1b> vendor", changelog)
	l.rpm("-i", one, l.build("unrelated 3 4", "", ""))
	got := l.installed()
	want := []record.Package{
		{Name: "kernel-livepatch-6_4_0-1-default", Arch: "noarch", Version: "2:1-1.1", Vendor: "Some <\x1f\x1b> vendor",
			SourceRPM: "kernel-livepatch-6_4_0-1-default-1-1.1.src.rpm"},
		{Name: "unrelated", Arch: "noarch", Version: "3-4", SourceRPM: "unrelated-3-4.src.rpm"},
	}
	if diff := cmp.Diff(got, want, cmpopts.IgnoreFields(record.Package{}, "InstallTime", "InstallTID", "DBInstance", "BuildTime")); diff != "" {
		t.Errorf("got -, want +\n%s", diff)
	}
	for _, p := range got {
		if p.InstallTime < p.BuildTime || p.BuildTime == 0 || p.InstallTID == 0 || p.DBInstance == 0 {
			t.Errorf("times and numbers are missing: %+v", p)
		}
	}
	changelogs, err := l.Changelogs(t.Context(), got[0].Name, "missing")
	text := "* Tue May 13 2025 a@example.com\n- Fix for CVE-2024-2\n  KLP: CVE-2024-2\n- commit 1\n\n* Mon May 12 2025 b@example.com\n- other\n\n"
	if diff := cmp.Diff(changelogs, map[record.Package]string{Instance(got[0]): text}); err != nil || diff != "" {
		t.Errorf("%v, got -, want +\n%s", err, diff)
	}
	kept, err := l.Installed(t.Context(), func(name string) bool { return name == "unrelated" })
	if diff := cmp.Diff(kept, got[1:]); err != nil || diff != "" {
		t.Errorf("%v, got -, want +\n%s", err, diff)
	}
}

// Words select packages by name alone, in all versions; a word that is in no name selects nothing.
func TestInstalledByWords(t *testing.T) {
	l := newLab(t)
	for _, nvr := range []string{"kernel-default 1 1", "kernel-default 1 2", "drbd-kmp-default 1 1", "dracut 59 1", "libc++ 1 1", "kern 1 kernel", "x 1 1"} {
		l.rpm("-i", l.build(nvr, "Summary: kernel", ""))
	}
	for _, words := range [][]string{{"kernel", "kmp-", "dracut"}, {"dracut"}, {"-"}, {"kmp-", "drbd"}, {"c++"}, {"none"}} {
		var want []record.Package
		for _, p := range l.installed() {
			if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(p.Name, w) }) {
				want = append(want, p)
			}
		}
		got, err := l.Installed(t.Context(), nil, words...)
		if diff := cmp.Diff(got, want); err != nil || diff != "" {
			t.Errorf("%q: %v, got -, want +\n%s", words, err, diff)
		}
	}
	if none, err := l.Installed(t.Context(), nil, "none"); err != nil || none != nil {
		t.Errorf("got %v, %v", none, err)
	}
}

func TestRealChanges(t *testing.T) {
	l := newLab(t)
	first, second := l.build("kernel-default 1 1", "", ""), l.build("kernel-default 1 2", "", "")
	beside := func(record.Package) bool { return true }
	steps := []struct {
		args     []string
		parallel func(record.Package) bool
		want     string
	}{
		{[]string{"-i", first}, nil, "install"},
		{[]string{"-U", second}, nil, "upgrade"},
		{[]string{"-U", "--oldpackage", first}, nil, "downgrade"},
		// Usually in the same second as the previous step.
		{[]string{"-U", "--replacepkgs", first}, nil, "reinstall"},
		{[]string{"-i", second}, beside, "install"},
		{[]string{"-e", "kernel-default-1-1"}, beside, "remove"},
		{[]string{"-e", "kernel-default"}, nil, "remove"},
	}
	before := l.installed()
	for _, step := range steps {
		l.rpm(step.args...)
		after := l.installed()
		changes := Diff(before, after, step.parallel)
		if len(changes) != 1 || string(changes[0].Action) != step.want {
			t.Errorf("rpm %v: %q, want one %s", step.args, describe(changes), step.want)
		}
		if step.want == "reinstall" && before[0].DBInstance == after[0].DBInstance {
			t.Errorf("rpm %v left the record's number as it was", step.args)
		}
		before = after
	}
}

func TestLock(t *testing.T) {
	l := newLab(t)
	gate := filepath.Join(l.Root, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := l.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check := func(want bool) {
		t.Helper()
		if got, err := lock.Held(); err != nil || got != want {
			t.Errorf("Held() = %v, %v, want %v", got, err, want)
		}
	}
	check(false)
	if _, err := os.Stat(filepath.Join(l.Root, "root")); err == nil {
		t.Error("asking for a transaction created the database")
	}
	path := l.build("slow 1 1", "", "%pre -p <lua>\nlocal gate = io.open('/gate')\ngate:read('a')\ngate:close()\n")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		exec.Command("/usr/bin/rpm", "--root", l.Root, "--nodeps", "-i", path).Run()
		// Releases the test, too, if rpm never reads.
		if f, err := os.OpenFile(gate, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			f.Close()
		}
	}()
	f, err := os.OpenFile(gate, os.O_WRONLY, 0) // returns when %pre reads
	if err != nil {
		t.Fatal(err)
	}
	check(true)
	settled()
	if s := l.snapshot(); s.Stamp != "" {
		t.Errorf("a stamp in the middle of a transaction: %q", s.Stamp)
	}
	f.Close()
	<-ended
	check(false)
	now, err := l.Snapshot(t.Context(), nil)
	if diff := cmp.Diff(now.Packages, l.installed()); err != nil || now.Lock != lock || diff != "" {
		t.Errorf("%v, lock %v, want %v; got -, want +\n%s", err, now.Lock, lock, diff)
	}
}

func TestDamagedDatabase(t *testing.T) {
	l := newLab(t)
	l.rpm("-i", l.build("a 1 1", "", ""))
	database := filepath.Join(l.Root, "root/.rpmdb/rpmdb.sqlite")
	if _, err := os.Stat(database); err != nil {
		t.Skip("needs an rpm with SQLite below its user's home")
	}
	for _, name := range []string{database, database + "-wal"} {
		if err := os.WriteFile(name, []byte(strings.Repeat("garbage ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, words := range [][]string{nil, {"kernel"}} {
		packages, err := l.Installed(t.Context(), nil, words...)
		if err == nil || packages != nil || !strings.Contains(err.Error(), "error:") {
			t.Errorf("Installed() = %v, %v, want what rpm complains of", packages, err)
		}
	}
}

// script returns a database with a shell script in the place of rpm.
func script(t *testing.T, text string) DB {
	program := filepath.Join(t.TempDir(), "rpm")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return DB{Program: program}
}

func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		db   DB
		want string
	}{
		"no program":           {DB{Program: "/nonexistent/rpm"}, "/nonexistent/rpm"},
		"no root":              {DB{Root: "/nonexistent/root"}, "/nonexistent/root"},
		"relative root":        {DB{Root: "."}, `root "."`},
		"exit status":          {script(t, `echo "no \033[1m way" >&2; exit 3`), `exit status 3: "no \x1b[1m way"`},
		"complaint":            {script(t, "echo warning: x >&2; echo error: broken >&2"), "error: broken"},
		"too much to say":      {script(t, "head -c 100000 /dev/zero >&2"), `reports errors: "\x00`},
		"no end":               {script(t, "echo text"), "record 1"},
		"mangled":              {script(t, `printf 'kernel%s' "${5##*VENDOR\}}"`), `record 1 of rpm's output, "kernel": 1 fields`},
		"endless":              {script(t, "exec cat /dev/zero"), "longer than 65536 bytes"},
		"killed in the middle": {script(t, `printf 'kernel%s' "${5##*VENDOR\}}"; kill -9 $$`), "record 1"},
		"ended by a signal":    {script(t, `kill -9 $$`), "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			packages, err := test.db.Installed(t.Context(), nil)
			if err == nil || packages != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Installed() = %v, %v, want an error with %q", packages, err, test.want)
			}
			if err != nil && len(err.Error()) > 10_000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET", "inherited")
	out := &records{end: []byte("\n"), limit: 1000, each: func(line string) error {
		for want := range strings.SplitSeq("HOME=/root LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin PWD=/ end", " ") {
			if line == want {
				return nil
			}
		}
		return errors.New("unexpected")
	}}
	if err := script(t, "unset OLDPWD SHLVL _; env; read -r x; echo end$x").run(t.Context(), out); err != nil {
		t.Error(err)
	}
	if err := out.close(); err != nil || out.n < 4 {
		t.Errorf("%d variables, %v", out.n, err)
	}
}

// TestCancelled cancels an rpm whose child keeps the output open.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	ended := filepath.Join(t.TempDir(), "ended")
	_, err := script(t, "{ sleep 60; : > "+ended+"; } & sleep 60").Installed(ctx, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := os.Stat(ended); err == nil {
		t.Error("it was waited for to the end")
	}
}
