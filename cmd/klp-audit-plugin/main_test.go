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
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/plugin"
	"github.com/klp-audit/klp-audit/store"
)

// The roles that this test program plays besides that of the test.
const (
	rolePlugin  = "plugin"  // the real plugin, started by
	roleLibzypp = "libzypp" // a process that speaks libzypp's side, and ends
	roleEnv     = "KLP_AUDIT_TEST_ROLE"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case rolePlugin:
		main()
		os.Exit(0)
	case roleLibzypp:
		playLibzypp()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	killRuns = 300
	seed     = 20261123
	toggled  = "kernel-livepatch-6_4_0-150600_23_42-default"
)

// In 300 commits with a live patch the plugin is killed at a random moment, from its start
// to its end. Afterwards each commit whose COMMITBEGIN was acknowledged is in the record
// exactly once, with an end; the views are what the events say; and nothing is left in
// the spool.
func TestKilledAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("300 commits take half a minute")
	}
	root, pkg := labRoot(t)
	rnd := rand.New(rand.NewPCG(seed, 0))
	acked, ended := map[string]bool{}, map[string]bool{}
	whole := wholeCommit(t, root, pkg)
	for i := range killRuns {
		name := fmt.Sprintf("run-%d", i)
		delay := time.Duration(rnd.Int64N(int64(whole) * 3 / 2)) // some are not killed
		for _, command := range commit(t, root, pkg, name, delay) {
			acked[name] = acked[name] || command == "COMMITBEGIN"
			ended[name] = ended[name] || command == "COMMITEND"
		}
	}
	t.Logf("%d begins and %d ends acknowledged in %d commits", len(trueOf(acked)), len(trueOf(ended)), killRuns)
	if n := len(trueOf(acked)); n == 0 || len(trueOf(ended)) == killRuns {
		t.Fatalf("%d of %d begins acknowledged: the kills hit nothing", n, killRuns)
	}
	rec := plugin.NewRecorder(root, version, os.Getenv, os.Stderr)
	if err := rec.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkRecord(t, root, acked, ended)
}

// wholeCommit is how long a commit takes here and now that nobody kills.
func wholeCommit(t *testing.T, root, pkg string) time.Duration {
	t.Helper()
	var longest time.Duration
	for i := range 4 {
		start := time.Now()
		commit(t, root, pkg, fmt.Sprintf("whole-%d", i), time.Hour)
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

// checkRecord holds the record against what was acknowledged.
func checkRecord(t *testing.T, root string, acked, ended map[string]bool) {
	t.Helper()
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	commits, outcome := map[string]map[string]bool{}, map[string]store.Outcome{}
	drifts := 0
	for row, err := range s.History(t.Context(), store.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Source == "drift" { // of a commit whose plugin was killed before it had begun
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
		case ended[name] && o != store.OutcomeCompleted:
			t.Errorf("%s: outcome %q although its end was acknowledged", name, o)
		case o != store.OutcomeCompleted && o != store.OutcomeInterrupted:
			t.Errorf("%s: outcome %q", name, o)
		}
	}
	v, err := s.Verify(t.Context(), "")
	if err != nil || v.Result != store.Intact {
		t.Errorf("verify: %+v, %v", v, err)
	}
	if n := store.Waiting(root); n != 0 {
		t.Errorf("%d events left in the spool", n)
	}
}

// labRoot makes a file tree with an empty rpm database and returns it with a live patch
// package.
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
	execute(t, "rpm", "--root", root, "--initdb")
	execute(t, "rpmbuild", "-bb", "--define", "_topdir "+root+"/build", "--define", "_rpmdir "+root, spec)
	return root, filepath.Join(root, "noarch", toggled+"-2-150600.13.6.1.noarch.rpm")
}

func execute(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "HOME=/root")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// commit runs one commit in a libzypp process of its own, which kills its plugin after a
// delay, and returns the commands that the plugin acknowledged.
func commit(t *testing.T, root, pkg, name string, delay time.Duration) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0], root, pkg, name, delay.String())
	cmd.Env = append(os.Environ(), roleEnv+"="+roleLibzypp, "HOME=/root")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return strings.Fields(string(out))
}

// playLibzypp is a libzypp that installs the package, or removes it if it is installed.
// It goes on when its plugin is gone, as libzypp does.
func playLibzypp() {
	root, pkg, name := os.Args[1], os.Args[2], os.Args[3]
	delay, _ := time.ParseDuration(os.Args[4])
	cmd := exec.Command(os.Args[0], "--root", root)
	cmd.Env = append(os.Environ(), roleEnv+"="+rolePlugin)
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
