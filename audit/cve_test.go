package audit

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

func exposures(t *testing.T, s *store.Store, ids ...string) []Exposure {
	t.Helper()
	tl, err := WholeTimeline(t.Context(), s)
	storetest.Check(t, err)
	list, err := NewExposures(t.Context(), s, tl, record.Always(), ids)
	storetest.Check(t, err)
	return list
}

// The story says what became of these fixes: how each came, and how it was lost.
func TestFixesOfTheStory(t *testing.T) {
	s := storetest.TwoYears(t).OpenRecord()
	for _, tt := range []struct{ cve, want string }{
		// in patch 2 of the first kernel: after a reboot the initrd still had it
		{"CVE-2025-4221", "2-150600.13.6.1 released 2025-01-29 (build-time) installed 2025-02-04T09:00Z active 2025-02-04T09:00Z in-initrd 2025-02-04T09:00Z: other-kernel"},
		// in patch 4: lost by the crash into an older initrd, and back a day later
		{"CVE-2025-4241", "4-150600.13.12.1 released 2025-03-26 (build-time) installed 2025-04-01T09:00Z active 2025-04-01T09:00Z in-initrd 2025-04-01T09:00Z lost 2025-04-22T03:22Z by boot, back 2025-04-23T08:00Z: other-kernel"},
		// in patch 5: lost by the downgrade, for five days
		{"CVE-2025-4251", "5-150600.13.15.1 released 2025-04-30 (build-time) installed 2025-05-06T09:00Z active 2025-05-06T09:00Z in-initrd 2025-05-06T09:00Z lost 2025-05-13T09:00Z by downgrade, back 2025-05-18T09:00Z: other-kernel"},
		// in patch 6, which failed at first
		{"CVE-2025-4261", "6-150600.13.18.1 released 2025-05-29 (build-time) installed 2025-06-04T09:00Z active 2025-06-04T09:00Z in-initrd 2025-06-04T09:00Z: other-kernel"},
		// installed in the gap: when is not on record, active is in the journal
		{"CVE-2025-4731", "3-150600.13.9.1 released 2025-08-08 (build-time) active 2025-08-14T09:00Z in-initrd 2025-08-15T20:01Z: other-kernel"},
		// staged, and effective by the reboot
		{"CVE-2025-4751", "5-150600.13.15.1 released 2025-10-02 (build-time) active 2025-10-08T20:01Z in-initrd 2025-10-08T20:01Z: other-kernel"},
		// the kernel that runs
		{"CVE-2025-5321", "2-150600.13.6.1 released 2026-01-07 (build-time) installed 2026-01-13T09:00Z active 2026-01-13T09:00Z in-initrd 2026-01-13T09:00Z: fixed"},
		{"CVE-2020-1000", "not-in-record"},
	} {
		list := exposures(t, s, tt.cve)
		if got := course(list[0]); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.cve, got, tt.want)
		}
		last := list[len(list)-1]
		if list[0].KernelRelease != storetest.ReleaseC && (last.KernelRelease != storetest.ReleaseC || last.Status != StatusNotInRecord) {
			t.Errorf("%s: the running kernel has %s, want not-in-record", tt.cve, last.Status)
		}
	}
}

// toMinute is a moment as the story tells it.
func toMinute(t *record.Timestamp) string { return t.UTC().Format("2006-01-02T15:04Z") }

// course is an exposure in words.
func course(e Exposure) string {
	words := []string{e.Version}
	if e.Released != nil {
		words = append(words, fmt.Sprintf("released %s (%s)", e.Released.Format(time.DateOnly), e.ReleasedBy))
	}
	for _, m := range []struct {
		what string
		at   *record.Timestamp
	}{{"installed", e.Installed}, {"active", e.Active}, {"in-initrd", e.InInitrd}} {
		if m.at != nil {
			words = append(words, m.what+" "+toMinute(m.at))
		}
	}
	for _, l := range e.Losses() {
		words = append(words, "lost "+l.Text(toMinute))
	}
	if e.Status == StatusNotInRecord {
		return string(e.Status)
	}
	return strings.Join(words, " ") + ": " + string(e.Status)
}

