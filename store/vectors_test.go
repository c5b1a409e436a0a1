package store_test

import (
	"os"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/store"
)

// What docs/record.md shows to authors of other programs is what this one accepts, and says.
func TestVectors(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile("../docs/" + name)
		check(t, err)
		return string(b)
	}
	earlier, page := read("vectors/earlier.checkpoint"), read("record.md")
	for _, name := range []string{"record.jsonl", "since-3.jsonl"} {
		v, err := store.VerifyExport(t.Context(), strings.NewReader(read("vectors/"+name)), "", earlier)
		check(t, err)
		if v.Result != store.Intact || v.TreeSize != 5 || !strings.Contains(page, v.RootHash) || !strings.Contains(page, name) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	v, err := store.VerifyExport(t.Context(), strings.NewReader(read("vectors/pruned.jsonl")), "")
	check(t, err)
	if v.Result != store.Intact || v.TreeSize != 6 || !strings.Contains(page, "pruned.jsonl") {
		t.Errorf("pruned: %+v", v)
	}
	v, err = store.VerifyExport(t.Context(), strings.NewReader(read("vectors/record.jsonl")), "")
	check(t, err)
	cp, err := store.ParseCheckpoint(earlier, v.Key)
	check(t, err)
	if !strings.Contains(page, cp.Root.String()) || !strings.Contains(page, store.ExportFormat) {
		t.Error("the page says something else")
	}
}
