package store

import (
	"os"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
)

// The description of the record knows every kind of event.
func TestEveryKindIsKnown(t *testing.T) {
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
