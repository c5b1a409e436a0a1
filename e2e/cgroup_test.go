package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cgroup is a control group of one controller, in whichever hierarchy the machine has it.
type cgroup struct {
	t    *testing.T
	path string
	v1   bool
}

// hierarchies are where a controller may be mounted: alone, or with all others.
func hierarchies(controller string) (alone string, together []string) {
	return "/sys/fs/cgroup/" + controller, []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}
}

// newCgroup makes a control group. If no hierarchy has the controller, the test is skipped.
func newCgroup(t *testing.T, controller string) *cgroup {
	t.Helper()
	alone, together := hierarchies(controller)
	if _, err := os.Stat(alone + "/cgroup.procs"); err == nil {
		return (&cgroup{t: t, v1: true}).make(alone)
	}
	for _, root := range together {
		controllers, err := os.ReadFile(root + "/cgroup.controllers")
		if err != nil || !strings.Contains(" "+strings.TrimSpace(string(controllers))+" ", " "+controller+" ") {
			continue
		}
		if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+"+controller), 0o644); err != nil {
			t.Skipf("no control group with limits can be made: %v", err)
		}
		return (&cgroup{t: t}).make(root)
	}
	t.Skipf("no control group hierarchy below /sys/fs/cgroup has the controller %q", controller)
	return nil
}

func (g *cgroup) make(root string) *cgroup {
	g.t.Helper()
	path, err := os.MkdirTemp(root, "klp-audit-")
	if err != nil {
		g.t.Skipf("no control group can be made: %v", err)
	}
	g.path = path
	g.t.Cleanup(func() {
		err := os.Remove(path)
		for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); err = os.Remove(path) {
			time.Sleep(50 * time.Millisecond) // processes next to zypper take a moment to end
		}
		if err != nil {
			g.t.Errorf("a process is left over: %v", err)
		}
	})
	return g
}

// set writes a value into the file with this name in cgroup v2.
func (g *cgroup) set(name, value string) {
	g.t.Helper()
	if err := os.WriteFile(g.file(name), []byte(value), 0o644); err != nil {
		g.t.Fatal(err)
	}
}

func (g *cgroup) file(name string) string {
	if v1, ok := map[string]string{"memory.max": "memory.limit_in_bytes"}[name]; ok && g.v1 {
		name = v1
	}
	return filepath.Join(g.path, name)
}

// enter makes a command, which must not be started yet, start in the control group.
func (g *cgroup) enter(cmd *exec.Cmd) *exec.Cmd {
	g.t.Helper()
	join := fmt.Sprintf("echo $$ >%s/cgroup.procs && exec \"$@\"", g.path)
	cmd.Args = append([]string{"/bin/sh", "-c", join, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}
