package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/recorder"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// roleEnv is set when this test program plays libzypp: a process that speaks its side, and ends.
// The value is the folder of the programs.
const roleEnv = "KLP_AUDIT_TEST_LIBZYPP"

func TestMain(m *testing.M) {
	if bin := os.Getenv(roleEnv); bin != "" {
		playLibzypp(bin)
		os.Exit(0)
	}
	os.Exit(run(m))
}

// shipped is the folder where build puts the programs.
var shipped string

func run(m *testing.M) int {
	var err error
	if shipped, err = os.MkdirTemp("", "klp-audit-plugin-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(shipped)
	return m.Run()
}

var built bool

// build builds the programs as they are shipped, once, and returns their folder.
func build(t *testing.T) (bin string) {
	t.Helper()
	if !built {
		execute(t, "make", "-s", "-C", "../..", "build", "OUT="+shipped)
		built = true
	}
	return shipped
}

// pluginCall runs the plugin, which records below root.
func pluginCall(bin, root string) *exec.Cmd {
	return exec.Command(filepath.Join(bin, "klp-audit-plugin"), "--recorder", filepath.Join(bin, "klp-audit-recorder"), "--root", root)
}

const (
	killRuns = 100
	seed     = 20261123
	toggled  = "kernel-livepatch-6_4_0-150600_23_42-default"
)

// talk gives the plugin frames and returns its answers and what it wrote to stderr.
func talk(t *testing.T, cmd *exec.Cmd, frames string) (answers, stderr string) {
	t.Helper()
	var complaint strings.Builder
	cmd.Stdin, cmd.Stderr = strings.NewReader(frames), &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%q: %v", cmd.Args, err)
	}
	return strings.ReplaceAll(string(out), "\n\n\x00", " "), complaint.String()
}

const (
	begun = "PLUGINBEGIN\nuserdata:ticket 7\n\n\x00COMMITBEGIN\n\n"
	list  = `{"TransactionStepList":[{"solvable":{"a":"noarch","n":"` + toggled + `","r":"1","v":"2"},"type":"+"}]}`
	over  = "\x00COMMITEND\n\n" + list + "\x00PLUGINEND\n\n\x00_DISCONNECT\n\n\x00"
)

// No signal to zypper's process group ends the plugin, not even while it becomes the recorder.
func TestSignalsWhileItBecomesTheRecorder(t *testing.T) {
	bin := build(t)
	zypper := exec.Command("sh", "-c", "trap '' TERM QUIT INT HUP; exec sleep 1h")
	zypper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := zypper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { zypper.Process.Kill(); zypper.Wait() }()
	for range 10 {
		root := t.TempDir()
		if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
			t.Fatal(err)
		}
		var complaint strings.Builder
		cmd := pluginCall(bin, root)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: zypper.Process.Pid}
		cmd.Stderr = &complaint
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		frame, answers := strings.SplitAfter(begun+list+over, "\x00"), bufio.NewReader(out)
		io.WriteString(in, frame[0])
		answers.ReadString(0) // it ignores signals by now
		io.WriteString(in, frame[1])
		for end := time.Now().Add(40 * time.Millisecond); time.Now().Before(end); {
			for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT, syscall.SIGHUP} {
				syscall.Kill(-zypper.Process.Pid, s)
			}
		}
		io.WriteString(in, strings.Join(frame[2:], ""))
		rest, _ := io.ReadAll(answers)
		if err := cmd.Wait(); err != nil || strings.Count(string(rest), "ACK\n\n\x00") != 4 {
			t.Fatalf("%v, %q\n%s", err, rest, &complaint)
		}
	}
}

// If no file can be made in memory, what was read is kept elsewhere.
func TestHiddenFileIsReadable(t *testing.T) {
	fd, err := hidden([]byte("what was read"))
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "hidden")
	defer f.Close()
	got, err := io.ReadAll(f)
	if string(got) != "what was read" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// The recorder continues where the plugin stopped, in the same process: it knows the user data,
// answers no frame twice, and its parent is libzypp.
func TestRecorderGoesOn(t *testing.T) {
	root := t.TempDir()
	if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	answers, stderr := talk(t, pluginCall(build(t), root), begun+list+over)
	if answers != "ACK ACK ACK ACK ACK " || stderr != "" {
		t.Errorf("answers %q, stderr %q", answers, stderr)
	}
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for row, err := range s.History(t.Context(), record.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if *row.UserData != "ticket 7" || *row.Actor.Exe != exe {
			t.Errorf("user data %q, done by %q", *row.UserData, *row.Actor.Exe)
		}
		return
	}
	t.Error("nothing is recorded")
}

