package zyppimport

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/store"
)

// claims reads a text and returns what it claims, each with its line.
func claims(t testing.TB, text string) (lines []string) {
	r := &reader{clock: clock{zone: time.UTC}, problem: func(Problem) {}}
	r.emit = func(c *commit) error {
		for _, change := range c.changes {
			lines = append(lines, fmt.Sprintf("%d %t %s %s %s %s", change.Line.Number, change.removal, change.Package, change.Version, change.Result, change.Line.SHA256))
		}
		return nil
	}
	if err := errors.Join(r.readFrom(strings.NewReader(text), "history"), r.flush()); err != nil {
		t.Fatal(err)
	}
	return lines
}

// Whatever a history contains: what was read of its beginning stays the same when it grows.
func FuzzReader(f *testing.F) {
	files, err := filepath.Glob("../zypp/testdata/*.history")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), uint(len(text)/2))
	}
	f.Add(write(3, 40, time.UTC).String(), uint(500))
	f.Add("# 2020-01-01 10:00:01 dracut-1-4.x86_64.rpm install failed\n2020-01-01 10:00:01|install|dracut|1-4|x86_64||r|a|\n", uint(60))
	f.Fuzz(func(t *testing.T, text string, cut uint) {
		whole := claims(t, text)
		part := claims(t, text[:cut%uint(len(text)+1)])
		if len(part) > len(whole) || !slices.Equal(part, whole[:len(part)]) {
			t.Errorf("%s", cmp.Diff(part, whole))
		}
	})
}

// A file that is not a history causes no flood of messages.
func TestNoHistoryAtAll(t *testing.T) {
	m := newMachine(t)
	text := "2020-01-01 10:00:00|install|dracut|1-1|x86_64\n" + strings.Repeat("noise\n", 5000)
	sum, problems := m.text(text)
	if sum.Added != 1 || len(problems) != maxProblems+1 || !strings.Contains(problems[maxProblems], "not listed") {
		t.Errorf("%+v, %d problems", sum, len(problems))
	}
}

// Compressed in any way, a history says the same.
func TestPacked(t *testing.T) {
	m := newMachine(t)
	sum, problems := m.imports("testdata/history.bz2")
	if sum.Added != 4 || len(problems) != 0 {
		t.Errorf("%+v, %q", sum, problems)
	}
	for _, tool := range []string{"gz", "xz", "zst"} {
		sum, problems := m.imports("testdata/history." + tool)
		if sum.Added != 0 || sum.Known != 4 || len(problems) != 0 {
			t.Errorf("%s: %+v, %q", tool, sum, problems)
		}
	}
}

// A compressed file that ends too early gives what it holds.
func TestCutPackedFile(t *testing.T) {
	whole, err := os.ReadFile("testdata/history.gz")
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	sum, problems := m.imports(put(t, filepath.Join(m.root, "cut.gz"), string(whole[:len(whole)-40])))
	if len(problems) != 1 || sum.Files != 1 {
		t.Errorf("%+v, %q", sum, problems)
	}
}

// Two imports at once, while commits are recorded: each change is added once.
func TestTwoAtOnce(t *testing.T) {
	m := newMachine(t)
	w := write(4, 1500, time.UTC)
	path := put(t, filepath.Join(m.root, "history"), w.String())
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			s, err := store.Open(t.Context(), m.root, "1.0.0")
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			// An import that comes too late too often may give up.
			_, err = Import(t.Context(), s, Options{Files: []string{path}, Zone: time.UTC, Root: m.root, Version: "1.0.0", Problem: func(Problem) {}})
			if err != nil && !errors.Is(err, store.ErrMoved) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	m.imports(path)
	if got := m.found(); len(got) != len(w.want) {
		t.Errorf("%d changes, want %d", len(got), len(w.want))
	}
	m.intact()
}
