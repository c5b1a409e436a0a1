// Package rpmtest makes and fills rpm databases for tests, with the real rpm.
package rpmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Need skips a test if packages cannot be built, or cannot be installed into a folder.
func Need(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to install packages into a separate folder")
	}
	for _, program := range []string{"/usr/bin/rpm", "rpmbuild"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s", program)
		}
	}
}

// Build makes a package without files, called "name version release", and returns its path. header
// is added to the head of its spec file, rest to its end.
func Build(t testing.TB, nvr, header, rest string) string {
	t.Helper()
	dir, f := t.TempDir(), strings.Fields(nvr)
	spec := fmt.Sprintf("Name: %s\nVersion: %s\nRelease: %s\nSummary: x\nLicense: x\nBuildArch: noarch\n%s\n%%description\nx\n%%files\n%s\n",
		f[0], f[1], f[2], header, rest)
	if err := os.WriteFile(filepath.Join(dir, "a.spec"), []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	Run(t, "rpmbuild", "-bb", "--define", "_topdir "+dir, filepath.Join(dir, "a.spec"))
	return filepath.Join(dir, "RPMS/noarch", strings.Join(f, "-")+".noarch.rpm")
}

// Rpm runs rpm on the system whose file tree is at root.
func Rpm(t testing.TB, root string, args ...string) {
	t.Helper()
	Run(t, "/usr/bin/rpm", append([]string{"--root", root, "--nodeps"}, args...)...)
}

// Install adds packages, each "name version release", to the database of a system.
func Install(t testing.TB, root string, packages ...string) {
	t.Helper()
	Need(t)
	for _, p := range packages {
		Rpm(t, root, "-i", Build(t, p, "", ""))
	}
}

// Run runs a program that must succeed, in the environment that klp-audit gives rpm.
func Run(t testing.TB, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME=/root", "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}