// Whatever is wrong with the recorder, zypper gets its answers, and its log says why nothing is
// recorded. A full message pipe delays nobody.
func TestRecorderThatCannotBeExecuted(t *testing.T) {
	bin, dir := build(t), t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, path := range map[string]string{
		"missing": filepath.Join(dir, "missing"), "not executable": write("mode", "\x7fELF", 0o644), "empty": write("empty", "", 0o755),
		"damaged": write("damaged", "\x7fELF\x02\x01\x01", 0o755), "no program": write("text", "hello", 0o755), "a folder": dir,
	} {
		cmd := exec.Command(filepath.Join(bin, "klp-audit-plugin"), "--recorder", path)
		answers, stderr := talk(t, cmd, begun+list+over)
		if answers != "ACK ACK ACK ACK ACK " || !strings.Contains(stderr, path) || len(stderr) > 4<<10 {
			t.Errorf("%s: answers %q, stderr %q", name, answers, stderr)
		}
	}
	cmd := exec.Command(filepath.Join(bin, "klp-audit-plugin"), "--recorder", dir)
	cmd.Stdin, cmd.Stderr = strings.NewReader(begun+list+over), fullPipe(t)
	if out, err := cmd.Output(); err != nil || strings.Count(string(out), "ACK") != 5 {
		t.Errorf("stderr is full: answers %q, %v", out, err)
	}
}

// fullPipe is a full, non-blocking pipe, as libzypp makes it for messages.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	var fds [2]int
	err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	r, w, fd := os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w"), fds[1]
	t.Cleanup(func() { r.Close(); w.Close() })
	if err := syscall.SetNonblock(fd, true); err != nil { // only now, because os/exec makes it blocking
		t.Fatal(err)
	}
	for err == nil {
		_, err = syscall.Write(fd, make([]byte, 4<<10))
	}
	return w
}

// DISABLE_KLP_AUDIT_PLUGIN keeps the answers, but starts no recorder.
func TestDisabled(t *testing.T) {
	root := t.TempDir()
	cmd := pluginCall(build(t), root)
	cmd.Env = append(os.Environ(), "DISABLE_KLP_AUDIT_PLUGIN=1")
	if answers, stderr := talk(t, cmd, begun+list+over); answers != "ACK ACK ACK ACK ACK " || stderr != "" {
		t.Errorf("answers %q, stderr %q", answers, stderr)
	}
	if entries, _ := os.ReadDir(root); len(entries) != 0 {
		t.Errorf("files %v", entries)
	}
}

// The plugin is killed at a random moment, from its start to its end, in many commits with a live
// patch. Afterwards each commit whose COMMITBEGIN was acknowledged is in the record exactly once,
// with an end; the views match the events; and nothing is left in the spool.
func TestKilledAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("100 commits take ten seconds")
	}
	root, pkg := labRoot(t)
	bin := build(t)
	rnd := rand.New(rand.NewPCG(seed, 0))
	acked, ended := map[string]bool{}, map[string]bool{}
	whole := wholeCommit(t, bin, root, pkg)
	for i := range killRuns {
		name := fmt.Sprintf("run-%d", i)
		delay := time.Duration(rnd.Int64N(int64(whole) * 3 / 2)) // some are not killed
		for _, command := range commit(t, bin, root, pkg, name, delay) {
			acked[name] = acked[name] || command == "COMMITBEGIN"
			ended[name] = ended[name] || command == "COMMITEND"
		}
	}
	t.Logf("%d begins and %d ends acknowledged in %d commits", len(trueOf(acked)), len(trueOf(ended)), killRuns)
	if n := len(trueOf(acked)); n == 0 || len(trueOf(ended)) == killRuns {
		t.Fatalf("%d of %d begins acknowledged: the kills hit nothing", n, killRuns)
	}
	rec := recorder.New(root, "test", os.Getenv, os.Stderr)
	if err := rec.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkRecord(t, root, acked, ended)
}

// wholeCommit is how long a commit takes on this machine if nobody kills the plugin.
func wholeCommit(t *testing.T, bin, root, pkg string) time.Duration {
	t.Helper()
	var longest time.Duration
	for i := range 4 {
		start := time.Now()
		commit(t, bin, root, pkg, fmt.Sprintf("whole-%d", i), time.Hour)
		longest = max(longest, time.Since(start))
	}
	return longest
}

func trueOf(m map[string]bool) (keys []string) {
	for k, v := range m {
		if v {
			keys = append(keys, k)
		}
	}
	return keys
}