// A fix that is taken away for good is lost, and what took it is named.
func TestLostFixes(t *testing.T) {
	for by, take := range map[LossCause]func(m *storetest.Machine){
		"downgrade": func(m *storetest.Machine) { m.Install(storetest.PatchPackage(storetest.ReleaseA, 1)) },
		"disabling": func(m *storetest.Machine) { m.Disable() },
		"removal": func(m *storetest.Machine) {
			m.Remove(storetest.PatchPackage(storetest.ReleaseA, 2))
			m.Wait(time.Second)
			m.Disable()
		},
		"boot": func(m *storetest.Machine) {
			m.Initrds[storetest.ReleaseA] = ""
			m.Reboot()
		},
	} {
		t.Run(string(by), func(t *testing.T) {
			m := storetest.Patched(t, 2)
			m.Wait(time.Hour)
			take(m)
			m.Wait(time.Hour)
			m.Observe(record.TriggerManual)
			e := exposures(t, m.OpenRecord(), "CVE-2025-4221")[0]
			if e.Status != StatusLost || e.LostBy != by || e.Lost == nil || e.Back != nil {
				t.Errorf("%s by %q at %v, back %v; want it lost by %s", e.Status, e.LostBy, e.Lost, e.Back, by)
			}
		})
	}
}

// The advisory's date of issue is better than the package's build time.
func TestReleasedByAdvisory(t *testing.T) {
	m := storetest.Patched(t, 2)
	p := storetest.PatchPackage(storetest.ReleaseA, 2)
	storetest.Says(m, record.Advisories{{Repo: "updates", LivePatches: []record.LivePatchAdvisory{
		{Package: p.Name, Version: p.Version, Advisory: "SUSE-2025-7", Type: "security", Issued: new(storetest.When(t, "2024-12-20T00:00:00Z"))},
		{Package: p.Name, Version: "9-1", Advisory: "SUSE-2025-8", Issued: new(storetest.When(t, "2024-12-21T00:00:00Z"))},
		{Package: p.Name, Version: p.Version, Advisory: "SUSE-2025-9"},
	}}})
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	e := exposures(t, m.OpenRecord(), "CVE-2025-4221")[0]
	if e.ReleasedBy != "advisory" || record.OrEmpty(e.Advisory) != "SUSE-2025-7" || e.Released.Format(time.DateOnly) != "2024-12-20" || *e.Seconds < 12*86400 {
		t.Errorf("released %v by %s %v, latency %v", e.Released, e.ReleasedBy, e.Advisory, e.Seconds)
	}
}

// A release event says when it was issued, and how severe it is. One that was retracted does not count, and of several the
// oldest does.
func TestReleasedByReleaseEvent(t *testing.T) {
	m := storetest.Patched(t, 2)
	p := storetest.PatchPackage(storetest.ReleaseA, 2)
	brings, issued := []string{p.Name + " " + p.Version}, func(day string) *record.Timestamp { return new(record.At(storetest.When(t, day+"T00:00:00Z"))) }
	m.Releases(record.Released{Repo: "updates", ID: "SUSE-2025-6", Status: record.StatusRetracted, Issued: issued("2024-12-19")}, brings, nil)
	m.Releases(record.Released{Repo: "updates", ID: "SUSE-2025-7", Severity: "important", Issued: issued("2024-12-20")}, brings, []string{"CVE-2025-4221"})
	m.Releases(record.Released{Repo: "more", ID: "SUSE-2025-8", Issued: issued("2024-12-21")}, brings, nil)
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	e := exposures(t, m.OpenRecord(), "CVE-2025-4221")[0]
	if e.ReleasedBy != "advisory" || record.OrEmpty(e.Advisory) != "SUSE-2025-7" || record.OrEmpty(e.Severity) != "important" || e.Released.Format(time.DateOnly) != "2024-12-20" {
		t.Errorf("released %v by %s %v, %v", e.Released, e.ReleasedBy, record.OrEmpty(e.Advisory), e.Severity)
	}
}

