package e2e

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

// The packages in the lab's repository, with names and versions in SUSE's style.
const (
	oldKernel    = "kernel-default=6.4.0-150600.23.42.2"
	newKernel    = "kernel-default=6.4.0-150600.23.47.2"
	oldRelease   = "6.4.0-150600.23.42-default"
	newRelease   = "6.4.0-150600.23.47-default"
	livepatch    = "kernel-livepatch-6_4_0-150600_23_42-default"
	newLivepatch = "kernel-livepatch-6_4_0-150600_23_47-default"
	advisory     = "SUSE-SLE-Module-Live-Patching-15-SP6-2024-1234"
)

// The versions of the live patch: 1 fixes nothing (it only prepares the kernel), 4 never gets past
// its %pre, and 5 and 6 wait in a script until the test lets them go on.
const (
	patch1      = "1-150600.13.3.1"
	patch2      = "2-150600.13.6.1"
	patch3      = "3-150600.13.9.1"
	patchFails  = "4-150600.13.12.1"
	patchInPre  = "5-150600.13.15.1"
	patchInPost = "6-150600.13.18.1"
)

// waitAtGate is the script of a package that stops, for at most ten seconds, until the test opens
// the gate. Without a gate it goes on.
const waitAtGate = `touch /lab/reached
n=0
while [ -e /lab/gate ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done`

// rpmSpec is one package to build.
type rpmSpec struct {
	Name, Version, Release string
	Arch                   string // empty: the machine's own
	Provides               []string
	Requires               []string // of its %post
	Pre, Post, Posttrans   string
	Changelog              string
}

// fixed is the changelog entry of one fix, as `rpm -q --changelog` shows it for SUSE's packages.
func fixed(cve string, bug int, title string) string {
	return fmt.Sprintf(`* Tue May 13 2025 klp@example.org
- Fix for %[1]s ("%[3]s")
  Live patch for %[1]s. Upstream commit:
- ad4a3ca6a8e8 ("%[3]s")
  KLP: %[1]s
  References: bsc#%[2]d %[1]s
- commit 0e9769c
`, cve, bug, title)
}

// bumped is an entry without a fix: neither its bug nor the number in its prose counts.
const bumped = `* Mon Jan 13 2025 klp@example.org
- Bump up the version number in spec file (after CVE-2020-0001)
  References: bsc#1229553
- commit 7b2d1c3
`

// specs lists everything the repository holds.
func specs() []rpmSpec {
	fixes2 := fixed("CVE-2024-53042", 1233678, "ipv4: ip_tunnel: Fix suspicious RCU usage warning")
	fixes3 := fixed("CVE-2024-50264", 1233712, "vsock/virtio: Initialization of the dangling pointer") +
		fixed("CVE-2024-26923", 1223683, "af_unix: Fix garbage collector racing against connect()") + fixes2
	return []rpmSpec{
		// Every package needs this, because the lab's rpm database starts empty.
		{Name: "lab-base", Version: "1", Release: "1", Arch: "noarch", Provides: []string{"glibc", "/bin/sh"}},
		{Name: "lab-tool", Version: "1", Release: "1", Arch: "noarch"},
		{Name: "lab-tool", Version: "2", Release: "1", Arch: "noarch"},
		kernelSpec("23.42"),
		kernelSpec("23.47"),
		{Name: "kernel-devel", Version: "6.4.0", Release: "150600.23.42.1", Arch: "noarch"},
		{Name: "kernel-prefail", Version: "1", Release: "1", Pre: "exit 1"},
		{Name: "kernel-postfail", Version: "1", Release: "1", Post: "echo no room\nexit 3"},
		{Name: "kernel-postfail", Version: "2", Release: "1", Posttrans: "echo no image\necho and more\nexit 4"},
		{Name: "kernel-postfail", Version: "3", Release: "1", Posttrans: "exit 5"},
		{Name: "kernel-postfail", Version: "4", Release: "1", Posttrans: "echo all is well"},
		{Name: "kernel-gate", Version: "1", Release: "1", Requires: []string{"klp-audit >= 1000"}, Post: waitAtGate},
		patchSpec("23_42", patch1, bumped),
		patchSpec("23_42", patch2, fixes2+bumped),
		patchSpec("23_42", patch3, fixes3+bumped),
		patchSpec("23_42", patchFails, fixes3+bumped).withPre("exit 1"),
		patchSpec("23_42", patchInPre, fixes3+bumped).withPre(waitAtGate),
		patchSpec("23_42", patchInPost, fixes3+bumped).withPost(waitAtGate),
		patchSpec("23_47", patch1, bumped),
	}
}

