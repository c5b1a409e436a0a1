package compliance

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// with, formed and unread are stories in which a part of the newest observation is another, is of another
// form, or unknown.
func with[T record.PartType](v T) func(*storetest.Machine) {
	return func(m *storetest.Machine) { storetest.SetPart(m, v) }
}

func formed(part record.PartName, text string) func(*storetest.Machine) {
	return func(m *storetest.Machine) { m.SetJSON(part, text) }
}

func unread(part record.PartName) func(*storetest.Machine) {
	return func(m *storetest.Machine) { m.Drop(part, "permission denied") }
}

// judged is what the checks come to on a machine.
func judged(m *storetest.Machine, p *Profile) *Summary {
	m.T.Helper()
	c, err := Judge(m.T.Context(), m.OpenRecord(), p, m.Now)
	storetest.Check(m.T, err)
	return c
}

func (c *Summary) of(t *testing.T, id string) CheckResult {
	t.Helper()
	for _, r := range c.Checks {
		if r.ID == id {
			return r
		}
	}
	t.Fatalf("there is no check %q", id)
	return CheckResult{}
}

func profile(t *testing.T, name string) *Profile {
	t.Helper()
	p, err := LoadProfile(name, nil)
	storetest.Check(t, err)
	return p
}

func TestHealthyMachinePasses(t *testing.T) {
	for _, name := range Profiles() {
		c := judged(storetest.Healthy(t), profile(t, name))
		for _, r := range c.Checks {
			want := Pass
			if r.ID == "exceptions" {
				want = NotApplicable
			}
			if r.Result != want {
				t.Errorf("%s: %s is %s: %s", name, r.ID, r.Result, r.Detail)
			}
			if len(r.Evidence) == 0 && r.Result == Pass && !slices.Contains([]string{"failed-commits", "downgrades", "attribution", "latency"}, r.ID) {
				t.Errorf("%s: %s passes without evidence", name, r.ID)
			}
		}
		if c.Verdict != Pass || len(c.Checks) != len(CheckIDs()) {
			t.Errorf("%s: %s with %d checks", name, c.Verdict, len(c.Checks))
		}
	}
}

// noImage has the running kernel have no initrd.
func noImage(m *storetest.Machine) {
	v := &m.Last().Initrd
	v.Verdict, v.Basis, v.Reason = record.VerdictMissing, "", record.ReasonNoImage
}

// Without an initrd the kernel does not boot: nothing says to reboot before there is one.
func TestNothingSaysToRebootWithoutAnImage(t *testing.T) {
	m := storetest.Healthy(t)
	noImage(m)
	o := m.Last()
	o.LivePatch = nil
	c := judged(m, profile(t, DefaultProfile))
	const build = "build its initrd with `dracut -f --kver "
	for _, r := range c.Checks {
		if hint := record.OrEmpty(r.ToDo); strings.Contains(hint, "reboot") && !strings.Contains(hint, build) || r.ID == "patch-in-initrd" && !strings.Contains(hint, build) {
			t.Errorf("%s: %s", r.ID, hint)
		}
	}
}

// checkTest is one thing that can be with a machine, and what a check has to say of it.
type checkTest struct {
	check  string
	name   string
	story  func(m *storetest.Machine)
	want   Rating
	detail string // a part of it
}

