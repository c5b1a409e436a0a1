package zypp

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

// root makes a file tree from path and text pairs.
func root(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		write(t, filepath.Join(dir, files[i]), files[i+1])
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if closed := f.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
}

func fixture(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/libzypp-17.25.7-" + name + ".history")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mark(t *testing.T, dir string) record.HistoryMark {
	t.Helper()
	m, err := MarkHistory(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func since(t *testing.T, m record.HistoryMark, dir string) Appended {
	t.Helper()
	a, err := Since(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSinceReadsTheCommitAfterTheMark(t *testing.T) {
	dir := root(t, "var/log/zypp/history", fixture(t, "install"))
	m := mark(t, dir)
	name := filepath.Join(dir, defaultHistory)
	// An earlier refresh of a repository, and a later commit that is not ours.
	write(t, name, "2026-11-23 06:51:11|radd   |lab2|dir:/lab|\n"+fixture(t, "update")+fixture(t, "purge"))
	const at = "2026-11-23 06:51:11"
	const patch = "kernel-livepatch-6_4_0-150600_23_17-default"
	want := Appended{
		Command: "'zypper' '--non-interactive' '--no-gpg-checks' 'up'",
		Installs: []Record{
			{Time: at, Action: ActionInstall, Name: "kernel-default", Version: "6.4.0-150600.23.22.1", Arch: "x86_64", Repo: "lab", Checksum: "c4c65154d3416730e7874259c5efd026c6090a03f73af30fff8910747010e5d1"},
			{Time: at, Action: ActionInstall, Name: patch, Version: "5-150600.2.1", Arch: "x86_64", Repo: "lab", Checksum: "92e3e0f268783e5983f76461b2dbeeece88b48a178ccc934b860d02f29ff61ed"},
			{Time: at, Action: ActionInstall, Name: "kernel-livepatch-nomv-default", Version: "5-150600.2.1", Arch: "x86_64", Repo: "lab", Checksum: "6890eb23fb8099b4c7a00fae2ec10aedbbbf897efbdf0c2916218c4574ebff0e"},
			{Time: at, Action: ActionInstall, Name: "kernel-macros", Version: "6.4.0-150600.23.22.1", Arch: "noarch", Repo: "lab", Checksum: "2740c380529e23d6fc7daff1db3dca58b5a54444078c96be92ea0a39212d9ec6"},
		},
		Advisories: []record.Advisory{{ID: "SUSE-SLE-Module-Live-Patching-15-SP6-2024-1234", Repo: "lab",
			Severity: "important", Category: "security", OldState: "needed", NewState: "applied"}},
	}
	if diff := cmp.Diff(want, since(t, m, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestSinceOfEachFixture(t *testing.T) {
	tests := []struct {
		name, userData                string
		installs, removes, advisories int
		failed                        []string
	}{
		{"install", "tid=foo:bar,reason=CHG001", 4, 0, 1, nil},
		{"update", "", 4, 0, 1, nil},
		{"purge", "", 0, 2, 0, nil},
		{"reinstall", "", 1, 0, 0, nil},
		{"failed-aborted", "", 0, 0, 0, []string{"kernel-prefail-1-1.x86_64.rpm"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := root(t)
			m := mark(t, dir) // the history's first commit
			write(t, filepath.Join(dir, defaultHistory), fixture(t, test.name))
			a := since(t, m, dir)
			if a.Command == "" || a.UserData != test.userData || len(a.Problems) > 0 {
				t.Errorf("command %q, userdata %q, problems %q", a.Command, a.UserData, a.Problems)
			}
			got := []int{len(a.Installs), len(a.Removes), len(a.Advisories)}
			if diff := cmp.Diff([]int{test.installs, test.removes, test.advisories}, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.failed, a.Failed); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMarkHistoryFindsThePath(t *testing.T) {
	const disabled = "[main]\nhistory.logfile = /dev/null\n"
	tests := []struct {
		name, want string
		files      []string
	}{
		{"default", "/var/log/zypp/history", nil},
		{"commented out", "/var/log/zypp/history", []string{"etc/zypp/zypp.conf", "[main]\n## history.logfile = /x\n"}},
		{"other section", "/var/log/zypp/history", []string{"etc/zypp/zypp.conf", "[else]\nhistory.logfile=/x\n[main]\n"}},
		{"set", "/srv/h", []string{"etc/zypp/zypp.conf", "[main]\n  history.logfile=/srv/../srv/h \n"}},
		{"vendor's", "/dev/null", []string{"usr/etc/zypp/zypp.conf", disabled}},
		{"a fragment's", "/dev/null", []string{"etc/zypp/zypp.conf", "[main]\nhistory.logfile = /x\n", "etc/zypp/zypp.conf.d/history.conf", disabled}},
		{"the vendor's fragment's", "/dev/null", []string{"usr/etc/zypp/zypp.conf.d/history.conf", disabled}},
		{"a fragment's without a section", "/var/log/zypp/history", []string{"etc/zypp/zypp.conf", "[main]\n", "etc/zypp/zypp.conf.d/1.conf", "history.logfile = /x\n"}},
		{"of this boot", "/dev/null", []string{"usr/etc/zypp/zypp.conf", "[main]\n", "run/zypp/zypp.conf.d/1.conf", disabled}},
		{"administrator's first", "/var/log/zypp/history", []string{"usr/etc/zypp/zypp.conf", disabled, "etc/zypp/zypp.conf", "[main]\n"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := root(t, test.files...)
			m := mark(t, dir)
			if diff := cmp.Diff(record.HistoryMark{Path: test.want}, m); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(Appended{}, since(t, m, dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSinceAfterARotation(t *testing.T) {
	dir := root(t, "var/log/zypp/history", fixture(t, "install"))
	name := filepath.Join(dir, defaultHistory)
	m := mark(t, dir)
	if err := os.Rename(name, name+"-20261123"); err != nil {
		t.Fatal(err)
	}
	if got := since(t, m, dir); !strings.Contains(strings.Join(got.Problems, ""), "history was rotated") {
		t.Errorf("rotated, nothing written: problems %q", got.Problems)
	}
	_, headless, _ := strings.Cut(fixture(t, "update"), "\n")
	write(t, name, headless+fixture(t, "purge"))
	got := since(t, m, dir)
	if got.Command != "" || len(got.Installs) != 4 || len(got.Removes) != 0 {
		t.Errorf("rotated amid the commit: %+v", got)
	}
	if len(got.Problems) != 1 || !strings.Contains(got.Problems[0], "history was rotated") {
		t.Errorf("problems %q", got.Problems)
	}
}

func TestSinceOfATruncatedHistory(t *testing.T) {
	dir := root(t, "var/log/zypp/history", fixture(t, "install"))
	m := mark(t, dir)
	if err := os.WriteFile(filepath.Join(dir, defaultHistory), []byte(fixture(t, "reinstall")), 0o644); err != nil {
		t.Fatal(err)
	}
	got := since(t, m, dir)
	if len(got.Installs) != 1 || len(got.Problems) != 1 {
		t.Errorf("installs %v, problems %q", got.Installs, got.Problems)
	}
}

func TestSinceListsWhatItCannotRead(t *testing.T) {
	dir := root(t, "var/log/zypp/history", "before\n")
	m := mark(t, dir)
	write(t, filepath.Join(dir, defaultHistory), strings.Join([]string{
		"2026-11-23 06:51:10|command|root@vm|'zypper' 'in' 'https://u:geheim@h/x.rpm'|\xff\x00",
		strings.Repeat("x", 3<<20),
		"\x1b[31mnonsense",
		"# 2026-11-23 06:51:10 a remove failed",
		"# 2026-11-23 06:51:10 any text that ends so: install failed",
		"# \xff",
		"2026-11-23 06:51:10|future |a|",
		"2026-11-23 06:51:10|install|a|1-1|noarch||lab|abc|",
		"2026-11-23 06:51:10|install|b|1-1",
	}, "\n"))
	got := since(t, m, dir)
	want := Appended{
		Command:  "'zypper' 'in' 'https://***@h/x.rpm'",
		UserData: "\uFFFD\x00",
		Installs: []Record{{Time: "2026-11-23 06:51:10", Action: ActionInstall, Name: "a", Version: "1-1", Arch: "noarch", Repo: "lab", Checksum: "abc"}},
		Failed:   []string{"a"},
		Problems: []string{
			"line 2 at byte 87: longer than 1 MiB, skipped",
			`line 3: parsing history record "\x1b[31mnonsense": it does not begin with a time`,
			"line 9 at byte 3146014: unfinished, skipped",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSinceListsNotEveryProblem(t *testing.T) {
	dir := root(t)
	m := mark(t, dir)
	write(t, filepath.Join(dir, defaultHistory), strings.Repeat("?\n", 5000))
	if got := since(t, m, dir); len(got.Problems) != maxProblems+1 {
		t.Errorf("%d problems, want %d", len(got.Problems), maxProblems+1)
	}
}

func TestSinceReadsNoMoreThanItsBound(t *testing.T) {
	dir := root(t)
	m := mark(t, dir)
	name := filepath.Join(dir, defaultHistory)
	write(t, name, fixture(t, "reinstall"))
	if err := os.Truncate(name, maxAppended+1); err != nil { // a sparse file
		t.Fatal(err)
	}
	got := since(t, m, dir)
	want := fmt.Sprintf("history: only the first %d of %d bytes were looked at", maxAppended, maxAppended+1)
	if len(got.Installs) != 1 || len(got.Problems) != 2 || got.Problems[0] != want {
		t.Errorf("installs %v, problems %q", got.Installs, got.Problems)
	}
}

func TestHistoryMustBeAFile(t *testing.T) {
	dir := root(t, "var/log/zypp/x", "")
	name := filepath.Join(dir, defaultHistory)
	m := mark(t, dir)
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := MarkHistory(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("MarkHistory of a FIFO: %v", err)
	}
	if _, err := Since(dir, m); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Since of a FIFO: %v", err)
	}
}

func FuzzSince(f *testing.F) {
	f.Add([]byte("2026-11-23 06:51:10|command|root@vm|'zypper'|\n# x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var g group
		if err := g.read(bytes.NewReader(text), 0); err != nil {
			t.Error(err)
		}
	})
}
