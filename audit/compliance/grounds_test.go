package compliance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// A summary reads the fixes of its period alone. They are as they are in the whole record,
// and none is left out that a check would count.
func TestFixesOfAPeriodAreThoseOfTheRecord(t *testing.T) {
	read, left := 0, 0
	for seed := range uint64(storetest.Few(3, 12)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			m := storetest.RandomMachine(t, r)
			s := m.OpenRecord()
			for range 12 {
				p := profile(t, DefaultProfile)
				p.LookBack = Period(time.Duration(1+r.IntN(40)) * 24 * time.Hour)
				at := storetest.RandomMoment(m, r)
				g, err := readGrounds(t.Context(), s, p, at)
				storetest.Check(t, err)
				whole := exposuresOf(t, s, at)
				missing := slices.DeleteFunc(slices.Clone(whole), func(e audit.Exposure) bool { return slices.ContainsFunc(g.exposures, sameFix(e)) })
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
					if g.counts(e, p.Criteria["latency"]) && !removedBefore(t, s, e.Package, g) {
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

// removedBefore says whether a package was removed before the period.
func removedBefore(t *testing.T, s *store.Store, name string, g *grounds) bool {
	t.Helper()
	changes, err := s.PatchChanges(t.Context(), name, g.at)
	storetest.Check(t, err)
	n := len(changes) - 1
	return n >= 0 && changes[n].Action == record.ActionRemove && changes[n].Result == record.ResultOK && changes[n].Time.Before(g.since)
}

// exposuresOf are the fixes as it stood with them at a moment, by the whole record.
func exposuresOf(t *testing.T, s *store.Store, at time.Time) []audit.Exposure {
	t.Helper()
	tl, err := audit.TimelineUntil(t.Context(), s, at)
	storetest.Check(t, err)
	list, err := audit.NewExposures(t.Context(), s, tl, at, nil)
	storetest.Check(t, err)
	return list
}

func sameFix(e audit.Exposure) func(audit.Exposure) bool {
	return func(o audit.Exposure) bool { return o.CVE == e.CVE && o.Package == e.Package }
}

// A live patch that was never active, and went with its kernel before the period, is no
// finding for ever.
func TestRemovedBeforeThePeriod(t *testing.T) {
	m := storetest.Healthy(t)
	m.Install(storetest.KernelPackage(storetest.KernelB), storetest.PatchPackage(storetest.ReleaseB, 3))
	m.Wait(time.Hour)
	m.Remove(storetest.KernelPackage(storetest.KernelB), storetest.PatchPackage(storetest.ReleaseB, 3))
	m.Observe(record.TriggerTimer)
	p := profile(t, DefaultProfile)
	p.LookBack = Period(30 * 24 * time.Hour)
	if g := groundsOf(t, m, p); !slices.ContainsFunc(g.exposures, func(e audit.Exposure) bool { return e.KernelRelease == storetest.ReleaseB }) {
		t.Errorf("within the period: %+v", g.exposures)
	}
	m.Until("2026-04-01T12:00:00Z")
	m.Observe(record.TriggerTimer)
	if g := groundsOf(t, m, p); len(g.exposures) == 0 || slices.ContainsFunc(g.exposures, func(e audit.Exposure) bool { return e.KernelRelease == storetest.ReleaseB }) {
		t.Errorf("after the period: %+v", g.exposures)
	}
}

func groundsOf(t *testing.T, m *storetest.Machine, p *Profile) *grounds {
	t.Helper()
	g, err := readGrounds(t.Context(), m.OpenRecord(), p, m.Now)
	storetest.Check(t, err)
	return g
}

// A fix that was released before a moment and installed after it is not on record then, in
// whatever order the log has it. Only the proof of what was active may be a later observation.
func TestFixesComeWithoutHindsight(t *testing.T) {
	m := storetest.Healthy(t)
	m.Observe(record.TriggerTimer)
	at := m.Now
	want := exposuresOf(t, m.OpenRecord(), at)
	m.Wait(time.Hour)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
	late := m.Written // a commit before that goes to the spool, and is taken in last
	m.Written = nil
	m.Wait(24 * time.Hour)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 4))
	m.Written = append(m.Written, late...)
	m.Write(&record.Event{Header: m.Header(record.KindImport), Import: oldImport(at.AddDate(0, 0, -500))})
	s := m.OpenRecord()
	proof := cmpopts.IgnoreFields(audit.Exposure{}, "Events", "KnownSince")
	if diff := cmp.Diff(want, exposuresOf(t, s, at), proof); diff != "" {
		t.Errorf("(-then +later): %s", diff)
	}
	g, err := readGrounds(t.Context(), s, profile(t, DefaultProfile), at)
	storetest.Check(t, err)
	if diff := cmp.Diff(want, g.exposures, proof); diff != "" {
		t.Errorf("of the period (-then +later): %s", diff)
	}
	for _, moment := range []time.Time{at.AddDate(0, 0, -499), at.AddDate(0, 0, -200), at.AddDate(-20, 0, 0)} {
		if list := exposuresOf(t, s, moment); len(list) != 0 {
			t.Errorf("at %s there is %+v", moment, list)
		}
	}
}

// oldImport is an import of the installation of a live patch without fixes.
func oldImport(at time.Time) *record.Import {
	c := record.Change{Kind: "livepatch", Action: "install", Result: record.ResultOK, Package: storetest.PatchPackage(storetest.ReleaseA, 1).Name, Version: "1-1", Arch: "x86_64", KernelRelease: storetest.ReleaseA}
	return &record.Import{Commit: "old", Time: record.At(at), Changes: []record.ImportedChange{{Change: c, Time: record.At(at)}}}
}

// Where it is not known what was installed, no fix is left out.
func TestUnknownPackagesLeaveNoFixOut(t *testing.T) {
	m := storetest.Healthy(t)
	m.Install(storetest.KernelPackage(storetest.KernelB), storetest.PatchPackage(storetest.ReleaseB, 3))
	m.Initrds[storetest.ReleaseB] = ""
	m.Wait(50 * 24 * time.Hour)
	m.Reboot()
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	for _, ev := range m.Written {
		if ev.Observation != nil {
			ev.Observation.Installed = nil
		}
	}
	p := profile(t, DefaultProfile)
	p.LookBack = Period(30 * 24 * time.Hour)
	if f := latency(groundsOf(t, m, p), p.Criteria["latency"]); f.rating != NotDetermined || !strings.Contains(f.detail, "4 of 4 fixes") {
		t.Errorf("%s: %s", f.rating, f.detail)
	}
}