func TestStateChecks(t *testing.T) {
	pending := func(p record.Pending) func(*storetest.Machine) {
		return func(m *storetest.Machine) {
			m.Last().Reboot = &record.Reboot{Pending: p, NewestKernel: storetest.ReleaseB}
		}
	}
	waiting := func(days int, p record.Pending) func(*storetest.Machine) {
		return func(m *storetest.Machine) {
			b := storetest.KernelPackage(storetest.KernelB)
			b.InstallTime = m.Now.AddDate(0, 0, -days).Unix()
			m.Last().Installed = append(m.Last().Installed, b)
			pending(p)(m)
		}
	}
	untold := func(p record.Pending) func(*storetest.Machine) {
		return func(m *storetest.Machine) {
			m.Last().Reboot = &record.Reboot{Pending: p, NewestUnknown: "which installed kernel is the newest cannot be told: kernel-default-base-6 does not say"}
		}
	}
	noReboot := func(m *storetest.Machine) { m.Last().Reboot, m.Last().Unknown["reboot"] = nil, "rpm failed" }
	unreadable := func(story func(*storetest.Machine)) func(*storetest.Machine) {
		return func(m *storetest.Machine) {
			o := m.Last()
			o.Patches, o.LivePatch, o.Unknown["patches"] = nil, nil, "no sysfs"
			story(m)
		}
	}
	unpatched := func(m *storetest.Machine) {
		o := m.Last()
		o.LivePatch, o.Patches, o.Installed = nil, []record.LoadedPatch{}, o.Installed[:1]
		o.Initrd = record.Initrd{Verdict: record.VerdictUnknown, Reason: record.ReasonNoPatch}
	}
	runTests(t, []checkTest{
		{"kernel-supported", "a newer kernel waits, the newest patch is active", pending(record.PendingLivePatched), Pass, "runs with its newest live patch"},
		{"kernel-supported", "a newer kernel waits", pending(record.PendingYes), Fail, "without its newest live patch"},
		{"kernel-supported", "no package of the kernel", func(m *storetest.Machine) { m.Last().Reboot = &record.Reboot{} }, NotDetermined, "no package"},
		{"kernel-supported", "newest not known", untold(record.PendingYes), NotDetermined, "cannot be told: kernel-default-base-6"},
		{"kernel-supported", "newest not known, the newest patch is active", untold(record.PendingLivePatched), Pass, "with its newest live patch"},
		{"next-boot", "newest not known", untold(record.PendingYes), NotDetermined, "cannot be told: kernel-default-base-6"},
		{"reboot-lag", "newest not known", untold(record.PendingYes), NotDetermined, "cannot be told: kernel-default-base-6"},
		{"kernel-supported", "not known", noReboot, NotDetermined, "rpm failed"},
		{"kernel-supported", "a newer kernel waits, live patches not known", unreadable(pending(record.PendingUnknown)), NotDetermined, "no sysfs"},
		{"kernel-supported", "a newer kernel waits, live patches not known, as told before", unreadable(pending(record.PendingYes)), NotDetermined, "no sysfs"},
		{"kernel-supported", "a newer kernel waits, no live patch is installed, loaded ones not known", unreadable(func(m *storetest.Machine) {
			m.Last().Installed = m.Last().Installed[:1]
			pending(record.PendingYes)(m)
		}), NotDetermined, "no sysfs"},
		{"kernel-supported", "the newest kernel runs, live patches not known", unreadable(func(*storetest.Machine) {}), Pass, "the newest"},

		{"patch-state", "not known", func(m *storetest.Machine) { m.Last().Patches = nil; m.Last().Unknown["patches"] = "no sysfs" }, NotDetermined, "no sysfs"},
		{"patch-state", "none", unpatched, NotApplicable, "No live patch"},
		{"patch-state", "disabled", func(m *storetest.Machine) { m.Last().Patches[0].Enabled = false }, Fail, "not enabled"},
		{"patch-state", "two", func(m *storetest.Machine) {
			m.Last().Patches = append(m.Last().Patches, record.LoadedPatch{Module: "livepatch_x", Enabled: true})
		}, Fail, "2 live patches"},
		{"patch-state", "of no package", func(m *storetest.Machine) { m.Last().LivePatch.Package = nil }, Fail, "no installed package"},
		{"patch-state", "of which package is not known", func(m *storetest.Machine) {
			m.Last().LivePatch.Package, m.Last().Installed = nil, nil
			m.Last().Unknown["installed"] = "rpm failed"
		}, NotDetermined, "rpm failed"},
		{"patch-state", "not described", func(m *storetest.Machine) { m.Last().LivePatch = nil }, NotDetermined, "not describe"},
		{"patch-state", "forced", func(m *storetest.Machine) { m.Last().LivePatch.Forced = new(true) }, Fail, "forced over"},
		{"patch-state", "force known from the boot", func(m *storetest.Machine) { m.Last().LivePatch.Forced = nil }, Pass, "not forced"},
		{"patch-state", "force not known", func(m *storetest.Machine) { m.Last().LivePatch.Forced, m.Last().LivePatch.Module = nil, "livepatch_x" }, NotDetermined, "not on record"},
		{"patch-state", "in transition for a moment", inTransition(10 * time.Minute), Pass, "10 minutes"},
		{"patch-state", "in transition for a while", inTransition(30 * time.Minute), Warn, "30 minutes, held up by 1 task"},
		{"patch-state", "in transition for long", inTransition(3 * time.Hour), Fail, "3 hours"},
		{"patch-state", "in transition by a clock that was ahead", inTransition(-time.Hour), NotDetermined, "since when is not known: the clock was ahead"},
		{"patch-state", "in transition since nobody knows", func(m *storetest.Machine) { m.Last().LivePatch.Transition, m.Last().LivePatch.Since = true, nil }, NotDetermined, "since when"},

		{"patch-state", "replacing another for a moment", replaces(10 * time.Minute), Pass, "was in transition for 10 minutes, held up by 1 task"},
		{"patch-state", "replacing another for long", replaces(3 * time.Hour), Fail, "was in transition for 3 hours, held up by 1 task"},
		{"patch-state", "replacing two others", func(m *storetest.Machine) {
			replaces(3 * time.Hour)(m)
			m.Last().Patches = append(m.Last().Patches, record.LoadedPatch{Module: "livepatch_y", Enabled: true})
		}, Fail, "was in transition for 3 hours"},
		{"patch-state", "replacing another, as an older kernel shows it", func(m *storetest.Machine) {
			replaces(10 * time.Minute)(m)
			m.Last().Patches[1].Replace = nil
		}, Pass, "was in transition for 10 minutes"},
		{"patch-state", "beside another", func(m *storetest.Machine) {
			replaces(10 * time.Minute)(m)
			m.Last().Patches[1].Replace = new(false)
		}, Fail, "2 live patches"},
		{"patch-state", "disabled again before it had replaced another", func(m *storetest.Machine) {
			replaced := m.Last().LivePatch.Module
			inTransition(3 * time.Hour)(m)
			m.Last().LivePatch.Transition = false
			m.Last().Patches = []record.LoadedPatch{{Module: replaced, Enabled: true}, {Module: "livepatch_new", Transition: true}}
		}, NotDetermined, "livepatch_new is being disabled, held up by 1 task"},

		{"patch-loaded", "none installed", unpatched, NotApplicable, "No live patch is installed"},
		{"patch-loaded", "installed packages not known", func(m *storetest.Machine) { m.Last().Installed = nil; m.Last().Unknown["installed"] = "rpm failed" }, NotDetermined, "rpm failed"},
		{"patch-loaded", "patches not known", func(m *storetest.Machine) { m.Last().Patches = nil; m.Last().Unknown["patches"] = "no sysfs" }, NotDetermined, "no sysfs"},
		{"patch-loaded", "another is active", func(m *storetest.Machine) { m.Last().LivePatch.Version = new("1-150600.13.3.1") }, Fail, "is active"},
		{"patch-loaded", "its load is not complete", inTransition(30 * time.Minute), Fail, "not complete"},
		{"patch-loaded", "its load is not complete yet", func(m *storetest.Machine) {
			inTransition(30 * time.Minute)(m)
			m.Last().Installed[1].InstallTime = m.Now.Add(-65 * time.Minute).Unix()
		}, Warn, "not complete"},
		{"patch-loaded", "none is active", func(m *storetest.Machine) { m.Last().LivePatch = nil }, Fail, "none is active"},
		{"patch-loaded", "just installed", func(m *storetest.Machine) {
			m.Last().LivePatch = nil
			m.Last().Installed[1].InstallTime = m.Now.Add(-65 * time.Minute).Unix()
		}, Warn, "none is active"},

		{"patch-in-initrd", "missing", func(m *storetest.Machine) { m.Last().Initrd.Verdict = record.VerdictMissing }, Fail, "loses its fixes"},
		{"patch-in-initrd", "no image", func(m *storetest.Machine) {
			m.Last().Initrd.Verdict, m.Last().Initrd.Basis, m.Last().Initrd.Reason = record.VerdictMissing, "", record.ReasonNoImage
		}, Fail, "has no initrd at all"},
		{"patch-in-initrd", "no image, and no patch", func(m *storetest.Machine) {
			unpatched(m)
			m.Last().Initrd = record.Initrd{KernelRelease: storetest.ReleaseA, Verdict: record.VerdictMissing, Reason: record.ReasonNoImage}
		}, Fail, "has no initrd at all"},
		{"next-boot", "it has no image", noImage, Fail, "no initrd: it does not boot"},
		{"patch-in-initrd", "not provable", func(m *storetest.Machine) {
			m.Last().Initrd.Verdict, m.Last().Initrd.Reason = record.VerdictUnknown, record.ReasonNoBuild
		}, NotDetermined, "no-build-evidence"},
		{"patch-in-initrd", "no patch", unpatched, NotApplicable, "No live patch"},

		{"next-boot", "the newest, which waits", func(m *storetest.Machine) {
			pending(record.PendingYes)(m)
			m.Last().NextBoot.KernelRelease = storetest.ReleaseB
		}, Pass, storetest.ReleaseB},
		{"next-boot", "the running one again", pending(record.PendingYes), Warn, "although"},
		{"next-boot", "an old one", func(m *storetest.Machine) { m.Last().NextBoot.KernelRelease = storetest.ReleaseC }, Fail, "neither"},
		{"next-boot", "none", func(m *storetest.Machine) { m.Last().NextBoot.KernelRelease = "" }, NotDetermined, "newest"},
		{"next-boot", "not known", func(m *storetest.Machine) { m.Last().NextBoot = nil; m.Last().Unknown["next_boot"] = "no grub.cfg" }, NotDetermined, "no grub.cfg"},
		{"next-boot", "newest not known", noReboot, NotDetermined, "rpm failed"},

		{"coverage", "ends soon", with(record.Coverage{Date: "2026-02-20", File: "f", Line: 1}), Warn, "10 days"},
		{"coverage", "its last day", with(record.Coverage{Date: "2026-02-10", File: "f", Line: 1}), Warn, "0 days"},
		{"coverage", "ended", with(record.Coverage{Date: "2026-02-09", File: "f", Line: 1}), Fail, "1 day ago"},
		{"coverage", "no date", with(record.Coverage{Date: "soon"}), NotDetermined, `"soon"`},
		{"coverage", "no lifecycle data", unread("coverage"), NotDetermined, "permission denied"},
		{"coverage", "no live patch", unpatched, NotApplicable, "without live patches"},
		{"coverage", "no live patch installed, loaded ones not known", unreadable(func(m *storetest.Machine) {
			m.Last().Installed = m.Last().Installed[:1]
			delete(m.Last().Parts, "coverage")
		}), NotDetermined, "nothing of coverage"},

		{"reboot-lag", "not long", waiting(10, record.PendingYes), Pass, "10 days"},
		{"reboot-lag", "long", waiting(100, record.PendingLivePatched), Warn, "100 days; " + storetest.ReleaseA + " runs, live patched"},
		{"reboot-lag", "too long", waiting(400, record.PendingYes), Fail, "400 days"},
		{"reboot-lag", "live patches not known", unreadable(waiting(10, record.PendingYes)), Pass, "whether it is live patched is not known"},
		{"reboot-lag", "newest kernel not known", func(m *storetest.Machine) { m.Last().Reboot = &record.Reboot{Pending: record.PendingNo} }, NotDetermined, "newest"},
		{"patch-loaded", "installed by a clock that was ahead", func(m *storetest.Machine) {
			for i := range m.Last().Installed {
				m.Last().Installed[i].InstallTime = m.Now.AddDate(4, 0, 0).Unix()
			}
			m.Last().LivePatch, m.Last().Patches = nil, []record.LoadedPatch{}
		}, Fail, "since when is not known: the clock was ahead"},
		{"reboot-lag", "by a clock that was ahead", waiting(-10, record.PendingYes), NotDetermined, "since when is not known: the clock was ahead"},
		{"reboot-lag", "since nobody knows", pending(record.PendingYes), NotDetermined, "since when"},
		{"reboot-lag", "not known", noReboot, NotDetermined, "rpm failed"},

		{"taint", "out of tree only", with(record.Taint{Value: 4096, Flags: []record.TaintFlag{{Bit: 12, Letter: "O"}}}), Pass, "4096"},
		{"taint", "a warning", with(record.Taint{Value: 512, Flags: []record.TaintFlag{{Bit: 9, Letter: "W", Meaning: "kernel issued a warning"}}}), Warn, "kernel issued a warning"},
		{"taint", "a flag without a letter", with(record.Taint{Value: 2147483648, Flags: []record.TaintFlag{{Bit: 31, Meaning: "x"}}}), Warn, "bit 31"},
		{"taint", "not readable", unread("taint"), NotDetermined, "permission denied"},
		{"taint", "of another form", formed(record.PartTaint, `[]`), NotDetermined, "cannot be read"},

		{"signatures", "off", with(record.Signatures{}), Fail, "off in zypp.conf"},
		{"signatures", "an unchecked repository", with(record.Signatures{GPGCheck: true, Repos: []record.RepoSignatures{{Alias: "a", PkgGPGCheck: "no"}}}), Fail, "repository a"},
		{"signatures", "an unsigned kernel", func(m *storetest.Machine) { m.Last().Installed[0].SignatureKey = "" }, Fail, "not signed"},
		{"signatures", "not known", unread("gpgcheck"), NotDetermined, "permission denied"},
		{"signatures", "packages not known", func(m *storetest.Machine) { m.Last().Installed = nil }, NotDetermined, "nothing of installed"},

		{"clock", "no", with(record.Clock{Synced: "no", Source: "adjtimex"}), Warn, "not synchronised"},
		{"clock", "not known", with(record.Clock{Synced: "unknown"}), NotDetermined, "not known"},
		{"clock", "long ago", with(synced(8)), Warn, "more than 2 days"},
		{"clock", "just now", with(synced(10)), Pass, "/f"},
		{"clock", "not readable", unread("clock"), NotDetermined, "permission denied"},

		{"permissions", "of another user", with(record.OwnFiles{{Path: "/var/lib/klp-audit", There: true, Type: "directory", Mode: "0750", UID: 7}}), Fail, "user 7"},
		{"permissions", "readable by all", with(record.OwnFiles{storetest.Own("/var/lib/klp-audit/klp-audit.db", "0644")}), Fail, "mode 0644"},
		{"permissions", "key readable by the group", with(record.OwnFiles{storetest.Own("/var/lib/klp-audit/key", "0640")}), Fail, "at most 0700"},
		{"permissions", "no mode", with(record.OwnFiles{storetest.Own("/usr/bin/klp-audit", "rwx")}), Fail, "rwx"},
		{"permissions", "none there", with(record.OwnFiles{{Path: "/usr/bin/klp-audit"}}), NotDetermined, "no file"},
		{"permissions", "not readable", unread("files"), NotDetermined, "permission denied"},

		{"recorder", "plugin gone", with(record.OwnFiles{{Path: storetest.CommitPlugin}}), Fail, "not installed"},
		{"recorder", "plugin not executable", with(record.OwnFiles{storetest.Own(storetest.CommitPlugin, "0644")}), Fail, "cannot run"},
		{"recorder", "plugin is a link", with(record.OwnFiles{{Path: storetest.CommitPlugin, There: true, Type: "link"}}), Warn, "link"},
		{"recorder", "program gone", with(record.OwnFiles{storetest.Own(storetest.CommitPlugin, "0755"), {Path: "/usr/lib/klp-audit/recorder"}}), Fail, "cannot run /usr/lib/klp-audit/recorder"},
		{"recorder", "plugin not looked at", with(record.OwnFiles{}), NotDetermined, "says nothing"},
		{"recorder", "not readable", unread("files"), NotDetermined, "permission denied"},
		{"recorder", "silent for days", func(m *storetest.Machine) { m.Wait(72 * time.Hour) }, Fail, "3 days old"},

		{"entitlement", "no product", with(record.Entitlement{Products: []record.Product{}, Patterns: []string{"p"}, Lifecycle: []string{"l"}}), Warn, "product is not installed"},
		{"entitlement", "no lifecycle data", with(record.Entitlement{Products: []record.Product{{Name: "n", Version: "1"}}, Patterns: []string{"p"}, Lifecycle: []string{}}), Warn, "lifecycle data is not installed"},
		{"entitlement", "product ended", with(record.Entitlement{Products: []record.Product{{Name: "n", Version: "1", EndOfLife: "2026-01-01"}}, Patterns: []string{"p"}, Lifecycle: []string{"l"}}), Warn, "ended on 2026-01-01"},
		{"entitlement", "nothing of it", func(m *storetest.Machine) { unpatched(m); storetest.SetPart(m, including()) }, NotApplicable, "nothing of live patching"},
		{"entitlement", "nothing of it, live patches not known", unreadable(func(m *storetest.Machine) {
			m.Last().Installed = m.Last().Installed[:1]
			storetest.SetPart(m, including())
		}), NotDetermined, "no sysfs"},
		{"entitlement", "live patches included", with(including(record.Product{Name: "SLES", Version: "16.0"})), Pass, "SLES 16.0 has live patches in its own repositories"},
		{"entitlement", "live patches included, product ended", with(including(record.Product{Name: "SL-Micro", Version: "6.0", EndOfLife: "2026-01-01"})), Warn, "SL-Micro 6.0 ended on 2026-01-01"},
		{"entitlement", "of another form", formed(record.PartActivation, `{}`), NotDetermined, "does not say"},
		{"entitlement", "not known", unread("activation"), NotDetermined, "permission denied"},

		{"journal", "volatile", with(record.JournalStorage{Setting: "volatile", File: "/etc/x", Kept: "volatile"}), Warn, "lost with a reboot"},
		{"journal", "no folder", with(record.JournalStorage{Setting: "persistent", Kept: "persistent"}), Warn, "none of this machine"},
		{"journal", "not readable", func(m *storetest.Machine) { m.Last().Unknown["journal"] = "permission denied" }, NotDetermined, "permission denied"},
		{"journal", "not known", unread("journal_storage"), NotDetermined, "permission denied"},
	})
}

