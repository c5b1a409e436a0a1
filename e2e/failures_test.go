package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// upgradeTo is the command of the stories in which an upgrade of live patch 2 fails.
func upgradeTo(l *lab, version string) *running {
	return l.start(l.zypper("in", livepatch+"="+version))
}

// scene installs live patch 2 without zypper's knowledge.
func scene(p *pair) { p.rpm(livepatch + "-" + patch2 + ".x86_64") }

// upgraded is the row of an upgrade from live patch 2, with the fixes that it brought if it
// succeeded.
func upgraded(version, result, outcome string) row {
	r := row{
		Action: "upgrade", Package: livepatch, Version: version, Previous: patch2,
		Result: result, Outcome: outcome,
	}
	if result == "ok" {
		r.CVEsAdded = []string{"CVE-2024-26923", "CVE-2024-50264"}
		r.BugsAdded = []string{"bsc#1223683", "bsc#1233712"}
	}
	return r
}

// because turns a row into one with a failed script.
func (r row) because(name, status string) row {
	r.Scripts = []script{{Script: name, Status: status}}
	return r
}

// unfinished is an upgrade that rpm completed without libzypp.
func unfinished(version, outcome string) row {
	r := upgraded(version, "ok", outcome)
	r.Repo = unsaid
	return r
}

// abortAfterFailure: a script fails, and zypper aborts without asking.
func abortAfterFailure(p *pair) {
	scene(p)
	if got := p.zypper("in", livepatch+"="+patchFails); got.exit != 8 {
		p.Fatalf("zypper: exit %d, want 8\n%s", got.exit, got.out)
	}
	if got := p.zypper("in", "kernel-prefail"); got.exit != 8 {
		p.Fatalf("zypper: exit %d, want 8\n%s", got.exit, got.out)
	}
	p.history(
		upgraded(patchFails, "failed", "aborted").because("prein", "exit status 1"),
		// It was never installed, so rpm cannot say whether it is a kernel of an unknown flavour.
		row{Kind: "kernel", KernelRelease: "1-1-prefail", Action: "install", Package: "kernel-prefail", Version: "1-1", Result: "failed", Outcome: "aborted"}.because("prein", "exit status 1"),
	)
}

// ignoreFailure: the user lets zypper go on, and libzypp reports the failed step as done.
func ignoreFailure(p *pair) {
	scene(p)
	p.both(func(l *lab) result {
		cmd := l.command("/usr/bin/zypper", "--no-gpg-checks", "in", livepatch+"="+patchFails)
		return l.startAt(cmd, exchange{"(y): ", "y"}, exchange{"[a/r/i] (a): ", "i"}).wait()
	})
	row := upgraded(patchFails, "failed", "failed").because("prein", "exit status 1")
	row.Repo = "lab" // libzypp's own history claims the installation, too
	p.history(row)
}

// failInScripts: the package is installed anyway, and zypper exits with 107, or says nothing at
// all.
func failInScripts(p *pair) {
	var rows []row
	for i, failed := range [][]script{
		{{"post", "exit status 3", ""}}, {{"posttrans", "exit status 4", "no image"}}, {{"posttrans", "exit status 5", ""}}, nil,
	} {
		version := strconv.Itoa(i+1) + "-1"
		if got := p.zypper("in", "kernel-postfail="+version); got.exit != 0 && got.exit != 107 {
			p.Fatalf("zypper: exit %d, want 107\n%s", got.exit, got.out)
		}
		r := row{Action: "upgrade", Package: "kernel-postfail", Version: version, Scripts: failed}
		if r.Previous = strconv.Itoa(i) + "-1"; i == 0 {
			r.Action, r.Previous = "install", ""
		}
		rows = append(rows, r)
	}
	p.history(rows...)
}

// lockDatabase: another program holds the record while zypper runs, and zypper does not wait until
// it ends.
func lockDatabase(p *pair) {
	p.mustZypper("in", oldKernel)
	release := holdDatabase(p.audited)
	p.mustZypper("in", livepatch+"="+patch1)
	release()
	p.history(
		row{Action: "install", Package: "kernel-default", Version: "6.4.0-150600.23.42.2"},
		row{Action: "install", Package: livepatch, Version: patch1},
	)
}

// holdDatabase takes SQLite's exclusive lock until the returned function is called.
func holdDatabase(l *lab) (release func()) {
	l.t.Helper()
	return l.hold(exec.Command("sqlite3", l.root+recordDB), "BEGIN EXCLUSIVE;\nSELECT 'locked';\n")
}

