package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// What status says of a machine that it looks at is what the record of that look says of it.
func TestStatusSaysTheSameOfAMachineAndOfItsRecord(t *testing.T) {
	m := storetest.Healthy(t)
	s := m.OpenRecord()
	at, err := s.LastObserved(t.Context())
	storetest.Check(t, err)
	want, err := audit.NewState(t.Context(), s, at.Time)
	storetest.Check(t, err)
	var last *record.Event
	for _, ev := range m.All {
		if ev.Kind == record.KindObservation {
			last = ev
		}
	}
	got, err := shown(t.Context(), last)
	storetest.Check(t, err)
	if len(got.Events) > 0 || got.KnownSince != nil {
		t.Errorf("it names events, and none is on record: %+v", got)
	}
	want.Events, want.KnownSince = got.Events, got.KnownSince
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-by the record +as it is seen):\n%s", diff)
	}
}
