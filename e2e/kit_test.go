package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// kit is what all labs share: built once in a run.
type kit struct {
	bin  string // klp-audit, klp-audit-plugin, klp-audit-recorder, relay
	repo string // the packages
}

// newKit builds the programs and the packages.
func newKit(t *testing.T) *kit {
	t.Helper()
	dir := t.TempDir()
	k := &kit{bin: filepath.Join(dir, "bin"), repo: buildRepo(t, dir)}
	execute(t, "make", "-s", "-C", "..", "build", "OUT="+k.bin)
	execute(t, "go", "build", "-o", k.bin+"/", "./testdata/relay")
	return k
}

// installPlugin puts the programs where libzypp and the programs themselves expect them.
func (k *kit) installPlugin(l *lab) {
	l.t.Helper()
	l.install(k.bin+"/klp-audit", "/usr/bin/klp-audit")
	l.install(k.bin+"/klp-audit-plugin", pluginPath)
	l.install(k.bin+"/klp-audit-plugin", systemPluginPath)
	l.install(k.bin+"/klp-audit-recorder", recorderPath)
}

// base is a system to try zypper on, and a template for labs of it.
type base struct {
	kit   *kit
	name  string // "zypper-" and the version of libzypp
	root  string
	layer string // what the template changed
	old   bool   // runs no plugin for a root other than /
}

// newBase prepares the template: an empty rpm database, and a zypper that knows only the lab's
// repository.
func newBase(t *testing.T, k *kit, root string) *base {
	t.Helper()
	b := &base{kit: k, root: root, layer: memory(t)}
	version := libzyppVersion(t, root)
	b.name, b.old = "zypper-"+version, strings.HasPrefix(version, "17.25.")
	l := mountLab(t, k, root, b.layer)
	l.furnish()
	l.mustRun("/usr/bin/rpm", "--initdb")
	l.mustRun("/usr/bin/rpm", "-i", "--nodeps", "/lab/repo/lab-base-1-1.noarch.rpm")
	l.mustRun("/usr/bin/zypper", "-n", "--no-gpg-checks", "refresh")
	l.unmount()
	return b
}

// libzyppVersion asks the system's original package manager.
func libzyppVersion(t *testing.T, root string) string {
	t.Helper()
	cmd := exec.Command("chroot", root, "dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}\n", "libzypp[0-9]*")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("asking for the version of libzypp in %q: %v", root, err)
	}
	for line := range strings.Lines(string(out)) {
		version, status, _ := strings.Cut(strings.TrimSpace(line), " ")
		if status == "installed" {
			upstream, _, _ := strings.Cut(version, "-")
			return upstream
		}
	}
	t.Fatalf("no libzypp is installed in %q", root)
	return ""
}

// execute runs one of the machine's own programs, which must succeed.
func execute(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("running %s %q: %v\n%s", program, args, err, out)
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
