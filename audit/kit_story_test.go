package audit

import (
	"math/rand/v2"
	"testing"

	"github.com/klp-audit/klp-audit/record"
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

// The record counts the changes that a history shows.
func TestRecordCountsItsChanges(t *testing.T) {
	for seed := range uint64(6) {
		s := storetest.RandomMachine(t, rand.New(rand.NewPCG(seed, 4))).OpenRecord()
		sum, err := s.Summarize(t.Context())
		storetest.Check(t, err)
		rows, commits := int64(0), map[string]bool{}
		for row, err := range s.History(t.Context(), record.HistoryFilter{}) {
			storetest.Check(t, err)
			if rows++; row.Commit != nil {
				commits[*row.Commit] = true
			}
		}
		if rows != sum.Changes || int64(len(commits)) != sum.Commits || rows == 0 {
			t.Errorf("seed %d: a history has %d changes in %d commits, the record counts %d in %d", seed, rows, len(commits), sum.Changes, sum.Commits)
		}
	}
}
