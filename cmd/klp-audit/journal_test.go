package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/store"
)

// verified runs verify on the machine at root.
func verified(t *testing.T, root string) (v store.Verification, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), env{Args: []string{"verify", "--root", root, "--format", "json"}, Stdout: &out, Stderr: &errs, Getenv: os.Getenv, Now: time.Now})
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || errs.Len() > 0 {
		t.Fatalf("%v: %s%s", err, &out, &errs)
	}
	return v, code
}

// journalled writes checkpoints into the journal of the machine at root, as its recorder does.
func journalled(t *testing.T, root string, notes ...string) {
	t.Helper()
	const remote = "/usr/lib/systemd/systemd-journal-remote"
	if _, err := os.Stat(remote); err != nil {
		t.Skip("needs systemd-journal-remote")
	}
	var b bytes.Buffer
	for i, note := range notes {
		fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%032d\n_TRANSPORT=journal\n_UID=0\nMESSAGE_ID=%s\nKLP_CHECKPOINT\n",
			time.Now().UnixMicro(), i+1, 7, store.CheckpointMessageID)
		binary.Write(&b, binary.LittleEndian, uint64(len(note)))
		b.WriteString(note + "\nMESSAGE=klp-audit record\n\n")
	}
	export, dir := filepath.Join(t.TempDir(), "entries"), filepath.Join(root, "var/log/journal")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(export, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(remote, "-o", filepath.Join(dir, "system.journal"), export).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// The checkpoints in the journal show that an older copy of the record was put back.
func TestVerifyAgainstTheJournal(t *testing.T) {
	root := t.TempDir()
	grow := func() string {
		s, err := store.Open(t.Context(), root, "1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Append(t.Context(), &store.Event{Header: store.NewHeader(store.KindCommitBegin, root, "1.0.0"), Begin: &store.CommitBegin{}}); err != nil {
			t.Fatal(err)
		}
		sum, err := s.Summarize(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return sum.Checkpoint
	}
	first := grow()
	older, err := os.ReadFile(store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	second := grow()
	journalled(t, root, first, "1\nno checkpoint\n", second)
	if v, code := verified(t, root); code != exitDone || v.Result != store.Intact {
		t.Errorf("as it is: %d, %+v", code, v)
	}
	if err := os.WriteFile(store.Path(root), older, 0o640); err != nil {
		t.Fatal(err)
	}
	if v, code := verified(t, root); code != exitTruncated || len(v.Problems) != 1 || !strings.Contains(v.Problems[0], "rolled back or replaced") {
		t.Errorf("put back: %d, %+v", code, v)
	}
	if err := os.RemoveAll(filepath.Dir(store.Path(root))); err != nil {
		t.Fatal(err)
	}
	grow()
	grow()
	grow()
	if v, code := verified(t, root); code != exitAltered || !strings.Contains(strings.Join(v.Problems, "\n"), "not signed with a key of this record") {
		t.Errorf("made anew: %d, %+v", code, v)
	}
}
