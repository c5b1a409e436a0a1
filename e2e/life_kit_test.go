package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// mustZypper runs zypper, which must succeed, and returns what it printed.
func (l *lab) mustZypper(args ...string) string {
	l.t.Helper()
	got := l.start(l.zypper(args...)).wait()
	if got.exit != 0 {
		l.t.Fatalf("zypper %q: exit %d\n%s", args, got.exit, got.out)
	}
	return got.out
}

// hasRecorded compares the history with what is expected.
func (l *lab) hasRecorded(want ...row) {
	l.t.Helper()
	var usual []row
	for _, r := range want {
		usual = append(usual, usually(r))
	}
	if diff := cmp.Diff(usual, l.history(), cmpopts.EquateEmpty()); diff != "" {
		l.t.Errorf("history (-want +got):\n%s", diff)
	}
}

// hasEvents compares the events in the record, and the program version that wrote each, with what
// is expected. It changes nothing, unlike klp-audit itself.
func (l *lab) hasEvents(want ...string) {
	l.t.Helper()
	out := output(l.t, "sqlite3", "-readonly", l.root+recordDB, `SELECT iif(json_extract(body, '$.spooled') IS NULL, '', 'spooled ')
		|| json_extract(body, '$.kind') || ' ' || json_extract(body, '$.recorder.version') FROM events ORDER BY seq`)
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(out), "\n")); diff != "" {
		l.t.Errorf("events (-want +got):\n%s", diff)
	}
}

// versions are those of the packages.
func (l *lab) versions() (this, later string) {
	l.t.Helper()
	version := func(name string) string { return output(l.t, "rpm", "-qp", "--qf", "%{VERSION}", l.root+name) }
	return version(thisRPM), version(laterRPM)
}

// complaints are the messages of the plugin that libzypp logged.
func (l *lab) complaints() (said []string) {
	l.t.Helper()
	for line := range strings.Lines(l.mustRun("/bin/cat", "/var/log/zypper.log")) {
		if _, text, ok := strings.Cut(line, "! klp-audit: "); ok {
			said = append(said, text)
		}
	}
	return said
}

// content checks that the plugin reported nothing except, on a busy machine, that a look for drift
// ran out of time: the next one finds the same.
func (l *lab) content() {
	l.t.Helper()
	said := slices.DeleteFunc(l.complaints(), func(s string) bool {
		return strings.HasPrefix(s, "looking for unrecorded changes: ") && strings.HasSuffix(strings.TrimSpace(s), "context deadline exceeded")
	})
	if len(said) > 0 {
		l.t.Errorf("the plugin said %q", said)
	}
}

// unchanged checks that rpm finds the package's files as it installed them.
func (l *lab) unchanged() {
	l.t.Helper()
	if got := l.run("/usr/bin/rpm", "-V", "klp-audit"); got.exit != 0 || strings.Contains(got.out, "klp-audit") {
		l.t.Errorf("rpm -V: exit %d, %s", got.exit, got.out)
	}
}

// removed checks that the package has gone, and the record has not.
func (l *lab) removed() {
	l.t.Helper()
	l.lacks(pluginPath, systemPluginPath, "/usr/bin/klp-audit", "/usr/lib/klp-audit", "/usr/lib/zypper/commands/zypper-klp-audit",
		"/usr/lib/dracut/modules.d/99zz-klp-audit", "/usr/lib/systemd/system/klp-audit-observe.service", "/etc/klp-audit")
	if !l.exists(recordDB) {
		l.t.Error("removal took the record away")
	}
}

// inZypperHelp checks that zypper lists its subcommand, with the summary of the manual if there is
// an index of manuals.
func (l *lab) inZypperHelp() {
	l.t.Helper()
	listed := "klp-audit "
	if l.exists("/usr/bin/mandb") {
		l.mustRun("/usr/bin/mandb", "--quiet", "--filename", "/usr/share/man/man8/zypper-klp-audit.8.gz")
		listed = "which kernel and live patch protected this machine"
	}
	if out := l.mustRun("/usr/bin/zypper", "help"); !strings.Contains(out, listed) {
		l.t.Errorf("zypper help does not list %q:\n%s", listed, out)
	}
}

