package compliance

import (
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

const updatesRepo = "SLE-Module-Live-Patching15-SP6-Updates"

// released has a vendor release something, days before now, of which the machine takes note.
func released(days int, severity, status string, packages []record.Package, cves ...string) func(*storetest.Machine) {
	return func(m *storetest.Machine) {
		var names []string
		for _, p := range packages {
			names = append(names, p.Name+" "+p.Version)
		}
		m.Releases(record.Released{Repo: updatesRepo, ID: "SUSE-" + severity + status, Type: "security", Severity: severity, Status: status,
			Issued: new(record.At(m.Now.AddDate(0, 0, -days)))}, names, cves)
	}
}

// refreshed has the repositories be as they are from now on.
func refreshed(repos ...record.Repository) func(*storetest.Machine) {
	return func(m *storetest.Machine) { storetest.Says(m, record.Repositories(repos)) }
}

func repository(refreshed, newest string) record.Repository {
	r := record.Repository{Alias: updatesRepo, Offers: true, Newest: newest}
	if at, err := time.Parse(time.DateOnly, refreshed); err == nil {
		r.Refreshed = new(record.At(at))
	}
	return r
}

// A machine that installs nothing does not pass: what is on offer, and not installed, fails by the profile, and what is
// stale takes away only a pass.
func TestOpenFixes(t *testing.T) {
	patch := func(n int) []record.Package { return []record.Package{storetest.PatchPackage(storetest.ReleaseA, n)} }
	kernelB := []record.Package{storetest.KernelPackage(storetest.KernelB), storetest.PatchPackage(storetest.ReleaseB, 1)}
	other := repository("2025-04-01", "2025-04-01")
	other.Alias = "other"
	stale := refreshed(repository("2025-01-10", "2025-01-10"))
	for name, tt := range map[string]struct {
		check, profile string
		does           []func(*storetest.Machine)
		want           Rating
		detail         string
	}{
		"silent":                {"updates", DefaultProfile, nil, Pass, "No live patch with a fix is on offer"},
		"not installed":         {"updates", DefaultProfile, []func(*storetest.Machine){released(60, "important", "", patch(3), "CVE-2025-7001", "CVE-2025-7002")}, Fail, "2 numbers can be fixed by a live patch that is on offer and not installed; the worst is CVE-2025-7001 (important advisory SUSE-important), open since 2025-01-31; 2 for longer"},
		"late too":              {"latency", DefaultProfile, []func(*storetest.Machine){released(60, "important", "", patch(3), "CVE-2025-7001")}, Fail, "the slowest is CVE-2025-7001"},
		"not too late":          {"updates", DefaultProfile, []func(*storetest.Machine){released(3, "important", "", patch(3), "CVE-2025-7001")}, Pass, "it is not too late"},
		"late":                  {"updates", DefaultProfile, []func(*storetest.Machine){released(20, "important", "", patch(3), "CVE-2025-7001")}, Warn, "1 number can be fixed"},
		"critical":              {"updates", DefaultProfile, []func(*storetest.Machine){released(20, "critical", "", patch(3), "CVE-2025-7001")}, Fail, "critical advisory"},
		"of a severity unknown": {"updates", DefaultProfile, []func(*storetest.Machine){released(20, "", "", patch(3), "CVE-2025-7001")}, Fail, "(advisory SUSE-)"},
		"low":                   {"updates", DefaultProfile, []func(*storetest.Machine){released(60, "low", "", patch(3), "CVE-2025-7001")}, Warn, "low advisory"},
		"important, for cards":  {"updates", "pci-dss-4.0.1", []func(*storetest.Machine){released(60, "important", "", patch(3), "CVE-2025-7001")}, Warn, "important advisory"},
		"stale":                 {"updates", DefaultProfile, []func(*storetest.Machine){stale}, NotDetermined, "was refreshed last on 2025-01-10"},
		"stale and open":        {"updates", DefaultProfile, []func(*storetest.Machine){released(60, "important", "", patch(3), "CVE-2025-7001"), stale}, Fail, "1 number"},
		"taken back":            {"updates", DefaultProfile, []func(*storetest.Machine){released(10, "important", "retracted", patch(2), "CVE-2025-7001")}, Fail, "the vendor took back"},
		"active, package gone":  {"updates", DefaultProfile, []func(*storetest.Machine){released(10, "important", "retracted", patch(2), "CVE-2025-7001"), func(m *storetest.Machine) { m.Installed = m.Installed[:1] }}, Fail, "Active is"},
		"only a kernel":         {"updates", DefaultProfile, []func(*storetest.Machine){released(60, "important", "", kernelB, "CVE-2025-7001")}, Pass, "No live patch"},
		"is no latency":         {"latency", DefaultProfile, []func(*storetest.Machine){released(60, "important", "", kernelB, "CVE-2025-7001")}, Pass, "All fixes were active in time"},
		"is residual":           {"residual", DefaultProfile, []func(*storetest.Machine){released(60, "important", "", kernelB, "CVE-2025-7001")}, Pass, "1 number can be fixed only by a newer kernel; the worst is CVE-2025-7001"},
		"for half a year":       {"residual", DefaultProfile, []func(*storetest.Machine){released(60, "important", "", kernelB, "CVE-2025-7001"), func(m *storetest.Machine) { m.Until("2025-09-01T09:00:00Z") }}, Warn, "longer"},
		"nothing residual":      {"residual", DefaultProfile, nil, Pass, "No fix is known that only a newer kernel brings"},
		"switched off":          {"updates", DefaultProfile, []func(*storetest.Machine){released(60, "important", "", patch(3), "CVE-2025-7001"), refreshed(other)}, NotDetermined, "CVE-2025-7001: repository-off: repository " + updatesRepo},
		"is told":               {"metadata", DefaultProfile, []func(*storetest.Machine){released(60, "important", "", patch(3), "CVE-2025-7001"), refreshed(other)}, Warn, "Not enabled, or gone, though it had advisories for this machine: " + updatesRepo},
		"a third party":         {"updates", DefaultProfile, []func(*storetest.Machine){refreshed(repository("2025-04-01", "2025-04-01"), record.Repository{Alias: "plain"})}, Pass, "No live patch"},
		"blinds nothing":        {"metadata", DefaultProfile, []func(*storetest.Machine){refreshed(repository("2025-04-01", "2025-04-01"), record.Repository{Alias: "plain", Problem: "unexpected EOF"})}, Pass, "(1)"},
		"fresh":                 {"metadata", DefaultProfile, nil, Pass, "refreshed in time (1)"},
		"not refreshed":         {"metadata", DefaultProfile, []func(*storetest.Machine){stale}, Fail, "was refreshed last on 2025-01-10."},
		"never refreshed":       {"metadata", DefaultProfile, []func(*storetest.Machine){refreshed(repository("", ""))}, Fail, updatesRepo + " was never refreshed."},
		"none":                  {"metadata", DefaultProfile, []func(*storetest.Machine){refreshed()}, Fail, "No enabled repository offers kernels or live patches, though"},
		"frozen":                {"metadata", DefaultProfile, []func(*storetest.Machine){refreshed(repository("2025-04-01", "2024-11-01"))}, Warn, "perhaps frozen: " + updatesRepo + ", whose newest advisory is of 2024-11-01."},
		"unreadable": {"metadata", DefaultProfile, []func(*storetest.Machine){func(m *storetest.Machine) {
			r := repository("2025-04-01", "")
			r.Problem = "unexpected EOF"
			refreshed(r)(m)
		}}, Fail, "cannot be read"},
		"not looked at": {"metadata", DefaultProfile, []func(*storetest.Machine){func(m *storetest.Machine) { delete(m.Parts, record.PartRepositories) }}, NotDetermined, "Nobody has looked"},
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.NewMachine(t, "2025-01-31T08:00:00Z")
			m.Installed, m.Next = []record.Package{storetest.KernelPackage(storetest.KernelA)}, storetest.ReleaseA
			if tt.check == "metadata" && tt.want == NotDetermined {
				tt.does[0](m)
			}
			m.StartRecording()
			m.Start(storetest.ReleaseA)
			m.Wait(time.Hour)
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 2))
			m.Until("2025-04-01T09:00:00Z")
			for _, does := range tt.does {
				does(m)
			}
			m.Wait(time.Hour)
			m.Observe(record.TriggerTimer)
			r := judged(m, profile(t, tt.profile)).of(t, tt.check)
			if r.Result != tt.want || !strings.Contains(r.Detail, tt.detail) || !isExplained(profile(t, DefaultProfile), tt.check, r.Result) {
				t.Errorf("%s: %s: %s\nwant %s: %s", tt.check, r.Result, r.Detail, tt.want, tt.detail)
			}
			if r.Result != NotDetermined && len(r.Evidence) == 0 && tt.check != "latency" {
				t.Error("no evidence")
			}
		})
	}
}

