// Package storetest makes up machines and their records for tests. What happens to a Machine is the
// truth, and its recorder writes what it sees of that; a Life is a short, hand-written list of
// events.
package storetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// The kernels of the stories, as packages and as in uname -r.
const (
	KernelA, ReleaseA = "6.4.0-150600.23.42.2", "6.4.0-150600.23.42-default"
	KernelB, ReleaseB = "6.4.0-150600.23.47.2", "6.4.0-150600.23.47-default"
	KernelC, ReleaseC = "6.4.0-150600.23.53.1", "6.4.0-150600.23.53-default"
)

// Machine is a made-up host. What happens to it is the truth; its recorder writes what it sees of
// that into events, and its journal remembers boots.
type Machine struct {
	T    *testing.T
	Root string // of its file tree, with the record
	Now  time.Time

	timer     time.Time       // when the daily timer last ran
	Recording bool            // the recorder is installed and works
	Rotated   bool            // the journal has lost the starts of boots
	Written   []*record.Event // but not yet in the record
	All       []*record.Event
	known     map[string]time.Time // how long each boot is on record
	Truth     []Truth
	number    int // of the newest event, boot, transaction

	Boot      *record.Boot // nil: switched off
	Pending   []*record.Boot
	Module    string // active
	Since     time.Time
	Installed []record.Package
	Initrds   map[string]string           // module, by kernel release
	Next      string                      // kernel release of the default boot entry
	Parts     map[record.PartName]setPart // the other parts of observations
}

// Truth is the true state from a moment on.
type Truth struct {
	From      time.Time
	Boot      string // empty: it was switched off
	Kernel    string
	Module    string // active live patch; empty: none
	InInitrd  string // module in the initrd of the running kernel
	Next      string // kernel of the default boot entry
	Installed []string
	changing  bool // packages are being changed
}

