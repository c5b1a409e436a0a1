package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// bindDir is where tukit mounts the snapshot that it prepares.
const bindDir = "/tmp/transactional-update-Ab12"

// shared are the folders of the running system that a snapshot shares (tukit's own, and those that
// a system has in separate subvolumes); the rest of /var belongs to the snapshot, and is hidden by
// /var of the running system when it is booted.
var shared = []string{"/var/log", "/var/cache", "/var/lib/zypp", "/root", "/opt"}

// snapshot makes a snapshot of the lab's file tree and mounts it, as tukit does for a command: with
// the shared folders, and empty ones in memory. It is a lab, too.
func (l *lab) snapshot() *lab {
	l.t.Helper()
	dir := memory(l.t)
	s := mountLab(l.t, &kit{repo: l.root + "/lab/repo"}, l.root, dir)
	for _, name := range shared {
		if err := os.MkdirAll(l.root+name, 0o755); err != nil {
			l.t.Fatal(err)
		}
		s.mount(l.root+name, s.root+name, "", syscall.MS_BIND, "")
	}
	s.mount(l.root+"/proc", s.root+"/proc", "", syscall.MS_BIND|syscall.MS_REC, "") // the same boot
	for _, name := range []string{"/run", "/tmp", "/var/tmp"} {
		s.mount("tmpfs", s.root+name, "tmpfs", 0, "mode=0755")
	}
	s.mount(s.root, l.root+bindDir, "", syscall.MS_BIND|syscall.MS_REC, "")
	return s
}

// bootInto makes the lab look as if it had just been booted, with the snapshot of this number as
// its root directory: what the kernel says about that is mounted over /proc.
func (l *lab) bootInto(number int) {
	l.t.Helper()
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		l.t.Fatal(err)
	}
	uuid, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err != nil {
		l.t.Fatal(err)
	}
	// The time of a boot is in whole seconds; earlier events must not be in the same second.
	btime := fmt.Sprintf("btime %d", time.Now().Unix()+1)
	for name, text := range map[string]string{
		"/proc/1/mountinfo":               fmt.Sprintf("1 0 0:1 /@/.snapshots/%d/snapshot / rw,relatime shared:1 - btrfs /dev/vda2 rw\n", number),
		"/proc/sys/kernel/random/boot_id": string(uuid),
		"/proc/stat":                      regexp.MustCompile(`btime [0-9]+`).ReplaceAllString(string(stat), btime),
	} {
		file := filepath.Join(l.t.TempDir(), "proc")
		writeFile(l.t, file, text)
		if err := syscall.Mount(file, l.root+name, "", syscall.MS_BIND, ""); err != nil {
			l.t.Fatalf("mounting over %q: %v", name, err)
		}
		l.mounts = append(l.mounts, l.root+name)
	}
}

// bootSnapshot boots a snapshot: with /var/lib/klp-audit of the running system, not its own.
func (l *lab) bootSnapshot(s *lab, number int) {
	l.t.Helper()
	if entries, _ := os.ReadDir(s.root + "/var/lib/klp-audit/spool"); len(entries) > 0 {
		l.t.Errorf("events were left in the snapshot, where they are lost: %v", entries)
	}
	s.mount(l.root+"/var/lib/klp-audit", s.root+"/var/lib/klp-audit", "", syscall.MS_BIND, "")
	s.bootInto(number)
}

// form is how transactional-update runs zypper in a snapshot, mounted on bindDir of the running
// system.
type form struct {
	name    string
	command func(running, snapshot *lab, args ...string) *exec.Cmd
}

// inChroot is tukit's call, used by transactional-update before 4.6.5, its shell and its run.
var inChroot = form{"call", func(_, snapshot *lab, args ...string) *exec.Cmd { return snapshot.zypper(args...) }}

// fromOutside is tukit's callext, used by transactional-update since 4.6.5.
var fromOutside = form{"callext", func(running, _ *lab, args ...string) *exec.Cmd {
	return running.zypper(append([]string{"-R", bindDir}, args...)...)
}}

