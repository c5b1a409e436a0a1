package view_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// outlinesOf are the outlines of wild events, and of those of usual hosts, without the whole events.
func outlinesOf(t *testing.T) (list []*view.Outline) {
	for seed := range uint64(4) {
		w := &wild{Rand: storetest.NewRand(seed), staging: seed%2 == 1}
		for range 300 {
			ev := w.event()
			body, err := record.Encode(ev)
			storetest.Check(t, err)
			ev, err = record.DecodeAt(int64(w.seq), body)
			storetest.Check(t, err)
			list = append(list, view.Of(int64(w.seq), ev))
		}
	}
	_, evs := storetest.EventsOf(t, storetest.TwoYears(t).OpenRecord())
	for seq, ev := range evs {
		list = append(list, view.Of(seq, ev))
	}
	for _, o := range list {
		o.Whole = nil
	}
	return list
}

// Outlines that were kept say what those of the events say.
func TestKeptOutlines(t *testing.T) {
	want := outlinesOf(t)
	got, err := view.ReadOutlines(view.AppendOutlines(nil, want))
	storetest.Check(t, err)
	if d := cmp.Diff(want, got, cmp.AllowUnexported(view.Commit{})); d != "" {
		t.Errorf("-of the events +kept\n%s", d)
	}
}
