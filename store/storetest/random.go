package storetest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Unrecorded does something while the recorder is away.
func Unrecorded(m *Machine, do func()) {
	was := m.Recording
	m.Recording = false
	do()
	m.Recording = was
}

// Few is how many random cases a test tries: fewer in short tests.
func Few(short, long int) int {
	if testing.Short() {
		return short
	}
	return long
}

// Unloaded is a commit that loads nothing: a transactional one, or because of the setting
// LIVEPATCH_KERNEL.
func Unloaded(m *Machine, pkgs ...record.Package) {
	module, since, loads := m.Module, m.Since, len(m.Boot.Loads)
	for i := range m.Boot.Loads {
		m.Boot.Loads[i].Replaced = "" // as before
	}
	first := len(m.Written)
	m.Install(pkgs...)
	m.Module, m.Since, m.Boot.Loads = module, since, m.Boot.Loads[:loads]
	for i := range m.Boot.Loads {
		m.Boot.Loads[i].Disabled, m.Boot.Loads[i].Replaced = nil, ""
	}
	m.Written = m.Written[:first+2] // its observation comes later
	m.Happened()
	m.Observe(record.TriggerCommit)
}

// NewRand gives the same numbers for the same seed.
func NewRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 3)) }

// RandomMachine is a machine to which anything may happen.
func RandomMachine(t *testing.T, r *rand.Rand) *Machine {
	t.Helper()
	m := NewMachine(t, "2025-01-01T08:00:00Z")
	m.Installed, m.Next = []record.Package{KernelPackage(KernelA)}, ReleaseA
	m.Start(ReleaseA)
	m.Pass(m.Now.Add(time.Duration(r.IntN(100)) * time.Hour))
	m.StartRecording()
	m.Observe(record.TriggerManual)
	for range 70 {
		m.Pass(m.Now.Add(time.Duration(r.ExpFloat64() * float64(20*time.Hour)).Truncate(time.Microsecond)))
		randomStep(m, r)
	}
	m.Recording = true
	return m
}

// randomStep does one thing.
func randomStep(m *Machine, r *rand.Rand) {
	if m.Boot == nil {
		m.Start(m.Next)
		return
	}
	running := m.Boot.KernelRelease
	n := 0
	if p := m.PatchFor(running); p != nil {
		n = Number(*p)
	}
	switch r.IntN(16) {
	case 0, 1, 2:
		m.Install(PatchPackage(running, n+1))
	case 3:
		m.Install(PatchPackage(running, max(n-1, 1)))
	case 4:
		m.Commit(record.OutcomeFailed, []record.Package{PatchPackage(running, n+1)}, nil)
	case 5:
		kernelStep(m, r)
	case 6, 7:
		m.Reboot()
	case 8:
		m.Crash()
	case 9:
		m.Halt(0) // and stays off for a while
	case 10: // the recorder is away for days
		m.Recording = false
		for range r.IntN(4) {
			m.Pass(m.Now.Add(time.Duration(r.IntN(20)) * time.Hour))
			away(m, r, n)
		}
		m.Pass(m.Now.Add(48 * time.Hour))
		m.Recording = true
	case 11:
		if m.Module != "" {
			m.Disable()
		}
	case 12: // the journal loses its past for a while
		m.Rotated = true
		for range r.IntN(3) {
			m.Pass(m.Now.Add(time.Duration(r.IntN(30)) * time.Hour))
			m.Install(PatchPackage(running, 1+r.IntN(3)))
		}
		m.Rotated = false
	case 13:
		m.Commit("", []record.Package{PatchPackage(running, n+1)}, nil)
	case 14:
		m.Initrds[running] = ModuleOf(PatchPackage(running, 1+r.IntN(3))) // somebody copies an image there
		m.Happened()
		m.Observe(record.TriggerManual)
	case 15:
		m.Observe(record.TriggerManual)
	}
}

// away is what happens while nobody records.
func away(m *Machine, r *rand.Rand, n int) {
	switch running := m.Boot.KernelRelease; r.IntN(4) {
	case 0:
		m.Install(PatchPackage(running, n+1))
	case 1:
		m.Reboot()
	case 2:
		m.Crash()
	case 3:
		m.Install(PatchPackage(running, 1+r.IntN(2)))
	}
}

// kernelStep installs another kernel, or removes one that does not run.
func kernelStep(m *Machine, r *rand.Rand) {
	p := KernelPackage([]string{KernelA, KernelB, KernelC}[r.IntN(3)])
	installed := slices.ContainsFunc(m.Installed, func(i record.Package) bool { return i.Version == p.Version && i.Name == p.Name })
	switch release := ReleaseOf(p); {
	case !installed:
		m.Install(p, PatchPackage(release, 1))
	case release != m.Boot.KernelRelease && release != m.Next && m.PatchFor(release) != nil:
		m.Remove(p, *m.PatchFor(release))
	}
}

// RandomMoment is a moment at which something happened to a machine, or just before, or any other.
func RandomMoment(m *Machine, r *rand.Rand) time.Time {
	at := m.Truth[r.IntN(len(m.Truth))].From
	switch r.IntN(4) {
	case 0:
		return at
	case 1:
		return at.Add(-time.Microsecond)
	case 2:
		return m.All[r.IntN(len(m.All))].Time.Time
	}
	first, last := m.Truth[0].From.Add(-48*time.Hour), m.Now.Add(48*time.Hour)
	return first.Add(time.Duration(r.Int64N(int64(last.Sub(first))))).Truncate(time.Microsecond)
}
