package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// mostTasks is how many tasks the plugin and everything it starts may have at a time; /bin/cat in
// its place has one. The goal is 8 more, and 10 to 12 were seen: recorder and observation are two
// Go programs with C parts, with 5 or 6 threads each. On a busy machine Go starts some more.
const mostTasks = 1 + 16

// TestFewTasks counts the tasks in a commit of a kernel and a live patch, with the observation.
func TestFewTasks(t *testing.T) {
	if os.Getenv(wanted) != "1" {
		t.Skip("the end-to-end tests need root and the real zypper: run `make test`")
	}
	l := newLab(t, newBase(t, newKit(t), "/").withPlugin(t))
	group := newCgroup(t, "pids")
	if _, err := os.Stat(group.file("pids.peak")); err != nil {
		t.Skipf("this kernel does not say how many tasks there were: %v", err)
	}
	p := l.talkTo(group.enter(l.command(pluginPath)))
	steps := "{\n\"TransactionStepList\": [" + stepOf("M", oldKernel) + ", " + stepOf("+", livepatch+"="+patch1) + "]\n}"
	p.say("PLUGINBEGIN\n\n", "COMMITBEGIN\n\n"+steps)
	execute(t, "chroot", l.root, "/usr/bin/rpm", "-i", "--nodeps", fileOf(oldKernel), fileOf(livepatch+"="+patch1))
	p.say("COMMITEND\n\n"+steps, "PLUGINEND\n\n", "_DISCONNECT\n\n")
	p.end()
	if out := l.mustRun("/usr/bin/klp-audit", "verify"); !strings.Contains(out, "INTACT: 4 events") || l.exists("/run/klp-audit/observe") {
		t.Errorf("the commit was not recorded and observed: %s", out)
	}
	peak, err := os.ReadFile(group.file("pids.peak"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(peak)))
	t.Logf("%d tasks at a time", n)
	if err != nil || n > mostTasks {
		t.Errorf("%d tasks at a time, want at most %d (%v)", n, mostTasks, err)
	}
}

// dialog is libzypp's side of a session with a plugin.
type dialog struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr strings.Builder
}

// talkTo starts a plugin.
func (l *lab) talkTo(cmd *exec.Cmd) *dialog {
	l.t.Helper()
	d := &dialog{t: l.t, cmd: cmd}
	cmd.Stderr = &d.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	d.in, d.out = in, bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	return d
}

// say sends frames and waits for the answer to each.
func (d *dialog) say(frames ...string) {
	d.t.Helper()
	for _, f := range frames {
		if _, err := io.WriteString(d.in, f+"\x00"); err != nil {
			d.t.Fatalf("%q: %v", f, err)
		}
		if answer, err := d.out.ReadString(0); answer != "ACK\n\n\x00" || err != nil {
			d.t.Fatalf("%q: answer %q, %v\n%s", f, answer, err, &d.stderr)
		}
	}
}

// end waits until the plugin has ended, without an error message.
func (d *dialog) end() {
	d.t.Helper()
	d.in.Close()
	if err := d.cmd.Wait(); err != nil || d.stderr.Len() > 0 {
		d.t.Fatalf("%v, %q", err, &d.stderr)
	}
}

// stepOf is a step of a commit as libzypp writes it, for name=version-release.
func stepOf(kind, pkg string) string {
	name, evr, _ := strings.Cut(pkg, "=")
	version, release, _ := strings.Cut(evr, "-")
	return fmt.Sprintf("{\n\"solvable\": {\n\"a\": %q,\n\"n\": %q,\n\"r\": %q,\n\"v\": %q\n},\n\"type\": %q\n}", "x86_64", name, release, version, kind)
}

// fileOf is the file of name=version-release in the repository.
func fileOf(pkg string) string {
	return "/lab/repo/" + strings.Replace(pkg, "=", "-", 1) + ".x86_64.rpm"
}
