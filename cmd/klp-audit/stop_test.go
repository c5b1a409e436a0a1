package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/stop"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// longWork is a machine with so much on record that all work on it takes a while, and what is around it.
type longWork struct {
	*testing.T
	root, temp, out, export, history string
}

func newLongWork(t *testing.T) *longWork {
	dir := t.TempDir()
	w := &longWork{t, filepath.Join(dir, "machine"), filepath.Join(dir, "tmp"), filepath.Join(dir, "out"), filepath.Join(dir, "export.jsonl"), filepath.Join(dir, "history")}
	for _, d := range []string{w.root, w.temp, w.out} {
		w.check(os.Mkdir(d, 0o755))
	}
	s, err := store.Open(t.Context(), w.root, "1.0.0")
	w.check(err)
	var events []*record.Event
	for i := range 150 {
		c := commit{Time: record.At(time.Date(2015, 1, 1+i, 0, 0, 0, 0, time.UTC)), Outcome: record.OutcomeCompleted, Repeat: 100, Changes: []record.Change{
			{Kind: record.PackageKernel, Action: record.ActionInstall, Package: "kernel-default", Arch: "x86_64", Version: "1-1", Result: record.ResultOK}}}
		events = append(events, c.events(w.root)...)
	}
	w.check(errors.Join(s.Append(t.Context(), events...), s.Close()))
	var history bytes.Buffer
	for i := range 2000 {
		at := time.Date(2010, 1, 1, i, 0, 0, 0, time.UTC).Format("2006-01-02 15:04:05")
		fmt.Fprintf(&history, "%s|command|root@db01|'zypper' 'in' 'kernel-default'|\n%s|install|kernel-default|1-%d|x86_64|root@db01|repo|0|\n", at, at, i+1)
	}
	w.check(os.WriteFile(w.history, history.Bytes(), 0o644))
	if out, err := w.command("export", "--root", w.root, "-o", w.export).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.check(os.WriteFile(filepath.Join(w.out, "result"), []byte("of an earlier run"), 0o644))
	return w
}

func (w *longWork) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *longWork) command(args ...string) *exec.Cmd {
	cmd := exec.Command("klp-audit", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+w.temp)
	return cmd
}

// story is work that takes long, and a file that is there while it goes on.
type story struct {
	name  string
	args  []string
	midst string
}

func (w *longWork) stories() []story {
	left := filepath.Join(w.temp, ".klp-audit-*")
	writing := store.Path(w.root) + "-journal"
	result := filepath.Join(w.out, "result")
	return []story{
		{"verify", []string{"verify", "--root", w.root}, left},
		{"rebuild", []string{"rebuild", "--root", w.root}, writing},
		{"import", []string{"import", "--root", w.root, w.history}, writing},
		{"export", []string{"export", "--root", w.root, "-o", result}, filepath.Join(w.out, ".klp-audit-*")},
		{"copy", []string{"export", "--root", w.root, "--copy", filepath.Join(w.out, "copy")}, left},
		{"checkpoint", []string{"export", "--input", w.export, "--checkpoint", filepath.Join(w.out, "checkpoint")}, left},
		{"status", []string{"status", "--input", w.export}, left},
		{"report", []string{"report", "--input", w.export, "-o", result}, left},
		{"section", []string{"report", "cve", "--input", w.export, "--format", "html", "-o", result}, left},
		{"papers", []string{"report", "--root", w.root, "--bundle", result}, left},
		{"prune", []string{"prune", "--root", w.root, "--keep", "2015-04-01", "--yes"}, writing},
	}
}

// start starts a command that gives way to this test, which looks at it all the time: on a busy machine
// it would be done before.
func (w *longWork) start(cmd *exec.Cmd) {
	w.Helper()
	w.check(cmd.Start())
	w.check(syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, 19))
}

// inTheMidst starts a story and does something while it goes on.
func (w *longWork) inTheMidst(s story, cmd *exec.Cmd, do func(*os.Process)) {
	w.Helper()
	w.start(cmd)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		if found, _ := filepath.Glob(s.midst); len(found) > 0 {
			do(cmd.Process)
			<-ended
			return
		}
		select {
		case err := <-ended:
			w.Fatalf("%s ended before it was seen: %v", s.name, err)
		case <-time.After(time.Millisecond):
		}
	}
}

// files are all below some folders, with what is in them.
func (w *longWork) files(dirs ...string) map[string]string {
	w.Helper()
	found := map[string]string{}
	for _, dir := range dirs {
		w.check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			found[path] = string(text)
			return err
		}))
	}
	return found
}

// unchanged compares the files beside the record with those of before.
func (w *longWork) unchanged(what string, before map[string]string) {
	w.Helper()
	after := w.files(w.temp, w.out)
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if text, ok := before[path]; !ok || text != after[path] {
			w.Errorf("%s: %s is new or changed", what, path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			w.Errorf("%s: %s is gone", what, path)
		}
	}
	if left, err := os.ReadDir(w.temp); err != nil || len(left) > 0 {
		w.Errorf("%s: left in the temporary folder: %v, %v", what, left, err)
	}
}