// atGate upgrades to a live patch whose script stops, does something then, and lets it go on.
func (p *pair) atGate(version string, act func(*running)) {
	p.Helper()
	scene(p)
	got := p.both(func(l *lab) result {
		l.closeGate()
		r := upgradeTo(l, version)
		l.awaitGate()
		act(r)
		l.openGate()
		return r.wait()
	})
	p.Logf("zypper: exit %d\n%s", got.exit, got.out)
}

// onInterrupt is how a commit ends after Ctrl-C: the older zypper just exits, the newer one lets
// libzypp abort.
func (b *base) onInterrupt() string {
	if b.old {
		return "interrupted"
	}
	return "aborted"
}

// interruptInPre: whether the older zypper still notes the failure before it exits is a race.
func interruptInPre(p *pair) {
	p.atGate(patchInPre, (*running).interrupt)
	row := upgraded(patchInPre, "not-done", p.base.onInterrupt())
	if strings.Contains(p.audited.mustRun("/bin/cat", "/var/log/zypp/history"), "install failed") {
		row = upgraded(patchInPre, "failed", p.base.onInterrupt()).because("prein", "signal 2")
	}
	p.history(row)
}

// interruptInPost: rpm had already installed the package.
func interruptInPost(p *pair) {
	p.atGate(patchInPost, (*running).interrupt)
	row := unfinished(patchInPost, p.base.onInterrupt())
	if !p.base.old { // the old one just exits
		row = row.because("post", "signal 2")
	}
	p.history(row)
}

func killZypperInPre(p *pair) {
	p.atGate(patchInPre, (*running).kill)
	p.history(unfinished(patchInPre, "interrupted"))
}

func killZypperInPost(p *pair) {
	p.atGate(patchInPost, (*running).kill)
	p.history(unfinished(patchInPost, "interrupted"))
}

// killAllInPre: nobody is left to say how it ended. The next program to open the record closes the
// commit with what the rpm database shows.
func killAllInPre(p *pair) {
	p.atGate(patchInPre, (*running).killAll)
	p.history(upgraded(patchInPre, "not-done", "interrupted"))
}

// killAllInPost: rpm had added the new package and not yet removed the old one, so its database has
// both. The record says the same.
func killAllInPost(p *pair) {
	p.atGate(patchInPost, (*running).killAll)
	row := unfinished(patchInPost, "interrupted")
	row.Action, row.Previous = "install", ""
	row.CVEsAdded = append(row.CVEsAdded, "CVE-2024-53042")
	row.BugsAdded = []string{"bsc#1223683", "bsc#1233678", "bsc#1233712"}
	p.history(row)
}

// killPluginInPre: zypper goes on alone, and the next program to open the record closes the commit.
func killPluginInPre(p *pair) {
	p.atGate(patchInPre, func(r *running) {
		if r.lab == p.audited {
			recorder := childOf(r, "recorder")
			if recorder == 0 {
				p.Fatal("there is no recorder")
			}
			r.signal(recorder, syscall.SIGKILL)
		}
	})
	p.history(upgraded(patchInPre, "ok", "interrupted"))
}

// childOf finds the process with this name that the running command has started, 0 if there is
// none.
func childOf(r *running, name string) int {
	r.lab.t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		r.lab.t.Fatal(err)
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, rest, _ := strings.Cut(string(text), " ("+name+") ")
		fields := strings.Fields(rest)
		// libzypp leaves a zombie of a system plugin that has ended.
		if len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(r.cmd.Process.Pid) {
			child, _ := strconv.Atoi(pid)
			return child
		}
	}
	return 0
}

// killPluginAfter kills the plugin after it acknowledged this many of the five frames PLUGINBEGIN,
// COMMITBEGIN, COMMITEND, PLUGINEND and _DISCONNECT.
func killPluginAfter(frames int) func(*pair) {
	return func(p *pair) {
		scene(p)
		p.audited.write("/lab/relay", strconv.Itoa(frames))
		p.audited.install(p.base.kit.bin+"/klp-audit-plugin", "/lab/plugin")
		p.audited.install(p.base.kit.bin+"/relay", pluginPath)
		p.mustZypper("in", livepatch+"="+patch3)
		row := upgraded(patch3, "ok", "completed")
		switch frames {
		case 1:
			p.noRecord()
			return
		case 2:
			row.Outcome = "interrupted"
		}
		p.history(row)
	}
}
