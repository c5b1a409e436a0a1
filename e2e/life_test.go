package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The packages of klp-audit that a lab has.
const (
	thisRPM  = "/lab/klp-audit.rpm"
	laterRPM = "/lab/later.rpm" // a later version with another schema of the record
	sle16RPM = "/lab/sle16.rpm" // built for SLE 16: its configuration is below /usr/etc
)

const (
	adminConf  = "/etc/klp-audit/klp-audit.toml"
	vendorConf = "/usr/etc/klp-audit/klp-audit.toml"
	recordDB   = "/var/lib/klp-audit/klp-audit.db"
)

// lives are what can happen to a package between its installation and its removal.
var lives = []struct {
	name string
	live func(*lab)
}{
	{"install and remove", installAndRemove},
	{"upgrade in its own commit", upgradeInCommit},
	{"upgrade and record with both", recordWhileUpgraded},
	{"remove in its own commit", removeInCommit},
	{"downgrade", downgradePackage},
	{"configuration", keepConfiguration},
	{"configuration of SLE 15 on 16", moveConfiguration},
}

// withPackages returns a base with the packages, by their names there, and with what they need.
func (b *base) withPackages(t *testing.T, rpms map[string]string) *base {
	t.Helper()
	return b.with(t, func(l *lab) {
		for name, rpm := range rpms {
			execute(t, "cp", rpm, l.root+name)
		}
		execute(t, "cp", buildSystem(t, slices.Collect(maps.Values(rpms))...), l.root+"/lab/lab-system.rpm")
		l.mustRun("/usr/bin/rpm", "-i", "--nodeps", "/lab/lab-system.rpm")
	})
}

// checkLives makes the real zypper do all of this to the packages.
func checkLives(t *testing.T, b *base) {
	b = b.with(t, func(l *lab) { l.mustZypper("in", "--allow-unsigned-rpm", thisRPM) })
	for _, life := range lives {
		t.Run(life.name, func(t *testing.T) {
			l := newLab(t, b)
			life.live(l)
			if l.exists("/usr/bin/klp-audit") && l.exists(recordDB) {
				l.mustRun("/usr/bin/klp-audit", "verify")
			}
		})
	}
}

// checkServices lets zypper do that on a running machine: the installation itself records what is
// there, and the removal stops the watching units.
func checkServices(t *testing.T, b *base) {
	l := newLab(t, b)
	l.startNothing()
	m := l.boot()
	zypper := func(args ...string) string {
		return m.run(append([]string{"zypper", "-n", "--no-gpg-checks"}, args...)...)
	}
	enabled := []string{"klp-audit-observe.service", "klp-audit-observe.timer", "klp-audit-observe.path"}
	watching := enabled[1:]

	zypper("in", "--allow-unsigned-rpm", thisRPM)
	m.run(append([]string{"systemctl", "is-enabled"}, enabled...)...)
	m.run(append([]string{"systemctl", "is-active"}, watching...)...)
	l.await("the first observation", func() bool { return m.observed() == "commit" })
	l.checkRecordFiles()
	zypper("in", oldKernel)
	zypper("in", "--allow-unsigned-rpm", laterRPM)
	m.run(append([]string{"systemctl", "is-active"}, watching...)...)
	if out := m.run("klp-audit", "report", "history"); !strings.Contains(out, "1 of 1 changes shown") {
		t.Errorf("history: %s", out)
	}

	zypper("rm", "klp-audit")
	for _, unit := range enabled {
		if state, err := m.try("systemctl", "is-active", unit); err == nil {
			t.Errorf("%s is %s after removal", unit, state)
		}
	}
	l.lacks("/usr/lib/systemd/system/"+enabled[0], "/etc/systemd/system/multi-user.target.wants/"+enabled[0])
	l.removed()
}

// with returns a base on which something was done.
func (b *base) with(t *testing.T, do func(*lab)) *base {
	t.Helper()
	next := *b
	next.root, next.layer = b.layer+"/upper:"+b.root, memory(t)
	l := mountLab(t, b.kit, next.root, next.layer)
	do(l)
	l.unmount()
	return &next
}