// What takes long leaves nothing behind, however it ends, and says on a terminal how far it is.
func TestLongWork(t *testing.T) {
	w := newLongWork(t)
	for name, test := range map[string]func(*testing.T, *longWork){"stopped": stoppedWork, "killed": killedWork, "held": heldWork, "unread": unreadWork, "unseen": unseenWork} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.T = t
			test(t, &w)
		})
	}
	t.Run("seen", func(t *testing.T) { // changes the record
		w := *w
		w.T = t
		seenWork(t, &w)
	})
}

// Whoever presses Ctrl-C, closes the terminal or ends the service finds all as it was.
func stoppedWork(t *testing.T, w *longWork) {
	before, record := w.files(w.temp, w.out), w.exported()
	for i, s := range w.stories() {
		sig := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}[i%3]
		what := s.name + ", " + unix.SignalName(sig)
		cmd := w.command(s.args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		w.inTheMidst(s, cmd, func(p *os.Process) { w.check(p.Signal(sig)) })
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != sig {
			t.Errorf("%s: ended by %v", what, cmd.ProcessState)
		}
		if got, want := stderr.String(), "klp-audit: stopped by "+unix.SignalName(sig)+"\n"; got != want {
			t.Errorf("%s: said %q, want %q", what, got, want)
		}
		w.unchanged(what, before)
		w.intact(what, record)
	}
}

// What is killed leaves something behind, but not for longer than until the next run.
func killedWork(t *testing.T, w *longWork) {
	before, record := w.files(w.temp, w.out), w.exported()
	for _, s := range w.stories() {
		w.inTheMidst(s, w.command(s.args...), func(p *os.Process) { w.check(p.Kill()) })
		if left, _ := filepath.Glob(s.midst); len(left) == 0 {
			t.Errorf("%s: nothing is left, so this shows nothing", s.name)
		}
		w.must("rebuild", "--root", w.root)
		w.intact(s.name, record) // which writes into the same folder
		w.unchanged(s.name, before)
	}
}

// must runs a command that must be done, and returns what it prints.
func (w *longWork) must(args ...string) string {
	w.Helper()
	out, err := w.command(args...).CombinedOutput()
	if err != nil {
		w.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// intact checks that the record is what it was, and that nothing of another writer is there any more.
func (w *longWork) intact(what, record string) {
	w.Helper()
	if left, _ := filepath.Glob(store.Path(w.root) + "-*"); len(left) > 0 {
		w.Errorf("%s: %q is left", what, left)
	}
	if out := w.must("verify", "--root", w.root); !strings.Contains(out, "INTACT") {
		w.Errorf("%s, then verify: %s", what, out)
	}
	if got := w.exported(); got != record {
		w.Errorf("%s: the record is another one", what)
	}
}

// exported is the record, exported into a file that is gone then.
func (w *longWork) exported() string {
	w.Helper()
	path := filepath.Join(w.out, "exported")
	w.must("export", "--root", w.root, "-o", path)
	text, err := os.ReadFile(path)
	w.check(errors.Join(err, os.Remove(path)))
	return string(text)
}

// Another run takes nothing away from one that goes on.
func heldWork(t *testing.T, w *longWork) {
	s := w.stories()[0]
	cmd := w.command(s.args...)
	w.inTheMidst(s, cmd, func(*os.Process) { w.must("version") })
	if !cmd.ProcessState.Success() {
		t.Errorf("verify beside another run: %v", cmd.ProcessState)
	}
}

// A reader that reads only the beginning ends it as it ends other programs, and nothing is left.
func unreadWork(t *testing.T, w *longWork) {
	before := w.files(w.temp, w.out)
	r, out, err := os.Pipe()
	w.check(err)
	r.Close()
	cmd := w.command("report", "history", "--input", w.export, "--format", "csv")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &stderr
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != stop.Exit+int(syscall.SIGPIPE) || stderr.Len() > 0 {
		t.Errorf("%v: %s", err, &stderr)
	}
	w.unchanged("SIGPIPE", before)
}

// pseudoTerminal opens the two ends of a terminal of 60 columns.
func pseudoTerminal(t *testing.T) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 60})); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return screen, terminal
}

