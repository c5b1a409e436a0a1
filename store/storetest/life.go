package storetest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// Life is a short, hand-written list of events.
type Life struct {
	T    *testing.T
	Evs  []*record.Event
	last time.Time
}

// March is a moment of March 2026: "5 10:00" or "5 10:00:30".
func March(t *testing.T, text string) time.Time {
	t.Helper()
	d, clock, _ := strings.Cut(text, " ")
	if strings.Count(clock, ":") == 1 {
		clock += ":00"
	}
	at, err := time.Parse("2006-01-2 15:04:05", "2026-03-"+d+" "+clock)
	Check(t, err)
	return at
}

// Stamp is a moment of March 2026 as a timestamp.
func (l *Life) Stamp(text string) record.Timestamp { return record.At(March(l.T, text)) }

// bootID is the id of a boot that a story names by a letter.
func bootID(name string) string { return fmt.Sprintf("%032x", name[0]) }

// Event appends an event, written in a boot that began, by its clock, at a moment.
func (l *Life) Event(kind record.EventKind, at, boot, began string) *record.Event {
	e := &record.Event{Header: record.Header{
		V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", len(l.Evs)+1), Time: l.Stamp(at), UTCOffset: "+00:00",
		Host:   record.Host{MachineID: "0123456789abcdef0123456789abcdef", Hostname: "db01"},
		BootID: bootID(boot), BoottimeUS: March(l.T, at).Sub(March(l.T, began)).Microseconds(), Recorder: record.Program{Program: "klp-audit", Version: "1.0.0"},
	}}
	l.Evs = append(l.Evs, e)
	if e.Time.After(l.last) {
		l.last = e.Time.Time
	}
	return e
}

// Sees observes a live patch: "" none, "?" unreadable.
func (l *Life) Sees(at, boot, began, module string, rows ...record.Boot) *record.Observation {
	e := l.Event(record.KindObservation, at, boot, began)
	o := &record.Observation{
		Trigger: record.TriggerTimer, Kernel: record.Kernel{Release: ReleaseA, BootTime: l.Stamp(began)},
		Installed: []record.Package{}, Patches: []record.LoadedPatch{}, Boots: rows, Parts: map[record.PartName]json.RawMessage{}, Unknown: map[string]string{},
		Initrd: record.Initrd{KernelRelease: ReleaseA, Verdict: record.VerdictUnknown, Reason: record.ReasonNoPatch, Evidence: []record.Evidence{}},
	}
	switch module {
	case "":
	case "?":
		o.Patches = nil
	default:
		p := PatchPackage(ReleaseA, int(module[1]-'0'))
		fixes := FixesOf(p)
		o.Patches = append(o.Patches, record.LoadedPatch{Module: module, Enabled: true})
		o.LivePatch = &record.LivePatch{Module: module, Enabled: true, Package: &p.Name, Version: &p.Version, CVEs: append([]string{}, fixes.CVEs...), Bugs: fixes.Bugs}
		o.Initrd.Patch = module
	}
	e.Observation = o
	return o
}

// Row is what the journal shows of a boot, from its start on.
func (l *Life) Row(boot, first, last string, loads ...record.Load) record.Boot {
	return record.Boot{ID: bootID(boot), KernelRelease: ReleaseA, First: l.Stamp(first), Last: l.Stamp(last), StartInJournal: true, Loads: loads, Builds: []record.Build{}}
}

// StartLost is a row whose start the journal has lost.
func StartLost(b record.Boot) record.Boot {
	b.StartInJournal = false
	return b
}

// Loads is a load that completed at once.
func (l *Life) Loads(at, module string, phase record.Phase) record.Load {
	return record.Load{Patch: module, Phase: phase, Rule: "R2", Result: "complete", Time: l.Stamp(at), Completed: new(l.Stamp(at)), Cursor: at}
}

// HoldsPatch says that the initrd was proven to contain the live patch.
func HoldsPatch(o *record.Observation) {
	o.Initrd.Verdict, o.Initrd.Basis, o.Initrd.Reason = record.VerdictContained, record.BasisBuild, ""
}

// OpenRecord records the events and opens the record.
func (l *Life) OpenRecord() *store.Store {
	l.T.Helper()
	return l.Machine().OpenRecord()
}

// Machine is one with these events on record.
func (l *Life) Machine() *Machine {
	l.T.Helper()
	m := &Machine{T: l.T, Root: l.T.TempDir(), Now: l.last.Add(time.Hour), Written: l.Evs}
	Check(l.T, os.MkdirAll(filepath.Join(m.Root, "etc"), 0o755))
	Check(l.T, os.WriteFile(filepath.Join(m.Root, "etc/machine-id"), []byte("0123456789abcdef0123456789abcdef\n"), 0o644))
	return m
}
