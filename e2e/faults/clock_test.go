package faults

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The clock is set back by a year, and forward by ten, between commits, in a commit, and while
// events wait in the spool. The record has everything in the order in which it happened, and an
// unlimited report shows all of it, even what lies in the future.
//
// The plugin reads the clock without a system call, so strace cannot change the answer. Instead it
// is built with one other line, which adds an offset from the environment to the time.
func TestClockSet(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	shifted := m.shiftedPlugin()
	const year = "8766h"
	back, forward := []string{"CLOCK=-" + year}, []string{"CLOCK=87660h"}
	m.commit("now", around{plugin: shifted})
	m.commit("forward", around{plugin: shifted, env: forward})
	m.commit("back", around{plugin: shifted, env: back})
	schema := m.sqlite3("PRAGMA user_version; PRAGMA user_version = 99") // so that the spool is needed
	m.commit("spooled-forward", around{plugin: shifted, env: forward})
	m.commit("spooled-back", around{plugin: shifted, env: back})
	m.sqlite3("PRAGMA user_version = " + schema)
	m.commit("again", around{plugin: shifted})
	want := []string{"now", "forward", "back", "spooled-forward", "spooled-back", "again"}
	if got := begun(m.recorded()); !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
	m.settle(want...)
	m.says(m.audit("report", "history"), 0, "6 of 6 changes shown")
	if got := m.audit("status"); got.exit != 0 {
		t.Errorf("status: %+v", got)
	}
	if got := m.audit("check"); got.exit > 3 || strings.Contains(got.stdout+got.stderr, "panic") {
		t.Errorf("check: %+v", got)
	}
}

// shiftedPlugin builds a recorder, which by itself is a complete plugin, whose clock is off by the
// environment's CLOCK.
func (m *machine) shiftedPlugin() string {
	m.Helper()
	dir := m.TempDir()
	source, err := filepath.Abs("../../store/header.go")
	m.check(err)
	text, err := os.ReadFile(source)
	m.check(err)
	const line = "	now := time.Now()\n"
	if !strings.Contains(string(text), line) {
		m.Fatalf("%q has no line %q", source, line)
	}
	off := line + "	off, _ := time.ParseDuration(os.Getenv(\"CLOCK\"))\n	now = now.Add(off)\n"
	m.check(os.WriteFile(dir+"/header.go", []byte(strings.Replace(string(text), line, off, 1)), 0o644))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: dir + "/header.go"}})
	m.check(err)
	m.check(os.WriteFile(dir+"/overlay.json", overlay, 0o644))
	const plugin = "/lab/shifted"
	build := exec.Command("go", "build", "-tags", "sqlite_omit_load_extension", "-overlay", dir+"/overlay.json", "-o", m.root+plugin, "../../cmd/klp-audit-recorder")
	if out, err := build.CombinedOutput(); err != nil {
		m.Fatalf("building: %v\n%s", err, out)
	}
	return plugin
}
