package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// delayLimit is how much longer a commit may take while the record is held, quietLimit the same
	// for one without a tracked package. Users are promised both.
	delayLimit = 5 * time.Second
	quietLimit = 300 * time.Millisecond
)

// holdReading: a member of the record's group reads the record and does not end. zypper hardly
// waits, messages name the reader, and nothing is lost.
func holdReading(p *pair) {
	l := p.audited
	p.mustZypper("in", oldKernel, livepatch+"="+patch1)
	free, freeOther := l.takes("in", livepatch+"="+patch2), l.otherCommits()

	pid, release := l.readWithoutEnd()
	holder := fmt.Sprintf("process %d (sqlite3)", pid)
	if took := l.takes("in", livepatch+"="+patch3); took > free+delayLimit {
		p.Errorf("a commit took %v with the record held, %v without", took, free)
	}
	took := l.otherCommits()
	for try := 0; took > freeOther+quietLimit && try < 5; try++ { // the machine may be busier than before
		took = min(took, l.otherCommits())
	}
	if took > freeOther+quietLimit {
		p.Errorf("a commit without tracked packages took %v with the record held, %v without", took, freeOther)
	}
	if said := strings.Join(l.complaints(), "\n"); !strings.Contains(said, holder) {
		p.Errorf("the plugin does not name %s:\n%s", holder, said)
	}
	for _, args := range [][]string{{"check", "--only", "integrity"}, {"status"}} {
		if got := l.run("/usr/bin/klp-audit", args...); !strings.Contains(flat(got.out), holder) {
			p.Errorf("klp-audit %s does not name %s:\n%s", args, holder, got.out)
		}
	}
	release()

	p.history(
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		row{Action: "install", Package: livepatch, Version: patch1},
		row{Action: "upgrade", Package: livepatch, Version: patch2, Previous: patch1, Advisories: []string{advisory},
			CVEsAdded: []string{"CVE-2024-53042"}, BugsAdded: []string{"bsc#1233678"}},
		upgraded(patch3, "ok", "completed"),
	)
}

// takes runs zypper, which must succeed, and returns how long its user waited.
func (l *lab) takes(args ...string) time.Duration {
	l.t.Helper()
	started := time.Now()
	r := l.start(l.zypper(args...))
	err := r.cmd.Wait()
	took := time.Since(started)
	if err != nil {
		l.t.Fatalf("zypper %q: %v\n%s", args, err, r.output())
	}
	l.await("the end of everything in the lab", l.quiet)
	return took
}

// otherCommits is how long a commit without a tracked package takes: the shortest of several,
// because the machine does other things, too.
func (l *lab) otherCommits() time.Duration {
	l.t.Helper()
	best := patience
	for range 4 {
		for _, args := range [][]string{{"in", "lab-tool=1"}, {"rm", "lab-tool"}} {
			if took := l.takes(args...); args[0] == "in" {
				best = min(best, took)
			}
		}
	}
	return best
}

// readWithoutEnd starts to read the record as a member of its group, and returns the reader's pid.
func (l *lab) readWithoutEnd() (pid int, release func()) {
	l.t.Helper()
	shared := filepath.Dir(filepath.Dir(l.t.TempDir())) // shared with other tests
	for dir := l.root; dir != shared; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // a test's own folders are closed to other users
			l.t.Fatal(err)
		}
	}
	cmd := exec.Command("sqlite3", "-readonly", l.root+recordDB)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 0}}
	release = l.hold(cmd, "BEGIN;\nSELECT count(*) > 0 FROM events;\n")
	return cmd.Process.Pid, release
}

// flat is a text without its line breaks.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

// hold starts sqlite3 with statements, the last of which prints a line, and leaves it there until
// the returned function is called.
func (l *lab) hold(cmd *exec.Cmd, statements string) (release func()) {
	l.t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	if _, err := stdin.Write([]byte(statements)); err != nil {
		l.t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		l.t.Fatalf("holding the record: %q, %v", line, err)
	}
	return func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			l.t.Errorf("releasing the record: %v", err)
		}
	}
}
