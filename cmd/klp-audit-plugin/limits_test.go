package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// limited runs a program in a shell with a limit, and returns its answers and what it wrote.
func limited(t *testing.T, limit, frames string, args ...string) (answers int, stderr string, err error) {
	t.Helper()
	var complaint strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // the plugin ignores SIGTERM
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", limit + `; exec "$@"`, "sh"}, args...)...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(frames), &complaint
	out, err := cmd.Output()
	return strings.Count(string(out), "ACK\n\n\x00"), complaint.String(), err
}

// If a Go program cannot run, or cannot keep its files open, the plugin steps aside with one line
// instead of starting the recorder.
func TestScarceLimits(t *testing.T) {
	bin := build(t)
	for limit, want := range map[string]string{
		// Below 10 the result depends on what else was left open for this test.
		"ulimit -n 10": "open files", "ulimit -n 12": "open files",
		"ulimit -n 16": "", "ulimit -n 1024": "",
		"ulimit -v 8000": aside, "ulimit -v 100000": aside, "ulimit -v 600000": aside,
		"ulimit -v 717000": aside, "ulimit -v 757760": aside, "ulimit -v 1200000": aside, "ulimit -v 2097151": aside, "ulimit -v 2097152": "",
		"ulimit -d 1000": aside, "ulimit -d 20000": aside, "ulimit -d 73728": aside, "ulimit -d 163839": aside, "ulimit -d 163840": "",
	} {
		root := t.TempDir()
		if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
			t.Fatal(err)
		}
		for range 5 { // where the runtime gets its memory varies
			answers, stderr, err := limited(t, limit, begun+list+over, pluginCall(bin, root).Args...)
			steppedAside := strings.HasPrefix(stderr, "klp-audit: stepping aside, nothing is recorded: ") && strings.Contains(stderr, want) && strings.Count(stderr, "\n") == 1
			switch {
			case err != nil:
				t.Errorf("%s: %v, %.300s", limit, err, stderr)
			case want == "" && (stderr != "" || answers != 5):
				t.Errorf("%s: %d answers, stderr %q", limit, answers, stderr)
			case want != "" && !steppedAside:
				t.Errorf("%s: stderr %.300q, want one line about %s", limit, stderr, want)
			}
		}
	}
}

// What the recorder's runtime writes when it dies never fills libzypp's pipe.
func TestDumpsDoNotReachLibzypp(t *testing.T) {
	recorder := filepath.Join(build(t), "klp-audit-recorder")
	for _, limit := range []string{"ulimit -n 7", "ulimit -n 8", "ulimit -d 73728", "ulimit -d 106496", "ulimit -v 757760"} {
		_, stderr, _ := limited(t, limit, begun+list+over, recorder, "--root", t.TempDir())
		if strings.Contains(stderr, "runtime") || strings.Contains(stderr, "goroutine") {
			t.Errorf("%s: %d bytes on stderr: %.300s", limit, len(stderr), stderr)
		}
	}
}
