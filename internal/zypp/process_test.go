package zypp

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klp-audit/klp-audit/record"
)

// statLine is a line of /proc/PID/stat.
func statLine(pid, comm, state, parent, tty, start string) *fstest.MapFile {
	fields := []string{pid, "(" + comm + ")", state, parent, "1", "1", tty, "-1 0 0 0 0 0 0 0 0 0 20 0 1 0", start, "0 0\n"}
	return &fstest.MapFile{Data: []byte(strings.Join(fields, " "))}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("5101 (a) b) (c) S 4234 1 1 34819 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 78904 3133440\n")
	want := stat{pid: 5101, comm: "a) b) (c", state: "S", parent: 4234, tty: 34819, start: 78904}
	if err != nil || got != want {
		t.Errorf("parseStat = %+v, %v, want %+v", got, err, want)
	}
	for _, text := range []string{"", "1 a S 1", ")1(", "1 (a) S 1", "x (a)" + strings.Repeat(" 1", 20)} {
		if got, err := parseStat(text); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", text, got)
		}
	}
}

func TestAlive(t *testing.T) {
	proc := fstest.MapFS{
		"10/stat": statLine("10", "zypper", "S", "1", "0", "500"),
		"11/stat": statLine("11", "zypper", "Z", "1", "0", "500"),
	}
	tests := map[record.Process]bool{
		{PID: 10, StartTicks: 500}: true, {PID: 10, StartTicks: 501}: false, {PID: 11, StartTicks: 500}: false, {PID: 12, StartTicks: 500}: false, {}: false,
	}
	for p, want := range tests {
		if got := Alive(proc, p); got != want {
			t.Errorf("Alive(%+v) = %v, want %v", p, got, want)
		}
	}
}

func TestAliveOfARealProcess(t *testing.T) {
	// Under qemu a process looks as if it had begun when the reading thread began.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	proc := os.DirFS("/proc")
	st, err := readStat(proc, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !Alive(proc, st.process()) {
		t.Error("this process is not alive")
	}
}

func TestLongCommandLinesAreCut(t *testing.T) {
	long := "zypper\x00in\x00" + strings.Repeat("x\x00", maxText) + "https://u:geheim@h"
	proc := fstest.MapFS{"10/cmdline": {Data: []byte(long[:maxText+1])}}
	args := argv(proc, 10)
	if last := args[len(args)-1]; last != "[cut]" || args[0] != "zypper" {
		t.Errorf("first argument %q, last %q", args[0], last)
	}
}

func FuzzStat(f *testing.F) {
	f.Add("5101 (a) b) (c) S 4234 1 1 34819 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 78904 3133440\n")
	f.Add(")(")
	f.Fuzz(func(t *testing.T, text string) {
		st, err := parseStat(text)
		if err == nil && !strings.Contains(text, "("+st.comm+")") {
			t.Errorf("parseStat(%q) found program %q", text, st.comm)
		}
	})
}
