package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSystemd boots a lab with the real systemd and the units of the package: in their sandbox they
// record what they should, and see as much as root does without one.
func TestSystemd(t *testing.T) {
	if os.Getenv(wanted) != "1" {
		t.Skip("the end-to-end tests need root and the real systemd: run `make test`")
	}
	k := newKit(t)
	l := newLab(t, newBase(t, k, "/"))
	l.installUnits(k)
	l.mustRun("/bin/sh", "-c", "rpm -i --nodeps --justdb /lab/repo/kernel-default-6.4.0-150600.23.42.2.*.rpm")
	l.write("/var/log/zypp/history", "2026-01-01 00:00:00|command|root@lab|'zypper' 'up'|\n")
	if err := os.Chmod(l.root+"/var/log/zypp", 0o750); err != nil {
		t.Fatal(err)
	}
	m := l.boot()
	l.await("the observation at boot", func() bool { return m.observed() != "" })

	m.run("systemctl", "is-active", "klp-audit-observe.path", "klp-audit-observe.timer")
	m.run("systemctl", "start", "klp-audit-observe-daily.service")
	m.run("touch", "/run/klp-audit/observe")
	l.await("the observation that was asked for", func() bool { return strings.Contains(m.observed(), "commit") })
	m.run("klp-audit", "observe")

	if diff := cmp.Diff("boot timer commit manual", m.observed()); diff != "" {
		t.Errorf("observations (-want +got):\n%s", diff)
	}
	seen := m.query(`SELECT DISTINCT json_extract(body, '$.observation.unknown', '$.observation.installed') FROM events
		WHERE json_extract(body, '$.kind') = 'observation'`)
	if strings.Contains(seen, "\n") || !strings.Contains(seen, `"name":"kernel-default","version":"6.4.0-150600.23.42.2"`) {
		t.Errorf("root sees something else without the sandbox, or no kernel at all:\n%s", seen)
	}
	compared := m.query(`SELECT group_concat(json_extract(body, '$.observation.trigger'), ' ') FROM events
		WHERE json_extract(body, '$.observation.parts.zypp_history.mark.line') = 1`)
	if compared != "boot timer manual" {
		t.Errorf("libzypp's history was compared by %q", compared)
	}
	verified := m.query(`SELECT json_extract(body, '$.observation.parts.verify.checkpoints') > 0 AND json_extract(body, '$.observation.parts.verify.unread') IS NULL
		AND json_extract(body, '$.observation.parts.verify.result') = 'intact' FROM events WHERE json_extract(body, '$.observation.trigger') = 'timer'`)
	if verified != "1" {
		t.Errorf("the daily verification did not see the checkpoints in the journal: %q", verified)
	}
	if _, err := m.try("test", "-e", "/run/klp-audit/observe"); err == nil {
		t.Error("the request is still there")
	}
	m.run("klp-audit", "verify")
	l.checkRecordFiles()
	m.checkMetrics()
	// Not by its unit: journald no longer knows the unit of a program that has ended.
	signed := m.run("journalctl", "--no-pager", "-o", "cat", "MESSAGE_ID=0a5f4ee7f0c34e3c8b7f0c5a6e2d9b41")
	if !strings.HasPrefix(signed, "klp-audit record: 2 events, ") { // the recorder, and the observation at boot
		t.Errorf("the journal has no checkpoint of the service that ran at boot:\n%s", signed)
	}
}

// checkMetrics has the metrics written: only where their folder is, also if that is somebody else's.
func (m *machine) checkMetrics() {
	m.t.Helper()
	const dir, service = "/var/lib/node_exporter/textfile_collector", "klp-audit-metrics.service"
	if out, err := m.try("systemctl", "is-enabled", "klp-audit-metrics.timer"); err == nil {
		m.t.Errorf("the timer of the metrics is %s", out)
	}
	m.run("systemctl", "start", service)
	if state := m.run("systemctl", "show", "-P", "ConditionResult", service); state != "no\n" {
		m.t.Errorf("without the folder, its condition is %q", state)
	}
	m.run("install", "-d", "-o", "nobody", dir)
	m.run("systemctl", "start", service)
	if text := m.run("cat", dir+"/klp-audit.prom"); !strings.Contains(text, "\nklp_audit_history_verify_ok 1\n") {
		m.t.Errorf("metrics:\n%s", text)
	}
	if list := m.run("ls", "-A", dir); list != "klp-audit.prom\n" {
		m.t.Errorf("beside the metrics: %s", list)
	}
	m.run("systemctl", "enable", "--now", "klp-audit-metrics.timer")
	if next := m.run("systemctl", "list-timers", "--no-legend", "klp-audit-metrics.timer"); !strings.Contains(next, service) {
		m.t.Errorf("the timer waits for nothing: %q", next)
	}
}

