package store_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
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

// A key that takes over with the signature of the previous one, and one without.
func TestVectorsOfKeys(t *testing.T) {
	for name, change := range map[string]func(root string){
		"cloned.jsonl":   func(root string) { put(t, filepath.Join(root, "etc/machine-id"), "m2\n") },
		"replaced.jsonl": func(root string) { check(t, os.Remove(store.KeyPath(root))) },
	} {
		if *update {
			put(t, vectors+name, changedKey(t, change))
		}
		v, err := proof.VerifyExport(t.Context(), strings.NewReader(vector(t, name)), "")
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
	Seq    int    `json:"seq"` // its number in a log
	Body   string `json:"body,omitempty"`
	Body64 []byte `json:"body64,omitempty"`
}

// Other programs, too, refuse what this one refuses as an event by itself.
func TestVectorsOfRefusedEvents(t *testing.T) {
	all := ambiguous()
	delete(all, "an id that is there") // valid by itself
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
