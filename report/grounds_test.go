package report

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/klp-audit/klp-audit/store"
)

// A summary reads the fixes of its period alone. They are as they are in the whole record,
// and none is left out that a check would count.
func TestFixesOfAPeriodAreThoseOfTheRecord(t *testing.T) {
	read, left := 0, 0
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			m := randomMachine(t, r)
			s := m.record()
			for range 12 {
				p := profile(t, DefaultProfile)
				p.LookBack = Period(time.Duration(1+r.IntN(40)) * 24 * time.Hour)
				at := m.randomMoment(r)
				g, err := readGrounds(t.Context(), s, p, at)
				check(t, err)
				whole := exposuresAt(t, s, at, g.size)
				missing := slices.DeleteFunc(slices.Clone(whole), func(e Exposure) bool { return slices.ContainsFunc(g.exposures, sameFix(e)) })
				for _, e := range g.exposures {
					i := slices.IndexFunc(whole, sameFix(e))
					if i < 0 {
						t.Fatalf("%s: %s of %s is not in the whole record", at, e.CVE, e.Package)
					}
					if diff := cmp.Diff(whole[i], e); diff != "" {
						t.Errorf("%s, %s: %s (-record +period): %s", at, time.Duration(p.LookBack), e.CVE, diff)
					}
				}
				for _, e := range missing {
					if e.Active != nil && !e.Active.Before(g.since) {
						t.Errorf("%s, %s: %+v is missing", at, time.Duration(p.LookBack), e)
					}
				}
				read, left = read+len(g.exposures), left+len(missing)
			}
		})
	}
	if read == 0 || left == 0 {
		t.Errorf("%d fixes were read, %d left out: the test compares nothing", read, left)
	}
}

// exposuresAt are the fixes that the record had at a moment.
func exposuresAt(t *testing.T, s *store.Store, at time.Time, events int64) []Exposure {
	t.Helper()
	tl, err := TimelineUntil(t.Context(), s, at)
	check(t, err)
	list, err := NewExposures(t.Context(), s, tl, events, nil)
	check(t, err)
	return list
}

func sameFix(e Exposure) func(Exposure) bool {
	return func(o Exposure) bool { return o.CVE == e.CVE && o.Package == e.Package }
}

// A live patch that was never active, and went with its kernel before the period, is no
// finding for ever.
func TestRemovedBeforeThePeriod(t *testing.T) {
	m := healthy(t)
	m.install(kernelPackage(kernelB), patchPackage(releaseB, 3))
	m.wait(time.Hour)
	m.remove(kernelPackage(kernelB), patchPackage(releaseB, 3))
	m.observe(store.TriggerTimer)
	p := profile(t, DefaultProfile)
	p.LookBack = Period(30 * 24 * time.Hour)
	if g := groundsOf(t, m, p); !slices.ContainsFunc(g.exposures, func(e Exposure) bool { return e.KernelRelease == releaseB }) {
		t.Errorf("within the period: %+v", g.exposures)
	}
	m.until("2026-04-01T12:00:00Z")
	m.observe(store.TriggerTimer)
	if g := groundsOf(t, m, p); len(g.exposures) == 0 || slices.ContainsFunc(g.exposures, func(e Exposure) bool { return e.KernelRelease == releaseB }) {
		t.Errorf("after the period: %+v", g.exposures)
	}
}

func groundsOf(t *testing.T, m *machine, p *Profile) *grounds {
	t.Helper()
	g, err := readGrounds(t.Context(), m.record(), p, m.now)
	check(t, err)
	return g
}

// A fix that was released before a moment and installed after it is not on record then. Only
// the proof of what was active may be a later observation.
func TestFixesComeWithoutHindsight(t *testing.T) {
	m := healthy(t)
	m.observe(store.TriggerTimer)
	at := m.now
	want := exposuresAt(t, m.record(), at, 0)
	m.wait(time.Hour)
	m.install(patchPackage(releaseA, 3))
	s := m.record()
	size, err := s.SizeAt(t.Context(), at)
	check(t, err)
	proof := cmpopts.IgnoreFields(Exposure{}, "Events")
	if diff := cmp.Diff(want, exposuresAt(t, s, at, size), proof); diff != "" {
		t.Errorf("(-then +later): %s", diff)
	}
	g, err := readGrounds(t.Context(), s, profile(t, DefaultProfile), at)
	check(t, err)
	if diff := cmp.Diff(want, g.exposures, proof); diff != "" {
		t.Errorf("of the period (-then +later): %s", diff)
	}
}

// The record counts the changes that a history shows.
func TestRecordCountsItsChanges(t *testing.T) {
	for seed := range uint64(6) {
		s := randomMachine(t, rand.New(rand.NewPCG(seed, 4))).record()
		sum, err := s.Summarize(t.Context())
		check(t, err)
		rows, commits := int64(0), map[string]bool{}
		for row, err := range s.History(t.Context(), store.HistoryFilter{}) {
			check(t, err)
			if rows++; row.Commit != nil {
				commits[*row.Commit] = true
			}
		}
		if rows != sum.Changes || int64(len(commits)) != sum.Commits || rows == 0 {
			t.Errorf("seed %d: a history has %d changes in %d commits, the record counts %d in %d", seed, rows, len(commits), sum.Changes, sum.Commits)
		}
	}
}
