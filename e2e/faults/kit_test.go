package faults

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
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

// hangs is how long to wait before a program counts as hanging, not just slow.
const hangs = 5 * time.Minute

// patience is how long libzypp waits for an answer before it drops a plugin.
const patience = 30 * time.Second

const (
	pluginPath = "/usr/lib/zypp/plugins/commit/klp-audit"
	// recorderPath is what the plugin becomes.
	recorderPath = "/usr/lib/klp-audit/recorder"
	// programPath is not where the plugin looks for klp-audit: commits are observed only if a test
	// wants that.
	programPath = "/lab/klp-audit"
	stateDir    = "/var/lib/klp-audit"
	logDir      = "/var/log/klp-audit"
	recordPath  = stateDir + "/klp-audit.db"
)

// machine is a throw-away system: an overlay of this one, mounted in this run's own namespace, with
// an empty rpm database and a journal that keeps what it receives.
type machine struct {
	*testing.T
	root    string
	mounts  []string
	journal *journal
}

// newMachine mounts a fresh machine on the template.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getenv(wanted) != "1" {
		t.Skip("the tests of faults need root: run `make test`")
	}
	m := mountMachine(t, template+":/")
	for _, dir := range []string{stateDir, logDir} {
		m.check(os.RemoveAll(m.root + dir)) // as before the first commit
	}
	m.mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")
	m.mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777")
	m.journal = listen(t, m.root+"/run/systemd/journal")
	return m
}

func mountMachine(t *testing.T, lower string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{T: t, root: dir}
	t.Cleanup(m.unmount)
	m.mount("tmpfs", "", "tmpfs", 0, "mode=0755") // an overlay cannot be stacked on itself
	for _, name := range []string{"upper", "work", "root"} {
		m.check(os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	m.root = filepath.Join(dir, "root")
	m.mounts = []string{dir}
	m.mount("overlay", "", "overlay", 0, "lowerdir="+lower+",upperdir="+dir+"/upper,workdir="+dir+"/work")
	for _, name := range []string{"/proc", "/dev"} {
		m.mount(name, name, "", syscall.MS_BIND|syscall.MS_REC, "")
	}
	return m
}

// mount mounts something in the machine, over what is there.
func (m *machine) mount(source, target, kind string, flags uintptr, options string) {
	m.Helper()
	target = m.root + target
	m.check(os.MkdirAll(target, 0o755))
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		m.Fatalf("mounting %q on %q: %v", source, target, err)
	}
	m.mounts = append(m.mounts, target)
}

// unmount detaches everything, the last mount first.
func (m *machine) unmount() {
	for _, target := range slices.Backward(m.mounts) {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			// Stop here: the next step would delete the directory, and with it whatever is mounted.
			log.Fatalf("unmounting %q: %v", target, err)
		}
	}
}

