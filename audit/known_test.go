package audit

import (
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// What came later tells of a moment before it, and since when that is known.
func TestKnownSince(t *testing.T) {
	m := storetest.Patched(t, 2)
	m.Flush()
	m.Wait(time.Hour)
	at := m.Now
	m.Wait(2 * time.Hour)
	m.Observe(record.TriggerTimer)
	seen := m.Now
	s := m.OpenRecord()
	st, err := NewState(t.Context(), s, at)
	storetest.Check(t, err)
	if st.Confidence != Proven || st.KnownSince == nil || !st.KnownSince.Equal(seen) {
		t.Errorf("%s, known since %v, want %s", st.Confidence, st.KnownSince, seen)
	}
	part, err := s.KnownAt(t.Context(), at)
	storetest.Check(t, err)
	defer part.Close()
	if st, err = NewState(t.Context(), part, at); err != nil || st.Confidence != Unknown {
		t.Errorf("by what was known then it is %s, %v", st.Confidence, err)
	}
	e := fixAt(t, s, at, "CVE-2025-4221")
	if e.Status != StatusFixed || e.KnownSince == nil || !e.KnownSince.Equal(seen) {
		t.Errorf("%s, known since %v", e.Status, e.KnownSince)
	}
}

// What one observation could not read is known since another one told of it.
func TestKnownSinceSomebodyCouldRead(t *testing.T) {
	m := storetest.Patched(t, 2)
	o := m.Last()
	lp := o.LivePatch
	lp.Package, lp.Version, lp.PatchNumber, lp.Initial, lp.CVEs, lp.Bugs = nil, nil, nil, nil, nil, nil
	o.Reboot, o.Installed, o.Compared = nil, nil, false
	m.Flush()
	at := m.Now
	m.Wait(time.Hour)
	m.Observe(record.TriggerManual)
	m.Last().Reboot, m.Last().LivePatch = nil, lp
	m.Wait(time.Hour)
	m.Observe(record.TriggerManual)
	told := m.Now
	m.Wait(time.Hour)
	m.Observe(record.TriggerManual)
	s := m.OpenRecord()
	for _, at := range []time.Time{at, at.Add(time.Minute)} {
		st, err := NewState(t.Context(), s, at)
		storetest.Check(t, err)
		if st.LivePatch.Version == nil || st.PendingReboot == nil || st.CVEs == nil {
			t.Errorf("at %s: %v, %v, %v: %v", at, st.LivePatch.Version, st.PendingReboot, st.CVEs, st.Unknown)
		}
		if st.KnownSince == nil || !st.KnownSince.Equal(told) {
			t.Errorf("at %s it is known since %v, want %s", at, st.KnownSince, told)
		}
	}
}
