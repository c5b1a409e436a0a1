package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// result is how a command ended and what it printed.
type result struct {
	exit int
	out  string
}

// running is a command that was started in a lab.
type running struct {
	lab *lab
	cmd *exec.Cmd
	out *os.File // not a pipe: a child that outlives zypper would keep it open

	interrupted bool
}

// zypper prepares zypper as a script would call it.
func (l *lab) zypper(args ...string) *exec.Cmd {
	return l.command("/usr/bin/zypper", append([]string{"-n", "--no-gpg-checks"}, args...)...)
}

func (l *lab) start(cmd *exec.Cmd) *running {
	l.t.Helper()
	out, err := os.CreateTemp(l.t.TempDir(), "out")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { out.Close() })
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		l.t.Fatalf("starting %q: %v", cmd.Args, err)
	}
	return &running{lab: l, cmd: cmd, out: out}
}

// output is what the command has printed so far.
func (r *running) output() string {
	r.lab.t.Helper()
	text, err := os.ReadFile(r.out.Name())
	if err != nil {
		r.lab.t.Fatal(err)
	}
	return string(text)
}

// wait waits for the end of the command and of everything that it left running. After a kill by a
// signal the exit code is -1.
func (r *running) wait() result {
	r.lab.t.Helper()
	var exit *exec.ExitError
	if err := r.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		r.lab.t.Fatalf("running %q: %v\n%s", r.cmd.Args, err, r.output())
	}
	r.lab.await("the end of everything in the lab", r.lab.quiet)
	out := r.output()
	if r.interrupted {
		// Whether zypper can still print "done" or "error" is a race, with or without a plugin.
		out = progress.ReplaceAllString(out, "")
	}
	return result{exit: r.cmd.ProcessState.ExitCode(), out: out}
}

// interrupt is Ctrl-C at the terminal: every foreground process gets it.
func (r *running) interrupt() {
	r.interrupted = true
	r.signal(-r.cmd.Process.Pid, syscall.SIGINT)
}

// kill is kill -9 of zypper alone.
func (r *running) kill() { r.signal(r.cmd.Process.Pid, syscall.SIGKILL) }

// killAll ends zypper, the plugin and rpm at once, as a power cut does. The plugin is in its own
// process group.
func (r *running) killAll() {
	if recorder := childOf(r, "recorder"); recorder != 0 {
		r.signal(recorder, syscall.SIGKILL)
	}
	r.signal(-r.cmd.Process.Pid, syscall.SIGKILL)
}

func (r *running) signal(pid int, sig syscall.Signal) {
	r.lab.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		r.lab.t.Fatalf("sending %v to %d: %v", sig, pid, err)
	}
}

// closeGate makes the packages that wait for the gate stop there.
func (l *lab) closeGate() { l.write("/lab/gate", "") }

// openGate lets a stopped package go on.
func (l *lab) openGate() {
	l.t.Helper()
	if err := os.Remove(l.root + "/lab/gate"); err != nil {
		l.t.Fatal(err)
	}
}

// awaitGate returns when a package has reached the gate.
func (l *lab) awaitGate() {
	l.t.Helper()
	l.await("a package at the gate", func() bool { return l.exists("/lab/reached") })
}

// quiet reports that no process runs in the lab.
func (l *lab) quiet() bool {
	l.t.Helper()
	roots, err := filepath.Glob("/proc/[0-9]*/root")
	if err != nil {
		l.t.Fatal(err)
	}
	return !slices.ContainsFunc(roots, func(name string) bool {
		root, err := os.Readlink(name)
		return err == nil && root == l.root // an error: it has ended meanwhile
	})
}

func (l *lab) await(what string, done func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("waited 30 s in vain for %s", what)
		}
	}
}

// pair is two labs of the same system: everything is done in both, and whatever its user sees must
// be the same with and without the plugin.
type pair struct {
	*testing.T
	base    *base
	audited *lab
	plain   *lab
}

func newPair(t *testing.T, b *base) *pair {
	t.Helper()
	p := &pair{T: t, base: b, audited: newLab(t, b), plain: newLab(t, b)}
	b.kit.installPlugin(p.audited)
	return p
}

// zypper runs zypper in both labs.
func (p *pair) zypper(args ...string) result {
	p.Helper()
	return p.both(func(l *lab) result { return l.start(l.zypper(args...)).wait() })
}

// mustZypper is zypper where the story needs it to succeed.
func (p *pair) mustZypper(args ...string) {
	p.Helper()
	if got := p.zypper(args...); got.exit != 0 {
		p.Fatalf("zypper %q: exit %d, want 0\n%s", args, got.exit, got.out)
	}
}

// rpm installs packages of the repository without zypper's knowledge, to set a scene.
func (p *pair) rpm(nevra ...string) {
	p.Helper()
	args := []string{"-U", "--oldpackage", "--nodeps"}
	for _, name := range nevra {
		args = append(args, "/lab/repo/"+name+".rpm")
	}
	p.audited.mustRun("/usr/bin/rpm", args...)
	p.plain.mustRun("/usr/bin/rpm", args...)
}

// both does the same in both labs and compares what is visible from outside.
func (p *pair) both(act func(*lab) result) result {
	p.Helper()
	want, got := act(p.plain), act(p.audited)
	if got.exit != want.exit {
		p.Errorf("exit code with the plugin %d, without %d", got.exit, want.exit)
	}
	if diff := cmp.Diff(steady(want.out), steady(got.out)); diff != "" {
		p.Errorf("zypper's output changed (-without +with the plugin):\n%s", diff)
	}
	if diff := cmp.Diff(p.plain.installed(), p.audited.installed()); diff != "" {
		p.Errorf("installed packages differ (-without +with the plugin):\n%s", diff)
	}
	return got
}

var (
	// dots are zypper's progress: one dot for each update.
	dots = regexp.MustCompile(`(?m)(\[|^)\.+`)
	// progress is the whole progress output, wherever it was cut off.
	progress = regexp.MustCompile(`(?m)(\[\.*|^\.+)?(done|error)?\]?$`)
)

// steady removes from zypper's output what differs between runs.
func steady(out string) []string {
	return strings.Split(dots.ReplaceAllString(out, "$1."), "\n")
}