// Who presses Ctrl-C instead of an answer has answered.
func TestStoppedAtQuestion(t *testing.T) {
	root := t.TempDir()
	s, err := store.Open(t.Context(), root, "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	old := commit{Time: record.At(time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)), Outcome: record.OutcomeCompleted}
	if err := errors.Join(s.Append(t.Context(), old.events(root)...), s.Close()); err != nil {
		t.Fatal(err)
	}
	screen, terminal := pseudoTerminal(t)
	cmd := exec.Command("klp-audit", "prune", "--root", root, "--keep", "2020-01-01")
	cmd.Stdin, cmd.Stderr, cmd.SysProcAttr = terminal, terminal, &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	var shown []byte
	for buf := make([]byte, 1000); ; {
		n, err := screen.Read(buf)
		if shown = append(shown, buf[:n]...); err != nil {
			break
		}
		if bytes.HasSuffix(shown, []byte("[y/N] ")) {
			screen.WriteString("\x03")
		}
	}
	cmd.Wait()
	// What it says then the terminal may throw away, with all else that nobody has read at a Ctrl-C.
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT || !bytes.Contains(shown, []byte("[y/N] ")) {
		t.Errorf("%v: %s", cmd.ProcessState, shown)
	}
}

// Ctrl-C is the pager's while there is one: who presses it twice still has a pager, and then a shell, to themselves.
func TestStoppedInPager(t *testing.T) {
	if _, err := exec.LookPath("less"); err != nil {
		t.Skip(err)
	}
	screen, terminal := pseudoTerminal(t)
	cmd := exec.Command("klp-audit", "report", "--help")
	cmd.Env = append(os.Environ(), "TERM=xterm", "KLP_AUDIT_PAGER=less", "LESS=X")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	var shown []byte
	pressed := false
	for buf := make([]byte, 1000); ; {
		n, err := screen.Read(buf)
		if shown = append(shown, buf[:n]...); err != nil {
			break
		}
		if pressed || bytes.Count(shown, []byte("\n")) < 20 {
			continue
		}
		pressed = true
		for _, key := range []string{"\x03", "\x03", "q"} {
			screen.WriteString(key)
			time.Sleep(200 * time.Millisecond)
		}
	}
	cmd.Wait()
	if !pressed || !cmd.ProcessState.Success() {
		t.Errorf("%v: %s", cmd.ProcessState, shown)
	}
}

// slowed runs a command in small steps, with long rests between them until enough says so: it takes longer than
// anybody waits without a word, and all of its work is seen.
func (w *longWork) slowed(cmd *exec.Cmd, enough func() bool) {
	w.Helper()
	w.start(cmd)
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	for {
		select {
		case <-ended:
			if !enough() {
				w.Errorf("%q ended before it was slow: %v", cmd.Args, cmd.ProcessState)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
		rest := 700 * time.Millisecond
		if enough() {
			rest = 30 * time.Millisecond
		}
		cmd.Process.Signal(syscall.SIGSTOP)
		time.Sleep(rest)
		cmd.Process.Signal(syscall.SIGCONT)
	}
}

// restless is enough of long rests, however slowly a command begins: four of them.
func restless() func() bool {
	left := 4
	return func() bool {
		left--
		return left < 0
	}
}

// onScreen reads all that a terminal is sent. Its enough says whether that is anything yet, its text waits for all.
func onScreen(screen io.Reader) (enough func() bool, text func() string) {
	var some atomic.Bool
	all := make(chan string)
	go func() {
		var shown []byte
		for buf := make([]byte, 1000); ; {
			n, err := screen.Read(buf)
			if shown = append(shown, buf[:n]...); len(shown) > 0 {
				some.Store(true)
			}
			if err != nil { // EIO: nobody has the terminal any more
				all <- string(shown)
				return
			}
		}
	}()
	return some.Load, func() string { return <-all }
}

// On a terminal long work shows itself in one line, which is gone at the end; nowhere else.
func seenWork(t *testing.T, w *longWork) {
	for _, s := range w.stories() {
		screen, terminal := pseudoTerminal(t)
		cmd := w.command(s.args...)
		cmd.Env = append(cmd.Env, "TERM=xterm")
		cmd.Stderr = terminal
		enough, shown := onScreen(screen)
		w.slowed(cmd, enough)
		terminal.Close()
		text := shown()
		if !strings.HasPrefix(text, "\rklp-audit: ") || !strings.Contains(text, "%\x1b[K") && s.name != "copy" {
			t.Errorf("%s shows %q", s.name, text)
		}
		if !strings.HasSuffix(text, "\r\x1b[K") {
			t.Errorf("%s leaves %q on the terminal", s.name, text)
		}
		if !cmd.ProcessState.Success() && s.name != "report" {
			t.Errorf("%s: %v", s.name, cmd.ProcessState)
		}
	}
}

// Nothing of it is in a pipe, on a terminal that knows only lines, or beside a pager.
func unseenWork(t *testing.T, w *longWork) {
	s := w.stories()[0]
	t.Run("stderr is a pipe", func(t *testing.T) {
		cmd := w.command(s.args...)
		var stderr bytes.Buffer
		cmd.Env, cmd.Stderr = append(cmd.Env, "TERM=xterm"), &stderr
		w.slowed(cmd, restless())
		if stderr.Len() > 0 {
			t.Errorf("%q", stderr.String())
		}
	})
	for name, c := range map[string]struct {
		term   string
		stdout io.Writer
	}{"dumb": {"dumb", nil}, "no TERM": {"", nil}, "a pager": {"xterm", new(bytes.Buffer)}} {
		t.Run(name, func(t *testing.T) {
			screen, terminal := pseudoTerminal(t)
			cmd := w.command(s.args...)
			cmd.Env = append(cmd.Env, "TERM="+c.term)
			cmd.Stdout, cmd.Stderr = c.stdout, terminal
			w.slowed(cmd, restless())
			terminal.Close()
			if shown, _ := io.ReadAll(screen); len(shown) > 0 {
				t.Errorf("%q", shown)
			}
		})
	}
}
