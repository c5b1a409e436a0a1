package compliance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// saidOfReleases is all that a record says at a moment of what the vendor has released, but which events say so.
func saidOfReleases(t *testing.T, s *store.Store, at time.Time, numbers []string) (all []string) {
	t.Helper()
	tl, err := audit.TimelineUntil(t.Context(), s, at)
	storetest.Check(t, err)
	for _, asked := range [][]string{nil, numbers} {
		list, err := audit.NewExposures(t.Context(), s, tl, at, asked)
		storetest.Check(t, err)
		for _, e := range list {
			e.Events = nil
			text, err := json.Marshal(e)
			storetest.Check(t, err)
			all = append(all, fmt.Sprintf("%s: %s", at, text))
		}
	}
	c, err := Judge(t.Context(), s, profile(t, DefaultProfile), at)
	storetest.Check(t, err)
	for _, r := range c.Checks {
		if slices.Contains([]string{"updates", "residual", "metadata"}, r.ID) {
			all = append(all, fmt.Sprintf("%s: %s: %s: %s", at, r.ID, r.Result, r.Detail))
		}
	}
	return all
}

// vendorStory is a machine for which a vendor releases something before and after a moment: what is new, what changed, what
// was retracted and what was withdrawn. Whether it installs anything, and whether anybody looks after that moment, is asked.
func vendorStory(t *testing.T, installs, looks bool) *storetest.Machine {
	patch := func(n int) []string {
		p := storetest.PatchPackage(storetest.ReleaseA, n)
		return []string{p.Name + " " + p.Version}
	}
	kernelB := storetest.KernelPackage(storetest.KernelB)
	m := storetest.NewMachine(t, "2025-01-05T08:00:00Z")
	m.Installed, m.Next = []record.Package{storetest.KernelPackage(storetest.KernelA)}, storetest.ReleaseA
	m.StartRecording()
	m.Start(storetest.ReleaseA)
	says := func(r *record.Release) { m.Write(&record.Event{Header: m.Header(record.KindRelease), Release: r}) }
	offer := func(id, status string, packages []string, cves ...string) {
		m.Releases(record.Released{Repo: updatesRepo, ID: id, Type: "security", Severity: "important", Status: status, Title: "Update " + id,
			Issued: new(record.At(storetest.When(t, "2025-01-20T09:00:00Z")))}, packages, cves)
	}
	own := []string{"CVE-2024-1", "CVE-2024-2"}
	says(&record.Release{Lists: map[string]record.List{record.ListDigest(own): {Add: own}}, Kernels: []record.KernelFixes{
		{Package: m.Installed[0].NEVRA(), BuildTime: m.Installed[0].BuildTime, Release: storetest.ReleaseA, CVEs: record.ListDigest(own)}}})
	m.Until("2025-01-21T09:00:00Z")
	if installs {
		m.Install(storetest.PatchPackage(storetest.ReleaseA, 2))
	}
	offer("PATCH", "stable", patch(3), "CVE-2025-1")
	offer("PATCH", "stable", patch(3), "CVE-2025-1", "CVE-2025-2")
	offer("KERNEL", "stable", []string{kernelB.Name + " " + kernelB.Version}, "CVE-2024-2", "CVE-2025-3", "CVE-2025-4")
	offer("BACK", "stable", patch(4), "CVE-2025-5")
	offer("GONE", "stable", patch(5), "CVE-2025-6")
	m.Until("2025-01-25T09:00:00Z")
	offer("BACK", "retracted", patch(4), "CVE-2025-5")
	says(&record.Release{Withdrawn: []record.AdvisoryKey{{Repo: updatesRepo, ID: "GONE"}}})
	for _, month := range []string{"02", "03", "05"} { // the boot that runs in the end is of after the horizon
		m.Until("2025-" + month + "-02T09:00:00Z")
		m.Reboot()
		if !looks && month == "02" {
			delete(m.Parts, record.PartRepositories)
		}
	}
	m.Until("2025-06-02T09:00:00Z")
	offer("NEW", "stable", patch(5), "CVE-2025-7", "CVE-2025-1")
	m.Until("2025-07-01T09:00:00Z")
	return m
}

// A prune of what is older, and a rebuild, change nothing of what a record says of releases: not of those that were issued,
// changed, retracted or withdrawn before its horizon either.
func TestPruneChangesNothingOfReleases(t *testing.T) {
	numbers := []string{"CVE-2024-1", "CVE-2024-2"}
	for n := range 8 {
		numbers = append(numbers, fmt.Sprintf("CVE-2025-%d", n+1))
	}
	for name, tt := range map[string]struct {
		installs, looks bool
		want            []string // is compared
	}{
		"a machine that is looked at":       {true, true, []string{"metadata: pass", "updates: fail", "not-in-record"}},
		"nobody looks any more":             {true, false, []string{"stale:", "metadata: fail"}},
		"a machine that installs nothing":   {false, true, []string{"metadata: pass", "updates: fail", "not-in-record"}},
		"nothing is installed or looked at": {false, false, []string{"stale:"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := vendorStory(t, tt.installs, tt.looks)
			horizon := storetest.When(t, "2025-04-01T09:00:00Z")
			said := func() (all []string) {
				s := m.OpenRecord()
				for at := horizon.AddDate(0, 0, 20); at.Before(m.Now); at = at.AddDate(0, 0, storetest.Few(45, 15)) {
					all = append(all, saidOfReleases(t, s, at, numbers)...)
				}
				return all
			}
			before := said()
			for _, want := range append(tt.want, `"status":"available"`, `"status":"needs-kernel"`, "retracted:", "withdrawn:", "The kernel itself fixes it.", "residual: pass", `"open_since":"2025-01-20`) {
				if !strings.Contains(strings.Join(before, "\n"), want) {
					t.Errorf("nothing is %s", want)
				}
			}
			pruneUntil(t, m, horizon)
			if diff := cmp.Diff(before, said()); diff != "" {
				t.Errorf("pruned (-before +after): %s", diff)
			}
			s, err := store.Open(t.Context(), m.Root, "1.0.0")
			storetest.Check(t, err)
			storetest.Check(t, s.Rebuild(t.Context()))
			storetest.Check(t, s.Close())
			if diff := cmp.Diff(before, said()); diff != "" {
				t.Errorf("rebuilt (-before +after): %s", diff)
			}
		})
	}
}

func pruneUntil(t *testing.T, m *storetest.Machine, horizon time.Time) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(m.Now))
		s, err := store.Open(t.Context(), m.Root, "1.0.0")
		storetest.Check(t, err)
		if p, err := s.Prune(t.Context(), horizon); err != nil || p.Gone == 0 {
			t.Errorf("%+v, %v", p, err)
		}
		storetest.Check(t, s.Close())
	})
}
