package report

import "testing"

// What a story writes is a record in which nothing is wrong but that its key was lost once.
func TestStoryIsAnIntactRecord(t *testing.T) {
	s := twoYears(t).record()
	v, err := s.Verify(t.Context(), "")
	check(t, err)
	if len(v.Problems) != 1 || len(v.Keys) != 2 || *v.Keys[1].Signed {
		t.Errorf("%s: %q", v.Result, v.Problems)
	}
	sum, err := s.Summarize(t.Context())
	check(t, err)
	if got := shortTime(*sum.First); got != "2025-01-07T10:00:00Z" || sum.Events < 500 || sum.Open != 1 {
		t.Errorf("%d events from %s on, %d open commits", sum.Events, got, sum.Open)
	}
}