// including is a system with nothing of live patching but products that have it in their own repositories.
func including(products ...record.Product) record.Entitlement {
	return record.Entitlement{Products: []record.Product{}, Included: products, Patterns: []string{}, Lifecycle: []string{}}
}

// synced is a clock that was set on a day of the story's month, at 9.
func synced(day int) record.Clock {
	return record.Clock{Synced: "yes", Source: "adjtimex", LastSync: new(time.Date(2026, 2, day, 9, 0, 0, 0, time.UTC)), LastFile: "/f"}
}

func inTransition(d time.Duration) func(*storetest.Machine) {
	return func(m *storetest.Machine) {
		lp := m.Last().LivePatch
		lp.Transition, lp.Since = true, new(record.At(m.Now.Add(-time.Hour-d)))
		storetest.SetPart(m, record.Blockers{{PID: 1, TID: 1, Comm: "x"}})
	}
}

// replaces is a transition to the active live patch, while the one that it replaces is still
// enabled.
func replaces(d time.Duration) func(*storetest.Machine) {
	return func(m *storetest.Machine) {
		inTransition(d)(m)
		m.Last().Patches = []record.LoadedPatch{
			{Module: "livepatch_old", Enabled: true, Replace: new(true)},
			{Module: m.Last().LivePatch.Module, Enabled: true, Transition: true, Replace: new(true)},
		}
	}
}

