package e2e

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// story is something that happens to a system, and the history that it must leave.
type story struct {
	name string
	tell func(*pair)
}

func stories() []story {
	return []story{
		{"install", installKernelAndPatch},
		{"upgrade", upgradePatch},
		{"downgrade", downgradePatch},
		{"two kernels", installSecondKernel},
		{"purge", purgeOldKernel},
		{"reinstall", reinstallPatch},
		{"userdata", keepUserData},
		{"nothing happens", tryWithoutDoing},
		{"other packages", installOtherPackage},
		{"transactional update in a chroot", updateFrom(inChroot)},
		{"transactional update from outside", updateFrom(fromOutside)},
		{"transactional update discarded", discardUpdate},
		{"observed", observeAfterCommit},
		{"released", seeWhatIsReleased},
		{"behind zypper's back", changeBehindZypper},
		{"without the plugin", changeWithoutPlugin},

		{"aborted", abortAfterFailure},
		{"ignored", ignoreFailure},
		{"scripts fail", failInScripts},
		{"locked database", lockDatabase},
		{"held by a reader", holdReading},
		{"interrupted in pre", interruptInPre},
		{"interrupted in post", interruptInPost},
		{"zypper killed in pre", killZypperInPre},
		{"zypper killed in post", killZypperInPost},
		{"all killed in pre", killAllInPre},
		{"all killed in post", killAllInPost},
		{"plugin killed in pre", killPluginInPre},
		{"plugin killed after frame 1", killPluginAfter(1)},
		{"plugin killed after frame 2", killPluginAfter(2)},
		{"plugin killed after frame 3", killPluginAfter(3)},
		{"plugin killed after frame 4", killPluginAfter(4)},
		{"plugin killed after frame 5", killPluginAfter(5)},
	}
}

// tell plays one story in fresh labs and checks that its record is intact.
func tell(t *testing.T, b *base, s story) {
	p := newPair(t, b)
	s.tell(p)
	p.verify()
}

func installKernelAndPatch(p *pair) {
	p.mustZypper("in", oldKernel, livepatch+"="+patch1, "kernel-devel", "lab-tool")
	p.history(
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		row{Action: "install", Package: "kernel-devel", Version: "6.4.0-150600.23.42.1"},
		row{Action: "install", Package: livepatch, Version: patch1},
	)
}

// After a commit the machine is observed, by the plugin itself or, if it cannot, by the service
// that it asks.
func observeAfterCommit(p *pair) {
	p.mustZypper("in", oldKernel, livepatch+"="+patch1)
	// The recorder, the commit's begin and end, and the observation.
	if out := p.audited.mustRun("/usr/bin/klp-audit", "verify"); !strings.Contains(out, "INTACT: 4 events") {
		p.Errorf("after a commit: %s", out)
	}
	if p.audited.exists("/run/klp-audit/observe") {
		p.Error("the service was asked to observe, too")
	}
	// Nothing wrote to the rpm database after the commit: no second look is needed.
	var end, seen string
	for line := range strings.Lines(p.audited.mustRun("/usr/bin/klp-audit", "export")) {
		var l struct {
			Event struct{ End, Observation struct{ RPMDB string } }
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			p.Fatal(err)
		}
		if now := l.Event.End.RPMDB; now != "" {
			end = now
		}
		if now := l.Event.Observation.RPMDB; now != "" {
			seen = now
		}
	}
	if end == "" || seen != end {
		p.Errorf("the commit ended with the rpm database %q, the observation saw %q", end, seen)
	}
	program := p.audited.root + "/usr/bin/klp-audit"
	if err := os.Rename(program, program+".away"); err != nil {
		p.Fatal(err)
	}
	p.mustZypper("in", livepatch+"="+patch2)
	if !p.audited.exists("/run/klp-audit/observe") {
		p.Error("without the program the service was not asked")
	}
	if err := os.Rename(program+".away", program); err != nil {
		p.Fatal(err)
	}
}

