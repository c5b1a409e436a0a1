package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	runningKernel = "6.4.0-150600.23.42-default"
	moduleOfPatch = "livepatch_%d_150600_13_%d_1"
)

// runs makes the lab show another running kernel, without live patches.
func (l *lab) runs(release string) {
	l.t.Helper()
	name := filepath.Join(l.t.TempDir(), "osrelease")
	writeFile(l.t, name, release+"\n")
	target := l.root + "/proc/sys/kernel/osrelease"
	if err := syscall.Mount(name, target, "", syscall.MS_BIND, ""); err != nil {
		l.t.Fatal(err)
	}
	l.mounts = append(l.mounts, target)
	l.mount("tmpfs", l.root+"/sys/kernel", "tmpfs", 0, "mode=0755")
	if err := os.Mkdir(l.root+"/sys/kernel/livepatch", 0o755); err != nil {
		l.t.Fatal(err)
	}
}

// loads makes the lab show live patch n as the active one.
func (l *lab) loads(n int) {
	l.t.Helper()
	dir := l.root + "/sys/kernel/livepatch"
	if err := os.RemoveAll(dir); err != nil {
		l.t.Fatal(err)
	}
	for name, text := range map[string]string{"enabled": "1\n", "transition": "0\n"} {
		writeFile(l.t, filepath.Join(dir, fmt.Sprintf(moduleOfPatch, n, 3*n), name), text)
	}
}

// fix is what the report says about a CVE number.
type fix struct {
	Status, Package, Version, Released, Advisory, Severity, Reason string
	OpenSince                                                      *time.Time `json:"open_since"`
}

// fixes asks for a number, in the machine's present state.
func (l *lab) fixes(cve string) fix {
	l.t.Helper()
	var got struct{ Exposures []fix }
	out := l.mustRun("/usr/bin/klp-audit", "report", "cve", cve, "--format", "json")
	if err := json.Unmarshal([]byte(out[:strings.LastIndex(out, "}")+1]), &got); err != nil || len(got.Exposures) != 1 {
		l.t.Fatalf("%s: %v\n%s", cve, err, out)
	}
	return got.Exposures[0]
}

// wants compares the status of a number, and the beginning of its reason.
func (p *pair) wants(cve, status, reason string) fix {
	p.Helper()
	got := p.audited.fixes(cve)
	if got.Status != status || !strings.HasPrefix(got.Reason, reason) {
		p.Errorf("%s is %s: %q, want %s: %q", cve, got.Status, got.Reason, status, reason)
	}
	return got
}

// judged are the results of the checks at a moment, by id.
func (l *lab) judged(at time.Time) map[string]checked {
	l.t.Helper()
	var got struct{ Checks []checked }
	out := l.run("/usr/bin/klp-audit", "report", "compliance", "--format", "json", "--at", at.UTC().Format(time.RFC3339)).out
	if err := json.Unmarshal([]byte(out[:strings.LastIndex(out, "}")+1]), &got); err != nil {
		l.t.Fatalf("%v\n%s", err, out)
	}
	list := map[string]checked{}
	for _, c := range got.Checks {
		list[c.ID] = c
	}
	return list
}

// offers makes a repository that has only updates, in both labs, and lets zypper read it.
func (p *pair) offers(updates ...string) {
	p.Helper()
	for _, l := range []*lab{p.audited, p.plain} {
		l.write("/srv/updateinfo.xml", "<updates>"+strings.Join(updates, "\n")+"</updates>\n")
		l.write("/etc/zypp/repos.d/more.repo", "[more]\nname=more\nenabled=1\nautorefresh=0\nbaseurl=dir:///srv/more\ngpgcheck=0\n")
		if err := os.RemoveAll(l.root + "/srv/more"); err != nil {
			p.Fatal(err)
		}
		if err := os.MkdirAll(l.root+"/srv/more", 0o755); err != nil {
			p.Fatal(err)
		}
		execute(p.T, "createrepo_c", "--quiet", l.root+"/srv/more")
		execute(p.T, "modifyrepo_c", l.root+"/srv/updateinfo.xml", l.root+"/srv/more/repodata")
		l.start(l.zypper("refresh", "--force", "more")).wait()
	}
	p.audited.mustRun("/usr/bin/klp-audit", "observe")
}

func released(id, status, cve, name, version string) string {
	v, r, _ := strings.Cut(version, "-")
	return `<update from="x" status="` + status + `" type="security" version="1"><id>` + id + `</id><title>Update ` + id + `</title><severity>important</severity>` +
		`<issued date="1735689600"/><references><reference href="x" id="` + cve + `" title="` + cve + `" type="cve"/></references><description>x</description>` +
		`<pkglist><collection><package name="` + name + `" epoch="0" version="` + v + `" release="` + r + `" arch="x86_64" src="-"><filename>x.rpm</filename></package></collection></pkglist></update>`
}

