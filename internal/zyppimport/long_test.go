package zyppimport

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/klp-audit/klp-audit/internal/zypp"
)

// writer writes a history of years as libzypp would, with the defects of real ones, and the changes
// that every reader must find.
type writer struct {
	*rand.Rand
	strings.Builder
	zone      *time.Location
	at        time.Time
	installed map[string]string
	want      []string
	userData  string
	columns   bool // this libzypp writes the user data
}

func (w *writer) line(format string, args ...any) {
	fmt.Fprintf(w, format+"\n", args...)
}

// stamp moves on by some seconds, and returns the local time then.
func (w *writer) stamp() string {
	w.at = w.at.Add(time.Duration(w.IntN(3)) * time.Second)
	return w.at.In(w.zone).Format(time.DateTime)
}

// end ends a line with the user data, if this libzypp writes it.
func (w *writer) end() string {
	if !w.columns {
		return ""
	}
	return "|" + strings.NewReplacer(`\`, `\\`, `|`, `\|`, `"`, `\"`, `'`, `\'`).Replace(w.userData)
}

func (w *writer) found(action, name, version, result string) {
	w.want = append(w.want, fmt.Sprintf("%s %s %s-%s %s", w.at.UTC().Format(time.DateTime), action, name, version, result))
}

// commit writes one commit; one in ten concerns tracked packages.
func (w *writer) commit(n int) {
	w.at = w.at.Add(time.Duration(1+w.IntN(100)) * time.Minute)
	old := n < 2000 // in those years libzypp wrote no commands and no user data
	w.columns, w.userData = !old, ""
	if !old && w.IntN(4) == 0 {
		w.userData = []string{`change:4711`, `a|b`, `it's "it"`, `back\slash`}[w.IntN(4)]
	}
	if !old {
		w.line("%s|command|root@db01|'zypper' '-n' %s%s", w.stamp(), []string{`'up'`, `'in' 'it's'`, `'in' 'a\|b'`, `'--root' '\\'`}[w.IntN(4)], w.end())
	} else {
		w.at = w.at.Add(pause) // without a command only time separates commits
	}
	for range w.IntN(4) {
		w.line("%s|install|lib%d|1.%d-1|x86_64||repo|%064x%s", w.stamp(), w.IntN(50), n, w.Uint64(), w.end())
	}
	if w.IntN(10) == 0 {
		w.tracked(n)
	}
	if !old && w.IntN(3) == 0 {
		w.line("%s|patch  |SUSE-%d|1|noarch|repo|important|security|needed|applied%s", w.stamp(), n, w.end())
	}
	w.defect(n)
}

var tracked = []string{"kernel-default", "kernel-macros", "dracut", livePatch, "suse-module-tools", "drbd-kmp-default", "kernel-rt"}

func (w *writer) tracked(n int) {
	for range 1 + w.IntN(3) {
		name := tracked[w.IntN(len(tracked))]
		version := fmt.Sprintf("%d.%d-%d", 1+w.IntN(5), w.IntN(9), n)
		had := w.installed[name]
		switch w.IntN(12) {
		case 0: // it failed
			w.line("# %s %s-%s.x86_64.rpm install failed\n# rpm output:\n# error: no space left", w.stamp(), name, version)
			w.found("install", name, version, "failed")
			if w.IntN(2) == 0 { // and the failure was ignored
				w.line("%s|install|%s|%s|x86_64||repo|%064x%s", w.at.In(w.zone).Format(time.DateTime), name, version, w.Uint64(), w.end())
			}
			return
		case 1:
			if had != "" {
				w.line("%s|remove |%s|%s|x86_64|root@db01%s", w.stamp(), name, had, w.end())
				w.found("remove", name, had, "ok")
				delete(w.installed, name)
			}
			return
		case 2:
			if had != "" { // the same twice in one second
				stamp := w.stamp()
				for range 2 {
					w.line("%s|install|%s|%s|x86_64||repo|%s%s", stamp, name, had, "aa", w.end())
					w.found("install", name, had, "ok")
				}
			}
			return
		}
		w.line("# %s %s-%s.x86_64.rpm installed ok\n# Additional rpm output:\n# warning", w.stamp(), name, version)
		w.line("%s|install|%s|%s|x86_64|%s|repo|%064x%s", w.at.In(w.zone).Format(time.DateTime), name, version,
			[]string{"", "root@db01", "2848:y2base"}[w.IntN(3)], w.Uint64(), w.end())
		w.found("install", name, version, "ok")
		w.installed[name] = version
	}
}

func (w *writer) defect(n int) {
	switch w.IntN(60) {
	case 0:
		w.line("no record, but the output of a script")
	case 1:
		w.line("%s|install|kernel-default", w.stamp()) // columns are missing
	case 2:
		w.line("%s|frob   |x|y|", w.stamp())
	case 3:
		w.line("\x00\x00\x00%s|radd   |repo|https://example.com/|", w.stamp())
	case 4:
		w.line("# \xff\xfe\r")
	case 5:
		w.line("")
	case 6:
		w.line("# Commit was aborted.")
	case 7:
		w.at = w.at.Add(-time.Duration(w.IntN(40)) * time.Minute) // the clock was set back
	case 8:
		if n%500 == 0 {
			w.line("%s", strings.Repeat("x", 2<<20))
		}
	}
}

// write writes this many commits over five years.
func write(seed uint64, commits int, zone *time.Location) *writer {
	w := &writer{Rand: rand.New(rand.NewPCG(seed, 5)), zone: zone, at: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC), installed: map[string]string{}}
	step := 5 * 365 * 24 * time.Hour / time.Duration(commits)
	for n := range commits {
		w.at = w.at.Add(max(step-50*time.Minute, 0))
		w.commit(n)
	}
	return w
}

