package report

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// allSections are all that a report says as of a moment, by what was known then.
func allSections(t *testing.T, s *store.Store, at time.Time) string {
	t.Helper()
	part, err := s.KnownAt(t.Context(), at)
	storetest.Check(t, err)
	defer part.Close()
	h := NewHistory(store.HistoryFilter{}, "json", storyProvenance("report"))
	h.Rows = part.History(t.Context(), h.Filter)
	f, err := NewFull(t.Context(), part, profile(t, DefaultProfile), at, h)
	storetest.Check(t, err)
	return written(t, func(b *bytes.Buffer) error { return Write(b, f, "json", Style{}) })
}

// What a report says by what was known at a moment does not change as the record grows.
func TestReportOfWhatWasKnownStays(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	m := storetest.Healthy(t)
	m.Flush()
	before := map[time.Time]string{}
	for range 12 {
		switch r.IntN(4) {
		case 0:
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 1+r.IntN(4)))
		case 1:
			m.Reboot()
		case 2:
			m.Commit(record.OutcomeFailed, []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
		}
		m.Pass(m.Now.Add(time.Duration(1+r.IntN(60)) * time.Hour))
		s := m.OpenRecord()
		before[m.Now] = allSections(t, s, m.Now)
		for at, then := range before {
			if diff := cmp.Diff(then, allSections(t, s, at)); diff != "" {
				t.Fatalf("what was known at %s, asked at %s (-then +now): %s", at, m.Now, diff)
			}
		}
		m.Wait(time.Minute)
	}
}

// What came later tells of a moment before it, and since when that is known.
func TestKnownSince(t *testing.T) {
	m := patched(t, 2)
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
	m := patched(t, 2)
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

// The checkpoint of then is not kept: that the log is right is told by what was verified.
func TestIntegrityOfWhatWasKnown(t *testing.T) {
	m := storetest.Healthy(t)
	s := m.OpenRecord()
	part, err := s.KnownAt(t.Context(), m.Now)
	storetest.Check(t, err)
	defer part.Close()
	c, err := NewCompliance(t.Context(), part, profile(t, DefaultProfile), m.Now)
	storetest.Check(t, err)
	if r := c.of(t, "integrity"); r.Result != Pass || !strings.Contains(r.Detail, "The checkpoint of then is not kept, and the full verification") {
		t.Errorf("%s: %s", r.Result, r.Detail)
	}
}
