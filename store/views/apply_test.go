package views

import (
	"maps"
	"slices"
	"testing"

	"github.com/klp-audit/klp-audit/record"
)

// The views know every kind of event.
func TestEveryKindIsKnown(t *testing.T) {
	got, want := slices.Sorted(maps.Keys(appliers)), slices.Sorted(slices.Values(record.EventKinds()))
	if !slices.Equal(got, want) {
		t.Errorf("apply knows %q, want %q", got, want)
	}
}
