package record

import (
	"reflect"
	"slices"
	"testing"
)

// Each kind has its own key in an event, and each such key has a kind.
func TestEveryKindHasAKey(t *testing.T) {
	header, event := shapeOf(reflect.TypeFor[Header]()).names, eventShape().names
	if got, want := len(event), len(header)+len(payloadKeys); got != want {
		t.Errorf("an event has %d keys, want %d: %q", got, want, event)
	}
	for kind, key := range payloadKeys {
		if !slices.Contains(event, key) {
			t.Errorf("no event has the key %q of kind %q", key, kind)
		}
	}
}
