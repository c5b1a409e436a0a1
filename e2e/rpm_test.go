package e2e

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"flag"
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

var update = flag.Bool("update", false, "rewrite the expected contents of the packages")

// TestPackage builds the packages, inspects them, and lets the real zypper install and remove them.
func TestPackage(t *testing.T) {
	if os.Getenv(wanted) != "1" {
		t.Skip("the end-to-end tests need root and the real rpmbuild: run `make test`")
	}
	machine := strings.TrimSpace(output(t, "uname", "-m"))
	mountBuildDir(t)
	native := buildPackages(t, machine, rpmFlags(machine))
	t.Run("contents", func(t *testing.T) { checkContents(t, native) })
	t.Run("hardened", func(t *testing.T) { native.checkHardened(t) })
	t.Run("rpmlint", func(t *testing.T) { lint(t, native) })
	later := buildLater(t, machine)
	rpms := map[string]string{thisRPM: native.main(t), laterRPM: later.main(t), fleetRPM: native.fleet(t), laterFleetRPM: later.fleet(t)}
	rpms[sle16RPM] = buildLater(t, machine, "--define 'lab_suse_version 1600'").main(t)
	t.Run("SLE 16", func(t *testing.T) { checkVendorConf(t, rpms[sle16RPM]) })
	kit := newKit(t)
	own := newBase(t, kit, "/").withPackages(t, rpms)
	newer := newBase(t, kit, debianTree(t, "trixie", "trixie", "zypper,rpm")).withPackages(t, rpms)

	checks := map[string]func(*testing.T){
		"demo":     func(t *testing.T) { checkDemo(t, kit, native.main(t)) },
		"services": func(t *testing.T) { checkServices(t, own) },
		"fleet":    func(t *testing.T) { checkFleet(t, own) },
		own.name:   func(t *testing.T) { checkLives(t, own) },
		newer.name: func(t *testing.T) { checkLives(t, newer) },
	}
	if !testing.Short() {
		checks["twice"] = func(t *testing.T) { checkReproducible(t, native, machine) }
		checks["rebuild"] = func(t *testing.T) { rebuild(t, native) }
		for _, arch := range []string{"s390x", "ppc64le"} { // two at once are too many for apt-get
			execute(t, "make", "--no-print-directory", "-C", "..", "rpm-deps", "ARCH="+arch)
			checks[arch] = func(t *testing.T) { checkForeign(t, arch) }
		}
	}
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t)
		})
	}
}

// packages is a folder that rpmbuild wrote packages to.
type packages string

// mountBuildDir gives this run a build folder with the same name as in other runs: Go caches C
// code, and SQLite is a lot of it, only for the folder that it is in.
func mountBuildDir(t *testing.T) {
	t.Helper()
	l := &lab{t: t}
	t.Cleanup(l.unmount)
	l.mount("tmpfs", cached("build"), "tmpfs", 0, "mode=0755")
}

// rpmFlags makes rpmbuild build there for an architecture. The packages' own tests during the build
// run elsewhere.
func rpmFlags(arch string, more ...string) string {
	return strings.Join(append([]string{"RPMFLAGS=--nocheck", "--define '_builddir " + cached("build") + "/" + arch + "'"}, more...), " ")
}