// NewMachine is a machine that is installed and switched off, without a recorder.
func NewMachine(t *testing.T, start string) *Machine {
	t.Helper()
	root := t.TempDir()
	Check(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	Check(t, os.WriteFile(filepath.Join(root, "etc/machine-id"), []byte("0123456789abcdef0123456789abcdef\n"), 0o644))
	m := &Machine{T: t, Root: root, Now: When(t, start), timer: When(t, start).Add(-5 * time.Hour), Initrds: map[string]string{}, known: map[string]time.Time{}, Parts: map[record.PartName]setPart{}}
	Says(m, record.Taint{Value: 32768, Flags: []record.TaintFlag{}})
	Says(m, record.Coverage{Date: "2026-03-31", File: "/var/lib/lifecycle/data/sle-module-live-patching.lifecycle", Line: 3, Name: "*", Version: "*"})
	Says(m, record.Locks{})
	Says(m, record.Entitlement{
		Products: []record.Product{{Name: "sle-module-live-patching", Version: "15.6", EndOfLife: "2031-12-31", File: "/etc/products.d/sle-module-live-patching.prod"}},
		Patterns: []string{"patterns-lp-lp_sles"}, Lifecycle: []string{"lifecycle-data-sle-module-live-patching"},
	})
	m.Parts[record.PartRepositories] = func(o *record.Observation) error {
		refreshed := m.Now.Add(-time.Hour)
		return record.SetPart(o, record.Repositories{{Alias: "SLE-Module-Live-Patching15-SP6-Updates", Offers: true, Refreshed: new(record.At(refreshed)), Newest: refreshed.Format(time.DateOnly)}})
	}
	Says(m, record.HistoryComparison{File: "/var/log/zypp/history", Missing: []record.MissingChange{}, Lost: []record.LostHistory{}})
	return m
}

// setPart adds a part to an observation.
type setPart func(*record.Observation) error

// Says gives observations a part from now on.
func Says[T record.PartType](m *Machine, v T) {
	m.Parts[record.PartNameOf[T]()] = func(o *record.Observation) error { return record.SetPart(o, v) }
}

// Check fails the test on an error.
func Check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// When reads a moment: 2026-03-05T10:00, in UTC.
func When(t *testing.T, text string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	t.Fatalf("time %q", text)
	return time.Time{}
}

// Until lets time pass, with an observation a day.
func (m *Machine) Until(text string) {
	m.T.Helper()
	m.Pass(When(m.T, text))
}

// Pass lets time pass up to a moment, with an observation a day.
func (m *Machine) Pass(to time.Time) {
	for next := m.timer.Add(24 * time.Hour); next.Before(to); next = m.timer.Add(24 * time.Hour) {
		if m.timer = next; next.After(m.Now) {
			m.Now = next
			m.Observe(record.TriggerTimer)
		}
	}
	m.Now = to
}

// Wait lets time pass.
func (m *Machine) Wait(d time.Duration) { m.Now = m.Now.Add(d) }

// Happened notes the new state.
func (m *Machine) Happened() {
	now := Truth{From: m.Now, Module: m.Module, Next: m.Next, changing: m.changing()}
	if m.Boot != nil {
		now.Boot, now.Kernel, now.InInitrd = m.Boot.ID, m.Boot.KernelRelease, m.Initrds[m.Boot.KernelRelease]
	}
	for _, p := range m.Installed {
		now.Installed = append(now.Installed, p.Name+"-"+p.Version)
	}
	slices.Sort(now.Installed)
	m.Truth = append(m.Truth, now)
}

func (m *Machine) changing() bool { return len(m.Truth) > 0 && m.Truth[len(m.Truth)-1].changing }

// At returns the truth at a moment.
func (m *Machine) At(moment time.Time) Truth {
	i, found := slices.BinarySearchFunc(m.Truth, moment, func(s Truth, at time.Time) int { return s.From.Compare(at) })
	if found { // of several changes at one moment the last one counts
		for i+1 < len(m.Truth) && m.Truth[i+1].From.Equal(moment) {
			i++
		}
		return m.Truth[i]
	}
	if i == 0 {
		return Truth{}
	}
	return m.Truth[i-1]
}

// Header is the header of an event written now.
func (m *Machine) Header(kind record.EventKind) record.Header {
	m.number++
	h := record.Header{
		V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", m.number), Time: m.stamp(), UTCOffset: "+01:00",
		Host:     record.Host{MachineID: "0123456789abcdef0123456789abcdef", Hostname: "db01"},
		Recorder: record.Program{Program: "klp-audit", Version: "1.0.0"},
	}
	if m.Boot != nil {
		h.BootID, h.BoottimeUS = m.Boot.ID, m.Now.Sub(m.Boot.First.Time).Microseconds()
	}
	return h
}

func (m *Machine) stamp() record.Timestamp { return record.At(m.Now) }

// Write lets the recorder write an event.
func (m *Machine) Write(ev *record.Event) {
	if m.Recording {
		m.Written, m.All = append(m.Written, ev), append(m.All, ev)
	}
}

// Flush appends what was written to the record. The store's clock is the machine's, so what the
// store adds itself is dated now.
func (m *Machine) Flush() {
	m.T.Helper()
	evs, now := m.Written, m.Now
	m.Written = nil
	synctest.Test(m.T, func(t *testing.T) {
		time.Sleep(time.Until(now))
		s, err := store.Open(t.Context(), m.Root, "1.0.0")
		Check(t, err)
		Check(t, s.Append(t.Context(), evs...))
		Check(t, s.Close())
	})
}

// OpenRecord opens what was recorded so far.
func (m *Machine) OpenRecord() *store.Store {
	m.T.Helper()
	m.Flush()
	s, err := store.OpenReadOnly(m.T.Context(), store.Path(m.Root))
	Check(m.T, err)
	m.T.Cleanup(func() { s.Close() })
	return s
}

// StartRecording installs the recorder.
func (m *Machine) StartRecording() {
	m.Flush()
	m.Recording = true
}

// Start boots a kernel, and loads the live patch in its initrd.
func (m *Machine) Start(release string) {
	m.number++
	m.Boot = &record.Boot{ID: fmt.Sprintf("%032x", m.number), KernelRelease: release, First: m.stamp(), StartInJournal: true, Loads: []record.Load{}, Builds: []record.Build{}}
	m.Module = ""
	m.Happened()
	if module := m.Initrds[release]; module != "" {
		m.Wait(2 * time.Second)
		m.Load(module, "initrd", "R2")
	}
	m.Wait(30 * time.Second)
	m.Observe(record.TriggerBoot)
}

// Halt ends the boot; the journal's last entry is older by this much.
func (m *Machine) Halt(lost time.Duration) {
	m.endJournal(m.Now.Add(-lost))
	m.Wait(time.Microsecond) // it still ran when it wrote that
	m.Boot, m.Module = nil, ""
	m.Happened()
}

// endJournal ends the journal of the boot at a moment; what came later is lost.
func (m *Machine) endJournal(last time.Time) {
	b := m.Boot
	if last.Before(b.First.Time) {
		return // nothing of that boot was written
	}
	b.Last = record.At(last)
	b.Loads = slices.DeleteFunc(b.Loads, func(l record.Load) bool { return l.Time.After(last) })
	b.Builds = slices.DeleteFunc(b.Builds, func(l record.Build) bool { return l.Time.After(last) })
	for i := range b.Loads {
		if d := b.Loads[i].Disabled; d != nil && d.After(last) {
			b.Loads[i].Disabled, b.Loads[i].Replaced = nil, ""
		}
	}
	m.Pending = append(m.Pending, b)
}

// Reboot ends the boot properly and starts the default entry.
func (m *Machine) Reboot() {
	m.Halt(0)
	m.Wait(90 * time.Second)
	m.Start(m.Next)
}

// Crash ends the boot; the last minutes of its journal never reached the disk.
func (m *Machine) Crash() {
	m.Halt(4 * time.Minute)
	m.Wait(5 * time.Minute)
	m.Start(m.Next)
}

// Load activates a live patch, which replaces the previous one.
func (m *Machine) Load(module string, phase record.Phase, rule string) {
	loads := m.Boot.Loads
	for i := range loads {
		if loads[i].Patch == m.Module && loads[i].Disabled == nil {
			loads[i].Disabled, loads[i].Replaced = new(m.stamp()), module
		}
	}
	m.number++
	m.Boot.Loads = append(loads, record.Load{Patch: module, Phase: phase, Rule: rule, Result: "complete", Time: m.stamp(), Completed: new(m.stamp()), Cursor: "s=1;i=" + strconv.Itoa(m.number)})
	m.Module, m.Since = module, m.Now
	m.Happened()
}

// Disable disables the active live patch by hand.
func (m *Machine) Disable() {
	for i := range m.Boot.Loads {
		if m.Boot.Loads[i].Patch == m.Module && m.Boot.Loads[i].Disabled == nil {
			m.Boot.Loads[i].Disabled = new(m.stamp())
		}
	}
	m.Module = ""
	m.Happened()
}

// build rebuilds the initrd of a kernel, with the live patch that is installed for it.
func (m *Machine) build(release string) {
	m.Initrds[release] = ""
	b := record.Build{KernelRelease: release, Image: "/boot/initrd-" + release, Modules: []string{}, Success: true, Time: m.stamp(), Cursor: "s=2"}
	if p := m.PatchFor(release); p != nil {
		m.Initrds[release] = ModuleOf(*p)
		b.Modules = append(b.Modules, ModuleOf(*p)+".ko")
	}
	if m.Boot != nil {
		m.Boot.Builds = append(m.Boot.Builds, b)
	}
	m.Happened()
}
