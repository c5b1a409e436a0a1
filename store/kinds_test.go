package store

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
)

// Views, prunes and the description of the record know every kind of event.
func TestEveryKindIsKnown(t *testing.T) {
	want := slices.Sorted(slices.Values(record.EventKinds()))
	for what, got := range map[string][]record.EventKind{
		"apply": slices.Sorted(maps.Keys(appliers)), "prune": slices.Sorted(maps.Keys(seers)),
	} {
		if !slices.Equal(got, want) {
			t.Errorf("%s knows %q, want %q", what, got, want)
		}
	}
	text, err := os.ReadFile("../docs/record.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `kind` |") {
			documented = line
		}
	}
	for _, kind := range record.EventKinds() {
		if !strings.Contains(documented, "`"+string(kind)+"`") {
			t.Errorf("docs/record.md does not say %q: %s", kind, documented)
		}
	}
}