func runTests(t *testing.T, tests []checkTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.check+"/"+tt.name, func(t *testing.T) {
			m := storetest.Healthy(t)
			tt.story(m)
			r := judged(m, profile(t, DefaultProfile)).of(t, tt.check)
			if r.Result != tt.want || !strings.Contains(r.Detail, tt.detail) {
				t.Errorf("got %s: %s\nwant %s: … %s …", r.Result, r.Detail, tt.want, tt.detail)
			}
			if !isExplained(profile(t, DefaultProfile), tt.check, r.Result) {
				t.Errorf("%s of %s is not explained: %s", r.Result, tt.check, r.Detail)
			}
			if !strings.HasSuffix(r.Detail, ".") || strings.HasSuffix(r.Detail, "..") || strings.Contains(r.Detail, "%!") {
				t.Errorf("%q is no sentence", r.Detail)
			}
		})
	}
}

func TestRecordChecks(t *testing.T) {
	later := func(m *storetest.Machine, days int) { m.Until(m.Now.AddDate(0, 0, days).Format(time.RFC3339)) }
	renew := func(m *storetest.Machine) { m.Observe(record.TriggerTimer) }
	imported := storetest.Change(storetest.PatchPackage(storetest.ReleaseB, 1))
	imported.Action = "install"
	runTests(t, []checkTest{
		{"failed-commits", "failed", func(m *storetest.Machine) {
			m.Commit(record.OutcomeFailed, []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
		}, Fail, "1 failure not made good: upgrade of kernel-livepatch"},
		{"failed-commits", "made good", func(m *storetest.Machine) {
			m.Commit(record.OutcomeFailed, []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
			m.Wait(time.Minute)
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
		}, Pass, "No failed change"},
		{"failed-commits", "made good in a snapshot that never was booted", func(m *storetest.Machine) {
			m.Commit(record.OutcomeFailed, []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
			m.Wait(time.Minute)
			m.Commit(record.OutcomeStaged, []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
			m.Written[len(m.Written)-2].End.Outcome = record.OutcomeDiscarded
		}, Fail, "1 failure not made good: upgrade of kernel-livepatch"},
		{"failed-commits", "a script", func(m *storetest.Machine) {
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
			m.FailScript()
		}, Fail, "1 failure not made good: upgrade of kernel-livepatch-6_4_0-150600_23_42-default 3-150600.13.9.1 at 2026-02-10T12:00:05Z, posttrans script failed (exit status 4): no image."},
		{"failed-commits", "a script, made good", func(m *storetest.Machine) {
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
			m.FailScript()
			m.Wait(time.Minute)
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
		}, Pass, "No failed change"},
		{"failed-commits", "goes on", func(m *storetest.Machine) {
			m.Commit("", []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
			m.Wait(time.Minute)
		}, Warn, "going on"},
		{"failed-commits", "never ended", func(m *storetest.Machine) {
			m.Commit("", []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
			m.Wait(2 * time.Hour)
		}, Fail, "has no end"},
		{"failed-commits", "not known", func(m *storetest.Machine) {
			m.Commit(record.OutcomeInterrupted, []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
			for i := range m.Written {
				if e := m.Written[i].End; e != nil && e.Outcome == record.OutcomeInterrupted {
					e.Changes[0].Result = record.ResultUnknown
				}
			}
		}, NotDetermined, "What became of 1 change"},

		{"downgrades", "a live patch", func(m *storetest.Machine) { m.Install(storetest.PatchPackage(storetest.ReleaseA, 1)) }, Warn, "from 2-150600.13.6.1 to 1-150600.13.3.1 at 2026-02-10T12:00:05Z by tux, after 0 kernel warnings, taint value 36864"},
		{"downgrades", "after kernel warnings", func(m *storetest.Machine) {
			storetest.SetPart(m, record.Warnings{Count: 3, Messages: []record.Warning{}})
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 1))
		}, Warn, "after 3 kernel warnings"},
		{"downgrades", "in a snapshot that never was booted", func(m *storetest.Machine) {
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 1))
			for i := range m.Written {
				if e := m.Written[i].End; e != nil && len(m.Written)-i < 4 {
					e.Outcome = record.OutcomeDiscarded
				}
			}
		}, Pass, "Nothing"},
		{"downgrades", "a removal after one of its kernel in a snapshot that never was booted", func(m *storetest.Machine) {
			m.Commit(record.OutcomeStaged, nil, []record.Package{storetest.KernelPackage(storetest.KernelA)})
			m.Written[len(m.Written)-2].End.Outcome = record.OutcomeDiscarded
			m.Wait(time.Hour)
			m.Remove(storetest.PatchPackage(storetest.ReleaseA, 2))
		}, Warn, "removed"},
		{"downgrades", "a removal", func(m *storetest.Machine) { m.Remove(storetest.PatchPackage(storetest.ReleaseA, 2)) }, Warn, "removed"},
		{"downgrades", "a removal long before its kernel's", func(m *storetest.Machine) {
			m.Remove(storetest.PatchPackage(storetest.ReleaseA, 2))
			m.Wait(time.Hour)
			m.Remove(storetest.KernelPackage(storetest.KernelA))
		}, Warn, "removed"},
		{"downgrades", "a removal after its kernel's", func(m *storetest.Machine) {
			m.Remove(storetest.KernelPackage(storetest.KernelA))
			m.Wait(time.Hour)
			m.Remove(storetest.PatchPackage(storetest.ReleaseA, 2))
		}, Pass, "Nothing"},
		{"downgrades", "a removal after its kernel had come back", func(m *storetest.Machine) {
			m.Remove(storetest.KernelPackage(storetest.KernelA))
			m.Wait(time.Hour)
			m.Install(storetest.KernelPackage(storetest.KernelA))
			m.Wait(time.Hour)
			m.Remove(storetest.PatchPackage(storetest.ReleaseA, 2))
		}, Warn, "removed"},
		{"downgrades", "a removal with its kernel", func(m *storetest.Machine) {
			m.Remove(storetest.KernelPackage(storetest.KernelA), storetest.PatchPackage(storetest.ReleaseA, 2))
		}, Pass, "Nothing"},

		{"attribution", "nobody", func(m *storetest.Machine) {
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
			for _, ev := range m.Written {
				if ev.Begin != nil {
					ev.Begin.Actor = record.Actor{Login: "unset"}
				}
			}
		}, Warn, "The author of 3 of 3 commits is unknown"},

		{"completeness", "a package that no commit brought", func(m *storetest.Machine) {
			m.Last().Installed = append(m.Last().Installed, storetest.KernelPackage(storetest.KernelB))
		}, Fail, storetest.KernelB + ".x86_64 is installed, by no commit"},
		{"completeness", "a package that no commit removed", func(m *storetest.Machine) { m.Last().Installed = m.Last().Installed[:1] }, Fail, "is gone"},
		{"completeness", "a commit, then an observation", func(m *storetest.Machine) { m.Install(storetest.PatchPackage(storetest.ReleaseA, 3)) }, Pass, "those of the commit"},
		{"completeness", "an import, then an observation", func(m *storetest.Machine) {
			m.Write(&record.Event{Header: m.Header(record.KindImport), Import: &record.Import{Commit: "c", Time: record.At(m.Now.Add(-time.Hour)), Changes: []record.ImportedChange{{
				Change: imported, Time: record.At(m.Now.Add(-time.Hour))}}}})
			m.Wait(time.Minute)
			renew(m)
		}, Pass, "those of the observation"},
		{"completeness", "packages not known", func(m *storetest.Machine) { m.Last().Installed = nil }, NotDetermined, "unknown installed packages"},
		{"completeness", "a week without recorder", func(m *storetest.Machine) {
			m.Recording = false
			later(m, 7)
			m.Recording = true
			renew(m)
		}, Fail, "gap from 2026-02-10T11:00:00Z"},
		{"completeness", "libzypp's history agrees", func(*storetest.Machine) {}, Pass, "libzypp's history showed no other change at 2026-02-10T11:00:00Z"},
		{"completeness", "libzypp's history has more", with(missing("2026-02-09T10:00:00Z", 0)), Fail, "1 hole in the record: install of dracut 1-1 at 2026-02-09T10:00:00Z stands only in libzypp's history, line 7, by 'zypper' 'up'."},
		{"completeness", "libzypp's history has much more", with(missing("2026-02-09T10:00:00Z", 3)), Fail, "2 holes in the record: install of dracut 1-1 at 2026-02-09T10:00:00Z stands only in libzypp's history, line 7, by 'zypper' 'up'; 3 older lines"},
		{"completeness", "libzypp's history had more long ago", with(missing("2024-02-09T10:00:00Z", 3)), Pass, "no other change"},
		{"completeness", "libzypp's history lost lines", with(losing(record.HistoryComparison{}, "2026-02-09T10:00:00Z")), NotDetermined, "at 2026-02-09T10:00:00Z lines were removed."},
		{"completeness", "libzypp's history lost lines long ago", with(losing(record.HistoryComparison{}, "2024-02-09T10:00:00Z")), Pass, "no other change"},
		{"completeness", "libzypp's history has more, and lost lines", with(losing(missing("2026-02-09T10:00:00Z", 0), "2026-02-09T10:00:00Z")), Fail, "1 hole"},
		{"completeness", "libzypp's history is long", with(record.HistoryComparison{Behind: true}), NotDetermined, "not compared to its end"},
		{"completeness", "libzypp's history not readable", unread(record.PartZyppHistory), NotDetermined, "permission denied"},
		{"completeness", "libzypp's history not compared", func(m *storetest.Machine) { delete(m.Last().Parts, record.PartZyppHistory) }, Pass, "no other change at 2026-02-10T03:00:00Z"},
		{"completeness", "libzypp's history never compared", func(m *storetest.Machine) {
			for _, ev := range m.All {
				if ev.Observation != nil {
					delete(ev.Observation.Parts, record.PartZyppHistory)
				}
			}
		}, NotDetermined, "no observation has compared it"},
		{"completeness", "libzypp's history compared long ago", func(m *storetest.Machine) {
			delete(m.Parts, record.PartZyppHistory)
			later(m, 4)
			renew(m)
		}, NotDetermined, "compared last at 2026-02-10T11:00:00Z, more than 2 days ago"},
		{"completeness", "libzypp's history of another form", formed(record.PartZyppHistory, `[]`), NotDetermined, "cannot be read"},

		{"completeness", "too old", func(m *storetest.Machine) { m.Wait(72 * time.Hour) }, NotDetermined, "3 days old"},

		{"integrity", "altered", with(record.Verified{Result: "altered", TreeSize: 7, Problems: []string{"event 3"}}), Fail, "event 3"},
		{"integrity", "grown from the journal's checkpoints", with(record.Verified{Result: "intact", TreeSize: 7, Checkpoints: 6}), Pass, "all 7 events intact, grown from 6 checkpoints in the journal."},
		{"integrity", "the journal not readable", with(record.Verified{Result: "intact", TreeSize: 7, Checkpoints: 1, Unread: "permission denied"}), Warn, "could not read all checkpoints in the journal: permission denied."},
		{"integrity", "a few days ago", func(m *storetest.Machine) { delete(m.Parts, "verify"); later(m, 4); renew(m) }, Warn, "4 days ago"},
		{"integrity", "weeks ago", func(m *storetest.Machine) { delete(m.Parts, "verify"); later(m, 20); renew(m) }, Fail, "20 days ago"},
		{"integrity", "never", func(m *storetest.Machine) {
			delete(m.Parts, "verify")
			later(m, 40)
			renew(m)
		}, NotDetermined, "no full verification"},
		{"integrity", "of another form", formed(record.PartVerify, `[]`), NotDetermined, "cannot be read"},

		{"exceptions", "runs", storetest.Except("coverage", "2026-06-01T00:00:00Z"), Pass, "None of 1 exception"},
		{"exceptions", "expires soon", storetest.Except("coverage", "2026-02-12T00:00:00Z"), Warn, "for coverage, until 2026-02-12"},
		{"exceptions", "expired", storetest.Except("coverage", "2026-02-10T11:00:00Z"), Fail, "1 exception expired"},

		{"integrity", "an earlier record is gone", lostRecord, Fail, "record-lost"},
		{"retention", "an earlier record is gone", lostRecord, Fail, "0 minutes, and 365 days is asked for"},
		{"retention", "since installation", func(*storetest.Machine) {}, Pass, "installation of the recorder"},
	})
}

// missing is a comparison with libzypp's history that found a line of some day, and some before.
func missing(day string, more int) record.HistoryComparison {
	return record.HistoryComparison{More: more, Missing: []record.MissingChange{{
		Time: utc(day), Action: "install", Package: "dracut", Version: "1-1", Arch: "x86_64", Command: "'zypper' 'up'",
		Line: record.HistoryLine{File: "/var/log/zypp/history", Number: 7, SHA256: "abc"},
	}}}
}

// losing is a comparison that, at some moment, could not see all lines.
func losing(c record.HistoryComparison, at string) record.HistoryComparison {
	c.Lost = []record.LostHistory{{To: utc(at), Why: "lines were removed"}}
	return c
}

func utc(text string) record.Timestamp {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return record.At(at)
}

// lostRecord has somebody remove the record; its key stays.
func lostRecord(m *storetest.Machine) {
	m.Flush()
	storetest.Check(m.T, os.Remove(store.Path(m.Root)))
	m.Observe(record.TriggerTimer)
}

func fix(status audit.ExposureStatus, released, active string, severity *string) audit.Exposure {
	e := audit.Exposure{CVE: "CVE-2026-1", KernelRelease: storetest.ReleaseA, Status: status, Severity: severity, Events: []int64{7}}
	for _, set := range []struct {
		to   **record.Timestamp
		from string
	}{{&e.Released, released}, {&e.Active, active}} {
		if at, err := time.Parse(time.DateOnly, set.from); err == nil {
			*set.to = new(record.At(at))
		}
	}
	return e
}

func otherKernel(e audit.Exposure) audit.Exposure {
	e.KernelRelease = storetest.ReleaseB
	return e
}

// A live patch of another kernel than the one that runs protects nothing, and is not late.
func TestLatencyOfAKernelThatDoesNotRun(t *testing.T) {
	m := storetest.Running(t, 2)
	m.Install(storetest.KernelPackage(storetest.KernelB), storetest.PatchPackage(storetest.ReleaseB, 2))
	m.Until("2025-04-01T09:00:00Z")
	m.Reboot()
	m.Until("2025-04-02T09:00:00Z")
	s := m.OpenRecord()
	for at, want := range map[string]Rating{"2025-04-01T08:00:00Z": Pass, "2025-04-02T09:00:00Z": Fail} {
		c, err := Judge(t.Context(), s, profile(t, DefaultProfile), storetest.When(t, at))
		storetest.Check(t, err)
		for _, r := range c.Checks {
			if r.ID == "latency" && r.Result != want {
				t.Errorf("%s: %s: %s", at, r.Result, r.Detail)
			}
		}
	}
}

func TestLatency(t *testing.T) {
	soon, slow := fix(audit.StatusFixed, "2026-01-01", "2026-01-06", nil), fix(audit.StatusFixed, "2026-01-01", "2026-02-05", new("important"))
	for _, tt := range []struct {
		name    string
		profile string
		fixes   []audit.Exposure
		want    Rating
		detail  string
	}{
		{"none", DefaultProfile, nil, NotApplicable, "No fix"},
		{"in time", DefaultProfile, []audit.Exposure{soon, soon}, Pass, "All fixes were active in time (2); the slowest took 5 days."},
		{"late", DefaultProfile, []audit.Exposure{soon, fix(audit.StatusFixed, "2026-01-01", "2026-01-21", nil)}, Warn, "1 of 2 fixes took longer"},
		{"too late", DefaultProfile, []audit.Exposure{soon, slow}, Fail, "CVE-2026-1 with 35 days"},
		{"too late, and not critical", "pci-dss-4.0.1", []audit.Exposure{soon, slow}, Pass, "in time (1)"},
		{"too late, and critical", "pci-dss-4.0.1", []audit.Exposure{fix(audit.StatusFixed, "2026-01-01", "2026-02-05", new("critical"))}, Fail, "35 days"},
		{"too late, severity not on record", "pci-dss-4.0.1", []audit.Exposure{fix(audit.StatusFixed, "2026-01-01", "2026-02-05", nil)}, Fail, "35 days"},
		{"not active yet", DefaultProfile, []audit.Exposure{fix(audit.StatusInstalled, "2026-01-01", "", nil)}, Fail, "40 days"},
		{"not active yet, and not late", DefaultProfile, []audit.Exposure{soon, fix(audit.StatusInstalled, "2026-02-08", "", nil)}, Warn, "1 of 2 fixes are released, and not active"},
		{"not known to be active", DefaultProfile, []audit.Exposure{soon, fix(audit.StatusUnknown, "2026-02-08", "", nil)}, NotDetermined, "1 of 2 fixes"},
		{"release not on record", DefaultProfile, []audit.Exposure{soon, fix(audit.StatusFixed, "", "2026-02-05", nil)}, NotDetermined, "1 of 2 fixes"},
		{"before the period", DefaultProfile, []audit.Exposure{fix(audit.StatusFixed, "2024-01-01", "2024-09-05", nil)}, NotApplicable, "No fix"},
		{"for a kernel that never ran", DefaultProfile, []audit.Exposure{otherKernel(fix(audit.StatusInstalled, "2026-01-01", "", nil))}, NotApplicable, "No fix"},
		{"not on record", DefaultProfile, []audit.Exposure{fix(audit.StatusNotInRecord, "", "", nil)}, NotApplicable, "No fix"},
		{"taken away", DefaultProfile, []audit.Exposure{fix(audit.StatusLost, "2026-01-01", "2026-01-06", nil)}, Pass, "; taken away again: 1."},
	} {
		p := profile(t, tt.profile)
		at := storetest.When(t, "2026-02-10T00:00:00Z")
		g := &grounds{at: at, since: at.Add(-time.Duration(p.LookBack)), profile: p, exposures: tt.fixes, running: storetest.ReleaseA}
		if f := latency(g, p.Criteria["latency"]); f.rating != tt.want || !strings.Contains(f.detail, tt.detail) || !isExplained(p, "latency", f.rating) {
			t.Errorf("%s: %s: %s", tt.name, f.rating, f.detail)
		}
	}
}

// Nothing on record is unknown, and never passes.
func TestEmptyRecordIsUnknown(t *testing.T) {
	m := storetest.NewMachine(t, "2026-01-05T08:00:00Z")
	c := judged(m, profile(t, DefaultProfile))
	for _, r := range c.Checks {
		passes := slices.Contains([]string{"failed-commits", "downgrades", "retention", "completeness"}, r.ID)
		if r.Result == Pass && !passes {
			t.Errorf("%s passes: %s", r.ID, r.Detail)
		}
	}
	if c.Verdict != Fail { // no recorder reports
		t.Errorf("verdict %s", c.Verdict)
	}
}

// An old observation says nothing of the state now.
func TestStaleObservationLeavesStateUnknown(t *testing.T) {
	m := storetest.Healthy(t)
	m.Wait(49 * time.Hour)
	c := judged(m, profile(t, DefaultProfile))
	for _, r := range Rules() {
		if got := c.of(t, r.ID); r.state && got.Result != NotDetermined {
			t.Errorf("%s is %s: %s", r.ID, got.Result, got.Detail)
		}
	}
}

// What comes after a moment changes nothing in the summary of that moment.
func TestComplianceOfAMomentStays(t *testing.T) {
	m := storetest.Healthy(t)
	p := profile(t, DefaultProfile)
	at := m.Now
	before := judged(m, p)
	m.Wait(time.Hour)
	storetest.Except("clock", "2026-02-11T00:00:00Z")(m)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 1))
	m.Commit(record.OutcomeFailed, []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
	after, err := Judge(t.Context(), m.OpenRecord(), p, at)
	storetest.Check(t, err)
	before.Record, after.Record = nil, nil // that is the record as it is
	if diff := cmp.Diff(before, after, cmp.AllowUnexported(Summary{})); diff != "" {
		t.Error(diff)
	}
}

// An exception stands beside the result, and does not change it.
func TestExceptionHidesNothing(t *testing.T) {
	m := storetest.Healthy(t)
	storetest.SetPart(m, record.Coverage{Date: "2026-02-09", File: "f", Line: 1})
	storetest.Except("coverage", "2026-06-01T00:00:00Z")(m)
	r := judged(m, profile(t, DefaultProfile)).of(t, "coverage")
	if r.Result != Fail || r.Exception == nil || r.Exception.By != "alice" || r.Exception.Expired {
		t.Errorf("%s, exception %+v", r.Result, r.Exception)
	}
}

// What a test cannot bring about through the store is put into what was read.
func TestChecksOfWhatWasRead(t *testing.T) {
	p := profile(t, DefaultProfile)
	for _, tt := range []struct {
		check  string
		name   string
		read   func(g *grounds)
		want   Rating
		detail string
	}{
		{"integrity", "a checkpoint of another log", func(g *grounds) { g.summary.Events++ }, Fail, "and there are"},
		{"integrity", "a checkpoint that was altered", func(g *grounds) { g.summary.Checkpoint = "x" }, Fail, "is not right"},
		{"integrity", "nothing recorded", func(g *grounds) { g.summary.Events = 0 }, NotDetermined, "Nothing"},
		{"retention", "for long", func(g *grounds) { g.summary.First = new(record.At(g.at.AddDate(-2, 0, 0))) }, Pass, "731 days, and 365 days is asked for"},
		{"retention", "nothing recorded", func(g *grounds) { g.recorders = nil }, NotDetermined, "Nothing"},
		{"completeness", "nothing recorded", func(g *grounds) { g.recorders = nil }, NotDetermined, "Nothing"},
		{"completeness", "drift", func(g *grounds) {
			g.drift = []*record.HistoryRow{{Event: 9, Action: "install", Package: "kernel-default", Version: "6-1"}}
		}, Fail, "install of kernel-default 6-1 without a commit"},
		{"completeness", "a commit that is going on", func(g *grounds) {
			g.gaps = []audit.Gap{{Kind: audit.GapCommit, Span: audit.Span{From: record.At(g.at)}}}
		}, Pass, "no gap"},
		{"completeness", "a machine that was off", func(g *grounds) {
			g.gaps = []audit.Gap{{Kind: audit.GapOff}, {Kind: audit.GapBefore}, {Kind: audit.GapAfter}}
		}, Pass, "no gap"},
		{"completeness", "a lost log", func(g *grounds) { g.gaps = []audit.Gap{{Kind: audit.GapBroken, Why: "It was lost."}} }, Fail, "(It was lost)"},
		{"downgrades", "what the kernel had said is not on record", func(g *grounds) {
			g.lowered = []lowered{{HistoryRow: &record.HistoryRow{Package: "p", Previous: new("2"), Version: "1"}}, {
				HistoryRow: &record.HistoryRow{Package: "q", Previous: new("2"), Version: "1"}, taint: &record.Part[record.Taint]{JSON: []byte(`{"value":512}`)}}}
		}, Warn, "p from 2 to 1 at 0001-01-01T00:00:00Z by unset; q from 2 to 1 at 0001-01-01T00:00:00Z by unset, kernel warnings not on record, taint value 512."},
	} {
		m := storetest.Healthy(t)
		g, err := readGrounds(t.Context(), m.OpenRecord(), p, m.Now)
		storetest.Check(t, err)
		tt.read(g)
		r, _ := RuleOf(tt.check)
		if f := g.run(r, p.Criteria[tt.check]); f.rating != tt.want || !strings.Contains(f.detail, tt.detail) || !isExplained(p, tt.check, f.rating) {
			t.Errorf("%s, %s: %s: %s", tt.check, tt.name, f.rating, f.detail)
		}
	}
}

// A kernel that was built anew keeps its release. Which of the builds runs is not known of a
// package that came after the boot, also where an older program observed it.
func TestRebuiltKernel(t *testing.T) {
	for _, tt := range []struct {
		check string
		since time.Duration
		want  Rating
	}{
		{"kernel-supported", -time.Minute, Pass}, {"kernel-supported", time.Minute, NotDetermined},
		{"next-boot", -time.Minute, Pass}, {"next-boot", time.Minute, NotDetermined},
		{"reboot-lag", -time.Minute, Pass}, {"reboot-lag", time.Minute, NotDetermined},
	} {
		m := storetest.Healthy(t)
		o := m.Last()
		o.Installed[0].InstallTime = o.Kernel.BootTime.Add(tt.since).Unix()
		if r := judged(m, profile(t, DefaultProfile)).of(t, tt.check); r.Result != tt.want {
			t.Errorf("%s, installed %v after the boot: %s: %s", tt.check, tt.since, r.Result, r.Detail)
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
	c, err := Judge(t.Context(), part, profile(t, DefaultProfile), m.Now)
	storetest.Check(t, err)
	if r := c.of(t, "integrity"); r.Result != Pass || !strings.Contains(r.Detail, "The checkpoint of then is not kept, and the full verification") {
		t.Errorf("%s: %s", r.Result, r.Detail)
	}
}
