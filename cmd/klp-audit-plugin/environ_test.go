package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// strange are environment settings for Go programs that take seconds and much memory, or write to
// stderr, most of them before main.
var strange = []string{
	"GOMAXPROCS=10000", "GOGC=1", "GOMEMLIMIT=1", "GOTRACEBACK=crash", "GOCOVERDIR=/nowhere",
	"GODEBUG=inittrace=1,gctrace=1", "GOTHERSETTING=1",
}

const nothingToRecord = "PLUGINBEGIN\n\n\x00COMMITBEGIN\n\n{\n\"TransactionStepList\": []\n}\x00_DISCONNECT\n\n\x00"

// Go's own variables in zypper's environment change nothing: no message, no memory use, no answer.
func TestStrangeSettings(t *testing.T) {
	bin := build(t)
	for name, session := range map[string]string{"nothing to record": nothingToRecord, "a live patch": begun + list + over} {
		usual, asked := pluginCall(bin, t.TempDir()), pluginCall(bin, t.TempDir())
		asked.Env = append(os.Environ(), strange...)
		want, said := talk(t, usual, session)
		if got, complaint := talk(t, asked, session); got != want || complaint != said {
			t.Errorf("%s: answers %q, want %q; stderr %q, want %q", name, got, want, complaint, said)
		}
		if got, want := memoryOf(asked), memoryOf(usual); got > want+want/2 {
			t.Errorf("%s: %d MiB, and %d MiB without such variables", name, got>>20, want>>20)
		}
	}
}

// memoryOf is the peak memory of a program that has ended, in bytes.
func memoryOf(cmd *exec.Cmd) int64 {
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
}

// The recorder ignores them, too, when it runs by itself.
func TestStrangeSettingsOfTheRecorder(t *testing.T) {
	cmd := exec.Command(filepath.Join(build(t), "klp-audit-recorder"), "--root", t.TempDir())
	cmd.Env = append(os.Environ(), strange...)
	if answers, stderr := talk(t, cmd, nothingToRecord); answers != "ACK ACK ACK " || stderr != "" {
		t.Errorf("answers %q, stderr %q", answers, stderr)
	}
}

// The recorder does not get them, but everything else unchanged. That also holds for a plugin that
// was built without the Makefile, which cleans up in main.
func TestSettingsAreNotPassedOn(t *testing.T) {
	dir := t.TempDir()
	recorder := filepath.Join(dir, "recorder")
	if err := os.WriteFile(recorder, []byte("#!/bin/sh\nexec cat /proc/self/environ\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	execute(t, "go", "build", "-o", dir+"/klp-audit-plugin", ".")
	for name, bin := range map[string]string{"make build": build(t), "go build": dir} {
		cmd := exec.Command(filepath.Join(bin, "klp-audit-plugin"), "--recorder", recorder)
		cmd.Env = append(slices.Clone(strange), "LANG=C", "GO=1", "GOlang=1", "go=1", "EMPTY=", "G", "")
		cmd.Stdin = strings.NewReader("PACKAGESETCHANGED\n\n\x00")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"LANG=C", "GO=1", "GOlang=1", "go=1", "EMPTY=", "GOMAXPROCS=1", "GOTRACEBACK=none"}
		got := slices.DeleteFunc(strings.Split(string(out), "\x00"), func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return slices.Contains([]string{"", "G", "PWD", "OLDPWD", "_", "SHLVL"}, name) // and those of the shell
		})
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the recorder gets %q, want %q", name, got, want)
		}
	}
}