// checkRecord compares the record with what was acknowledged.
func checkRecord(t *testing.T, root string, acked, ended map[string]bool) {
	t.Helper()
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	commits, outcome := map[string]map[string]bool{}, map[string]record.Outcome{}
	drifts := 0
	for row, err := range s.History(t.Context(), record.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Source == "drift" { // from a commit whose plugin was killed before it had begun
			drifts++
			continue
		}
		name := *row.UserData
		if commits[name] == nil {
			commits[name] = map[string]bool{}
		}
		commits[name][*row.Commit] = true
		if row.Outcome != nil {
			outcome[name] = *row.Outcome
		}
	}
	if most := killRuns - len(trueOf(acked)); drifts > most {
		t.Errorf("%d changes outside of commits, but only %d commits were not acknowledged", drifts, most)
	}
	for _, name := range trueOf(acked) {
		if n := len(commits[name]); n != 1 {
			t.Errorf("%s: in the record %d times", name, n)
		}
		switch o := outcome[name]; {
		case ended[name] && o != record.OutcomeCompleted:
			t.Errorf("%s: outcome %q although its end was acknowledged", name, o)
		case o != record.OutcomeCompleted && o != record.OutcomeInterrupted:
			t.Errorf("%s: outcome %q", name, o)
		}
	}
	v, err := s.Verify(t.Context(), "")
	if err != nil || v.Result != proof.Intact {
		t.Errorf("verify: %+v, %v", v, err)
	}
	if n := store.Waiting(root); n != 0 {
		t.Errorf("%d events left in the spool", n)
	}
}

// labRoot makes a file tree with an empty rpm database and returns it with a live patch package.
func labRoot(t *testing.T) (root, pkg string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("rpm --root is for root")
	}
	root = t.TempDir()
	if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	spec := filepath.Join(root, "toggled.spec")
	text := "Name: " + toggled + "\nVersion: 2\nRelease: 150600.13.6.1\nSummary: s\nLicense: GPL-2.0\nBuildArch: noarch\n" +
		"%description\n%files\n%changelog\n* Tue May 13 2025 a@example.com\n- Fix for CVE-2024-50115 (\"x\")\n  KLP: CVE-2024-50115\n- commit 0b03f28\n"
	if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	execute(t, "env", "HOME=/root", "rpm", "--root", root, "--initdb")
	execute(t, "env", "HOME=/root", "rpmbuild", "-bb", "--define", "_topdir "+root+"/build", "--define", "_rpmdir "+root, spec)
	return root, filepath.Join(root, "noarch", toggled+"-2-150600.13.6.1.noarch.rpm")
}

func execute(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// commit runs one commit in its own libzypp process, which kills its plugin after a delay, and
// returns the commands that the plugin acknowledged.
func commit(t *testing.T, bin, root, pkg, name string, delay time.Duration) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0], root, pkg, name, delay.String())
	cmd.Env = append(os.Environ(), roleEnv+"="+bin, "HOME=/root")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return strings.Fields(string(out))
}

// playLibzypp is a libzypp that installs the package, or removes it if it is installed. Like
// libzypp, it goes on when its plugin is gone.
func playLibzypp(bin string) {
	root, pkg, name := os.Args[1], os.Args[2], os.Args[3]
	delay, _ := time.ParseDuration(os.Args[4])
	cmd := pluginCall(bin, root)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	time.AfterFunc(delay, func() { cmd.Process.Kill() })
	action, step := rpmAction(root, pkg)
	answers := bufio.NewReader(out)
	send := func(command, body string) {
		io.WriteString(in, command+"\n"+body+"\x00")
		if a, _ := answers.ReadString(0); strings.HasPrefix(a, "ACK\n") {
			fmt.Println(command)
		}
	}
	send("PLUGINBEGIN", "userdata:"+name+"\n\n")
	send("COMMITBEGIN", "\n"+fmt.Sprintf(step, ""))
	if err := action.Run(); err != nil {
		fmt.Fprintln(os.Stderr, action, err)
		os.Exit(1)
	}
	send("COMMITEND", "\n"+fmt.Sprintf(step, `"stage":"ok",`))
	send("PLUGINEND", "\n")
	send("_DISCONNECT", "\n")
	in.Close()
	cmd.Wait()
}

func rpmAction(root, pkg string) (action *exec.Cmd, step string) {
	const list = `{"TransactionStepList":[{"solvable":{"a":"noarch","n":"` + toggled + `","r":"150600.13.6.1","v":"2"},%%s"type":%q}]}`
	if exec.Command("rpm", "--root", root, "-q", toggled).Run() == nil {
		return exec.Command("rpm", "--root", root, "-e", toggled), fmt.Sprintf(list, "-")
	}
	return exec.Command("rpm", "--root", root, "-i", "--nodeps", pkg), fmt.Sprintf(list, "+")
}
