package report

import (
	"testing"

	"github.com/klp-audit/klp-audit/store"
)

// What a story writes is a record that its own verification finds intact.
func TestStoryIsAnIntactRecord(t *testing.T) {
	s := twoYears(t).record()
	v, err := s.Verify(t.Context(), "")
	check(t, err)
	if v.Result != store.Intact {
		t.Errorf("%s: %q", v.Result, v.Problems)
	}
	sum, err := s.Summarize(t.Context())
	check(t, err)
	if got := shortTime(*sum.First); got != "2025-01-07T10:00:00Z" || sum.Events < 500 || sum.Open != 1 {
		t.Errorf("%d events from %s on, %d open commits", sum.Events, got, sum.Open)
	}
}
