package report

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

// life is a short list of events, written down by hand.
type life struct {
	t    *testing.T
	evs  []*record.Event
	last time.Time
}

// march is a moment of March 2026: "5 10:00" or "5 10:00:30".
func march(t *testing.T, text string) time.Time {
	t.Helper()
	d, clock, _ := strings.Cut(text, " ")
	if strings.Count(clock, ":") == 1 {
		clock += ":00"
	}
	at, err := time.Parse("2006-01-2 15:04:05", "2026-03-"+d+" "+clock)
	check(t, err)
	return at
}

func (l *life) stamp(text string) record.Timestamp { return record.At(march(l.t, text)) }

// bootID is the id of a boot that a story calls by a letter.
func bootID(name string) string { return fmt.Sprintf("%032x", name[0]) }

// event appends an event, written in a boot that began, by its clock, at a moment.
func (l *life) event(kind record.EventKind, at, boot, began string) *record.Event {
	e := &record.Event{Header: record.Header{
		V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", len(l.evs)+1), Time: l.stamp(at), UTCOffset: "+00:00",
		Host:   record.Host{MachineID: "0123456789abcdef0123456789abcdef", Hostname: "db01"},
		BootID: bootID(boot), BoottimeUS: march(l.t, at).Sub(march(l.t, began)).Microseconds(), Recorder: record.Program{Program: "klp-audit", Version: "1.0.0"},
	}}
	l.evs = append(l.evs, e)
	if e.Time.After(l.last) {
		l.last = e.Time.Time
	}
	return e
}

// sees is an observation of a live patch, "" none, "?" unreadable.
func (l *life) sees(at, boot, began, module string, rows ...record.Boot) *record.Observation {
	e := l.event(record.KindObservation, at, boot, began)
	o := &record.Observation{
		Trigger: record.TriggerTimer, Kernel: record.Kernel{Release: releaseA, BootTime: l.stamp(began)},
		Installed: []record.Package{}, Patches: []record.LoadedPatch{}, Boots: rows, Parts: map[record.PartName]json.RawMessage{}, Unknown: map[string]string{},
		Initrd: record.Initrd{KernelRelease: releaseA, Verdict: record.VerdictUnknown, Reason: record.ReasonNoPatch, Evidence: []record.Evidence{}},
	}
	switch module {
	case "":
	case "?":
		o.Patches = nil
	default:
		p := patchPackage(releaseA, int(module[1]-'0'))
		fixes := fixesOf(p)
		o.Patches = append(o.Patches, record.LoadedPatch{Module: module, Enabled: true})
		o.LivePatch = &record.LivePatch{Module: module, Enabled: true, Package: &p.Name, Version: &p.Version, CVEs: append([]string{}, fixes.CVEs...), Bugs: fixes.Bugs}
		o.Initrd.Patch = module
	}
	e.Observation = o
	return o
}

// row is what the journal shows of a boot, from its start on.
func (l *life) row(boot, first, last string, loads ...record.Load) record.Boot {
	return record.Boot{ID: bootID(boot), KernelRelease: releaseA, First: l.stamp(first), Last: l.stamp(last), StartInJournal: true, Loads: loads, Builds: []record.Build{}}
}

// startLost is a row whose start the journal has lost.
func startLost(b record.Boot) record.Boot {
	b.StartInJournal = false
	return b
}

// loads is a load that was complete at once.
func (l *life) loads(at, module, phase string) record.Load {
	return record.Load{Patch: module, Phase: phase, Rule: "R2", Result: "complete", Time: l.stamp(at), Completed: new(l.stamp(at)), Cursor: at}
}

// holds says that the initrd was proven to hold the live patch.
func holdsPatch(o *record.Observation) {
	o.Initrd.Verdict, o.Initrd.Basis, o.Initrd.Reason = record.VerdictContained, record.BasisBuild, ""
}

func (l *life) record() *store.Store {
	l.t.Helper()
	return l.machine().record()
}

// machine is one with these events on record.
func (l *life) machine() *machine {
	l.t.Helper()
	m := &machine{t: l.t, root: l.t.TempDir(), now: l.last.Add(time.Hour), written: l.evs}
	check(l.t, os.MkdirAll(filepath.Join(m.root, "etc"), 0o755))
	check(l.t, os.WriteFile(filepath.Join(m.root, "etc/machine-id"), []byte("0123456789abcdef0123456789abcdef\n"), 0o644))
	return m
}
