package recorder

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
)

// What a transactional update changes is not running yet.
func TestStagedCommitIsNotObserved(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, program)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n> "+root+"/called\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	rec := New(root, "test", os.Getenv, os.Stderr)
	for staging, called := range map[*record.Staging]bool{{Snapshot: "7", Root: "/"}: false, nil: true} {
		os.Remove(filepath.Join(root, "called"))
		rec.open = &openCommit{begin: &record.Event{Begin: &record.CommitBegin{Staging: staging}}}
		rec.End(t.Context(), Ending{How: Committed})
		rec.Observe()
		rec.ObserveLater()
		_, errCalled := os.Stat(filepath.Join(root, "called"))
		_, errAsked := os.Stat(filepath.Join(root, requestFile))
		if (errCalled == nil) != called || (errAsked == nil) != called {
			t.Errorf("staging %v: called: %v, service asked: %v", staging, errCalled, errAsked)
		}
		os.Remove(filepath.Join(root, requestFile))
	}
}

// zypper --root works on another system: that is not this machine's history.
func TestOtherSystem(t *testing.T) {
	for command, want := range map[string]bool{
		"zypper --root /mnt in kernel-default": true, "zypper -R / up": false, "zypper up": false, "zypper --installroot=/mnt/ up": true,
	} {
		if got := otherSystem(&record.CommitBegin{Command: strings.Fields(command)}); got != want {
			t.Errorf("%s: got %t", command, got)
		}
	}
}

// The traces of a transactional update that died are looked for in its snapshot, never in the
// running system.
func TestSnapshotOfADeadUpdate(t *testing.T) {
	root := t.TempDir()
	rec := New(root, "test", func(string) string { return "" }, io.Discard)
	b := &record.CommitBegin{Staging: &record.Staging{Snapshot: "7", Root: "/", Chroot: true}}
	if _, err := rec.lookLate(t.Context(), b, nil); !errors.Is(err, errDiscarded) {
		t.Errorf("got %v", err)
	}
	if err := os.MkdirAll(filepath.Join(root, ".snapshots/7/snapshot"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := rec.lookLate(t.Context(), b, nil); errors.Is(err, errDiscarded) {
		t.Errorf("with its snapshot: %v", err)
	}
}
