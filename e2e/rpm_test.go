package e2e

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the expected contents of the packages anew")

// TestPackage builds the packages, looks into them, and has the real zypper install and remove
// them.
func TestPackage(t *testing.T) {
	if os.Getenv(wanted) != "1" {
		t.Skip("the end-to-end tests need root and the real rpmbuild: run `make test`")
	}
	machine := strings.TrimSpace(output(t, "uname", "-m"))
	native := buildPackages(t, machine)
	t.Run("contents", func(t *testing.T) { checkContents(t, native) })
	t.Run("rpmlint", func(t *testing.T) { lint(t, native) })
	t.Run("SLE 16", func(t *testing.T) { checkVendorConf(t, machine) })
	t.Run("twice", func(t *testing.T) { checkReproducible(t, native, machine) })
	t.Run("rebuild", func(t *testing.T) { rebuild(t, native) })
	for _, arch := range []string{"s390x", "ppc64le"} {
		t.Run(arch, func(t *testing.T) {
			foreign := buildPackages(t, arch)
			checkContents(t, foreign)
			checkForeign(t, foreign.main(t), arch)
		})
	}
	kit := newKit(t)
	for _, b := range []*base{newBase(t, kit, "/"), newBase(t, kit, debianTree(t, "trixie", "trixie", "zypper,rpm"))} {
		t.Run(b.name, func(t *testing.T) { liveWithPackage(t, b, native.main(t)) })
	}
}

// packages is a folder that rpmbuild wrote packages to.
type packages string

// buildPackages builds source and binary packages for an architecture, with further variables
// of the Makefile. The tests that packages run while they are built run elsewhere.
func buildPackages(t *testing.T, arch string, vars ...string) packages {
	t.Helper()
	dir := t.TempDir()
	args := []string{"--no-print-directory", "-C", "..", "rpm", "ARCH=" + arch, "TOPDIR=" + dir, "RPMFLAGS=--nocheck"}
	execute(t, "make", append(args, vars...)...)
	return packages(dir)
}

// find returns the packages whose file name matches, without debug information.
func (p packages) find(t *testing.T, pattern string) (names []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(string(p), pattern))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if !strings.Contains(name, "-debuginfo-") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Fatalf("no package %q in %q", pattern, p)
	}
	return names
}

// main is the package with the programs.
func (p packages) main(t *testing.T) string {
	t.Helper()
	for _, name := range p.find(t, "RPMS/*/klp-audit-[0-9]*.rpm") {
		return name
	}
	return ""
}

// output is what a program of the machine prints on stdout.
func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("running %s %q: %v\n%s", program, args, err, complaints.String())
	}
	return string(out)
}

// describe is what a package says of itself: files with modes and owners, what it needs and
// offers, and its scripts.
func describe(t *testing.T, name string) string {
	t.Helper()
	const files = `[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILEFLAGS:fflags} %{FILENAMES} %{FILELINKTOS}\n]`
	text := output(t, "rpm", "-qp", "--qf", `%{NAME}\n%{SUMMARY}\n\n`+files, name)
	for _, question := range []string{"requires", "provides", "supplements", "scripts"} {
		text += "\n" + question + "\n" + output(t, "rpm", "-qp", "--"+question, name)
	}
	return text
}

// incidental are the lines that depend on the compiler, the architecture and this rpm.
var incidental = regexp.MustCompile(`(?m)^(lib(c|m|pthread|dl)\.so.*|ld.*\.so.*|rtld\(.*|rpmlib\(.*|klp-audit\(.*|.* )\n`)