// buildLater builds the packages of a later klp-audit with another version, another schema of the
// record, another configuration file and one more migration of the collector. They are only for
// upgrading to.
func buildLater(t *testing.T, machine string, flags ...string) packages {
	t.Helper()
	dir := t.TempDir()
	execute(t, "sh", "-c", `git -C .. ls-files -z | tar -C .. -c --null -T - | tar -x -C "$0" && git -C "$0" init -q && git -C "$0" add -A`, dir)
	edit(t, dir+"/packaging/klp-audit.spec", `(?m)^(Version: *).*`, "${1}1000.1")
	edit(t, dir+"/store/views/views.go", `(?m)^const Schema = (\d+)$`, "const Schema = 1${1}")
	edit(t, dir+"/packaging/klp-audit.toml", `\z`, "# later\n")
	migrations, err := filepath.Glob(dir + "/fleet/pg/migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, fmt.Sprintf("%s/fleet/pg/migrations/%03d_later.sql", dir, len(migrations)+1), laterMigration)
	execute(t, "git", "-C", dir, "add", "-A")
	flags = append(flags, "--define 'debug_package %{nil}'", "--define '_binary_payload w1.gzdio'")
	execute(t, "make", "--no-print-directory", "-C", dir, "rpm", "ARCH="+machine, "TOPDIR="+dir+"/rpm", rpmFlags(machine, flags...))
	return packages(dir + "/rpm")
}

// laterMigration fails if one of its tables is already there, the second after the first was made.
const laterMigration = "create table later_one (n int);\ncreate table later_two (n int);\n"

// edit replaces what a regular expression matches in a file; there must be a match.
func edit(t *testing.T, name, pattern, replacement string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(pattern)
	if !re.Match(text) {
		t.Fatalf("no %q in %q", pattern, name)
	}
	writeFile(t, name, string(re.ReplaceAll(text, []byte(replacement))))
}

// installAndRemove: the package records, is removed, and continues the record when it comes back.
func installAndRemove(l *lab) {
	l.unchanged()
	checkUnits(l.t, l)
	l.mustZypper("in", oldKernel, livepatch+"="+patch1)
	recorded := []row{
		{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		{Action: "install", Package: livepatch, Version: patch1},
	}
	l.hasRecorded(recorded...)
	l.checkRecordFiles()
	l.unchanged()
	l.mustRun("/usr/bin/zypper", "klp-audit", "verify")
	l.inZypperHelp()

	if out := l.mustZypper("rm", "klp-audit"); !strings.Contains(out, "the record stays in /var/lib/klp-audit;") {
		l.t.Errorf("removal does not say that the record stays:\n%s", out)
	}
	l.removed()
	l.mustZypper("in", newKernel) // nobody sees it

	l.mustZypper("in", "--allow-unsigned-rpm", thisRPM)
	l.mustZypper("in", newLivepatch+"="+patch1)
	l.hasRecorded(append(recorded,
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.47.2", Source: "drift"},
		row{Action: "install", Package: newLivepatch, Version: patch1})...)
	out := l.mustRun("/usr/bin/klp-audit", "report", "compliance")
	if !strings.Contains(strings.Join(strings.Fields(out), " "), "fail completeness 1 hole in the record: install of kernel-default 6.4.0-150600.23.47.2 without a commit.") {
		l.t.Errorf("compliance does not show the gap:\n%s", out)
	}
}

// upgradeInCommit: the plugin that records a commit is replaced during it, and still records it to
// its end.
func upgradeInCommit(l *lab) {
	l.mustZypper("in", "--allow-unsigned-rpm", laterRPM, oldKernel, livepatch+"="+patch1)
	this, later := l.versions()
	l.hasEvents("recorder "+this, "commit-begin "+this, "commit-end "+this, "recorder "+later, "observation "+later)
	l.hasRecorded(
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		row{Action: "install", Package: livepatch, Version: patch1},
	)
	l.unchanged()
	l.content()
}

// recordWhileUpgraded: the new program writes to the record with a schema that the running plugin
// does not know. The end of the commit waits in the spool for a short time.
func recordWhileUpgraded(l *lab) {
	l.closeGate()
	zypper := l.start(l.zypper("in", "--allow-unsigned-rpm", laterRPM, "kernel-gate", oldKernel))
	l.awaitGate()
	// This is what the service does that the package starts. The lab is not quiet meanwhile.
	if out, err := l.command("/usr/bin/klp-audit", "observe").CombinedOutput(); err != nil {
		l.t.Fatalf("observing: %v\n%s", err, out)
	}
	l.openGate()
	if got := zypper.wait(); got.exit != 0 {
		l.t.Fatalf("zypper: exit %d\n%s", got.exit, got.out)
	}
	this, later := l.versions()
	l.hasEvents("recorder "+this, "commit-begin "+this, "recorder "+later, "observation "+later, "spooled commit-end "+this, "observation "+later)
	l.hasRecorded(
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		row{Action: "install", Package: "kernel-gate", Version: "1-1"},
	)
}

// removeInCommit: the plugin that records a commit is removed during it, and still records it to
// its end.
func removeInCommit(l *lab) {
	this, _ := l.versions()
	out := l.mustZypper("in", oldKernel, "!klp-audit")
	if !strings.Contains(out, "the record stays in /var/lib/klp-audit;") {
		l.t.Errorf("removal does not say that the record stays:\n%s", out)
	}
	l.removed()
	l.content()
	l.hasEvents("recorder "+this, "commit-begin "+this, "commit-end "+this)
	l.mustZypper("in", "--allow-unsigned-rpm", thisRPM)
	l.hasRecorded(row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"})
}

// downgradePackage: an older klp-audit does not touch a newer record. What it records waits until
// the newer one is back.
func downgradePackage(l *lab) {
	l.mustZypper("in", "--allow-unsigned-rpm", laterRPM)
	l.mustZypper("in", oldKernel)
	l.mustZypper("in", "--allow-unsigned-rpm", "--oldpackage", thisRPM, livepatch+"="+patch1)
	before := l.mustRun("/usr/bin/sha256sum", recordDB)
	l.mustZypper("in", livepatch+"="+patch2)
	l.mustZypper("rm", livepatch)
	for _, args := range [][]string{{"report"}, {"status"}, {"verify"}} {
		if got := l.run("/usr/bin/klp-audit", args...); got.exit != 1 || !strings.Contains(got.out, "record of a newer klp-audit") {
			l.t.Errorf("klp-audit %q on a newer record: exit %d\n%s", args, got.exit, got.out)
		}
	}
	if after := l.mustRun("/usr/bin/sha256sum", recordDB); after != before {
		l.t.Errorf("the older klp-audit changed the record")
	}
	if n := len(l.spooled()); n != 4 {
		l.t.Errorf("%d ends of commits in the spool, want 4", n)
	}
	if len(l.complaints()) == 0 {
		l.t.Error("the older plugin has not told libzypp why its events wait")
	}

	l.mustZypper("in", "--allow-unsigned-rpm", laterRPM)
	fixed := func(r row) row { r.Advisories = []string{advisory}; return r }
	cves, bugs := []string{"CVE-2024-53042"}, []string{"bsc#1233678"}
	l.hasRecorded(
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		row{Action: "install", Package: livepatch, Version: patch1},
		fixed(row{Action: "upgrade", Package: livepatch, Version: patch2, Previous: patch1, CVEsAdded: cves, BugsAdded: bugs}),
		row{Action: "remove", Package: livepatch, Version: patch2, CVEsRemoved: cves, BugsRemoved: bugs},
	)
	if left := l.spooled(); len(left) > 0 {
		l.t.Errorf("left in the spool: %q", left)
	}
}

// keepConfiguration: on SLE 15 the configuration is a file of the package in /etc.
func keepConfiguration(l *lab) {
	const mine = "retention = \"7y\"\n"
	upgraded := func() { l.mustZypper("in", "--allow-unsigned-rpm", laterRPM) }
	upgraded()
	l.has(adminConf, "# later\n")
	l.lacks(adminConf+".rpmnew", adminConf+".rpmsave", adminConf+".rpmorig")

	l.mustZypper("in", "--allow-unsigned-rpm", "--oldpackage", thisRPM)
	l.write(adminConf, mine)
	upgraded()
	l.has(adminConf, mine)
	l.has(adminConf+".rpmnew", "# later\n")
	l.lacks(adminConf+".rpmsave", adminConf+".rpmorig")
	l.counts("7y", adminConf+":1")
	if out := l.run("/usr/bin/rpm", "-V", "klp-audit").out; !regexp.MustCompile(`(?m)^S\.5\.\.\.\.T\. +c ` + adminConf + "\n").MatchString(out) {
		l.t.Errorf("rpm -V does not show the changed configuration alone:\n%s", out)
	}
	l.mustZypper("rm", "klp-audit")
	l.has(adminConf+".rpmsave", mine)
	l.lacks(adminConf)
}

// moveConfiguration: on SLE 16 the package's file is below /usr/etc, and no update touches what an
// administrator has in /etc, even if it is left from SLE 15.
func moveConfiguration(l *lab) {
	const mine = "retention = \"7y\"\n"
	this := l.mustRun("/bin/cat", adminConf)
	l.mustZypper("in", "--allow-unsigned-rpm", sle16RPM)
	l.has(vendorConf, "# later\n")
	l.lacks(adminConf, adminConf+".rpmnew", adminConf+".rpmsave")
	l.unchanged()

	l.mustZypper("in", "--allow-unsigned-rpm", "--oldpackage", thisRPM)
	l.has(adminConf, this)
	l.write(adminConf, mine)
	l.write(adminConf+".rpmsave", "older\n")
	l.mustZypper("in", "--allow-unsigned-rpm", sle16RPM)
	l.has(adminConf, mine)
	l.has(adminConf+".rpmsave.old", "older\n")
	l.lacks(adminConf+".rpmnew", adminConf+".rpmsave")
	l.counts("7y", adminConf+":1")
	l.unchanged()
	l.mustZypper("rm", "klp-audit")
	l.has(adminConf, mine)
}
