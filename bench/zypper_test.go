package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/rpm/rpmtest"
)

// How much longer zypper may take with the plugin: this many times, or this many milliseconds.
const (
	mostZypper      = 1.05
	mostZypperExtra = 40
)

// zypper measures how the real zypper installs a kernel and a live patch, with and without the
// plugin, in two copies of this machine: empty packages, which install faster than any real one,
// and a kernel with files, but without building its initrd, which would take longer than everything
// else.
func (b *bench) zypper() {
	const what = "zypper in of a kernel and a live patch, with and without the plugin"
	if os.Geteuid() != 0 {
		fmt.Fprintf(b.out, "left out: %s: only root can\n", what)
		return
	}
	if !b.has(what, "/usr/bin/zypper", "/usr/bin/rpm", "rpmbuild", "createrepo_c", "nsenter", "unshare", "cpio") {
		return
	}
	audited, plain := b.zypperLab(true), b.zypperLab(false)
	if audited == nil || plain == nil {
		fmt.Fprintf(b.out, "left out: %s: no copy of this machine can be mounted\n", what)
		return
	}
	b.zypperIn(what, "2 empty packages", audited, plain, "kernel-default", labPatch)
	b.zypperIn(what, fmt.Sprintf("a kernel of %d MiB", labKernelSize), audited, plain, "kernel-rt", labPatchRT)
}

// zypperIn measures the installation of packages in two labs.
func (b *bench) zypperIn(what, size string, audited, plain lab, packages ...string) {
	ours, against := b.installs("with the plugin", audited, packages), b.installs("zypper without it", plain, packages)
	b.race(ours, against)
	asked := max(mostZypper, 1+mostZypperExtra/against.of(wall).median)
	b.add(row{what: what, size: size, ours: ours, against: against, asked: float64(int(asked*100)) / 100})
}

// lab runs zypper in a copy of this machine.
type lab func(args ...string) *exec.Cmd

// installs is the entrant that installs packages in a lab; they are removed again.
func (b *bench) installs(name string, zypper lab, packages []string) *entrant {
	in, rm := append([]string{"in"}, packages...), append([]string{"rm"}, packages...)
	return &entrant{
		name: name,
		run: func() sample {
			s := b.time(zypper(in...))
			b.time(zypper(rm...))
			return s
		},
		peak: func() int {
			peak := b.peakOfPlugin(zypper(in...))
			b.time(zypper(rm...))
			return peak
		},
	}
}

