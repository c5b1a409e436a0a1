package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sessionFrames = "PLUGINBEGIN|COMMITBEGIN " + kernelList + "|COMMITEND " + kernelList + "|PLUGINEND|_DISCONNECT"

// requested says whether the service was asked for an observation.
func requested(root string) bool {
	_, err := os.Stat(filepath.Join(root, "run/klp-audit/observe"))
	return err == nil
}

// observer installs a script as the observing program; its arguments go to "called".
func observer(t *testing.T, root, script string) {
	t.Helper()
	path := filepath.Join(root, "usr/bin/klp-audit")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "#!/bin/sh\necho \"$@\" $(env | grep -v ^PWD= | sort) > " + root + "/called\n" + script
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestCommitIsObserved(t *testing.T) {
	for name, tt := range map[string]struct {
		frames string
		script string // "": no program is installed
		called bool
		asked  bool
	}{
		"done":           {frames: sessionFrames, script: "exit 0", called: true},
		"not done":       {frames: sessionFrames, script: "exit 1", called: true, asked: true},
		"no program":     {frames: sessionFrames, asked: true},
		"aborted":        {frames: strings.Replace(sessionFrames, "COMMITEND "+kernelList+"|", "", 1), script: "exit 0"},
		"nothing of use": {frames: "PLUGINBEGIN|COMMITBEGIN {\"TransactionStepList\":[]}|COMMITEND {\"TransactionStepList\":[]}|PLUGINEND|_DISCONNECT", script: "exit 0"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if tt.script != "" {
				observer(t, root, tt.script)
			}
			serve(t, root, frames(strings.Split(tt.frames, "|")...))
			call, err := os.ReadFile(filepath.Join(root, "called"))
			if (err == nil) != tt.called || requested(root) != tt.asked {
				t.Errorf("called %v, service asked %v", err == nil, requested(root))
			}
			if tt.called && string(call) != "observe --trigger commit --within 2s GOMAXPROCS=1 GOTRACEBACK=none HOME=/root LC_ALL=C\n" {
				t.Errorf("called with %q", call)
			}
		})
	}
}