// startNothing leaves only systemd itself and its journal of the machine's own units.
func (l *lab) startNothing() {
	l.t.Helper()
	for _, pattern := range []string{"/etc/systemd/system", "/etc/init.d", "/etc/rc?.d", "/etc/fstab", "/var/log/journal", "/run/log/journal"} {
		found, err := filepath.Glob(l.root + pattern)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, name := range found {
			if err := os.RemoveAll(name); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	l.write("/var/log/journal/.keep", "")
	l.write("/etc/hostname", "lab\n")
}

// installUnits puts klp-audit and its units where the package does, and enables what the package's
// preset enables. Nothing else of the machine is to start.
func (l *lab) installUnits(k *kit) {
	l.t.Helper()
	l.startNothing()
	l.install(k.bin+"/klp-audit", "/usr/bin/klp-audit")
	execute(l.t, "make", "--no-print-directory", "-C", "..", "install-units", "DESTDIR="+l.root)
	l.mustRun("/usr/bin/systemd-sysusers", "/usr/lib/sysusers.d/klp-audit.conf")
	l.mustRun("/usr/bin/systemctl", "preset", "klp-audit-observe.service", "klp-audit-observe.timer", "klp-audit-observe.path", "klp-audit-metrics.timer")
}

// machine is a lab that systemd runs.
type machine struct {
	*lab
	pid int // of systemd, as seen by the test
}

// boot starts systemd in the lab, and waits until it is up.
func (l *lab) boot() *machine {
	l.t.Helper()
	cmd := exec.Command("testdata/systemd/boot.sh", l.root)
	console := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = console, console, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	m := &machine{lab: l}
	l.t.Cleanup(func() {
		if l.t.Failed() {
			for _, args := range []string{"systemctl list-jobs", "systemctl --failed", "systemctl status klp-audit-*", "journalctl --no-pager -n 50"} {
				out, err := m.try(strings.Fields(args)...)
				l.t.Logf("%s: %v\n%s", args, err, out)
			}
		}
		if m.pid != 0 {
			syscall.Kill(m.pid, syscall.SIGKILL) // kills everything in its namespace, too
		} else {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		cmd.Wait()
		if l.t.Failed() {
			l.t.Logf("the console:\n%s", console)
		}
	})
	l.await("systemd", func() bool { m.pid = systemdBelow(cmd.Process.Pid); return m.pid != 0 })
	l.await("the end of the boot", func() bool {
		state, _ := m.try("systemctl", "is-system-running")
		// Other units of the machine may fail in a container.
		return state == "running\n" || state == "degraded\n"
	})
	return m
}

// systemdBelow is the pid of the systemd that a process started, 0 if there is none.
func systemdBelow(pid int) int {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	for _, child := range strings.Fields(string(children)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			return 0
		}
		if comm, err := os.ReadFile("/proc/" + child + "/comm"); err == nil && string(comm) == "systemd\n" {
			return n
		}
		if n = systemdBelow(n); n != 0 {
			return n
		}
	}
	return 0
}

// try runs a program on the machine, as root and without any sandbox.
func (m *machine) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	in := []string{"--target", strconv.Itoa(m.pid), "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--root", "--wd=/", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(in, args...)...)
	cmd.Env = []string{"LANG=C", "TZ=UTC", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs a program that must succeed.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// observed are the triggers of the observations on record.
func (m *machine) observed() string {
	m.t.Helper()
	return m.query(`SELECT group_concat(json_extract(body, '$.observation.trigger'), ' ') FROM events WHERE json_extract(body, '$.kind') = 'observation'`)
}

// query queries the record; if there is none, or another program is writing, the answer is empty.
func (m *machine) query(sql string) string {
	m.t.Helper()
	out, err := m.try("sqlite3", "-readonly", "/var/lib/klp-audit/klp-audit.db", sql)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}