// Zypper's next call, whatever it is about, records what rpm did without zypper.
func changeBehindZypper(p *pair) {
	p.mustZypper("in", oldKernel, livepatch+"="+patch1)
	rows := []row{
		{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		{Action: "install", Package: livepatch, Version: patch1},
		{
			Action: "upgrade", Package: livepatch, Version: patch2, Previous: patch1, Source: "drift",
			CVEsAdded: []string{"CVE-2024-53042"}, BugsAdded: []string{"bsc#1233678"},
		},
		{
			Action: "remove", Package: livepatch, Version: patch2, Source: "drift",
			CVEsRemoved: []string{"CVE-2024-53042"}, BugsRemoved: []string{"bsc#1233678"},
		},
	}
	p.rpm(livepatch + "-" + patch2 + ".x86_64")
	p.mustZypper("search", "lab-tool")
	p.history(rows[:3]...)
	for _, l := range []*lab{p.audited, p.plain} {
		l.mustRun("/usr/bin/rpm", "-e", "--nodeps", livepatch)
	}
	p.mustZypper("in", "lab-tool")
	p.history(rows...)
}

// What was installed and removed while the plugin was disabled leaves nothing in the rpm database:
// libzypp's history shows it, and the check of completeness names its lines.
func changeWithoutPlugin(p *pair) {
	p.mustZypper("in", oldKernel, livepatch+"="+patch1)
	for _, args := range [][]string{{"in", newLivepatch + "=" + patch1}, {"rm", newLivepatch}} {
		p.both(func(l *lab) result {
			cmd := l.zypper(args...)
			cmd.Env = append(cmd.Env, "DISABLE_KLP_AUDIT_PLUGIN=1")
			return l.start(cmd).wait()
		})
	}
	before := p.audited.history()
	p.audited.mustRun("/usr/bin/klp-audit", "observe")
	if diff := cmp.Diff(before, p.audited.history()); len(before) != 2 || diff != "" {
		p.Errorf("%d changes on record, then (-before +after the observation)\n%s", len(before), diff)
	}
	for _, action := range []string{"install", "remove"} {
		want := regexp.MustCompile(action + " of " + newLivepatch + " " + patch1 + " at [^ ]* stands only in libzypp's history, line [0-9]+, by '/?.*zypper' ")
		if c := p.audited.completeness(); c.Result != "fail" || !want.MatchString(c.Detail) {
			p.Errorf("completeness is %s, want fail with %q: %s", c.Result, want, c.Detail)
		}
	}
	p.audited.mustRun("/usr/bin/klp-audit", "import", "/var/log/zypp/history")
	p.audited.mustRun("/usr/bin/klp-audit", "observe")
	if c := p.audited.completeness(); c.Result != "pass" {
		p.Errorf("after an import completeness is %s: %s", c.Result, c.Detail)
	}
}

// checked is the result of a compliance check.
type checked struct{ ID, Result, Detail string }

// completeness returns the result of that check.
func (l *lab) completeness() checked {
	l.t.Helper()
	var report struct{ Checks []checked }
	out := l.mustRun("/usr/bin/klp-audit", "report", "compliance", "--format", "json")
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		l.t.Fatalf("reading the compliance report: %v\n%s", err, out)
	}
	for _, c := range report.Checks {
		if c.ID == "completeness" {
			return c
		}
	}
	l.t.Fatalf("no check of completeness in %s", out)
	return checked{}
}

func upgradePatch(p *pair) {
	p.mustZypper("in", oldKernel, livepatch+"="+patch1)
	p.mustZypper("in", livepatch+"="+patch2)
	p.mustZypper("in", livepatch+"="+patch3)
	p.history(
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		row{Action: "install", Package: livepatch, Version: patch1},
		row{
			Action: "upgrade", Package: livepatch, Version: patch2, Previous: patch1,
			Advisories: []string{advisory},
			CVEsAdded:  []string{"CVE-2024-53042"}, BugsAdded: []string{"bsc#1233678"},
		},
		row{
			Action: "upgrade", Package: livepatch, Version: patch3, Previous: patch2,
			CVEsAdded: []string{"CVE-2024-26923", "CVE-2024-50264"},
			BugsAdded: []string{"bsc#1223683", "bsc#1233712"},
		},
	)
}

func downgradePatch(p *pair) {
	p.mustZypper("in", oldKernel, livepatch+"="+patch3)
	p.mustZypper("in", "--oldpackage", livepatch+"="+patch2)
	all := []string{"CVE-2024-26923", "CVE-2024-50264", "CVE-2024-53042"}
	p.history(
		row{
			Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2",
			Advisories: []string{advisory},
		},
		row{
			Action: "install", Package: livepatch, Version: patch3, Advisories: []string{advisory},
			CVEsAdded: all, BugsAdded: []string{"bsc#1223683", "bsc#1233678", "bsc#1233712"},
		},
		row{
			Action: "downgrade", Package: livepatch, Version: patch2, Previous: patch3,
			CVEsRemoved: all[:2], BugsRemoved: []string{"bsc#1223683", "bsc#1233712"},
		},
	)
}

func installSecondKernel(p *pair) {
	p.mustZypper("in", oldKernel)
	p.mustZypper("in", newKernel, newLivepatch+"="+patch1)
	p.history(
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.47.2"},
		row{Action: "install", Package: newLivepatch, Version: patch1},
	)
}

func purgeOldKernel(p *pair) {
	p.rpm("kernel-default-6.4.0-150600.23.42.2.x86_64", livepatch+"-"+patch2+".x86_64")
	p.mustZypper("in", newKernel)
	p.mustZypper("rm", oldKernel, livepatch)
	p.history(
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.47.2"},
		row{Action: "remove", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		row{
			Action: "remove", Package: livepatch, Version: patch2,
			CVEsRemoved: []string{"CVE-2024-53042"}, BugsRemoved: []string{"bsc#1233678"},
		},
	)
}

func reinstallPatch(p *pair) {
	p.rpm(livepatch + "-" + patch2 + ".x86_64")
	p.mustZypper("in", "-f", livepatch+"="+patch2)
	p.history(row{Action: "reinstall", Package: livepatch, Version: patch2, Previous: patch2})
}

func keepUserData(p *pair) {
	p.mustZypper("--userdata", `change:4711|x\y`, "in", oldKernel)
	p.history(row{
		Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2",
		UserData: `change:4711|x\y`,
	})
}

// tryWithoutDoing: libzypp runs no plugin as long as nothing is to be changed.
func tryWithoutDoing(p *pair) {
	p.mustZypper("in", "--dry-run", oldKernel)
	p.mustZypper("in", "--download-only", oldKernel)
	p.noRecord()
}

func installOtherPackage(p *pair) {
	p.mustZypper("in", "lab-tool=1")
	p.mustZypper("in", "lab-tool=2")
	p.mustZypper("rm", "lab-tool")
	p.noRecord()
}