// What the vendor has released, but the machine has not, is open; installing and loading it closes
// that, a downgrade opens it again.
func seeWhatIsReleased(p *pair) {
	const cve = "CVE-2024-53042"
	l := p.audited
	l.runs(runningKernel)
	p.mustZypper("in", oldKernel, livepatch+"="+patch1)
	l.loads(1)
	began := time.Now()
	l.mustRun("/usr/bin/klp-audit", "observe")
	got := p.wants(cve, "available", "It is on offer")
	if got.Version != patch2 || got.Advisory != advisory || got.Severity != "important" || !strings.HasPrefix(got.Released, "2025-01-01T00:00:00") || got.OpenSince == nil {
		p.Errorf("%s: %+v", cve, got)
	}
	for id, c := range l.judged(began.AddDate(0, 0, 60)) {
		if (id == "updates" || id == "latency") && (c.Result != "fail" || !strings.Contains(c.Detail, cve)) {
			p.Errorf("after 60 days %s is %s: %s", id, c.Result, c.Detail)
		}
	}
	before := l.mustRun("/usr/bin/klp-audit", "verify")
	l.mustRun("/usr/bin/klp-audit", "observe")
	if after := l.mustRun("/usr/bin/klp-audit", "verify"); eventsIn(after) != eventsIn(before)+1 {
		p.Errorf("a look that found nothing new:\n%s%s", before, after)
	}

	p.mustZypper("in", livepatch+"="+patch2)
	p.wants(cve, "installed", "")
	l.loads(2)
	l.mustRun("/usr/bin/klp-audit", "observe")
	p.wants(cve, "fixed", "")
	// Nothing is open; but the lab's repository looks frozen, so the check does not pass.
	if c := l.judged(time.Now().Add(time.Second))["updates"]; c.Result != "unknown" || !strings.Contains(c.Detail, "The newest advisory of repository lab is of 2025-01-01") {
		p.Errorf("updates is %s: %s", c.Result, c.Detail)
	}
	p.mustZypper("in", "--oldpackage", livepatch+"="+patch1)
	l.loads(1)
	l.mustRun("/usr/bin/klp-audit", "observe")
	p.wants(cve, "lost", "")

	kernelFix, taken := released("KERNEL", "stable", "CVE-2024-36001", "kernel-default", "6.4.0-150600.23.47.2"), released("TAKEN", "retracted", "CVE-2024-36002", livepatch, patch3)
	p.offers(kernelFix, taken, released("PATCH", "stable", "CVE-2024-36003", livepatch, patch3))
	p.wants("CVE-2024-36001", "needs-kernel", "No live patch for the running kernel brings it")
	p.wants("CVE-2024-36002", "unknown", "retracted: ")
	p.wants("CVE-2024-36003", "available", "")
	p.wants("CVE-2024-36004", "unknown", "stale: The newest advisory of repository lab is of 2025-01-01")
	if out := l.mustRun("/usr/bin/klp-audit", "status"); !strings.Contains(out, " 3 CVEs (3 important), ") || !strings.Contains(out, " CVE-2024-36003 (important advisory PATCH), open since ") {
		p.Errorf("status does not say what is open:\n%s", out)
	}
	out := l.mustRun("/usr/bin/klp-audit", "status", "--self-test")
	for _, want := range []string{"as expected  plugin ", "as expected  plugin-ran ", "as expected  metadata ", "as expected  livepatch-changelog ", "as expected  refresh ", ", by the order of lines in"} {
		if !strings.Contains(out, want) {
			p.Errorf("the self-test does not say %q:\n%s", want, out)
			break
		}
	}
	for id, c := range l.judged(began.AddDate(0, 0, 400)) {
		if id == "residual" && (c.Result != "fail" || !strings.Contains(c.Detail, "CVE-2024-36001")) {
			p.Errorf("%s is %s: %s", id, c.Result, c.Detail)
		}
	}
	p.offers(kernelFix, taken)
	p.wants("CVE-2024-36003", "unknown", "withdrawn: ")
	l.write("/etc/zypp/repos.d/more.repo", "[more]\nname=more\nenabled=0\nbaseurl=dir:///srv/more\n")
	l.mustRun("/usr/bin/klp-audit", "observe")
	p.wants("CVE-2024-36001", "unknown", "repository-off: ")
}

// eventsIn is how many events verify reports.
func eventsIn(text string) (n int) {
	fmt.Sscanf(text[strings.Index(text, "INTACT: ")+len("INTACT: "):], "%d", &n)
	return n
}