// checkContents compares the packages, whatever their architecture, with what they are to be.
func checkContents(t *testing.T, p packages) {
	t.Helper()
	var got string
	for _, name := range p.find(t, "RPMS/*/*.rpm") {
		text := describe(t, name)
		version := strings.TrimSpace(output(t, "rpm", "-qp", "--qf", "%{VERSION}", name))
		text = strings.ReplaceAll(incidental.ReplaceAllString(trimLines(text), ""), version, "VERSION")
		got += text + "\n"
	}
	const golden = "testdata/packages.golden"
	if *update {
		writeFile(t, golden, got)
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
}

func trimLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// lint has rpmlint look at the packages, with openSUSE's rules.
func lint(t *testing.T, p packages) {
	out := output(t, "make", "--no-print-directory", "-C", "..", "rpmlint", "TOPDIR="+string(p))
	if !strings.Contains(out, " 0 errors, 0 warnings") {
		t.Error(out)
	}
}

// checkVendorConf builds as for SLE 16, whose vendor configuration is below /usr/etc.
func checkVendorConf(t *testing.T, machine string) {
	p := buildPackages(t, machine, "RPMFLAGS=--nocheck --define 'lab_suse_version 1600'")
	list := output(t, "rpm", "-qpl", p.main(t))
	if !strings.Contains(list, "\n/usr/etc/klp-audit/klp-audit.toml\n") || strings.Contains("\n"+list, "\n/etc/") {
		t.Errorf("files:\n%s", list)
	}
}

// checkReproducible builds again, in another folder.
func checkReproducible(t *testing.T, first packages, machine string) {
	second := buildPackages(t, machine)
	// The header of a source package names the folder that it was built in.
	for pattern, digest := range map[string]string{"RPMS/*/*.rpm": "%{SHA256HEADER}", "SRPMS/*.rpm": "%{PAYLOADDIGEST}"} {
		for i, name := range second.find(t, pattern) {
			query := "%{NAME} " + digest
			want, got := output(t, "rpm", "-qp", "--qf", query, first.find(t, pattern)[i]), output(t, "rpm", "-qp", "--qf", query, name)
			if got != want {
				t.Errorf("built twice: %q, then %q", want, got)
			}
		}
	}
}

// rebuild builds the source package in a Debian tree that has nothing but the compilers, without
// a network, and gets the same package.
func rebuild(t *testing.T, p packages) {
	tree := debianTree(t, "rpmbuild", "bookworm", "debugedit,elfutils,file,gcc,libc6-dev,libsystemd-dev,make,rpm,xz-utils")
	source, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	l := mountLab(t, &kit{repo: filepath.Dir(p.find(t, "SRPMS/*.rpm")[0])}, tree, memory(t))
	l.mount(strings.TrimSpace(output(t, "go", "env", "GOROOT")), l.root+"/usr/local/go", "", syscall.MS_BIND, "")
	l.mount(source+"/packaging", l.root+"/lab/packaging", "", syscall.MS_BIND, "")
	execute(t, "unshare", "-n", "chroot", l.root, "/usr/bin/env", "-i", "HOME=/root", "PATH=/usr/local/go/bin:/usr/bin:/bin", "sh", "-c",
		`rpmbuild --rebuild --nodeps --nocheck --macros '`+labMacros+`' /lab/repo/*.src.rpm`)
	rebuilt := packages(l.root + "/root/rpmbuild")
	if diff := cmp.Diff(describe(t, p.main(t)), describe(t, rebuilt.main(t))); diff != "" {
		t.Errorf("rebuilt (-want +got):\n%s", diff)
	}
}

// labMacros are the files that the Makefile has rpm read on Debian.
const labMacros = "/usr/lib/rpm/macros:/usr/lib/rpm/platform/%{_target}/macros:/usr/lib/rpm/fileattrs/*.attr:/lab/packaging/macros.lab"

// checkForeign checks that the programs in a package are for an architecture, and positioned
// anywhere.
func checkForeign(t *testing.T, name, arch string) {
	t.Helper()
	want := map[string]struct {
		machine elf.Machine
		order   binary.ByteOrder
	}{"s390x": {elf.EM_S390, binary.BigEndian}, "ppc64le": {elf.EM_PPC64, binary.LittleEndian}}[arch]
	dir := t.TempDir()
	execute(t, "sh", "-c", `rpm2cpio "$0" | cpio -idm --quiet -D "$1"`, name, dir)
	for _, program := range []string{"/usr/bin/klp-audit", pluginPath} {
		f, err := elf.Open(dir + program)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != want.machine || f.ByteOrder != want.order || f.Type != elf.ET_DYN {
			t.Errorf("%s: %v, %v, %v", program, f.Machine, f.ByteOrder, f.Type)
		}
	}
}

// liveWithPackage installs the package with zypper, lets it record, removes it and installs it
// again.
func liveWithPackage(t *testing.T, b *base, pkg string) {
	l := newLab(t, b)
	execute(t, "cp", pkg, l.root+"/lab/klp-audit.rpm")
	execute(t, "cp", buildSystem(t, pkg), l.root+"/lab/lab-system.rpm")
	l.mustRun("/usr/bin/rpm", "-i", "--nodeps", "/lab/lab-system.rpm")

	l.mustZypper("in", "--allow-unsigned-rpm", "/lab/klp-audit.rpm")
	if out := l.mustRun("/usr/bin/rpm", "-V", "klp-audit"); strings.Contains(out, "klp-audit") {
		t.Errorf("rpm -V: %s", out)
	}
	checkUnits(t, l)
	l.mustZypper("in", oldKernel, livepatch+"="+patch1)
	recorded := []row{
		usually(row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"}),
		usually(row{Action: "install", Package: livepatch, Version: patch1}),
	}
	l.hasRecorded(recorded)
	l.checkRecordFiles()
	l.mustRun("/usr/bin/zypper", "klp-audit", "verify")
	listed := "klp-audit "
	if l.exists("/usr/bin/mandb") {
		l.mustRun("/usr/bin/mandb", "--quiet", "--filename", "/usr/share/man/man8/zypper-klp-audit.8.gz")
		listed = "which kernel and live patch protected this machine"
	}
	if out := l.mustRun("/usr/bin/zypper", "help"); !strings.Contains(out, listed) {
		t.Errorf("zypper help does not list %q:\n%s", listed, out)
	}

	if out := l.mustZypper("rm", "klp-audit"); !strings.Contains(out, "the record stays in /var/lib/klp-audit") {
		t.Errorf("removal does not say that the record stays:\n%s", out)
	}
	for _, name := range []string{pluginPath, systemPluginPath, "/usr/lib/klp-audit", "/usr/bin/klp-audit", "/usr/lib/dracut/modules.d/99zz-klp-audit"} {
		if l.exists(name) {
			t.Errorf("%s is there after removal", name)
		}
	}
	if !l.exists("/var/lib/klp-audit/klp-audit.db") {
		t.Error("removal took the record away")
	}
	l.mustZypper("in", newKernel) // nobody sees it

	l.mustZypper("in", "--allow-unsigned-rpm", "/lab/klp-audit.rpm")
	l.mustZypper("in", newLivepatch+"="+patch1)
	l.hasRecorded(append(recorded, usually(row{Action: "install", Package: newLivepatch, Version: patch1})))
	l.mustRun("/usr/bin/klp-audit", "verify")
}

// mustZypper runs zypper, which must succeed, and returns what it printed.
func (l *lab) mustZypper(args ...string) string {
	l.t.Helper()
	got := l.start(l.zypper(args...)).wait()
	if got.exit != 0 {
		l.t.Fatalf("zypper %q: exit %d\n%s", args, got.exit, got.out)
	}
	return got.out
}

// hasRecorded compares what commits left on record with what is expected.
func (l *lab) hasRecorded(want []row) {
	l.t.Helper()
	var got []row
	for _, r := range l.history() {
		if r.Source == "plugin" {
			got = append(got, r)
		}
	}
	if diff := cmp.Diff(fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got)); diff != "" {
		l.t.Errorf("history (-want +got):\n%s", diff)
	}
}

// checkRecordFiles checks that the record is for root and the group klp-audit alone.
func (l *lab) checkRecordFiles() {
	l.t.Helper()
	got := l.mustRun("/usr/bin/stat", "-c", "%a %U:%G %n", "/var/lib/klp-audit", "/var/lib/klp-audit/klp-audit.db", "/var/lib/klp-audit/key")
	want := "750 root:klp-audit /var/lib/klp-audit\n640 root:klp-audit /var/lib/klp-audit/klp-audit.db\n600 root:root /var/lib/klp-audit/key\n"
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("the record's files (-want +got):\n%s", diff)
	}
}

