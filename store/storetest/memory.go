package storetest

import (
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store"
)

// EventsOf returns the events of a record that have a body, by number.
func EventsOf(t *testing.T, s *store.Store) (size int64, evs map[int64]*record.Event) {
	t.Helper()
	size, err := s.Size(t.Context())
	Check(t, err)
	evs = map[int64]*record.Event{}
	for seq := range size {
		if ev, err := s.Event(t.Context(), seq+1); err == nil { // else it was pruned
			evs[seq+1] = ev
		}
	}
	return size, evs
}

// InMemory is a record of the same events. pruned is the newest prune of the longer log if the
// record is a part of one; nil: there is none, or it is not a part.
func InMemory(t *testing.T, s *store.Store, pruned *record.Prune) *view.Record {
	t.Helper()
	sum, err := s.Summarize(t.Context())
	Check(t, err)
	log := view.Log{Checkpoint: sum.Checkpoint}
	if sum.Part {
		log.Part = &view.Part{Root: sum.RootHash, Pruned: pruned}
	}
	size, evs := EventsOf(t, s)
	return view.New(view.Outlines(func(yield func(int64, *record.Event) bool) {
		for seq := range size {
			if ev := evs[seq+1]; ev != nil && !yield(seq+1, ev) {
				return
			}
		}
	}), log)
}