// found are the rows in the form of writer.want.
func (m *machine) found() (rows []string) {
	for _, r := range m.rows() {
		action := r.Action
		if action != "remove" {
			action = "install"
		}
		rows = append(rows, fmt.Sprintf("%s %s %s-%s %s", r.Time.UTC().Format(time.DateTime), action, r.Package, r.Version, r.Result))
	}
	return rows
}

// A history of five years with every defect, rotated and compressed in every way, is imported in
// one go, and a second import adds nothing.
func TestFiveYears(t *testing.T) {
	commits := 20_000
	if testing.Short() {
		commits = 3_000
	}
	w := write(1, commits, time.UTC)
	files := rotate(t, w.String(), w.Rand)
	m := newMachine(t)
	start := time.Now()
	sum, problems := m.imports(files...)
	t.Logf("%d bytes, %d changes in %v; %+v, %d problems", w.Len(), len(w.want), time.Since(start), sum, len(problems))
	want := slices.Clone(w.want)
	slices.Sort(want)
	got := m.found()
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%.3000s", diff)
	}
	if sum.Broken == 0 || len(problems) != sum.Broken {
		t.Errorf("%+v, %d problems", sum, len(problems))
	}
	if again, _ := m.imports(files...); again.Added+again.Linked+again.Commits != 0 || again.Known != len(want) {
		t.Errorf("again: %+v", again)
	}
	m.intact()
}

// rotate cuts a history into five files at line ends, and compresses all but the last.
func rotate(t *testing.T, text string, random *rand.Rand) (files []string) {
	t.Helper()
	dir := t.TempDir()
	for i := range 5 {
		cut := len(text)
		if i < 4 {
			at := len(text)/(5-i) - random.IntN(1000)
			cut = at + strings.IndexByte(text[at:], '\n') + 1
		}
		part := text[:cut]
		text = text[cut:]
		name := filepath.Join(dir, []string{"history-20220101.gz", "history-20230101.xz", "history-20240101.zst", "history-20250101", "history"}[i])
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		var out io.WriteCloser = f
		switch filepath.Ext(name) {
		case ".gz":
			out = gzip.NewWriter(f)
		case ".xz":
			out, err = xz.NewWriter(f)
		case ".zst":
			out, err = zstd.NewWriter(f)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(out, part); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	slices.Reverse(files) // in a shell's order, or worse
	return files
}

// Wherever the history ended at an earlier import, even within a line: with the rest the record
// shows the same as with a single import.
func TestCutAnywhere(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	w := write(2, 2_400, berlin)
	whole := newMachine(t)
	whole.zone = berlin
	whole.text(w.String())
	want := whole.lines()
	if len(want) < 200 {
		t.Fatalf("%d changes", len(want))
	}
	rounds := 15 // with two cuts each
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		m := newMachine(t)
		m.zone = berlin
		cuts := []int{w.IntN(w.Len()), w.IntN(w.Len()), w.Len()}
		slices.Sort(cuts)
		for _, cut := range cuts {
			m.text(w.String()[:cut])
		}
		if diff := cmp.Diff(want, m.lines()); diff != "" {
			t.Fatalf("round %d, cut at %d: -want +got\n%.3000s", round, cuts, diff)
		}
		if round%10 == 0 {
			m.intact()
		}
		m.store.Close()
	}
}

// Who stops an import need not wait until a history of other packages is read.
func TestStoppedWhileReading(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "history"), strings.Repeat("2025-01-07 10:00:00|install|zlib|1.2-1|x86_64|root@vm|repo|aa|\n", 3))
	ctx, stop := context.WithCancel(t.Context())
	lines := 0
	r := &reader{clock: clock{zone: time.UTC}, problem: func(p Problem) { t.Error(p) }, seen: func(zypp.Line) { lines++; stop() }}
	if err := r.readAll(ctx, []source{{path: path}}); !errors.Is(err, context.Canceled) || lines != 1 {
		t.Errorf("%d lines, %v", lines, err)
	}
}