func (m *machine) check(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// write writes a file of the machine.
func (m *machine) write(name, text string) {
	m.Helper()
	m.check(os.MkdirAll(filepath.Dir(m.root+name), 0o755))
	m.check(os.WriteFile(m.root+name, []byte(text), 0o644))
}

// command prepares a program to run in the machine.
func (m *machine) command(program string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(m.Context(), hangs)
	m.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"LANG=C", "TZ=UTC", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	// Its own process group: strace, sh and their children end together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// result is how a program ended.
type result struct {
	exit   int
	stdout string
	stderr string
}

func (m *machine) end(cmd *exec.Cmd) result {
	m.Helper()
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		m.Fatalf("%s: %v", cmd, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), log.String()}
}

// audit runs klp-audit as root.
func (m *machine) audit(args ...string) result {
	m.Helper()
	return m.end(m.command(programPath, args...))
}

// mustAudit is audit for what must succeed without a message.
func (m *machine) mustAudit(args ...string) string {
	m.Helper()
	got := m.audit(args...)
	if got.exit != 0 || got.stderr != "" {
		m.Fatalf("klp-audit %q: exit %d, stderr %q", args, got.exit, got.stderr)
	}
	return got.stdout
}

// refuses runs klp-audit, which must end with this status and say all of this.
func (m *machine) refuses(exit int, says []string, args ...string) {
	m.Helper()
	m.says(m.audit(args...), exit, says...)
}

func (m *machine) says(got result, exit int, says ...string) {
	m.Helper()
	for _, text := range says {
		if !strings.Contains(got.stdout+got.stderr, text) {
			m.Errorf("said %q, want %q in it", got.stdout+got.stderr, text)
		}
	}
	if got.exit != exit {
		m.Errorf("exit %d, want %d: %q", got.exit, exit, got.stdout+got.stderr)
	}
}

// The frames of a commit that announces a kernel. No rpm installs it, so the commit fails.
const (
	announced = `{"TransactionStepList":[{"solvable":{"a":"x86_64","n":"kernel-default","r":"150600.23.42.2","v":"6.4.0"},"type":"M"}]}`
	claimed   = `{"TransactionStepList":[{"solvable":{"a":"x86_64","n":"kernel-default","r":"150600.23.42.2","v":"6.4.0"},"stage":"ok","type":"M"}]}`
)

// around is what a test does to a commit.
type around struct {
	before []string             // the command that runs the plugin, such as strace -f
	env    []string             // of libzypp
	args   []string             // of libzypp
	user   *syscall.Credential  // the user that libzypp runs as, if not root
	frame  func(command string) // called before a frame is sent
	plugin string               // its path, if it is another one
	steps  int                  // number of steps of the commit, if more than one
}

// lists are the step lists of a commit: as announced, and as libzypp claims to have done them.
func (a around) lists() (begin, end string) {
	if a.steps == 0 {
		return announced, claimed
	}
	step := func(stage string) string {
		var list []string
		for i := range a.steps {
			list = append(list, fmt.Sprintf(`{"solvable":{"a":"x86_64","n":"kernel-default-%d","r":"1","v":"6.4.0"},%s"type":"M"}`, i, stage))
		}
		return `{"TransactionStepList":[` + strings.Join(list, ",") + `]}`
	}
	return step(""), step(`"stage":"ok",`)
}

// commit plays libzypp's side of a commit whose userdata is name, and returns what the plugin wrote
// to stderr. All frames must be acknowledged in time. A shell plays libzypp: it lives as long as
// the commit.
func (m *machine) commit(name string, a around) (stderr string) {
	m.Helper()
	run := strings.Join(append(a.before, cmp.Or(a.plugin, pluginPath)), " ") + "; exit"
	cmd := m.command("/bin/sh", append([]string{"-c", run, "zypper"}, a.args...)...)
	cmd.Env = append(cmd.Env, a.env...)
	cmd.SysProcAttr.Credential = a.user
	in, err := cmd.StdinPipe()
	m.check(err)
	out, answers, err := os.Pipe()
	m.check(err)
	defer out.Close()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = answers, &log
	m.check(cmd.Start())
	answers.Close()
	acked := speak(in, out, name, a)
	in.Close()
	if err := cmd.Wait(); err != nil {
		m.Errorf("commit %s: the plugin ended with %v", name, err)
	}
	if want := "PLUGINBEGIN COMMITBEGIN COMMITEND PLUGINEND _DISCONNECT"; acked != want {
		m.Errorf("commit %s: acknowledged %q, want %q; stderr %q", name, acked, want, log.String())
	}
	return log.String()
}

// speak sends the frames of a commit and returns which were acknowledged.
func speak(in io.Writer, out *os.File, name string, a around) string {
	answers := bufio.NewReader(out)
	begin, end := a.lists()
	var acked []string
	for _, f := range [][2]string{
		{"PLUGINBEGIN", "userdata:" + name + "\n\n"}, {"COMMITBEGIN", "\n" + begin}, {"COMMITEND", "\n" + end}, {"PLUGINEND", "\n"}, {"_DISCONNECT", "\n"},
	} {
		if a.frame != nil {
			a.frame(f[0])
		}
		io.WriteString(in, f[0]+"\n"+f[1]+"\x00")
		out.SetReadDeadline(time.Now().Add(patience))
		if answer, _ := answers.ReadString(0); answer == "ACK\n\n\x00" {
			acked = append(acked, f[0])
		}
	}
	return strings.Join(acked, " ")
}

// strace returns the command that makes system calls of a program fail. paths limits it to calls on
// these files.
func strace(calls, fault string, paths ...string) []string {
	cmd := []string{"/usr/bin/strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=" + calls, "-e", "inject=" + calls + ":" + fault}
	if len(paths) > 0 { // a filter by path needs every call
		cmd = slices.DeleteFunc(cmd, func(s string) bool { return s == "--seccomp-bpf" })
	}
	for _, path := range paths {
		cmd = append(cmd, "-P", path)
	}
	return cmd
}

// room mounts a small file system over a folder, with its content, and this many free pages.
func (m *machine) room(dir string, pages int) {
	m.Helper()
	held := m.TempDir()
	m.copy(m.root+dir, held)
	m.mount("tmpfs", dir, "tmpfs", 0, "mode=0750,size=16m")
	m.copy(held, m.root+dir)
	m.write(dir+"/ballast", "size=0 would be no limit")
	m.resize(dir, pages)
}

// resize leaves this many free pages of 4 KiB.
func (m *machine) resize(dir string, pages int) {
	m.Helper()
	var st syscall.Statfs_t
	m.check(syscall.Statfs(m.root+dir, &st))
	size := (int64(st.Blocks-st.Bfree) + int64(pages)) * st.Bsize
	m.check(syscall.Mount("tmpfs", m.root+dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", size)))
}

// copy copies what is in a folder, with modes and owners.
func (m *machine) copy(from, to string) {
	m.Helper()
	m.check(os.MkdirAll(from, 0o750))
	if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		m.Fatalf("copying %q: %v\n%s", from, err, out)
	}
}

// readOnly mounts a folder read-only.
func (m *machine) readOnly(dir string) {
	m.Helper()
	m.mount(m.root+dir, dir, "", syscall.MS_BIND, "")
	m.check(syscall.Mount("", m.root+dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
}

// undo takes the last mount away.
func (m *machine) undo() {
	m.Helper()
	last := len(m.mounts) - 1
	m.check(syscall.Unmount(m.mounts[last], syscall.MNT_DETACH))
	m.mounts = m.mounts[:last]
}
