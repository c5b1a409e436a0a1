package audit

import (
	"testing"

	"github.com/klp-audit/klp-audit/store/storetest"
)

// What a story writes is a record in which nothing is wrong but that its key was lost once.
func TestStoryIsAnIntactRecord(t *testing.T) {
	s := storetest.TwoYears(t).OpenRecord()
	v, err := s.Verify(t.Context(), "")
	storetest.Check(t, err)
	if len(v.Problems) != 1 || len(v.Keys) != 2 || *v.Keys[1].Signed {
		t.Errorf("%s: %q", v.Result, v.Problems)
	}
	sum, err := s.Summarize(t.Context())
	storetest.Check(t, err)
	if got := (*sum.First).Short(); got != "2025-01-07T10:00:00Z" || sum.Events < 500 || sum.Open != 1 {
		t.Errorf("%d events from %s on, %d open commits", sum.Events, got, sum.Open)
	}
}
