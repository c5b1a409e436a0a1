package room

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// control makes control groups from files.
func control(t *testing.T, files map[string]string) (mount string) {
	t.Helper()
	mount = t.TempDir()
	for name, text := range files {
		path := filepath.Join(mount, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return mount
}

func TestFree(t *testing.T) {
	for name, test := range map[string]struct {
		files files
		text  map[string]string
		path  string
		want  int64
	}{
		"nothing is known":  {tasks.v2, nil, "/a/b", unlimited},
		"no limit":          {tasks.v2, map[string]string{"a/pids.max": "max", "a/pids.current": "5"}, "/a", unlimited},
		"its own limit":     {tasks.v2, map[string]string{"a/pids.max": "20", "a/pids.current": "5"}, "/a", 15},
		"one above":         {tasks.v2, map[string]string{"a/b/c/pids.max": "max", "a/pids.max": "20", "a/pids.current": "5"}, "/a/b/c", 15},
		"the tightest":      {tasks.v1, map[string]string{"a/b/pids.max": "9", "a/b/pids.current": "2", "a/pids.max": "20", "a/pids.current": "17"}, "/a/b", 3},
		"over the limit":    {tasks.v1, map[string]string{"a/pids.max": "4", "a/pids.current": "9"}, "/a", -5},
		"of a namespace":    {tasks.v2, map[string]string{"pids.max": "20", "pids.current": "5"}, "/", 15},
		"a container's":     {tasks.v1, map[string]string{"pids.max": "20", "pids.current": "5"}, "/docker/0123", 15},
		"in a container":    {tasks.v1, map[string]string{"b/pids.max": "20", "b/pids.current": "5"}, "/docker/0123/b", 15},
		"outside of it":     {tasks.v2, map[string]string{"pids.max": "20", "pids.current": "5"}, "/../other", 15},
		"memory":            {memory.v2, map[string]string{"a/memory.max": "100", "a/memory.current": "90", "a/memory.stat": "anon 7\nfile 60\ninactive_file 40\nactive_file 5"}, "/a", 55},
		"memory, v1":        {memory.v1, map[string]string{"a/memory.limit_in_bytes": "100", "a/memory.usage_in_bytes": "90", "a/memory.stat": "cache 1\ninactive_file 1\ntotal_inactive_file 40\ntotal_active_file 5"}, "/a", 55},
		"of the kernel":     {memory.v2, map[string]string{"a/memory.max": "128", "a/memory.current": "120", "a/memory.stat": "anon 1\nkernel 119\nslab_reclaimable 110\nslab_unreclaimable 5\nslab 115"}, "/a", 118},
		"of the kernel, v1": {memory.v1, map[string]string{"a/memory.limit_in_bytes": "128", "a/memory.usage_in_bytes": "120", "a/memory.kmem.usage_in_bytes": "119", "a/memory.stat": "total_inactive_file 0"}, "/a", 127},
		"no limit, v1":      {memory.v1, map[string]string{"a/memory.limit_in_bytes": "9223372036854771712", "a/memory.usage_in_bytes": "90"}, "/a", unlimited},
		"not a number":      {tasks.v2, map[string]string{"a/pids.max": "", "pids.max": "20", "pids.current": "?"}, "/a", 20},
	} {
		if got := test.files.free(control(t, test.text), test.path); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// One is singular.
func TestScarceIsSaidRight(t *testing.T) {
	for free, want := range map[int64]string{-3: "only 0 tasks are free", 0: "only 0 tasks are free", 1: "only 1 task is free", 2: "only 2 tasks are free"} {
		if got := scarce(free, " tasks").Error(); !strings.HasPrefix(got, want+", ") {
			t.Errorf("%d: %q, want %q", free, got, want)
		}
	}
}

// roleEnv is set if this test program is the process that looks at its limits.
const roleEnv = "KLP_AUDIT_TEST_ROOM"

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		if err := For(Plenty); err != nil {
			os.Stdout.WriteString(err.Error())
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A user's limit matters if fork(2) applies it.
func TestLimitOfUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become others")
	}
	self, err := os.Open("/proc/self/exe") // other users cannot enter its folder
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	for _, test := range []struct {
		uid   uint32
		limit int
		want  bool // whether there is too little
	}{{0, 20, false}, {4711, 20, true}, {4711, 4711, false}} {
		cmd := exec.Command("prlimit", "--nproc="+strconv.Itoa(test.limit), "--", "/proc/self/fd/3")
		cmd.ExtraFiles = []*os.File{self}
		cmd.Env = append(os.Environ(), roleEnv+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: test.uid, Gid: 4711}}
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), " tasks are free") != test.want {
			t.Errorf("user %d, at most %d tasks: %q, %v", test.uid, test.limit, out, err)
		}
	}
}
