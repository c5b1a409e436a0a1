package zypp

import (
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

// TestMain lets the test binary play two other programs: an application that uses libzypp, under
// any name, and the plugin that it starts.
func TestMain(m *testing.M) {
	switch os.Getenv("ZYPP_TEST_ROLE") {
	case "application":
		os.Exit(application())
	case "plugin":
		os.Exit(plugin())
	}
	os.Exit(m.Run())
}

func application() int {
	if os.Getenv("ZYPP_TEST_DELETED") != "" {
		name, err := os.Executable()
		if err != nil || os.Remove(name) != nil {
			return 1
		}
	}
	cmd := exec.Command(os.Getenv("ZYPP_TEST_PLUGIN"))
	cmd.Env = append(os.Environ(), "ZYPP_TEST_ROLE=plugin")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return 1
	}
	return 0
}

type inspected struct {
	Caller
	Alive bool
}

func plugin() int {
	proc := os.DirFS("/proc")
	caller, err := Inspect(proc, os.DirFS("/"), os.Getpid(), os.Getenv)
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	if err := json.NewEncoder(os.Stdout).Encode(inspected{caller, Alive(proc, caller.Libzypp)}); err != nil {
		return 1
	}
	return 0
}

// TestInspectNamesTheRealParent starts the plugin from applications with other names, one of which
// is replaced on disk while it runs, as in an update of zypper.
func TestInspectNamesTheRealParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, deleted string }{{"y2base", ""}, {"packagekitd", ""}, {"zypper", "yes"}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			app := filepath.Join(t.TempDir(), test.name)
			copyFile(t, self, app)
			cmd := exec.Command(app, "in", "https://u:geheim@h/a b.rpm", "")
			cmd.Env = []string{"ZYPP_TEST_ROLE=application", "ZYPP_TEST_PLUGIN=" + self, "ZYPP_TEST_DELETED=" + test.deleted, "SUDO_USER=tux"}
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var got inspected
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			if got.Actor.Exe != app || got.Actor.SudoUser != "tux" || got.Actor.SudoUID != "" || !got.Alive {
				t.Errorf("%s", out)
			}
			if diff := cmp.Diff([]string{app, "in", "https://***@h/a b.rpm", ""}, got.Command); diff != "" {
				t.Error(diff)
			}
			if got.Libzypp.PID != cmd.Process.Pid || Alive(os.DirFS("/proc"), got.Libzypp) {
				t.Errorf("process %+v after the end of process %d", got.Libzypp, cmd.Process.Pid)
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if closed := out.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
}

// machine is the /proc of a plugin (30) that zypper (20) starts, under sudo and a shell.
func machine() fstest.MapFS {
	return fstest.MapFS{
		"1/stat":       statLine("1", "systemd", "S", "0", "0", "1"),
		"10/stat":      statLine("10", "bash", "S", "1", "34819", "100"),
		"20/stat":      statLine("20", "zypper", "S", "10", "34819", "200"),
		"20/exe":       {Data: []byte("/usr/bin/zypper"), Mode: fs.ModeSymlink},
		"20/cmdline":   {Data: []byte("zypper\x00in\x00kernel-default\xff\x00")},
		"30/stat":      statLine("30", "klp-audit", "S", "20", "34819", "300"),
		"30/loginuid":  {Data: []byte("1000")},
		"30/sessionid": {Data: []byte("7\n")},
		"30/status":    {Data: []byte("Name:\tklp-audit\nUid:\t1000\t0\t0\t0\n")},
		"30/cgroup":    {Data: []byte("0::/user.slice/user-1000.slice/session-7.scope\n")},
	}
}

func TestInspect(t *testing.T) {
	passwd := fstest.MapFS{"etc/passwd": {Data: []byte("root:x:0:0::/root:/bin/sh\nbroken\ntux:x:1000:100::/home/tux:/bin/sh\n")}}
	base := Caller{
		Actor:   record.Actor{LoginUID: "1000", Login: "tux", Session: "7", EUID: "0", SudoUser: "tux", SudoUID: "1000", TTY: "pts/3", Exe: "/usr/bin/zypper"},
		Command: []string{"zypper", "in", "kernel-default\uFFFD"}, Libzypp: record.Process{PID: 20, StartTicks: 200},
	}
	tests := []struct {
		name   string
		change func(proc fstest.MapFS)
		want   func(c *Caller)
	}{
		{"everything there", func(fstest.MapFS) {}, func(*Caller) {}},
		{"a service", func(p fstest.MapFS) {
			p["30/loginuid"].Data = []byte("4294967295")
			p["30/sessionid"].Data = []byte("4294967295")
			p["30/stat"] = statLine("30", "klp-audit", "S", "20", "0", "300")
			p["30/cgroup"].Data = []byte("0::/system.slice/packagekit.service\n")
		}, func(c *Caller) {
			c.Actor.LoginUID, c.Actor.Login, c.Actor.Session, c.Actor.TTY, c.Actor.Automation = Unset, Unset, Unset, Unset, "systemd:packagekit.service"
		}},
		{"a user of a directory service", func(p fstest.MapFS) { p["30/loginuid"].Data = []byte("70000") },
			func(c *Caller) { c.Actor.LoginUID, c.Actor.Login = "70000", "70000" }},
		{"a kernel without audit", func(p fstest.MapFS) {
			delete(p, "30/loginuid")
			delete(p, "30/sessionid")
			delete(p, "30/status")
			delete(p, "30/cgroup")
			delete(p, "20/exe")
			delete(p, "20/cmdline")
		}, func(c *Caller) {
			c.Actor.LoginUID, c.Actor.Login, c.Actor.Session, c.Actor.EUID, c.Actor.Exe, c.Command = Unset, Unset, Unset, Unset, Unset, nil
		}},
		{"a replaced program", func(p fstest.MapFS) { p["20/exe"].Data = []byte("/usr/bin/zypper (deleted)") }, func(*Caller) {}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			proc, want := machine(), base
			test.change(proc)
			test.want(&want)
			env := environment("SUDO_USER=tux", "SUDO_UID=1000", "ZYPP_IS_RUNNING=20")
			got, err := Inspect(proc, passwd, 30, env)
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A sudo user who is called "unset" is nobody: the record uses "unset" for what is not known.
func TestSudoUserUnset(t *testing.T) {
	got, _ := Inspect(machine(), fstest.MapFS{}, 30, environment("SUDO_USER=unset", "SUDO_UID=unset", "ZYPP_IS_RUNNING=20"))
	if got.Actor.SudoUser != "" || got.Actor.SudoUID != "" {
		t.Errorf("%+v", got.Actor)
	}
}

func TestInspectFindsNoLibzypp(t *testing.T) {
	orphan := machine()
	orphan["30/stat"] = statLine("30", "klp-audit", "S", "1", "0", "300")
	tests := []struct {
		name, want string
		proc       fstest.MapFS
	}{
		{"no /proc", "finding the libzypp process", fstest.MapFS{}},
		{"libzypp has ended and init adopted the plugin", "process 20 has ended", orphan},
		{"a parent of another PID namespace", "no parent process", fstest.MapFS{"30/stat": statLine("30", "klp-audit", "S", "0", "0", "300")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Inspect(test.proc, fstest.MapFS{}, 30, environment("ZYPP_IS_RUNNING=20"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if got.Actor.Exe != Unset || got.Actor.SudoUser != "" || got.Libzypp != (record.Process{}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestInspectLooksPastAWrapper(t *testing.T) {
	proc := machine()
	proc["30/stat"] = statLine("30", "klp-audit", "S", "25", "0", "300")
	proc["25/stat"] = statLine("25", "strace", "S", "20", "0", "250")
	got, err := Inspect(proc, fstest.MapFS{}, 30, environment("ZYPP_IS_RUNNING=20"))
	if err != nil || got.Actor.Exe != "/usr/bin/zypper" || got.Libzypp.PID != 20 {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func TestTTYName(t *testing.T) {
	tests := map[uint32]string{
		0: Unset, 136 << 8: "pts/0", 34819: "pts/3", 136<<8 | 0x100000: "pts/256", 137<<8 | 1: "pts/257",
		4<<8 | 1: "tty1", 4<<8 | 64: "ttyS0", 229 << 8: "hvc0", 250<<8 | 2: "250:2",
	}
	for device, want := range tests {
		if got := ttyName(device); got != want {
			t.Errorf("ttyName(%d) = %q, want %q", device, got, want)
		}
	}
}
