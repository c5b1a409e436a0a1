package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// verified runs verify on the machine at root.
func verified(t *testing.T, root string) (v proof.Verification, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), env{Args: []string{"verify", "--root", root, "--format", "json"}, Stdout: &out, Stderr: &errs, Getenv: os.Getenv, Now: time.Now})
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || errs.Len() > 0 {
		t.Fatalf("%v: %s%s", err, &out, &errs)
	}
	return v, code
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
		if err := s.Append(t.Context(), &record.Event{Header: store.NewHeader(record.KindCommitBegin, root, "1.0.0"), Begin: &record.CommitBegin{}}); err != nil {
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
	journaltest.Checkpoints(t, filepath.Join(root, "var/log/journal"), store.CheckpointMessageID, first, "1\nno checkpoint\n", second)
	if v, code := verified(t, root); code != exitDone || v.Result != proof.Intact {
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
