package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The programs for other architectures start like this one. GODEBUG would make the runtime write to
// stderr before main.
func TestEntryElsewhere(t *testing.T) {
	for _, arch := range []string{"s390x", "ppc64le"} {
		t.Run(arch, func(t *testing.T) {
			qemu, err := exec.LookPath("qemu-" + arch + "-static")
			if err != nil {
				t.Skip("qemu-user-static is not installed: run `make test-arch`")
			}
			plugin := filepath.Join(t.TempDir(), "klp-audit-plugin")
			build := exec.Command("go", "build", "-ldflags", "-E main.entry", "-o", plugin, ".")
			build.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			cmd := exec.Command(qemu, plugin)
			cmd.Env = append(strange, "LANG=C")
			if answers, stderr := talk(t, cmd, nothingToRecord); answers != "ACK ACK ACK " || stderr != "" {
				t.Errorf("answers %q, stderr %q", answers, stderr)
			}
			for limit, want := range map[string]string{"ulimit -v 2097151": aside, "ulimit -v 2097152": "", "ulimit -d 163839": aside, "ulimit -d 2000000": ""} {
				if _, stderr, err := limited(t, limit, nothingToRecord, qemu, plugin); err != nil || stderr != want {
					t.Errorf("%s: stderr %.300q, %v, want %q", limit, stderr, err, want)
				}
			}
			cmd = exec.Command(qemu, plugin)
			cmd.Env = append(strange, "DISABLE_KLP_AUDIT_PLUGIN=1")
			cmd.Stdin = bytes.NewReader([]byte(begun + list + over))
			if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "ACK") != 5 {
				t.Errorf("the rest of the environment has gone: %q, %v", out, err)
			}
		})
	}
}