// A live patch on offer that was here, and gone, and came again at a time that nobody knows, may be installed between.
func TestUpdatesOfWhatCameAgain(t *testing.T) {
	m := storetest.Patched(t, 2)
	patch2, patch3 := storetest.PatchPackage(storetest.ReleaseA, 2), storetest.PatchPackage(storetest.ReleaseA, 3)
	released(10, "important", "", []record.Package{patch3}, "CVE-2025-4231", "CVE-2025-4232")(m)
	refreshed(record.Repository{Alias: updatesRepo, Offers: true, Refreshed: new(record.At(m.Now)), Newest: m.Now.Format(time.DateOnly)})(m)
	storetest.Unloaded(m, patch3)
	m.Wait(time.Hour)
	m.Install(patch2)
	m.Wait(3 * time.Hour)
	m.Observe(record.TriggerTimer)
	m.Wait(3 * time.Hour)
	at := m.Now
	m.Wait(3 * time.Hour)
	m.Apply([]record.Package{patch3}, nil)
	m.Settled()
	for i := range m.Installed { // which does not say when
		m.Installed[i].InstallTime = 1
	}
	m.Observe(record.TriggerTimer)
	c, err := Judge(t.Context(), m.OpenRecord(), profile(t, DefaultProfile), at)
	storetest.Check(t, err)
	if r := c.of(t, "updates"); r.Result != NotDetermined || r.Detail != "CVE-2025-4231: "+audit.WhetherInstalled {
		t.Errorf("%s: %s", r.Result, r.Detail)
	}
}