// Of an advisory's date without a zone no more than the day is known: latencies are whole days
// since the end of it, and none on the day itself.
func TestReleasedByAdvisoryOfADay(t *testing.T) {
	for issued, days := range map[string]int64{"2024-12-20": 11, "2024-12-31": 0, "2025-01-01": 0, "2025-01-03": -2} {
		m := storetest.Patched(t, 2)
		p := storetest.PatchPackage(storetest.ReleaseA, 2)
		storetest.Says(m, record.Advisories{{Repo: "updates", LivePatches: []record.LivePatchAdvisory{
			{Package: p.Name, Version: p.Version, Advisory: "SUSE-2025-7", Issued: new(storetest.When(t, issued+"T00:00:00Z")), DayOnly: true},
		}}})
		m.Wait(time.Hour)
		m.Observe(record.TriggerTimer)
		e := exposures(t, m.OpenRecord(), "CVE-2025-4221")[0]
		if e.ReleasedBy != "advisory-day" || e.Released.Format(time.DateOnly) != issued || *e.Seconds != days*86400 {
			t.Errorf("%s: released %v by %s, latency %d s; want %d days", issued, e.Released, e.ReleasedBy, *e.Seconds, days)
		}
	}
}

// A package for a kernel that does not run yet is installed, and not active.
func TestInstalledIsNotActive(t *testing.T) {
	m := storetest.Patched(t, 1)
	m.Install(storetest.KernelPackage(storetest.KernelB), storetest.PatchPackage(storetest.ReleaseB, 2))
	list := exposures(t, m.OpenRecord(), "CVE-2025-4721")
	if list[0].Status != StatusNotInRecord || list[0].KernelRelease != storetest.ReleaseA {
		t.Errorf("the running kernel: %+v", list[0])
	}
	e := list[1]
	if e.Status != StatusInstalled || e.Installed == nil || e.Active != nil || e.Seconds != nil {
		t.Errorf("%+v", e)
	}
}

func TestOrderOfCVEs(t *testing.T) {
	for _, pair := range [][2]string{{"CVE-2024-9999", "CVE-2025-1000"}, {"CVE-2025-9999", "CVE-2025-10000"}, {"CVE-2025-1000", "CVE-2025-1001"}, {"", "CVE-2025-1"}, {"CVE", "CVE-2025-1"}} {
		if CompareCVE(pair[0], pair[1]) >= 0 || CompareCVE(pair[1], pair[0]) <= 0 {
			t.Errorf("want %s before %s", pair[0], pair[1])
		}
	}
}

func TestParseCVE(t *testing.T) {
	for text, want := range map[string]string{
		"cve-2025-12345": "CVE-2025-12345", " CVE-2025-1234 ": "CVE-2025-1234",
		"CVE-2025-123": "", "CVE-25-1234": "", "2025-1234": "", "CVE-2025-1234-1": "", "CVE-2025-12x4": "", "CVE-2025-12345678901": "", "": "",
	} {
		if got, err := ParseCVE(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestIsKernel(t *testing.T) {
	for _, tt := range []struct {
		name, version, release string
		want                   bool
	}{
		{"kernel-default", "6.4.0-150600.23.42.2", "6.4.0-150600.23.42-default", true},
		{"kernel-default", "6.4.0-150600.23.42", "6.4.0-150600.23.42-default", true},
		{"kernel-default", "6.4.0-150600.23.420.1", "6.4.0-150600.23.42-default", false},
		{"kernel-rt", "6.4.0-150600.23.42.2", "6.4.0-150600.23.42-default", false},
		{"kernel-default", "6.4.0", "", false},
	} {
		if got := IsKernel(record.Package{Name: tt.name, Version: tt.version}, tt.release); got != tt.want {
			t.Errorf("%s %s of %s: %v", tt.name, tt.version, tt.release, got)
		}
	}
}

// The date of a fix is that of the advisory in the example.
func TestAdvisoriesOfTheExample(t *testing.T) {
	m := storetest.Healthy(t)
	example, err := os.ReadFile("../record/testdata/parts/advisories.json")
	storetest.Check(t, err)
	m.SetJSON(record.PartAdvisories, string(example))
	fixes := exposures(t, m.OpenRecord())
	i := slices.IndexFunc(fixes, func(e Exposure) bool { return e.ReleasedBy == "advisory-day" })
	if i < 0 || !strings.HasSuffix(record.OrEmpty(fixes[i].Advisory), "-2026-7") || fixes[i].Released.Format(time.DateOnly) != "2026-02-02" {
		t.Errorf("got %+v", fixes)
	}
}
