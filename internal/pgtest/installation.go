package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// installation is a PostgreSQL, and how its programs are run.
type installation struct {
	root string // what its programs see as "/"
	bin  string // their folder, as they see it
	user *syscall.Credential
}

// findInstallation finds the PostgreSQL that the environment names, or else the newest one.
func findInstallation() (*installation, error) {
	root := os.Getenv("KLP_AUDIT_PG_TREE")
	if root == "" {
		root = "/"
	} else if os.Geteuid() != 0 {
		return nil, fmt.Errorf("running PostgreSQL in the tree %q: only root may", root)
	}
	bin := os.Getenv("KLP_AUDIT_PG_BIN")
	if bin == "" {
		bin = newestBin(root)
	}
	if _, err := os.Stat(filepath.Join(root, bin, "initdb")); bin == "" || err != nil {
		return nil, fmt.Errorf("finding PostgreSQL's server below %q: it is not there; packaging/deps.sh installs it on this machine, "+
			"and `make fleet-pg17` in a tree", filepath.Join(root, bin))
	}
	user, err := serverUser(root)
	if err != nil {
		return nil, err
	}
	return &installation{root: root, bin: bin, user: user}, nil
}

// newestBin is the folder with the programs of the newest PostgreSQL below a root, or "".
func newestBin(root string) string {
	// Debian's folder and SUSE's.
	found, _ := filepath.Glob(filepath.Join(root, "usr/lib/postgresql/*/bin/initdb"))
	suse, _ := filepath.Glob(filepath.Join(root, "usr/lib/postgresql[0-9]*/bin/initdb"))
	if found = append(found, suse...); len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Join("/", strings.TrimPrefix(filepath.Dir(newest), filepath.Clean(root)))
	}
	if path, err := exec.LookPath("initdb"); err == nil && root == "/" {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	return ""
}

var versionInPath = regexp.MustCompile(`/postgresql/?(\d+)[^/]*/bin/initdb$`)

// version is the version of PostgreSQL that a path names; 0 if it names none.
func version(path string) (n int) {
	if m := versionInPath.FindStringSubmatch(path); m != nil {
		n, _ = strconv.Atoi(m[1])
	}
	return n
}

// serverUser is who runs a server: PostgreSQL refuses to run as root. Whoever is not root runs it
// as himself. A tree has users of its own, so its own file is read.
func serverUser(root string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(passwd)) {
		if f := strings.Split(line, ":"); f[0] == "postgres" && len(f) > 3 {
			uid, noUID := strconv.ParseUint(f[2], 10, 32)
			gid, noGID := strconv.ParseUint(f[3], 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(noUID, noGID)
		}
	}
	return nil, fmt.Errorf("finding the user postgres below %q: PostgreSQL's package makes it, see packaging/deps.sh", root)
}

// command is a program of the installation, or another one in its tree. Nothing in the environment
// of the tests, such as PGPORT, changes what it does.
func (i *installation) command(program string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(program) {
		program = filepath.Join(i.bin, program)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C.UTF-8"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.user}
	if i.root != "/" {
		cmd.SysProcAttr.Chroot = i.root
	}
	return cmd
}

// outside is the path by which this process sees a file of the installation.
func (i *installation) outside(path string) string { return filepath.Join(i.root, path) }
