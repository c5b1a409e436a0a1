package report

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// healthy is a machine that passes every check: nine days with a recorder, two live patches,
// and a full verification a day. Its time is 2026-02-10 12:00.
func healthy(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t, "2026-02-01T08:00:00Z")
	m.installed, m.next = []record.Package{kernelPackage(kernelA)}, releaseA
	m.installed[0].InstallTime = m.now.Unix()
	says(m, record.Taint{Value: 36864, Flags: []record.TaintFlag{{Bit: 12, Letter: "O", Meaning: "m"}, {Bit: 15, Letter: "K", Meaning: "m"}}})
	says(m, record.Coverage{Date: "2026-08-31", File: "/var/lib/lifecycle/data/sle-module-live-patching.lifecycle", Line: 3})
	says(m, record.Blockers{})
	says(m, record.Signatures{GPGCheck: true, Repos: []record.RepoSignatures{{Alias: "updates", RepoGPGCheck: true, PkgGPGCheck: "unless-repo-signed"}}})
	says(m, record.Entitlement{Products: []record.Product{{Name: "sle-module-live-patching", Version: "15.6", EndOfLife: "2031-12-31"}},
		Patterns: []string{"patterns-lp_sles"}, Lifecycle: []string{"lifecycle-data-sle-module-live-patching"}})
	says(m, record.Clock{Synced: "yes", Source: "adjtimex"})
	says(m, record.JournalStorage{Setting: "auto", Kept: "persistent", Persistent: true})
	says(m, record.OwnFiles{own(commitPlugin, "0755"), own("/var/lib/klp-audit", "0750"), own("/var/lib/klp-audit/klp-audit.db", "0640"), own("/var/lib/klp-audit/key", "0600")})
	says(m, record.Warnings{Messages: []record.Warning{}})
	says(m, record.Verified{Result: "intact", TreeSize: 7, Problems: []string{}})
	m.startRecording()
	m.start(releaseA)
	m.until("2026-02-02T09:00:00Z")
	m.install(patchPackage(releaseA, 1))
	m.until("2026-02-03T09:00:00Z")
	m.install(patchPackage(releaseA, 2))
	m.until("2026-02-10T11:00:00Z")
	m.observe(record.TriggerTimer)
	m.until("2026-02-10T12:00:00Z")
	return m
}

const commitPlugin = "/usr/lib/zypp/plugins/commit/klp-audit"

// own is a file that is as it should be.
func own(path, mode string) record.OwnFile {
	return record.OwnFile{Path: path, There: true, Type: "file", Mode: mode}
}

// with, formed and unread are stories in which a part of the newest observation is another, is of another
// form, or unknown.
func with[T record.PartType](v T) func(*machine) { return func(m *machine) { set(m, v) } }

func formed(part record.PartName, text string) func(*machine) {
	return func(m *machine) { m.setJSON(part, text) }
}

func unread(part record.PartName) func(*machine) {
	return func(m *machine) { m.drop(part, "permission denied") }
}

// judged is what the checks come to on a machine.
func judged(m *machine, p *Profile) *Compliance {
	m.t.Helper()
	c, err := NewCompliance(m.t.Context(), m.record(), p, m.now)
	check(m.t, err)
	return c
}

func (c *Compliance) of(t *testing.T, id string) CheckResult {
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
	check(t, err)
	return p
}