// kernelSpec is a kernel, which libzypp installs next to the others.
func kernelSpec(update string) rpmSpec {
	return rpmSpec{
		Name: "kernel-default", Version: "6.4.0", Release: "150600." + update + ".2",
		Provides: []string{
			"multiversion(kernel)",
			"kernel = 6.4.0-150600." + update + ".2",
			"kernel-uname-r = 6.4.0-150600." + update,
		},
	}
}

// patchSpec is a live patch for the kernel of an update.
func patchSpec(update, evr, changelog string) rpmSpec {
	version, release, _ := strings.Cut(evr, "-")
	return rpmSpec{
		Name:    "kernel-livepatch-6_4_0-150600_" + update + "-default",
		Version: version, Release: release, Changelog: changelog,
	}
}

func (s rpmSpec) withPre(script string) rpmSpec  { s.Pre = script; return s }
func (s rpmSpec) withPost(script string) rpmSpec { s.Post = script; return s }

var specTemplate = template.Must(template.New("spec").Parse(`Name: {{.Name}}
Version: {{.Version}}
Release: {{.Release}}
Summary: A package of the lab
License: Apache-2.0
Vendor: klp-audit tests
AutoReqProv: no
{{with .Arch}}BuildArch: {{.}}
{{end}}{{range .Provides}}Provides: {{.}}
{{end}}{{range .Requires}}Requires(post): {{.}}
{{end}}%description
%{summary}.
{{with .Pre}}%pre
{{.}}
{{end}}{{with .Post}}%post
{{.}}
{{end}}{{with .Posttrans}}%posttrans
{{.}}
{{end}}%files
{{with .Changelog}}%changelog
{{.}}{{end}}`))

// buildRepo builds all packages in one run of rpmbuild and indexes them.
func buildRepo(t *testing.T, dir string) string {
	t.Helper()
	repo := filepath.Join(dir, "repo")
	args := []string{"-bb", "--quiet", "--define", "_topdir " + dir, "--define", "_rpmdir " + repo,
		"--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"}
	for i, s := range specs() {
		name := filepath.Join(dir, fmt.Sprintf("%d.spec", i))
		args = append(args, name)
		writeSpec(t, name, s)
	}
	execute(t, "rpmbuild", args...)
	execute(t, "createrepo_c", "--quiet", repo)
	info := filepath.Join(dir, "updateinfo.xml")
	writeFile(t, info, updateinfo)
	execute(t, "modifyrepo_c", info, filepath.Join(repo, "repodata"))
	return repo
}

func writeSpec(t *testing.T, name string, s rpmSpec) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.Or(specTemplate.Execute(f, s), f.Close()); err != nil {
		t.Fatalf("writing spec of %q: %v", s.Name, err)
	}
}

// updateinfo is the advisory that live patch 2 fulfils.
const updateinfo = `<?xml version="1.0" encoding="UTF-8"?>
<updates><update from="maint@example.org" status="stable" type="security" version="1">
<id>` + advisory + `</id><title>Security update for the Linux Kernel (Live Patch 8)</title>
<severity>important</severity><release>Live Patching</release><issued date="1735689600"/>
<references><reference href="https://example.org/CVE-2024-53042" id="CVE-2024-53042" title="CVE-2024-53042" type="cve"/></references>
<description>One fix.</description>
<pkglist><collection><package name="` + livepatch + `" epoch="0" version="2" release="150600.13.6.1" arch="x86_64" src="-">
<filename>` + livepatch + `-` + patch2 + `.x86_64.rpm</filename></package></collection></pkglist>
</update></updates>
`
