package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/internal/helptest"
)

// supportconfig takes a plugin whose name can be part of a shell variable's and whose file can
// be executed; this one prints what commands say, and ends well whatever they say.
func TestPackagedSupportconfig(t *testing.T) {
	files, err := filepath.Glob(packaging + "supportconfig/*")
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm()&0o111 != 0o111 || !regexp.MustCompile(`^[a-z_]+$`).MatchString(info.Name()) {
		t.Errorf("%v, %v", info, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	const program = "/usr/bin/klp-audit"
	commands := regexp.MustCompile(`(?m)^show `+program+` (.*)$`).FindAllStringSubmatch(string(text), -1)
	for _, c := range commands {
		if err := accepts(helptest.Words(c[1])); err != nil {
			t.Errorf("%q: %v", c[1], err)
		}
	}
	// A program that complains stands for klp-audit.
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(string(text), program, "false"))
	out, err := cmd.CombinedOutput()
	if n := strings.Count(string(out), "# exit status 1\n"); err != nil || n != len(commands) || n < 5 {
		t.Errorf("%d commands, %v:\n%s", len(commands), err, out)
	}
}
