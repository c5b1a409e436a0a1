// Package e2e tests klp-audit with the real zypper, libzypp and rpm.
//
// Each story of the tests takes place in an overlay of a whole system, twice: for the machine's own
// zypper and for the newer one in a Debian 13 tree. Each zypper command runs in two overlays, one
// with the commit plugin and one without, because the plugin must change nothing that a user of
// zypper sees. The machine itself is never written to.
package e2e

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	// wanted names the variable that enables these tests: they need root and programs that a plain
	// `go test ./...` must not depend on.
	wanted = "KLP_AUDIT_E2E"
	// apart marks the run that has its own mount namespace.
	apart = "KLP_AUDIT_E2E_APART"
)

// TestMain gives the run its own mounts, which disappear with it however it ends, and a host name.
func TestMain(m *testing.M) {
	if os.Getenv(wanted) != "1" || os.Getenv(apart) != "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, "e2e:", moveApart())
	os.Exit(1)
}

// moveApart replaces this process by itself under apart.sh; it returns only on failure.
func moveApart() error {
	if err := checkMachine(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	const script = "./apart.sh"
	return syscall.Exec(script, append([]string{script, self}, os.Args[1:]...), append(os.Environ(), apart+"=1"))
}

// checkMachine reports everything that is missing at once.
func checkMachine() error {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "the rights of root")
	}
	for _, program := range []string{
		"zypper", "rpm", "rpmbuild", "createrepo_c", "modifyrepo_c", "debootstrap", "sqlite3", "go",
	} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if missing != nil {
		return fmt.Errorf("these tests need %s", strings.Join(missing, ", "))
	}
	return nil
}

// TestZypper plays every story with every available zypper.
func TestZypper(t *testing.T) {
	if os.Getenv(wanted) != "1" {
		t.Skip("the end-to-end tests need root and the real zypper: run `make test`")
	}
	kit := newKit(t)
	for _, b := range []*base{newBase(t, kit, "/"), newBase(t, kit, debianTree(t, "trixie", "trixie", "zypper,rpm"))} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range stories() {
				t.Run(s.name, func(t *testing.T) { tell(t, b, s) })
			}
		})
	}
}

// debianTree returns a Debian tree, which the script builds once and keeps.
func debianTree(t *testing.T, name, suite, packages string, options ...string) string {
	t.Helper()
	execute(t, "./tree.sh", append([]string{name, suite, packages}, options...)...)
	return cached(name)
}

// cached is the path of a folder that survives a run.
func cached(name string) string {
	return filepath.Join(cmp.Or(os.Getenv("KLP_AUDIT_CACHE"), "/var/cache/klp-audit"), name)
}