// counts checks that a value is in effect, and where it comes from.
func (l *lab) counts(value, origin string) {
	l.t.Helper()
	if out := l.mustRun("/usr/bin/klp-audit", "config"); !strings.Contains(out, value) || !strings.Contains(out, origin) {
		l.t.Errorf("%q of %q is not in effect:\n%s", value, origin, out)
	}
}

// has checks that a file ends with a text.
func (l *lab) has(name, end string) {
	l.t.Helper()
	text, err := os.ReadFile(l.root + name)
	if err != nil {
		l.t.Error(err)
	} else if !strings.HasSuffix(string(text), end) {
		l.t.Errorf("%s: %q, want %q at its end", name, text, end)
	}
}

func (l *lab) lacks(names ...string) {
	l.t.Helper()
	for _, name := range names {
		if l.exists(name) {
			l.t.Errorf("%s is there", name)
		}
	}
}

// spooled are the begins and ends of commits that wait in the spool.
func (l *lab) spooled() (events []string) {
	l.t.Helper()
	names, err := filepath.Glob(l.root + "/var/lib/klp-audit/spool/*")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			l.t.Fatal(err)
		}
		if bytes.Contains(text, []byte(`"kind":"commit-`)) {
			events = append(events, string(text))
		}
	}
	return events
}

// checkRecordFiles checks that only root and the group klp-audit can access the record.
func (l *lab) checkRecordFiles() {
	l.t.Helper()
	got := l.mustRun("/usr/bin/stat", "-c", "%a %U:%G %n", "/var/lib/klp-audit", "/var/lib/klp-audit/klp-audit.db", "/var/lib/klp-audit/key")
	want := "750 root:klp-audit /var/lib/klp-audit\n640 root:klp-audit /var/lib/klp-audit/klp-audit.db\n600 root:root /var/lib/klp-audit/key\n"
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("the record's files (-want +got):\n%s", diff)
	}
}

// buildSystem builds a package that stands for everything that packages require.
func buildSystem(t *testing.T, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	s := rpmSpec{Name: "lab-system", Version: "1", Release: "1", Arch: "noarch"}
	for line := range strings.Lines(output(t, "rpm", append([]string{"-qp", "--requires"}, packages...)...)) {
		if !strings.HasPrefix(line, "rpmlib(") && !strings.HasPrefix(line, "config(") {
			s.Provides = append(s.Provides, strings.TrimSpace(line))
		}
	}
	writeSpec(t, dir+"/lab-system.spec", s)
	execute(t, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, dir+"/lab-system.spec")
	return dir + "/RPMS/noarch/lab-system-1-1.noarch.rpm"
}

// exposure is systemd's grade, 0 to 10, of what a compromised service could do.
var exposure = regexp.MustCompile(`Overall exposure level for [^ ]+: ([0-9.]+)`)

// checkUnits lets systemd check the units of a lab, and grade how its services are confined.
func checkUnits(t *testing.T, l *lab) {
	t.Helper()
	if !l.exists("/usr/bin/systemd-analyze") {
		return // the newer zypper's tree has no systemd
	}
	units, err := filepath.Glob(l.root + "/usr/lib/systemd/system/klp-audit-[a-z]*")
	units = slices.DeleteFunc(units, func(name string) bool { return strings.HasSuffix(name, ".d") })
	if err != nil || len(units) != 7 {
		t.Fatalf("units %q: %v", units, err)
	}
	for _, unit := range units {
		name := filepath.Base(unit)
		if out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--root="+l.root, name).CombinedOutput(); bytes.Contains(out, []byte("klp-audit")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if !strings.HasSuffix(name, ".service") {
			continue
		}
		grade := exposure.FindStringSubmatch(output(t, "systemd-analyze", "security", "--no-pager", "--offline=true", "--root="+l.root, name))
		if grade == nil {
			t.Fatalf("%s: systemd gives no grade", name)
		}
		if level, err := strconv.ParseFloat(grade[1], 64); err != nil || level >= 3 {
			t.Errorf("%s: exposure %s, want below 3.0", name, grade[1])
		}
	}
}