// buildSystem builds a package that stands for all that a package requires.
func buildSystem(t *testing.T, pkg string) string {
	t.Helper()
	dir := t.TempDir()
	s := rpmSpec{Name: "lab-system", Version: "1", Release: "1", Arch: "noarch"}
	for line := range strings.Lines(output(t, "rpm", "-qp", "--requires", pkg)) {
		if !strings.HasPrefix(line, "rpmlib(") && !strings.HasPrefix(line, "config(") {
			s.Provides = append(s.Provides, strings.TrimSpace(line))
		}
	}
	writeSpec(t, dir+"/lab-system.spec", s)
	execute(t, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, dir+"/lab-system.spec")
	return dir + "/RPMS/noarch/lab-system-1-1.noarch.rpm"
}

// exposure is systemd's grade, 0 to 10, of what a service could do if it were turned.
var exposure = regexp.MustCompile(`Overall exposure level for [^ ]+: ([0-9.]+)`)

// checkUnits has systemd read the units of a lab, and grade how its services are confined.
func checkUnits(t *testing.T, l *lab) {
	t.Helper()
	if !l.exists("/usr/bin/systemd-analyze") {
		return // the newer zypper's tree is without systemd
	}
	units, err := filepath.Glob(l.root + "/usr/lib/systemd/system/klp-audit-observe*")
	if err != nil || len(units) != 5 {
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
