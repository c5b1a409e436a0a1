package storetest

import (
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Healthy is a machine that passes every check: nine days with a recorder, two live patches, and a
// full verification a day. Its time is 2026-02-10 12:00.
func Healthy(t *testing.T) *Machine {
	t.Helper()
	m := NewMachine(t, "2026-02-01T08:00:00Z")
	m.Installed, m.Next = []record.Package{KernelPackage(KernelA)}, ReleaseA
	m.Installed[0].InstallTime = m.Now.Unix()
	Says(m, record.Taint{Value: 36864, Flags: []record.TaintFlag{{Bit: 12, Letter: "O", Meaning: "m"}, {Bit: 15, Letter: "K", Meaning: "m"}}})
	Says(m, record.Coverage{Date: "2026-08-31", File: "/var/lib/lifecycle/data/sle-module-live-patching.lifecycle", Line: 3})
	Says(m, record.Blockers{})
	Says(m, record.Signatures{GPGCheck: true, Repos: []record.RepoSignatures{{Alias: "updates", RepoGPGCheck: true, PkgGPGCheck: "unless-repo-signed"}}})
	Says(m, record.Entitlement{Products: []record.Product{{Name: "sle-module-live-patching", Version: "15.6", EndOfLife: "2031-12-31"}},
		Patterns: []string{"patterns-lp_sles"}, Lifecycle: []string{"lifecycle-data-sle-module-live-patching"}})
	Says(m, record.Clock{Synced: "yes", Source: "adjtimex"})
	Says(m, record.JournalStorage{Setting: "auto", Kept: "persistent", Persistent: true})
	Says(m, record.OwnFiles{Own(CommitPlugin, "0755"), Own("/var/lib/klp-audit", "0750"), Own("/var/lib/klp-audit/klp-audit.db", "0640"), Own("/var/lib/klp-audit/key", "0600")})
	Says(m, record.Warnings{Messages: []record.Warning{}})
	Says(m, record.Verified{Result: "intact", TreeSize: 7, Problems: []string{}})
	m.StartRecording()
	m.Start(ReleaseA)
	m.Until("2026-02-02T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 1))
	m.Until("2026-02-03T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 2))
	m.Until("2026-02-10T11:00:00Z")
	m.Observe(record.TriggerTimer)
	m.Until("2026-02-10T12:00:00Z")
	return m
}

// CommitPlugin is where libzypp looks for the commit plugin.
const CommitPlugin = "/usr/lib/zypp/plugins/commit/klp-audit"

// Own is a file in proper state.
func Own(path, mode string) record.OwnFile {
	return record.OwnFile{Path: path, There: true, Type: "file", Mode: mode}
}

// Except returns a story in which somebody accepts a finding of a check until a moment.
func Except(id, until string) func(*Machine) {
	return func(m *Machine) {
		ev := &record.Event{Header: m.Header(record.KindException), Exception: &record.ExceptionChange{
			Action: record.ExceptionAdd, Check: id, Reason: "the vendor was asked", Actor: record.Actor{Login: "tux", SudoUser: "alice"},
			Until: new(record.At(When(m.T, until))),
		}}
		m.Write(ev)
	}
}

// Patched is a machine with a live patch of the first kernel.
func Patched(t *testing.T, n int) *Machine {
	t.Helper()
	m := NewMachine(t, "2025-01-01T08:00:00Z")
	m.Installed, m.Next = []record.Package{KernelPackage(KernelA)}, ReleaseA
	m.StartRecording()
	m.Start(ReleaseA)
	m.Wait(time.Hour)
	m.Install(PatchPackage(ReleaseA, n))
	return m
}

// Running is a machine with a live patch of the first kernel that was installed before the
// recorder; the recorder has seen it active.
func Running(t *testing.T, n int) *Machine {
	t.Helper()
	m := NewMachine(t, "2025-01-05T08:00:00Z")
	m.Next = ReleaseA
	m.Apply([]record.Package{KernelPackage(KernelA), PatchPackage(ReleaseA, n)}, nil)
	m.Settled()
	m.StartRecording()
	m.Start(ReleaseA)
	m.Wait(time.Hour)
	return m
}
