package plugin

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// leftOpen puts a commit of a dead process into the spool, and its end, which is large if it must
// wait for a writer with more time than a commit has. It returns the file of the end.
func leftOpen(t *testing.T, problem string) (root, path string) {
	t.Helper()
	root = t.TempDir()
	if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	change := record.Change{Kind: "kernel", Action: "install", Package: "kernel-default", Arch: "x86_64", Version: "6.4.0-1", Result: record.ResultUnknown}
	begin := &record.Event{Header: store.NewHeader(record.KindCommitBegin, root, "test")}
	begin.Begin = &record.CommitBegin{Libzypp: record.Process{PID: 1<<22 + 1, StartTicks: 1}, Command: []string{}, Announced: []record.Change{change}}
	end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, root, "test")}
	end.End = &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted, Changes: []record.Change{change}, Problems: []string{problem}}
	for _, ev := range []*record.Event{begin, end} {
		if err := store.Spool(root, ev, errors.New("held"), false); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(root, store.StateDir, "spool/*"+end.ID+"*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	return root, files[0]
}

func wantOutcomes(t *testing.T, root string, want ...string) {
	t.Helper()
	serve(t, root, frames("PLUGINBEGIN", "COMMITBEGIN "+kernelList, "_DISCONNECT"))
	if diff := cmp.Diff(want, outcomes(t, root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An event of a newer version may wait for ever: commits are closed all the same.
func TestFileOfANewerVersionHoldsNothingBack(t *testing.T) {
	root, path := leftOpen(t, "")
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(body, []byte(`"v":1`), []byte(`"v":2`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, root, "interrupted", "open")
}

// Waiting events are waited for, but no longer than a day.
func TestWhatWaitsIsAwaitedForADay(t *testing.T) {
	root, path := leftOpen(t, strings.Repeat("x", 2<<20))
	wantOutcomes(t, root, "open", "open")
	past := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, root, "interrupted", "interrupted", "open")
}

// stuck makes a folder from which nothing can be removed.
func stuck(t *testing.T, dir string) {
	t.Helper()
	setAttribute(t, dir, "+i")
	t.Cleanup(func() { setAttribute(t, dir, "-i") })
}

func setAttribute(t *testing.T, dir, attribute string) {
	t.Helper()
	if out, err := exec.Command("chattr", attribute, dir).CombinedOutput(); err != nil {
		t.Skipf("the folder cannot be made immutable: %s", out)
	}
}

// A file that cannot be removed or set aside is reported once, and blocks nothing.
func TestFileThatStaysInTheSpoolIsNamedOnce(t *testing.T) {
	root, path := leftOpen(t, "")
	garbage := filepath.Join(filepath.Dir(path), "99999999999999999999-garbage.event")
	if err := os.WriteFile(garbage, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	stuck(t, filepath.Dir(path))
	begin := "COMMITBEGIN " + kernelList
	_, stderr := serve(t, root, frames("PLUGINBEGIN", begin, "COMMITEND "+endList, begin, "COMMITEND "+endList, "PLUGINEND", "_DISCONNECT"))
	for _, name := range []string{path, garbage} {
		var lines int
		for line := range strings.Lines(stderr) {
			if strings.Contains(line, name) {
				lines++
			}
		}
		if lines != 1 {
			t.Errorf("%s is named in %d lines: %q", name, lines, stderr)
		}
	}
	wantOutcomes(t, root, "completed", "failed", "failed", "open")
}