// What was active, and may still be, is not known to be open where an older live patch was installed since.
func TestUpdatesOfWhatMayBeActive(t *testing.T) {
	m := storetest.Patched(t, 3)
	released(60, "important", "", []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, "CVE-2025-4231")(m)
	refreshed(record.Repository{Alias: updatesRepo, Offers: true, Refreshed: new(record.At(m.Now)), Newest: m.Now.Format(time.DateOnly)})(m)
	storetest.Unloaded(m, storetest.PatchPackage(storetest.ReleaseA, 2))
	m.Wait(3 * time.Hour)
	m.Observe(record.TriggerTimer)
	m.Last().Patches, m.Last().LivePatch, m.Last().Boots = nil, nil, nil
	m.Last().Unknown["patches"], m.Last().Unknown["journal"] = "no sysfs", "no journal"
	r := judged(m, profile(t, DefaultProfile)).of(t, "updates")
	if r.Result != NotDetermined || !strings.Contains(r.Detail, "the worst is CVE-2025-4231 (important advisory SUSE-important), and whether that is active still is not known.") || len(r.Evidence) == 0 {
		t.Errorf("%s: %s", r.Result, r.Detail)
	}
}

// Where the newest observation could not tell what is installed, nobody knows whether what is on offer is.
func TestUpdatesOfWhatNobodySaw(t *testing.T) {
	m := storetest.Patched(t, 2)
	released(1, "important", "", []record.Package{storetest.PatchPackage(storetest.ReleaseA, 2)}, "CVE-2025-7001")(m)
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	m.Last().Installed, m.Last().Compared = nil, false
	m.Last().Unknown["installed"] = "rpm: the database is locked"
	if r := judged(m, profile(t, DefaultProfile)).of(t, "updates"); r.Result != NotDetermined || len(r.Evidence) == 0 {
		t.Errorf("%s: %s", r.Result, r.Detail)
	}
}