// zypperLab mounts a copy of this machine with 600 packages and a repository. nil: it cannot be
// mounted.
func (b *bench) zypperLab(audited bool) lab {
	files := b.copyOf(b.zypperFiles())
	for program, path := range map[string]string{
		"klp-audit": "usr/bin/klp-audit", "klp-audit-plugin": "usr/lib/zypp/plugins/commit/klp-audit", "klp-audit-recorder": "usr/lib/klp-audit/recorder",
	} {
		if audited {
			rpmtest.Run(b, "install", "-D", "-m", "0755", b.program(program), filepath.Join(files, path))
		}
	}
	if audited {
		b.check(os.MkdirAll(filepath.Join(files, "usr/lib/zypp/plugins/system"), 0o755))
		b.check(os.Symlink("../commit/klp-audit", filepath.Join(files, "usr/lib/zypp/plugins/system/klp-audit")))
	}
	pid, ok := b.mounted(files)
	if !ok {
		return nil
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("nsenter", append([]string{"--mount", "--target", pid, "chroot", "/proc/" + pid + "/cwd", "/usr/bin/zypper", "-n", "--no-gpg-checks"}, args...)...)
		cmd.Env = []string{"LANG=C", "TZ=UTC", "HOME=/root", "TERM=dumb", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		return cmd
	}
}

const (
	labPatch      = "kernel-livepatch-6_4_0-150600_23_42-default"
	labPatchRT    = "kernel-livepatch-6_4_0-150600_10_26-rt"
	labKernelSize = 100 // MiB
)

// zypperFiles are a lab's own files: packages, a repository, and zypper's configuration.
func (b *bench) zypperFiles() string {
	return b.kept("zypper-kernels", func(root string) {
		for path, text := range map[string]string{
			// Debian's rpm expects root's database in the home folder, unlike libzypp.
			"etc/rpm/macros.lab": "%_dbpath /var/lib/rpm\n",
			// Do not look at other processes of the machine.
			"etc/zypp/zypper.conf":      "[commit]\npsCheckAccessDeleted = no\n",
			"etc/zypp/zypp.conf":        "[main]\nmultiversion = provides:multiversion(kernel)\n",
			"etc/zypp/repos.d/lab.repo": "[lab]\nname=lab\nenabled=1\nautorefresh=0\nbaseurl=dir:///lab/repo\ngpgcheck=0\n",
			"etc/machine-id":            machineID + "\n",
		} {
			b.check(os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755))
			b.check(os.WriteFile(filepath.Join(root, path), []byte(text), 0o644))
		}
		base, repo := filepath.Join(root, "lab/base"), filepath.Join(root, "lab/repo")
		for _, dir := range []string{base, repo, filepath.Join(root, "var/lib/rpm")} {
			b.check(os.MkdirAll(dir, 0o755))
		}
		for _, built := range b.manyPackages() {
			rpmtest.Run(b, "cp", built, base)
		}
		rpmtest.Run(b, "cp", rpmtest.Build(b, "kernel-default 6.4.0 150600.23.42.2", "Provides: multiversion(kernel)", ""),
			rpmtest.Build(b, labPatch+" 4 150600.13.12.1", "", longChangelog()), b.labKernel(), rpmtest.Build(b, labPatchRT+" 4 150600.13.12.1", "", longChangelog()), repo)
		rpmtest.Run(b, "createrepo_c", "--quiet", repo)
	})
}

// labKernel builds a kernel with those files of this system that an uncompressed image for the
// benchmarks contains.
func (b *bench) labKernel() string {
	const release = "6.4.0-150600.10.26-rt"
	return rpmtest.Build(b, "kernel-rt 6.4.0 150600.10.26.1", `Provides: multiversion(kernel)
AutoReqProv: no
%global __os_install_post %nil
%global _binaries_in_noarch_packages_terminate_build 0
%global _binary_payload w3.zstdio`, fmt.Sprintf(`/usr/lib/modules/%[1]s
%%install
mkdir -p %%{buildroot}/usr/lib/modules/%[1]s
cd %%{buildroot}/usr/lib/modules/%[1]s
cpio --quiet -idm --no-absolute-filenames <%[2]s
`, release, b.imageOf(packers()[0], labKernelSize)))
}

// mounted mounts a copy of this machine with some files on top. It returns the process whose
// namespace and root folder hold it.
func (b *bench) mounted(files string) (pid string, ok bool) {
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", filepath.Join(b.tree, "bench/testdata/lab.sh"), files)
	in, err := cmd.StdinPipe()
	b.check(err)
	out, err := cmd.StdoutPipe()
	b.check(err)
	cmd.Stderr = os.Stderr
	b.check(cmd.Start())
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			return strconv.Itoa(cmd.Process.Pid), true
		}
	}
	return "", false
}

// peakOfPlugin runs zypper and returns the peak memory of klp-audit's plugin below it, which it
// samples as long as the plugin runs.
func (b *bench) peakOfPlugin(zypper *exec.Cmd) (peak int) {
	b.Helper()
	b.check(zypper.Start())
	ended := make(chan error, 1)
	go func() { ended <- zypper.Wait() }()
	for {
		select {
		case err := <-ended:
			b.check(err)
			return peak
		case <-time.After(time.Millisecond):
		}
		for _, child := range childrenOf(zypper.Process.Pid) {
			if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child)); string(name) == "klp-audit\n" || string(name) == "recorder\n" {
				peak = max(peak, peakMemory(child))
			}
		}
	}
}

func childrenOf(pid int) (children []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, word := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			children = append(children, child)
		}
	}
	return children
}
