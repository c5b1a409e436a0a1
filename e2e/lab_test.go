package e2e

import (
	"context"
	"errors"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long to wait before a lab counts as hanging, not just slow; libzypp itself gives
// up on a plugin after 60 s.
const patience = 5 * time.Minute

const (
	pluginPath       = "/usr/lib/zypp/plugins/commit/klp-audit"
	systemPluginPath = "/usr/lib/zypp/plugins/system/klp-audit"
	recorderPath     = "/usr/lib/klp-audit/recorder"
)

// lab is a throw-away system: an overlay of a real one, mounted in this run's own namespace.
type lab struct {
	t      *testing.T
	root   string
	mounts []string
}

// newLab mounts a fresh copy of the base's template.
func newLab(t *testing.T, b *base) *lab {
	t.Helper()
	return mountLab(t, b.kit, b.layer+"/upper:"+b.root, memory(t))
}

// memory returns a directory on its own file system: an overlay cannot be stacked on itself.
func memory(t *testing.T) string {
	t.Helper()
	l := &lab{t: t, root: t.TempDir()}
	t.Cleanup(l.unmount)
	l.mount("tmpfs", l.root, "tmpfs", 0, "mode=0755")
	return l.root
}

// mountLab mounts an overlay on the lower directories. Its changes go to dir/upper.
func mountLab(t *testing.T, k *kit, lower, dir string) *lab {
	t.Helper()
	l := &lab{t: t, root: filepath.Join(dir, "root")}
	t.Cleanup(l.unmount)
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.mount("overlay", l.root, "overlay", 0, "lowerdir="+lower+",upperdir="+dir+"/upper,workdir="+dir+"/work")
	for _, name := range []string{"/proc", "/dev", "/sys"} {
		l.mount(name, l.root+name, "", syscall.MS_BIND|syscall.MS_REC, "")
	}
	l.mount(k.repo, l.root+"/lab/repo", "", syscall.MS_BIND, "")
	return l
}

func (l *lab) mount(source, target, kind string, flags uintptr, options string) {
	l.t.Helper()
	if err := os.MkdirAll(target, 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		l.t.Fatalf("mounting %q on %q: %v", source, target, err)
	}
	l.mounts = append(l.mounts, target)
}

// unmount detaches everything, the last mount first, even if a program still uses it.
func (l *lab) unmount() {
	for _, target := range slices.Backward(l.mounts) {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			// Stop here: the next step would delete the directory, and with it whatever is mounted.
			log.Fatalf("unmounting %q: %v", target, err)
		}
	}
	l.mounts = nil
}

// furnish turns the overlay of a system into one that knows only the lab's packages.
func (l *lab) furnish() {
	for _, name := range []string{
		"/etc/zypp/repos.d", "/etc/zypp/services.d", "/usr/lib/zypp/plugins", "/usr/lib/sysimage/rpm",
		"/var/cache/zypp", "/var/lib/klp-audit", "/var/lib/rpm", "/var/lib/zypp",
		"/var/log/klp-audit", "/var/log/zypp", "/var/log/zypper.log", "/run/zypp.pid",
	} {
		if err := os.RemoveAll(l.root + name); err != nil {
			l.t.Fatal(err)
		}
	}
	// Debian's rpm expects root's database in the home folder, unlike libzypp.
	l.write("/etc/rpm/macros.lab", "%_dbpath /var/lib/rpm\n")
	l.write("/etc/zypp/zypp.conf", "[main]\nmultiversion = provides:multiversion(kernel)\n")
	// Keep the machine's other processes out of zypper's output.
	l.write("/etc/zypp/zypper.conf", "[commit]\npsCheckAccessDeleted = no\n")
	l.write("/etc/zypp/repos.d/lab.repo", "[lab]\nname=lab\nenabled=1\nautorefresh=0\nbaseurl=dir:///lab/repo\ngpgcheck=0\n")
	l.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
	if err := os.MkdirAll(l.root+"/var/lib/rpm", 0o755); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) write(name, text string) {
	l.t.Helper()
	writeFile(l.t, l.root+name, text)
}

// install copies a program into the lab.
func (l *lab) install(program, name string) {
	l.t.Helper()
	execute(l.t, "install", "-D", "-m", "0755", program, l.root+name)
}

func (l *lab) exists(name string) bool {
	_, err := os.Lstat(l.root + name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.t.Fatal(err)
	}
	return err == nil
}

// command prepares a program to run in the lab, in its own session as from a terminal, and with an
// environment that reveals nothing of the machine.
func (l *lab) command(program string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	l.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"LANG=C", "TZ=UTC", "HOME=/root", "TERM=dumb", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: l.root, Setsid: true}
	return cmd
}

// run runs a program in the lab and waits for its end.
func (l *lab) run(program string, args ...string) result {
	l.t.Helper()
	return l.start(l.command(program, args...)).wait()
}

// mustRun is run for what the test itself needs.
func (l *lab) mustRun(program string, args ...string) string {
	l.t.Helper()
	got := l.run(program, args...)
	if got.exit != 0 {
		l.t.Fatalf("running %s %q: exit %d\n%s", program, args, got.exit, got.out)
	}
	return got.out
}

// installed lists the packages of the rpm database, sorted.
func (l *lab) installed() []string {
	l.t.Helper()
	return sortedLines(l.mustRun("/usr/bin/rpm", "-qa", "--qf", "%{name}-%{version}-%{release}.%{arch}\n"))
}

func sortedLines(text string) []string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return lines
}
