package storetest

import (
	"os"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// TwoYears is the story that the reports are tested with: a host from January 2025 to June 2026,
// with three kernels and everything that can go wrong with their live patches.
func TwoYears(t *testing.T) *Machine {
	t.Helper()
	m := NewMachine(t, "2025-01-01T08:00:00Z")
	m.Installed, m.Next = []record.Package{KernelPackage(KernelA)}, ReleaseA
	m.Start(ReleaseA)
	m.Until("2025-01-07T10:00:00Z")
	m.StartRecording()
	m.Observe(record.TriggerManual)
	m.kernelAOfStory()
	m.kernelBOfStory()
	m.kernelCOfStory()
	return m
}

func (m *Machine) kernelAOfStory() {
	for _, step := range []struct {
		date  string
		patch int
	}{{"2025-01-10T09:00:00Z", 1}, {"2025-02-04T09:00:00Z", 2}, {"2025-02-25T09:00:00Z", 3}} {
		m.Until(step.date)
		m.Install(PatchPackage(ReleaseA, step.patch))
	}
	m.Until("2025-03-11T20:00:00Z")
	m.Reboot()
	m.Until("2025-04-01T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 4))
	m.Until("2025-04-20T12:00:00Z")
	m.Initrds[ReleaseA] = ModuleOf(PatchPackage(ReleaseA, 3)) // an older image is put back
	m.Happened()
	m.Until("2025-04-22T03:17:00Z")
	m.Crash()
	m.Until("2025-04-23T08:00:00Z")
	m.Install(PatchPackage(ReleaseA, 4))
	m.Until("2025-05-06T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 5))
	m.Until("2025-05-13T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 4)) // a downgrade, for five days
	m.Until("2025-05-18T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 5))
	m.Until("2025-06-03T09:00:00Z")
	m.Commit(record.OutcomeFailed, []record.Package{PatchPackage(ReleaseA, 6)}, nil)
	m.Until("2025-06-04T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 6))
}

func (m *Machine) kernelBOfStory() {
	m.Until("2025-07-01T09:00:00Z")
	m.Install(KernelPackage(KernelB), PatchPackage(ReleaseB, 1))
	m.Until("2025-07-08T20:00:00Z")
	m.Reboot()
	m.Until("2025-08-05T09:00:00Z")
	m.Install(PatchPackage(ReleaseB, 2))
	m.Until("2025-08-12T09:00:00Z")
	m.Recording = false // for a week nothing is written down
	m.Until("2025-08-14T09:00:00Z")
	m.Install(PatchPackage(ReleaseB, 3))
	m.Until("2025-08-15T20:00:00Z")
	m.Reboot()
	m.Until("2025-08-19T09:00:00Z")
	m.StartRecording()
	m.Observe(record.TriggerManual)
	m.Until("2025-09-09T09:00:00Z")
	m.Install(PatchPackage(ReleaseB, 4))
	m.Remove(KernelPackage(KernelA), PatchPackage(ReleaseA, 6))
	m.Until("2025-09-20T09:00:00Z")
	m.Flush()
	Check(m.T, os.Remove(store.KeyPath(m.Root)))
	m.Flush() // creates another key
	m.Until("2025-10-07T09:00:00Z")
	m.Commit(record.OutcomeStaged, []record.Package{PatchPackage(ReleaseB, 5)}, nil)
	m.Until("2025-10-08T20:00:00Z")
	m.Halt(0)
	m.Apply([]record.Package{PatchPackage(ReleaseB, 5)}, nil)
	m.Settled()
	m.Wait(time.Minute)
	m.Start(ReleaseB)
}

func (m *Machine) kernelCOfStory() {
	m.Until("2025-11-11T09:00:00Z")
	m.Install(KernelPackage(KernelC), PatchPackage(ReleaseC, 1))
	m.Until("2025-11-12T20:00:00Z")
	m.Reboot()
	m.Until("2026-01-13T09:00:00Z")
	m.Install(PatchPackage(ReleaseC, 2))
	m.Until("2026-06-29T09:00:00Z")
	m.Commit("", []record.Package{PatchPackage(ReleaseC, 3)}, nil) // zypper was killed
}