// stage updates a snapshot with a number. What zypper's user sees includes what is then installed
// in it.
func (p *pair) stage(f form, number int, args ...string) (audited *lab) {
	p.Helper()
	p.both(func(l *lab) result {
		s := l.snapshot()
		if l == p.audited {
			audited = s
		}
		cmd := f.command(l, s, args...)
		cmd.Env = append(cmd.Env, "TRANSACTIONAL_UPDATE=true", fmt.Sprintf("TRANSACTIONAL_UPDATE_ROOT=/.snapshots/%d/snapshot", number))
		got := l.start(cmd).wait()
		l.await("the end of everything in the snapshot", s.quiet)
		if got.exit != 0 {
			p.Fatalf("%s: zypper %q: exit %d\n%s", f.name, args, got.exit, got.out)
		}
		got.out += strings.Join(s.installed(), "\n")
		return got
	})
	return audited
}

// running prepares a system that runs from snapshot 5, with a recorder and one kernel.
func (p *pair) running() {
	p.rpm(strings.Replace(oldKernel, "=", "-", 1) + ".x86_64")
	p.audited.bootInto(5)
	p.audited.mustRun("/usr/bin/klp-audit", "observe")
}

// updateFrom plays an update that is booted, and rolled back: it is staged, then effective; and the
// rollback is drift, because it is not a commit.
func updateFrom(f form) func(*pair) {
	return func(p *pair) {
		p.running()
		s := p.stage(f, 7, "in", livepatch+"="+patch1)
		p.audited.mustRun("/usr/bin/klp-audit", "observe")
		recorded := row{Action: "install", Package: livepatch, Version: patch1, Outcome: "staged"}
		want := "pass"
		if p.base.old && f.name == fromOutside.name { // this libzypp runs no plugin for another root
			p.history()
			recorded.Source, want = "drift", "fail"
		} else {
			p.history(recorded)
		}
		if c := p.audited.completeness(); c.Result != want || want == "fail" && !strings.Contains(c.Detail, "install of "+livepatch+" "+patch1) {
			p.Errorf("staged: completeness is %s: %s", c.Result, c.Detail)
		}

		p.audited.bootSnapshot(s, 7)
		s.mustRun("/usr/bin/klp-audit", "observe")
		recorded.Outcome = "completed"
		p.history(recorded)

		p.audited.bootInto(5)
		p.audited.mustRun("/usr/bin/klp-audit", "observe")
		p.history(recorded, row{Action: "remove", Package: livepatch, Version: patch1, Source: "drift"})
		if n := strings.Count(p.audited.mustRun("/usr/bin/klp-audit", "export"), `"cause":"snapshot"`); n != map[string]int{"plugin": 1, "drift": 2}[usually(recorded).Source] {
			p.Errorf("%d drift events are for another snapshot", n)
		}
	}
}

// discardUpdate plays an update that is never booted.
func discardUpdate(p *pair) {
	p.running()
	s := p.stage(inChroot, 7, "in", livepatch+"="+patch1)
	cmd := s.command("/usr/bin/klp-audit", "observe")
	cmd.Env = append(cmd.Env, "TRANSACTIONAL_UPDATE=true", "TRANSACTIONAL_UPDATE_ROOT=/.snapshots/7/snapshot")
	if got := s.start(cmd).wait(); got.exit != 1 || !strings.Contains(got.out, "what is recorded in it is lost") {
		p.Errorf("an observation in the snapshot: exit %d, %s", got.exit, got.out)
	}
	p.audited.bootInto(5)
	p.audited.mustRun("/usr/bin/klp-audit", "observe")
	p.history(row{Action: "install", Package: livepatch, Version: patch1, Outcome: "discarded"})
	p.audited.bootInto(6)
	p.audited.mustRun("/usr/bin/klp-audit", "observe")
	p.history(row{Action: "install", Package: livepatch, Version: patch1, Outcome: "discarded"})
}
