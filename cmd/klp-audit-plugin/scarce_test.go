package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// If tasks are scarce, the plugin steps aside with one line, whatever zypper says to it. Even if
// there are too few for Go's runtime, it does not fill a pipe.
func TestStepsAside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root alone can be a user with a limit of its own")
	}
	plugin, err := os.Open(filepath.Join(build(t), "klp-audit-plugin")) // others cannot enter that folder
	if err != nil {
		t.Fatal(err)
	}
	defer plugin.Close()
	user := uint32(20_000 + os.Getpid()%40_000) // nothing else runs as this user, not even another run of this test
	// commit returns what happens in a commit if the user may have this many tasks.
	commit := func(tasks int) (out, complaint string, err error) {
		cmd := exec.Command("prlimit", fmt.Sprintf("--nproc=%d", tasks), "--", "/proc/self/fd/3", "--recorder", "/bin/echo")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		cmd.ExtraFiles = []*os.File{plugin}
		var stderr strings.Builder
		cmd.Stdin, cmd.Stderr = strings.NewReader(begun+list+over), &stderr
		text, err := cmd.Output()
		return string(text), stderr.String(), err
	}
	for i := range 12 * 4 { // when the runtime wants a thread varies
		tasks := 1 + i/4
		out, complaint, err := commit(tasks)
		t.Logf("%d tasks: %q, %v", tasks, complaint, err)
		if out != "" || len(complaint) > 16<<10 {
			t.Errorf("%d tasks: answers %q, %d bytes on stderr", tasks, out, len(complaint))
		}
		if err == nil && (strings.Count(complaint, "\n") != 1 || !strings.HasPrefix(complaint, "klp-audit: ")) || err != nil && tasks > 4 {
			t.Errorf("%d tasks: %v, %q", tasks, err, complaint)
		}
	}
	if out, complaint, err := commit(1000); !strings.Contains(out, "--handed") || complaint != "" || err != nil {
		t.Errorf("no recorder was started: %q, %q, %v", out, complaint, err)
	}
}
