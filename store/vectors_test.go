package store_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	python "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

const vectors = "../docs/vectors/"

func vector(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(vectors + name)
	check(t, err)
	return string(b)
}

// What docs/record.md shows to authors of other programs is what this one accepts, and says.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("../docs/record.md")
	check(t, err)
	earlier, page := vector(t, "earlier.checkpoint"), string(b)
	for _, name := range []string{"record.jsonl", "since-3.jsonl"} {
		v, err := store.VerifyExport(t.Context(), strings.NewReader(vector(t, name)), "", earlier)
		check(t, err)
		if v.Result != proof.Intact || v.TreeSize != 5 || !strings.Contains(page, v.RootHash) || !strings.Contains(page, name) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	v, err := store.VerifyExport(t.Context(), strings.NewReader(vector(t, "pruned.jsonl")), "")
	check(t, err)
	if v.Result != proof.Intact || v.TreeSize != 6 || !strings.Contains(page, "pruned.jsonl") {
		t.Errorf("pruned: %+v", v)
	}
	v, err = store.VerifyExport(t.Context(), strings.NewReader(vector(t, "record.jsonl")), "")
	check(t, err)
	cp, err := proof.ParseCheckpoint(earlier, v.Key)
	check(t, err)
	if !strings.Contains(page, cp.Root.String()) || !strings.Contains(page, proof.ExportFormat) {
		t.Error("the page says something else")
	}
}

// A key that takes over with the signature of the one before, and one without.
func TestVectorsOfKeys(t *testing.T) {
	for name, change := range map[string]func(root string){
		"cloned.jsonl":   func(root string) { put(t, filepath.Join(root, "etc/machine-id"), "m2\n") },
		"replaced.jsonl": func(root string) { check(t, os.Remove(store.KeyPath(root))) },
	} {
		if *update {
			put(t, vectors+name, changedKey(t, change))
		}
		v, err := store.VerifyExport(t.Context(), strings.NewReader(vector(t, name)), "")
		check(t, err)
		if v.TreeSize != 6 || len(v.Keys) != 2 || v.Keys[1].Event != 5 || *v.Keys[1].Signed != (name == "cloned.jsonl") || (v.Result == proof.Intact) != *v.Keys[1].Signed {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// changedKey is an export of a record in which another key takes over at event 5.
func changedKey(t *testing.T, change func(root string)) string {
	root := newRoot(t)
	a := begin(1)
	write(t, root, a, end(2, a, record.OutcomeCompleted), observation(3))
	change(root)
	write(t, root, begin(4))
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	check(t, err)
	defer s.Close()
	var b bytes.Buffer
	check(t, s.Export(t.Context(), &b, 0))
	return b.String()
}

// refused is a line of refused.jsonl.
type refused struct {
	Why    string `json:"why"`
	Seq    int    `json:"seq"` // that it would have in a log
	Body   string `json:"body,omitempty"`
	Body64 []byte `json:"body64,omitempty"`
}

// What is no event by itself is none to other programs, too.
func TestVectorsOfRefusedEvents(t *testing.T) {
	all := ambiguous()
	delete(all, "an id that is there") // is one by itself
	if *update {
		var lines strings.Builder
		for _, why := range slices.Sorted(maps.Keys(all)) {
			r := refused{Why: why, Seq: 8, Body: all[why]}
			if !utf8.ValidString(all[why]) {
				r.Body, r.Body64 = "", []byte(all[why])
			}
			check(t, json.NewEncoder(&lines).Encode(r))
		}
		put(t, vectors+"refused.jsonl", lines.String())
	}
	n := 0
	for line := range strings.Lines(vector(t, "refused.jsonl")) {
		var r refused
		check(t, json.Unmarshal([]byte(line), &r))
		if body := r.Body + string(r.Body64); body != all[r.Why] {
			t.Errorf("%s: %q", r.Why, body)
		}
		n++
	}
	if n != len(all) {
		t.Errorf("%d events, want %d", n, len(all))
	}
}

// The program that was written from the page says the same.
func TestVectorsWithAnotherProgram(t *testing.T) {
	name := "python3"
	if python.Command(name, "-c", "import cryptography").Run() != nil {
		name = "/usr/bin/python3" // that of the package
		if out, err := python.Command(name, "-c", "import cryptography").CombinedOutput(); err != nil {
			t.Skipf("python3 has no cryptography: %s", out)
		}
	}
	for _, tt := range []struct {
		intact bool
		args   []string
	}{
		{true, []string{"record.jsonl", "earlier.checkpoint"}}, {true, []string{"since-3.jsonl", "earlier.checkpoint"}},
		{true, []string{"pruned.jsonl"}}, {true, []string{"cloned.jsonl"}}, {false, []string{"replaced.jsonl"}}, {true, []string{"--refused", "refused.jsonl"}},
		{false, []string{"cloned.jsonl", "earlier.checkpoint"}},
	} {
		cmd := python.Command(name, append([]string{"verify.py"}, tt.args...)...)
		cmd.Dir = vectors
		if out, err := cmd.CombinedOutput(); (err == nil) != tt.intact {
			t.Errorf("%q: %v\n%s", tt.args, err, out)
		}
	}
}