// A live patch that was taken back counts for as long as tasks run it: until another one has replaced it in all.
func TestTakenBackWhileItIsReplaced(t *testing.T) {
	m := storetest.Patched(t, 2)
	patch2, patch3 := storetest.PatchPackage(storetest.ReleaseA, 2), storetest.PatchPackage(storetest.ReleaseA, 3)
	released(1, "important", record.StatusRetracted, []record.Package{patch2}, "CVE-2025-7001")(m)
	m.Wait(time.Hour)
	m.Install(patch3)
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	o := m.Last()
	o.LivePatch.Transition = true
	o.Patches = []record.LoadedPatch{{Module: storetest.ModuleOf(patch2), Enabled: true}, {Module: storetest.ModuleOf(patch3), Enabled: true, Transition: true}}
	if r := judged(m, profile(t, DefaultProfile)).of(t, "updates"); r.Result != Fail || !strings.HasPrefix(r.Detail, "Active is") {
		t.Errorf("%s: %s", r.Result, r.Detail)
	}
}

// A host that never installed a live patch does not pass either.
func TestHostThatInstallsNothing(t *testing.T) {
	m := storetest.NewMachine(t, "2025-01-31T08:00:00Z")
	m.Installed, m.Next = []record.Package{storetest.KernelPackage(storetest.KernelA)}, storetest.ReleaseA
	m.StartRecording()
	m.Start(storetest.ReleaseA)
	m.Until("2025-02-02T09:00:00Z")
	released(1, "important", "", []record.Package{storetest.PatchPackage(storetest.ReleaseA, 2)}, "CVE-2025-7001")(m)
	m.Until("2025-04-20T09:00:00Z")
	c := judged(m, profile(t, DefaultProfile))
	for _, id := range []string{"updates", "latency"} {
		if r := c.of(t, id); r.Result != Fail || !strings.Contains(r.Detail, "CVE-2025-7001") {
			t.Errorf("%s: %s: %s", id, r.Result, r.Detail)
		}
	}
}

// A live patch that is taken away again, or replaced by an older one, is on offer again, and no reason to pass.
func TestTakenAwayIsOnOffer(t *testing.T) {
	patch2, patch3 := storetest.PatchPackage(storetest.ReleaseA, 2), storetest.PatchPackage(storetest.ReleaseA, 3)
	for name, away := range map[string]func(*storetest.Machine){
		"downgrade": func(m *storetest.Machine) { m.Install(patch2) },
		"removal":   func(m *storetest.Machine) { m.Remove(patch3); m.Disable() },
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.Patched(t, 2)
			m.Until("2025-03-01T09:00:00Z")
			released(50, "important", "", []record.Package{patch3}, storetest.FixesOf(patch3).CVEs...)(m)
			m.Install(patch3)
			m.Until("2025-03-02T09:00:00Z")
			away(m)
			m.Until("2025-04-20T09:00:00Z")
			if r := judged(m, profile(t, DefaultProfile)).of(t, "updates"); r.Result != Fail {
				t.Errorf("%s: %s", r.Result, r.Detail)
			}
		})
	}
}

// Installing what was on offer ends it.
func TestInstallingEndsIt(t *testing.T) {
	m := storetest.Patched(t, 2)
	m.Until("2025-03-01T09:00:00Z")
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	released(50, "important", "", []record.Package{patch3}, storetest.FixesOf(patch3).CVEs...)(m)
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	if r := judged(m, profile(t, DefaultProfile)).of(t, "updates"); r.Result != Fail {
		t.Errorf("before: %s: %s", r.Result, r.Detail)
	}
	m.Install(patch3)
	m.Until("2025-03-02T09:00:00Z")
	if r := judged(m, profile(t, DefaultProfile)).of(t, "updates"); r.Result != Pass {
		t.Errorf("after: %s: %s", r.Result, r.Detail)
	}
}
