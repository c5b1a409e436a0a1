package report

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// allSections are all that a report says as of a moment, by what was known then.
func allSections(t *testing.T, s *store.Store, at time.Time) string {
	t.Helper()
	part, err := s.KnownAt(t.Context(), at)
	storetest.Check(t, err)
	defer part.Close()
	h := NewHistory(record.HistoryFilter{}, "json", storyProvenance("report"))
	h.Rows = part.History(t.Context(), h.Filter)
	f, err := NewFull(t.Context(), part, defaultProfile(t), at, h)
	storetest.Check(t, err)
	return written(t, func(b *bytes.Buffer) error { return Write(b, f, "json", table.Style{}) })
}

// What a report says by what was known at a moment does not change as the record grows.
func TestReportOfWhatWasKnownStays(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	m := storetest.Healthy(t)
	m.Flush()
	before := map[time.Time]string{}
	for range storetest.Few(5, 12) {
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