func TestHealthyMachinePasses(t *testing.T) {
	for _, name := range Profiles() {
		c := judged(healthy(t), profile(t, name))
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
func noImage(m *machine) {
	v := &m.last().Initrd
	v.Verdict, v.Basis, v.Reason = record.VerdictMissing, "", record.ReasonNoImage
}

// Without an initrd the kernel does not boot: nothing says to reboot before there is one.
func TestNothingSaysToRebootWithoutAnImage(t *testing.T) {
	m := healthy(t)
	noImage(m)
	o := m.last()
	o.LivePatch = nil
	c := judged(m, profile(t, DefaultProfile))
	const build = "build its initrd with `dracut -f --kver "
	for _, r := range c.Checks {
		if hint := r.Hint(); strings.Contains(hint, "reboot") && !strings.Contains(hint, build) || r.ID == "patch-in-initrd" && !strings.Contains(hint, build) {
			t.Errorf("%s: %s", r.ID, hint)
		}
	}
	s := m.record()
	_, seen, err := s.Extent(t.Context())
	check(t, err)
	st, err := NewState(t.Context(), s, seen.Time)
	check(t, err)
	if text := initrdText(st); text != "no initrd, proven: this kernel does not boot" {
		t.Errorf("the state says %q", text)
	}
	var f strings.Builder
	check(t, Write(&f, &Machine{o}, "table", Style{}))
	if !strings.Contains(f.String(), "no initrd: this kernel does not boot") || !strings.Contains(f.String(), "dracut -f") {
		t.Errorf("the observation says\n%s", f.String())
	}
}

// checkTest is one thing that can be with a machine, and what a check has to say of it.
type checkTest struct {
	check  string
	name   string
	story  func(m *machine)
	want   Rating
	detail string // a part of it
}

func TestStateChecks(t *testing.T) {
	pending := func(p record.Pending) func(*machine) {
		return func(m *machine) { m.last().Reboot = &record.Reboot{Pending: p, NewestKernel: releaseB} }
	}
	waiting := func(days int, p record.Pending) func(*machine) {
		return func(m *machine) {
			b := kernelPackage(kernelB)
			b.InstallTime = m.now.AddDate(0, 0, -days).Unix()
			m.last().Installed = append(m.last().Installed, b)
			pending(p)(m)
		}
	}
	untold := func(p record.Pending) func(*machine) {
		return func(m *machine) {
			m.last().Reboot = &record.Reboot{Pending: p, NewestUnknown: "which installed kernel is the newest cannot be told: kernel-default-base-6 does not say"}
		}
	}
	noReboot := func(m *machine) { m.last().Reboot, m.last().Unknown["reboot"] = nil, "rpm failed" }
	unreadable := func(story func(*machine)) func(*machine) {
		return func(m *machine) {
			o := m.last()
			o.Patches, o.LivePatch, o.Unknown["patches"] = nil, nil, "no sysfs"
			story(m)
		}
	}
	unpatched := func(m *machine) {
		o := m.last()
		o.LivePatch, o.Patches, o.Installed = nil, []record.LoadedPatch{}, o.Installed[:1]
		o.Initrd = record.Initrd{Verdict: record.VerdictUnknown, Reason: record.ReasonNoPatch}
	}
	runTests(t, []checkTest{
		{"kernel-supported", "a newer kernel waits, the newest patch is active", pending(record.PendingLivePatched), Pass, "runs with its newest live patch"},
		{"kernel-supported", "a newer kernel waits", pending(record.PendingYes), Fail, "without its newest live patch"},
		{"kernel-supported", "no package of the kernel", func(m *machine) { m.last().Reboot = &record.Reboot{} }, NotDetermined, "no package"},
		{"kernel-supported", "newest not known", untold(record.PendingYes), NotDetermined, "cannot be told: kernel-default-base-6"},
		{"kernel-supported", "newest not known, the newest patch is active", untold(record.PendingLivePatched), Pass, "with its newest live patch"},
		{"next-boot", "newest not known", untold(record.PendingYes), NotDetermined, "cannot be told: kernel-default-base-6"},
		{"reboot-lag", "newest not known", untold(record.PendingYes), NotDetermined, "cannot be told: kernel-default-base-6"},
		{"kernel-supported", "not known", noReboot, NotDetermined, "rpm failed"},
		{"kernel-supported", "a newer kernel waits, live patches not known", unreadable(pending(record.PendingUnknown)), NotDetermined, "no sysfs"},
		{"kernel-supported", "a newer kernel waits, live patches not known, as told before", unreadable(pending(record.PendingYes)), NotDetermined, "no sysfs"},
		{"kernel-supported", "a newer kernel waits, no live patch is installed, loaded ones not known", unreadable(func(m *machine) {
			m.last().Installed = m.last().Installed[:1]
			pending(record.PendingYes)(m)
		}), NotDetermined, "no sysfs"},
		{"kernel-supported", "the newest kernel runs, live patches not known", unreadable(func(*machine) {}), Pass, "the newest"},

		{"patch-state", "not known", func(m *machine) { m.last().Patches = nil; m.last().Unknown["patches"] = "no sysfs" }, NotDetermined, "no sysfs"},
		{"patch-state", "none", unpatched, NotApplicable, "No live patch"},
		{"patch-state", "disabled", func(m *machine) { m.last().Patches[0].Enabled = false }, Fail, "not enabled"},
		{"patch-state", "two", func(m *machine) {
			m.last().Patches = append(m.last().Patches, record.LoadedPatch{Module: "livepatch_x", Enabled: true})
		}, Fail, "2 live patches"},
		{"patch-state", "of no package", func(m *machine) { m.last().LivePatch.Package = nil }, Fail, "no installed package"},
		{"patch-state", "of which package is not known", func(m *machine) {
			m.last().LivePatch.Package, m.last().Installed = nil, nil
			m.last().Unknown["installed"] = "rpm failed"
		}, NotDetermined, "rpm failed"},
		{"patch-state", "not described", func(m *machine) { m.last().LivePatch = nil }, NotDetermined, "not describe"},
		{"patch-state", "forced", func(m *machine) { m.last().LivePatch.Forced = new(true) }, Fail, "forced over"},
		{"patch-state", "force known from the boot", func(m *machine) { m.last().LivePatch.Forced = nil }, Pass, "not forced"},
		{"patch-state", "force not known", func(m *machine) { m.last().LivePatch.Forced, m.last().LivePatch.Module = nil, "livepatch_x" }, NotDetermined, "not on record"},
		{"patch-state", "in transition for a moment", inTransition(10 * time.Minute), Pass, "10 minutes"},
		{"patch-state", "in transition for a while", inTransition(30 * time.Minute), Warn, "30 minutes, held up by 1 task"},
		{"patch-state", "in transition for long", inTransition(3 * time.Hour), Fail, "3 hours"},
		{"patch-state", "in transition by a clock that was ahead", inTransition(-time.Hour), NotDetermined, "since when is not known: the clock was ahead"},
		{"patch-state", "in transition since nobody knows", func(m *machine) { m.last().LivePatch.Transition, m.last().LivePatch.Since = true, nil }, NotDetermined, "since when"},

		{"patch-state", "replacing another for a moment", replaces(10 * time.Minute), Pass, "was in transition for 10 minutes, held up by 1 task"},
		{"patch-state", "replacing another for long", replaces(3 * time.Hour), Fail, "was in transition for 3 hours, held up by 1 task"},
		{"patch-state", "replacing two others", func(m *machine) {
			replaces(3 * time.Hour)(m)
			m.last().Patches = append(m.last().Patches, record.LoadedPatch{Module: "livepatch_y", Enabled: true})
		}, Fail, "was in transition for 3 hours"},
		{"patch-state", "replacing another, as an older kernel shows it", func(m *machine) {
			replaces(10 * time.Minute)(m)
			m.last().Patches[1].Replace = nil
		}, Pass, "was in transition for 10 minutes"},
		{"patch-state", "beside another", func(m *machine) {
			replaces(10 * time.Minute)(m)
			m.last().Patches[1].Replace = new(false)
		}, Fail, "2 live patches"},
		{"patch-state", "disabled again before it had replaced another", func(m *machine) {
			replaced := m.last().LivePatch.Module
			inTransition(3 * time.Hour)(m)
			m.last().LivePatch.Transition = false
			m.last().Patches = []record.LoadedPatch{{Module: replaced, Enabled: true}, {Module: "livepatch_new", Transition: true}}
		}, NotDetermined, "livepatch_new is being disabled, held up by 1 task"},

		{"patch-loaded", "none installed", unpatched, NotApplicable, "No live patch is installed"},
		{"patch-loaded", "installed packages not known", func(m *machine) { m.last().Installed = nil; m.last().Unknown["installed"] = "rpm failed" }, NotDetermined, "rpm failed"},
		{"patch-loaded", "patches not known", func(m *machine) { m.last().Patches = nil; m.last().Unknown["patches"] = "no sysfs" }, NotDetermined, "no sysfs"},
		{"patch-loaded", "another is active", func(m *machine) { m.last().LivePatch.Version = new("1-150600.13.3.1") }, Fail, "is active"},
		{"patch-loaded", "its load is not complete", inTransition(30 * time.Minute), Fail, "not complete"},
		{"patch-loaded", "its load is not complete yet", func(m *machine) {
			inTransition(30 * time.Minute)(m)
			m.last().Installed[1].InstallTime = m.now.Add(-65 * time.Minute).Unix()
		}, Warn, "not complete"},
		{"patch-loaded", "none is active", func(m *machine) { m.last().LivePatch = nil }, Fail, "none is active"},
		{"patch-loaded", "just installed", func(m *machine) {
			m.last().LivePatch = nil
			m.last().Installed[1].InstallTime = m.now.Add(-65 * time.Minute).Unix()
		}, Warn, "none is active"},

		{"patch-in-initrd", "missing", func(m *machine) { m.last().Initrd.Verdict = record.VerdictMissing }, Fail, "loses its fixes"},
		{"patch-in-initrd", "no image", func(m *machine) {
			m.last().Initrd.Verdict, m.last().Initrd.Basis, m.last().Initrd.Reason = record.VerdictMissing, "", record.ReasonNoImage
		}, Fail, "has no initrd at all"},
		{"patch-in-initrd", "no image, and no patch", func(m *machine) {
			unpatched(m)
			m.last().Initrd = record.Initrd{KernelRelease: releaseA, Verdict: record.VerdictMissing, Reason: record.ReasonNoImage}
		}, Fail, "has no initrd at all"},
		{"next-boot", "it has no image", noImage, Fail, "no initrd: it does not boot"},
		{"patch-in-initrd", "not provable", func(m *machine) {
			m.last().Initrd.Verdict, m.last().Initrd.Reason = record.VerdictUnknown, record.ReasonNoBuild
		}, NotDetermined, "no-build-evidence"},
		{"patch-in-initrd", "no patch", unpatched, NotApplicable, "No live patch"},

		{"next-boot", "the newest, which waits", func(m *machine) { pending(record.PendingYes)(m); m.last().NextBoot.KernelRelease = releaseB }, Pass, releaseB},
		{"next-boot", "the running one again", pending(record.PendingYes), Warn, "although"},
		{"next-boot", "an old one", func(m *machine) { m.last().NextBoot.KernelRelease = releaseC }, Fail, "neither"},
		{"next-boot", "none", func(m *machine) { m.last().NextBoot.KernelRelease = "" }, NotDetermined, "newest"},
		{"next-boot", "not known", func(m *machine) { m.last().NextBoot = nil; m.last().Unknown["next_boot"] = "no grub.cfg" }, NotDetermined, "no grub.cfg"},
		{"next-boot", "newest not known", noReboot, NotDetermined, "rpm failed"},

		{"coverage", "ends soon", with(record.Coverage{Date: "2026-02-20", File: "f", Line: 1}), Warn, "10 days"},
		{"coverage", "its last day", with(record.Coverage{Date: "2026-02-10", File: "f", Line: 1}), Warn, "0 days"},
		{"coverage", "ended", with(record.Coverage{Date: "2026-02-09", File: "f", Line: 1}), Fail, "1 day ago"},
		{"coverage", "no date", with(record.Coverage{Date: "soon"}), NotDetermined, `"soon"`},
		{"coverage", "no lifecycle data", unread("coverage"), NotDetermined, "permission denied"},
		{"coverage", "no live patch", unpatched, NotApplicable, "without live patches"},
		{"coverage", "no live patch installed, loaded ones not known", unreadable(func(m *machine) {
			m.last().Installed = m.last().Installed[:1]
			delete(m.last().Parts, "coverage")
		}), NotDetermined, "nothing of coverage"},

		{"reboot-lag", "not long", waiting(10, record.PendingYes), Pass, "10 days"},
		{"reboot-lag", "long", waiting(100, record.PendingLivePatched), Warn, "100 days; " + releaseA + " runs, live patched"},
		{"reboot-lag", "too long", waiting(400, record.PendingYes), Fail, "400 days"},
		{"reboot-lag", "live patches not known", unreadable(waiting(10, record.PendingYes)), Pass, "whether it is live patched is not known"},
		{"reboot-lag", "newest kernel not known", func(m *machine) { m.last().Reboot = &record.Reboot{Pending: record.PendingNo} }, NotDetermined, "newest"},
		{"patch-loaded", "installed by a clock that was ahead", func(m *machine) {
			for i := range m.last().Installed {
				m.last().Installed[i].InstallTime = m.now.AddDate(4, 0, 0).Unix()
			}
			m.last().LivePatch, m.last().Patches = nil, []record.LoadedPatch{}
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
		{"signatures", "an unsigned kernel", func(m *machine) { m.last().Installed[0].SignatureKey = "" }, Fail, "not signed"},
		{"signatures", "not known", unread("gpgcheck"), NotDetermined, "permission denied"},
		{"signatures", "packages not known", func(m *machine) { m.last().Installed = nil }, NotDetermined, "nothing of installed"},

		{"clock", "no", with(record.Clock{Synced: "no", Source: "adjtimex"}), Warn, "not synchronised"},
		{"clock", "not known", with(record.Clock{Synced: "unknown"}), NotDetermined, "not known"},
		{"clock", "long ago", with(synced(8)), Warn, "more than 2 days"},
		{"clock", "just now", with(synced(10)), Pass, "/f"},
		{"clock", "not readable", unread("clock"), NotDetermined, "permission denied"},

		{"permissions", "of another user", with(record.OwnFiles{{Path: "/var/lib/klp-audit", There: true, Type: "directory", Mode: "0750", UID: 7}}), Fail, "user 7"},
		{"permissions", "readable by all", with(record.OwnFiles{own("/var/lib/klp-audit/klp-audit.db", "0644")}), Fail, "mode 0644"},
		{"permissions", "key readable by the group", with(record.OwnFiles{own("/var/lib/klp-audit/key", "0640")}), Fail, "at most 0700"},
		{"permissions", "no mode", with(record.OwnFiles{own("/usr/bin/klp-audit", "rwx")}), Fail, "rwx"},
		{"permissions", "none there", with(record.OwnFiles{{Path: "/usr/bin/klp-audit"}}), NotDetermined, "no file"},
		{"permissions", "not readable", unread("files"), NotDetermined, "permission denied"},

		{"recorder", "plugin gone", with(record.OwnFiles{{Path: commitPlugin}}), Fail, "not installed"},
		{"recorder", "plugin not executable", with(record.OwnFiles{own(commitPlugin, "0644")}), Fail, "cannot run"},
		{"recorder", "plugin is a link", with(record.OwnFiles{{Path: commitPlugin, There: true, Type: "link"}}), Warn, "link"},
		{"recorder", "program gone", with(record.OwnFiles{own(commitPlugin, "0755"), {Path: "/usr/lib/klp-audit/recorder"}}), Fail, "cannot run /usr/lib/klp-audit/recorder"},
		{"recorder", "plugin not looked at", with(record.OwnFiles{}), NotDetermined, "says nothing"},
		{"recorder", "not readable", unread("files"), NotDetermined, "permission denied"},
		{"recorder", "silent for days", func(m *machine) { m.wait(72 * time.Hour) }, Fail, "more than 2 days ago"},

		{"entitlement", "no product", with(record.Entitlement{Products: []record.Product{}, Patterns: []string{"p"}, Lifecycle: []string{"l"}}), Warn, "product is not installed"},
		{"entitlement", "no lifecycle data", with(record.Entitlement{Products: []record.Product{{Name: "n", Version: "1"}}, Patterns: []string{"p"}, Lifecycle: []string{}}), Warn, "lifecycle data is not installed"},
		{"entitlement", "product ended", with(record.Entitlement{Products: []record.Product{{Name: "n", Version: "1", EndOfLife: "2026-01-01"}}, Patterns: []string{"p"}, Lifecycle: []string{"l"}}), Warn, "ended on 2026-01-01"},
		{"entitlement", "nothing of it", func(m *machine) { unpatched(m); set(m, including()) }, NotApplicable, "nothing of live patching"},
		{"entitlement", "nothing of it, live patches not known", unreadable(func(m *machine) {
			m.last().Installed = m.last().Installed[:1]
			set(m, including())
		}), NotDetermined, "no sysfs"},
		{"entitlement", "live patches included", with(including(record.Product{Name: "SLES", Version: "16.0"})), Pass, "SLES 16.0 has live patches in its own repositories"},
		{"entitlement", "live patches included, product ended", with(including(record.Product{Name: "SL-Micro", Version: "6.0", EndOfLife: "2026-01-01"})), Warn, "SL-Micro 6.0 ended on 2026-01-01"},
		{"entitlement", "of another form", formed(record.PartActivation, `{}`), NotDetermined, "does not say"},
		{"entitlement", "not known", unread("activation"), NotDetermined, "permission denied"},

		{"journal", "volatile", with(record.JournalStorage{Setting: "volatile", File: "/etc/x", Kept: "volatile"}), Warn, "lost with a reboot"},
		{"journal", "no folder", with(record.JournalStorage{Setting: "persistent", Kept: "persistent"}), Warn, "none of this machine"},
		{"journal", "not readable", func(m *machine) { m.last().Unknown["journal"] = "permission denied" }, NotDetermined, "permission denied"},
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

func inTransition(d time.Duration) func(*machine) {
	return func(m *machine) {
		lp := m.last().LivePatch
		lp.Transition, lp.Since = true, new(record.At(m.now.Add(-time.Hour-d)))
		set(m, record.Blockers{{PID: 1, TID: 1, Comm: "x"}})
	}
}

// replaces is a transition to the active live patch, while the one that it replaces is still
// enabled.
func replaces(d time.Duration) func(*machine) {
	return func(m *machine) {
		inTransition(d)(m)
		m.last().Patches = []record.LoadedPatch{
			{Module: "livepatch_old", Enabled: true, Replace: new(true)},
			{Module: m.last().LivePatch.Module, Enabled: true, Transition: true, Replace: new(true)},
		}
	}
}

func runTests(t *testing.T, tests []checkTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.check+"/"+tt.name, func(t *testing.T) {
			m := healthy(t)
			tt.story(m)
			r := judged(m, profile(t, DefaultProfile)).of(t, tt.check)
			if r.Result != tt.want || !strings.Contains(r.Detail, tt.detail) {
				t.Errorf("got %s: %s\nwant %s: … %s …", r.Result, r.Detail, tt.want, tt.detail)
			}
			if !strings.HasSuffix(r.Detail, ".") || strings.HasSuffix(r.Detail, "..") || strings.Contains(r.Detail, "%!") {
				t.Errorf("%q is no sentence", r.Detail)
			}
		})
	}
}

func TestRecordChecks(t *testing.T) {
	later := func(m *machine, days int) { m.until(m.now.AddDate(0, 0, days).Format(time.RFC3339)) }
	renew := func(m *machine) { m.observe(record.TriggerTimer) }
	imported := change(patchPackage(releaseB, 1))
	imported.Action = "install"
	runTests(t, []checkTest{
		{"failed-commits", "failed", func(m *machine) { m.commit(record.OutcomeFailed, []record.Package{patchPackage(releaseA, 3)}, nil) }, Fail, "1 failure not made good: upgrade of kernel-livepatch"},
		{"failed-commits", "made good", func(m *machine) {
			m.commit(record.OutcomeFailed, []record.Package{patchPackage(releaseA, 3)}, nil)
			m.wait(time.Minute)
			m.install(patchPackage(releaseA, 3))
		}, Pass, "No failed change"},
		{"failed-commits", "a script", func(m *machine) {
			m.install(patchPackage(releaseA, 3))
			m.failScript()
		}, Fail, "1 failure not made good: upgrade of kernel-livepatch-6_4_0-150600_23_42-default 3-150600.13.9.1 at 2026-02-10T12:00:05Z, posttrans script failed (exit status 4): no image."},
		{"failed-commits", "a script, made good", func(m *machine) {
			m.install(patchPackage(releaseA, 3))
			m.failScript()
			m.wait(time.Minute)
			m.install(patchPackage(releaseA, 3))
		}, Pass, "No failed change"},
		{"failed-commits", "goes on", func(m *machine) { m.commit("", []record.Package{patchPackage(releaseA, 3)}, nil); m.wait(time.Minute) }, Warn, "going on"},
		{"failed-commits", "never ended", func(m *machine) {
			m.commit("", []record.Package{patchPackage(releaseA, 3)}, nil)
			m.wait(2 * time.Hour)
		}, Fail, "has no end"},
		{"failed-commits", "not known", func(m *machine) {
			m.commit(record.OutcomeInterrupted, []record.Package{patchPackage(releaseA, 3)}, nil)
			for i := range m.written {
				if e := m.written[i].End; e != nil && e.Outcome == record.OutcomeInterrupted {
					e.Changes[0].Result = record.ResultUnknown
				}
			}
		}, NotDetermined, "What became of 1 change"},

		{"downgrades", "a live patch", func(m *machine) { m.install(patchPackage(releaseA, 1)) }, Warn, "from 2-150600.13.6.1 to 1-150600.13.3.1 at 2026-02-10T12:00:05Z by tux, after 0 kernel warnings, taint value 36864"},
		{"downgrades", "after kernel warnings", func(m *machine) {
			set(m, record.Warnings{Count: 3, Messages: []record.Warning{}})
			m.install(patchPackage(releaseA, 1))
		}, Warn, "after 3 kernel warnings"},
		{"downgrades", "in a snapshot that never was booted", func(m *machine) {
			m.install(patchPackage(releaseA, 1))
			for i := range m.written {
				if e := m.written[i].End; e != nil && len(m.written)-i < 4 {
					e.Outcome = record.OutcomeDiscarded
				}
			}
		}, Pass, "Nothing"},
		{"downgrades", "a removal after one of its kernel in a snapshot that never was booted", func(m *machine) {
			m.commit(record.OutcomeStaged, nil, []record.Package{kernelPackage(kernelA)})
			m.written[len(m.written)-2].End.Outcome = record.OutcomeDiscarded
			m.wait(time.Hour)
			m.remove(patchPackage(releaseA, 2))
		}, Warn, "removed"},
		{"downgrades", "a removal", func(m *machine) { m.remove(patchPackage(releaseA, 2)) }, Warn, "removed"},
		{"downgrades", "a removal long before its kernel's", func(m *machine) {
			m.remove(patchPackage(releaseA, 2))
			m.wait(time.Hour)
			m.remove(kernelPackage(kernelA))
		}, Warn, "removed"},
		{"downgrades", "a removal after its kernel's", func(m *machine) {
			m.remove(kernelPackage(kernelA))
			m.wait(time.Hour)
			m.remove(patchPackage(releaseA, 2))
		}, Pass, "Nothing"},
		{"downgrades", "a removal after its kernel had come back", func(m *machine) {
			m.remove(kernelPackage(kernelA))
			m.wait(time.Hour)
			m.install(kernelPackage(kernelA))
			m.wait(time.Hour)
			m.remove(patchPackage(releaseA, 2))
		}, Warn, "removed"},
		{"downgrades", "a removal with its kernel", func(m *machine) { m.remove(kernelPackage(kernelA), patchPackage(releaseA, 2)) }, Pass, "Nothing"},

		{"attribution", "nobody", func(m *machine) {
			m.install(patchPackage(releaseA, 3))
			for _, ev := range m.written {
				if ev.Begin != nil {
					ev.Begin.Actor = record.Actor{Login: "unset"}
				}
			}
		}, Warn, "The author of 3 of 3 commits is unknown"},

		{"completeness", "a package that no commit brought", func(m *machine) {
			m.last().Installed = append(m.last().Installed, kernelPackage(kernelB))
		}, Fail, kernelB + ".x86_64 is installed, by no commit"},
		{"completeness", "a package that no commit removed", func(m *machine) { m.last().Installed = m.last().Installed[:1] }, Fail, "is gone"},
		{"completeness", "a commit, then an observation", func(m *machine) { m.install(patchPackage(releaseA, 3)) }, Pass, "those of the commit"},
		{"completeness", "an import, then an observation", func(m *machine) {
			m.write(&record.Event{Header: m.header(record.KindImport), Import: &record.Import{Commit: "c", Time: record.At(m.now.Add(-time.Hour)), Changes: []record.ImportedChange{{
				Change: imported, Time: record.At(m.now.Add(-time.Hour))}}}})
			m.wait(time.Minute)
			renew(m)
		}, Pass, "those of the observation"},
		{"completeness", "packages not known", func(m *machine) { m.last().Installed = nil }, NotDetermined, "unknown installed packages"},
		{"completeness", "a week without recorder", func(m *machine) {
			m.recording = false
			later(m, 7)
			m.recording = true
			renew(m)
		}, Fail, "gap from 2026-02-10T11:00:00Z"},
		{"completeness", "libzypp's history agrees", func(*machine) {}, Pass, "libzypp's history showed no other change at 2026-02-10T11:00:00Z"},
		{"completeness", "libzypp's history has more", with(missing("2026-02-09T10:00:00Z", 0)), Fail, "1 hole in the record: install of dracut 1-1 at 2026-02-09T10:00:00Z stands only in libzypp's history, line 7, by 'zypper' 'up'."},
		{"completeness", "libzypp's history has much more", with(missing("2026-02-09T10:00:00Z", 3)), Fail, "2 holes in the record: install of dracut 1-1 at 2026-02-09T10:00:00Z stands only in libzypp's history, line 7, by 'zypper' 'up'; 3 older lines"},
		{"completeness", "libzypp's history had more long ago", with(missing("2024-02-09T10:00:00Z", 3)), Pass, "no other change"},
		{"completeness", "libzypp's history lost lines", with(losing(record.HistoryComparison{}, "2026-02-09T10:00:00Z")), NotDetermined, "at 2026-02-09T10:00:00Z lines were removed."},
		{"completeness", "libzypp's history lost lines long ago", with(losing(record.HistoryComparison{}, "2024-02-09T10:00:00Z")), Pass, "no other change"},
		{"completeness", "libzypp's history has more, and lost lines", with(losing(missing("2026-02-09T10:00:00Z", 0), "2026-02-09T10:00:00Z")), Fail, "1 hole"},
		{"completeness", "libzypp's history is long", with(record.HistoryComparison{Behind: true}), NotDetermined, "not compared to its end"},
		{"completeness", "libzypp's history not readable", unread(record.PartZyppHistory), NotDetermined, "permission denied"},
		{"completeness", "libzypp's history not compared", func(m *machine) { delete(m.last().Parts, record.PartZyppHistory) }, Pass, "no other change at 2026-02-10T03:00:00Z"},
		{"completeness", "libzypp's history never compared", func(m *machine) {
			for _, ev := range m.all {
				if ev.Observation != nil {
					delete(ev.Observation.Parts, record.PartZyppHistory)
				}
			}
		}, NotDetermined, "no observation has compared it"},
		{"completeness", "libzypp's history compared long ago", func(m *machine) {
			delete(m.parts, record.PartZyppHistory)
			later(m, 4)
			renew(m)
		}, NotDetermined, "compared last at 2026-02-10T11:00:00Z, more than 2 days ago"},
		{"completeness", "libzypp's history of another form", formed(record.PartZyppHistory, `[]`), NotDetermined, "cannot be read"},

		{"completeness", "too old", func(m *machine) { m.wait(72 * time.Hour) }, NotDetermined, "more than 2 days ago"},

		{"integrity", "altered", with(record.Verified{Result: "altered", TreeSize: 7, Problems: []string{"event 3"}}), Fail, "event 3"},
		{"integrity", "grown from the journal's checkpoints", with(record.Verified{Result: "intact", TreeSize: 7, Checkpoints: 6}), Pass, "all 7 events intact, grown from 6 checkpoints in the journal."},
		{"integrity", "the journal not readable", with(record.Verified{Result: "intact", TreeSize: 7, Checkpoints: 1, Unread: "permission denied"}), Warn, "could not read all checkpoints in the journal: permission denied."},
		{"integrity", "a few days ago", func(m *machine) { delete(m.parts, "verify"); later(m, 4); renew(m) }, Warn, "4 days ago"},
		{"integrity", "weeks ago", func(m *machine) { delete(m.parts, "verify"); later(m, 20); renew(m) }, Fail, "20 days ago"},
		{"integrity", "never", func(m *machine) {
			delete(m.parts, "verify")
			later(m, 40)
			renew(m)
		}, NotDetermined, "no full verification"},
		{"integrity", "of another form", formed(record.PartVerify, `[]`), NotDetermined, "cannot be read"},

		{"exceptions", "runs", except("coverage", "2026-06-01T00:00:00Z"), Pass, "None of 1 exception"},
		{"exceptions", "runs out soon", except("coverage", "2026-02-12T00:00:00Z"), Warn, "for coverage, until 2026-02-12"},
		{"exceptions", "ran out", except("coverage", "2026-02-10T11:00:00Z"), Fail, "1 exception ran out"},

		{"integrity", "an earlier record is gone", lostRecord, Fail, "record-lost"},
		{"retention", "an earlier record is gone", lostRecord, Fail, "0 minutes, and 365 days is asked for"},
		{"retention", "since installation", func(*machine) {}, Pass, "installation of the recorder"},
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
func lostRecord(m *machine) {
	m.flush()
	check(m.t, os.Remove(store.Path(m.root)))
	m.observe(record.TriggerTimer)
}

func fix(status ExposureStatus, released, active string, severity *string) Exposure {
	e := Exposure{CVE: "CVE-2026-1", KernelRelease: releaseA, Status: status, Severity: severity, Events: []int64{7}}
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

func otherKernel(e Exposure) Exposure {
	e.KernelRelease = releaseB
	return e
}

// A live patch of another kernel than the one that runs protects nothing, and is not late.
func TestLatencyOfAKernelThatDoesNotRun(t *testing.T) {
	m := running(t, 2)
	m.install(kernelPackage(kernelB), patchPackage(releaseB, 2))
	m.until("2025-04-01T09:00:00Z")
	m.reboot()
	m.until("2025-04-02T09:00:00Z")
	s := m.record()
	for at, want := range map[string]Rating{"2025-04-01T08:00:00Z": Pass, "2025-04-02T09:00:00Z": Fail} {
		c, err := NewCompliance(t.Context(), s, profile(t, DefaultProfile), when(t, at))
		check(t, err)
		for _, r := range c.Checks {
			if r.ID == "latency" && r.Result != want {
				t.Errorf("%s: %s: %s", at, r.Result, r.Detail)
			}
		}
	}
}

func TestLatency(t *testing.T) {
	soon, slow := fix(StatusFixed, "2026-01-01", "2026-01-06", nil), fix(StatusFixed, "2026-01-01", "2026-02-05", new("important"))
	for _, tt := range []struct {
		name    string
		profile string
		fixes   []Exposure
		want    Rating
		detail  string
	}{
		{"none", DefaultProfile, nil, NotApplicable, "No fix"},
		{"in time", DefaultProfile, []Exposure{soon, soon}, Pass, "All fixes were active in time (2); the slowest took 5 days."},
		{"late", DefaultProfile, []Exposure{soon, fix(StatusFixed, "2026-01-01", "2026-01-21", nil)}, Warn, "1 of 2 fixes took longer"},
		{"too late", DefaultProfile, []Exposure{soon, slow}, Fail, "CVE-2026-1 with 35 days"},
		{"too late, and not critical", "pci-dss-4.0.1", []Exposure{soon, slow}, Pass, "in time (1)"},
		{"too late, and critical", "pci-dss-4.0.1", []Exposure{fix(StatusFixed, "2026-01-01", "2026-02-05", new("critical"))}, Fail, "35 days"},
		{"too late, severity not on record", "pci-dss-4.0.1", []Exposure{fix(StatusFixed, "2026-01-01", "2026-02-05", nil)}, Fail, "35 days"},
		{"not active yet", DefaultProfile, []Exposure{fix(StatusInstalled, "2026-01-01", "", nil)}, Fail, "40 days"},
		{"not active yet, and not late", DefaultProfile, []Exposure{soon, fix(StatusInstalled, "2026-02-08", "", nil)}, Warn, "1 of 2 fixes are installed, and not active"},
		{"not known to be active", DefaultProfile, []Exposure{soon, fix(StatusUnknown, "2026-02-08", "", nil)}, NotDetermined, "1 of 2 fixes"},
		{"release not on record", DefaultProfile, []Exposure{soon, fix(StatusFixed, "", "2026-02-05", nil)}, NotDetermined, "1 of 2 fixes"},
		{"before the period", DefaultProfile, []Exposure{fix(StatusFixed, "2024-01-01", "2024-09-05", nil)}, NotApplicable, "No fix"},
		{"for a kernel that never ran", DefaultProfile, []Exposure{otherKernel(fix(StatusInstalled, "2026-01-01", "", nil))}, NotApplicable, "No fix"},
		{"not on record", DefaultProfile, []Exposure{fix(StatusNotInRecord, "", "", nil)}, NotApplicable, "No fix"},
		{"taken away", DefaultProfile, []Exposure{fix(StatusLost, "2026-01-01", "2026-01-06", nil)}, Pass, "; taken away again: 1."},
	} {
		p := profile(t, tt.profile)
		at := when(t, "2026-02-10T00:00:00Z")
		g := &grounds{at: at, since: at.Add(-time.Duration(p.LookBack)), profile: p, exposures: tt.fixes, running: releaseA}
		if f := latency(g, p.Criteria["latency"]); f.rating != tt.want || !strings.Contains(f.detail, tt.detail) {
			t.Errorf("%s: %s: %s", tt.name, f.rating, f.detail)
		}
	}
}

func except(id, until string) func(*machine) {
	return func(m *machine) {
		ev := &record.Event{Header: m.header(record.KindException), Exception: &record.ExceptionChange{
			Action: record.ExceptionAdd, Check: id, Reason: "the vendor was asked", Actor: record.Actor{Login: "tux", SudoUser: "alice"},
			Until: new(record.At(when(m.t, until))),
		}}
		m.write(ev)
	}
}

// Nothing on record is unknown, and never passes.
func TestEmptyRecordIsUnknown(t *testing.T) {
	m := newMachine(t, "2026-01-05T08:00:00Z")
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
	m := healthy(t)
	m.wait(49 * time.Hour)
	c := judged(m, profile(t, DefaultProfile))
	for _, r := range rules() {
		if got := c.of(t, r.id); r.state && got.Result != NotDetermined {
			t.Errorf("%s is %s: %s", r.id, got.Result, got.Detail)
		}
	}
}

// What comes after a moment changes nothing in the summary of that moment.
func TestComplianceOfAMomentStays(t *testing.T) {
	m := healthy(t)
	p := profile(t, DefaultProfile)
	at := m.now
	before := judged(m, p)
	m.wait(time.Hour)
	except("clock", "2026-02-11T00:00:00Z")(m)
	m.install(patchPackage(releaseA, 1))
	m.commit(record.OutcomeFailed, []record.Package{patchPackage(releaseA, 3)}, nil)
	after, err := NewCompliance(t.Context(), m.record(), p, at)
	check(t, err)
	before.Record, after.Record = nil, nil // that is the record as it is
	if diff := cmp.Diff(before, after, cmp.AllowUnexported(Compliance{})); diff != "" {
		t.Error(diff)
	}
}

// An exception stands beside the result, and does not change it.
func TestExceptionHidesNothing(t *testing.T) {
	m := healthy(t)
	set(m, record.Coverage{Date: "2026-02-09", File: "f", Line: 1})
	except("coverage", "2026-06-01T00:00:00Z")(m)
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
		{"completeness", "a commit that is going on", func(g *grounds) { g.gaps = []Gap{{Kind: GapCommit, Span: Span{From: record.At(g.at)}}} }, Pass, "no gap"},
		{"completeness", "a machine that was off", func(g *grounds) { g.gaps = []Gap{{Kind: GapOff}, {Kind: GapBefore}, {Kind: GapAfter}} }, Pass, "no gap"},
		{"completeness", "a lost log", func(g *grounds) { g.gaps = []Gap{{Kind: GapBroken, Why: "It was lost."}} }, Fail, "(It was lost)"},
		{"downgrades", "what the kernel had said is not on record", func(g *grounds) {
			g.lowered = []lowered{{HistoryRow: &record.HistoryRow{Package: "p", Previous: new("2"), Version: "1"}}, {
				HistoryRow: &record.HistoryRow{Package: "q", Previous: new("2"), Version: "1"}, taint: &record.Part[record.Taint]{JSON: []byte(`{"value":512}`)}}}
		}, Warn, "p from 2 to 1 at 0001-01-01T00:00:00Z by unset; q from 2 to 1 at 0001-01-01T00:00:00Z by unset, kernel warnings not on record, taint value 512."},
	} {
		m := healthy(t)
		g, err := readGrounds(t.Context(), m.record(), p, m.now)
		check(t, err)
		tt.read(g)
		r, _ := ruleOf(tt.check)
		if f := g.run(r, p.Criteria[tt.check]); f.rating != tt.want || !strings.Contains(f.detail, tt.detail) {
			t.Errorf("%s, %s: %s: %s", tt.check, tt.name, f.rating, f.detail)
		}
	}
}

// A load that is not complete protects nothing: the metric does not count it.
func TestMetricOfATransition(t *testing.T) {
	st := &State{LivePatch: &record.LivePatch{Enabled: true, Transition: true}}
	if active := isActive(st); active == nil || *active {
		t.Errorf("active: %v", active)
	}
}