// buildPackages builds source and binary packages for an architecture.
func buildPackages(t *testing.T, arch, flags string) packages {
	t.Helper()
	dir := t.TempDir()
	execute(t, "make", "--no-print-directory", "-C", "..", "rpm", "ARCH="+arch, "TOPDIR="+dir, flags)
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

// main is the package with the programs of a host.
func (p packages) main(t *testing.T) string {
	t.Helper()
	return p.find(t, "RPMS/*/klp-audit-[0-9]*.rpm")[0]
}

// fleet is the package of the collector.
func (p packages) fleet(t *testing.T) string {
	t.Helper()
	return p.find(t, "RPMS/*/klp-audit-fleet-[0-9]*.rpm")[0]
}

func (p packages) checkHardened(t *testing.T) {
	t.Helper()
	checkHardened(t, p.main(t), "/usr/bin/klp-audit", recorderPath, pluginPath)
	checkHardened(t, p.fleet(t), fleetProgram)
}

// output is what one of the machine's programs prints to stdout.
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

// describe is what a package says about itself: files with modes and owners, what it requires and
// provides, and its scripts.
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
var incidental = regexp.MustCompile(`(?m)^(lib(c|m|pthread|dl)\.so.*|ld.*\.so.*|rtld\(.*|rpmlib\(.*|klp-audit(-fleet)?\(.*|.* )\n`)

// checkContents compares the packages, whatever their architecture, with the expected contents.
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

// lint runs rpmlint on the packages, with openSUSE's rules.
func lint(t *testing.T, p packages) {
	out := output(t, "make", "--no-print-directory", "-C", "..", "rpmlint", "TOPDIR="+string(p))
	if !strings.Contains(out, " 0 errors, 0 warnings") {
		t.Error(out)
	}
}

// checkVendorConf inspects the package for SLE 16, whose vendor configuration is below /usr/etc.
func checkVendorConf(t *testing.T, name string) {
	list := output(t, "rpm", "-qpl", name)
	if !strings.Contains(list, "\n/usr/etc/klp-audit/klp-audit.toml\n") || strings.Contains("\n"+list, "\n/etc/") {
		t.Errorf("files:\n%s", list)
	}
}

// checkReproducible builds again, in another folder.
func checkReproducible(t *testing.T, first packages, machine string) {
	second := buildPackages(t, machine, "RPMFLAGS=--nocheck")
	// The header of a source package contains the name of its build folder.
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

// rebuild builds the source package and runs its tests as the build service does: in a tree with
// nothing but the compilers, as an ordinary user, without a network. The result must be the same
// package. What Go compiled there is kept for the next run, but not which tests passed: all files
// of a source package have the same time, so a changed file would not be noticed.
func rebuild(t *testing.T, p packages) {
	tree := debianTree(t, "rpmbuild", "bookworm", "debugedit,elfutils,file,gcc,libc6-dev,libsystemd-dev,make,rpm,xz-utils")
	source, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	l := mountLab(t, &kit{repo: filepath.Dir(p.find(t, "SRPMS/*.rpm")[0])}, tree, memory(t))
	l.mount(strings.TrimSpace(output(t, "go", "env", "GOROOT")), l.root+"/usr/local/go", "", syscall.MS_BIND, "")
	l.mount(source+"/packaging", l.root+"/lab/packaging", "", syscall.MS_BIND, "")
	l.mustRun("/usr/sbin/useradd", "--uid", strconv.Itoa(abuild), "--create-home", "abuild")
	compiled := cached("rpmbuild.go")
	if err := os.MkdirAll(compiled, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(compiled, abuild, abuild); err != nil {
		t.Fatal(err)
	}
	l.mount(compiled, l.root+"/home/abuild/.cache/go-build", "", syscall.MS_BIND, "")
	l.mustRun("/bin/chown", "abuild:", "/home/abuild/.cache")
	cmd := exec.Command("unshare", "-n", "chroot", "--userspec=abuild:abuild", "--groups=", l.root, "/usr/bin/env", "-i",
		"HOME=/home/abuild", "PATH=/usr/local/go/bin:/usr/bin:/bin", "sh", "-c",
		`cd && go clean -testcache && rpmbuild --rebuild --nodeps --macros '`+labMacros+`' /lab/repo/*.src.rpm`)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("debugedit: ")) {
		t.Errorf("debug information was not removed properly:\n%s", out)
	}
	if diff := cmp.Diff(describe(t, p.main(t)), describe(t, packages(l.root+"/home/abuild/rpmbuild").main(t))); diff != "" {
		t.Errorf("rebuilt (-want +got):\n%s", diff)
	}
}

// abuild is the uid of that user.
const abuild = 1000

// labMacros are the macro files that the Makefile makes rpm read on Debian.
const labMacros = "/usr/lib/rpm/macros:/usr/lib/rpm/platform/%{_target}/macros:/usr/lib/rpm/fileattrs/*.attr:/lab/packaging/macros.lab"

// checkForeign builds the packages for another architecture: their contents are the same, and the
// programs in them are for it and position independent.
func checkForeign(t *testing.T, arch string) {
	t.Helper()
	foreign := buildPackages(t, arch, rpmFlags(arch))
	checkContents(t, foreign)
	name := foreign.main(t)
	foreign.checkHardened(t)
	want := map[string]struct {
		machine elf.Machine
		order   binary.ByteOrder
	}{"s390x": {elf.EM_S390, binary.BigEndian}, "ppc64le": {elf.EM_PPC64, binary.LittleEndian}}[arch]
	dir := unpacked(t, name)
	for program, kind := range map[string]elf.Type{"/usr/bin/klp-audit": elf.ET_DYN, recorderPath: elf.ET_DYN, pluginPath: elf.ET_EXEC} {
		f, err := elf.Open(dir + program)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != want.machine || f.ByteOrder != want.order || f.Type != kind {
			t.Errorf("%s: %v, %v, %v", program, f.Machine, f.ByteOrder, f.Type)
		}
	}
}
