package store

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
)

// Prunes and the description of the record know every kind of event.
func TestEveryKindIsKnown(t *testing.T) {
	got, want := slices.Sorted(maps.Keys(seers)), slices.Sorted(slices.Values(record.EventKinds()))
	if !slices.Equal(got, want) {
		t.Errorf("prune knows %q, want %q", got, want)
	}
	text, err := os.ReadFile("../docs/record.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range record.EventKinds() {
		if !strings.Contains(string(text), "\n| `"+string(kind)+"` | `") {
			t.Errorf("docs/record.md does not say what %q is", kind)
		}
	}
}
