package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// machine is a host that a script makes up.
type machine struct {
	*prooftest.Log
	name, id string
	told     int64 // tells two histories apart
}

// machines are the hosts of a script, by their names.
type machines struct {
	testing.TB
	list map[string]*machine
}

// machinesKey is the key of a script's machines.
const machinesKey = "machines"

// machineOf returns the host that the first argument of a command names, which has so many arguments.
func machineOf(ts *testscript.TestScript, neg bool, args []string, usage string, least, most int) *machine {
	if neg || len(args) < least || len(args) > most {
		ts.Fatalf("usage: %s", usage)
	}
	m := ts.Value(machinesKey).(*machines).list[args[0]]
	if m == nil {
		ts.Fatalf("there is no host %q", args[0])
	}
	return m
}

// newHost makes a host with a record of two events. Its key is in the variable NAME_key: host NAME [MACHINE-ID].
func newHost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: host NAME [MACHINE-ID]")
	}
	all := ts.Value(machinesKey).(*machines)
	m := &machine{Log: prooftest.New(all.TB), name: args[0], id: "id-of-" + args[0]}
	if len(args) == 2 {
		m.id = args[1]
	}
	all.list[m.name] = m
	m.grow(1)
	ts.Setenv(m.name+"_key", m.Key.Verifier)
}

// add adds an event of the host.
func (m *machine) add(kind record.EventKind, fill func(*record.Event)) {
	m.Add(kind, func(ev *record.Event) {
		ev.Host = record.Host{MachineID: m.id, Hostname: m.name}
		fill(ev)
	})
}

func (m *machine) grow(n int64) {
	for range n {
		m.add(record.KindDrift, func(ev *record.Event) {
			ev.Drift = &record.Drift{Cause: record.DriftUnrecorded, Since: prooftest.At(m.told), Changes: []record.Change{}, Installed: []record.Package{}}
		})
	}
}

// growHost adds events: grow NAME NUMBER.
func growHost(ts *testscript.TestScript, neg bool, args []string) {
	machineOf(ts, neg, args, "grow NAME NUMBER", 2, 2).grow(number(ts, args[1]))
}

// rollBack forgets the last events, as a machine does that goes back to a snapshot: rollback NAME NUMBER.
func rollBack(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts, neg, args, "rollback NAME NUMBER", 2, 2)
	m.forget(number(ts, args[1]))
}

func (m *machine) forget(n int64) {
	before := &prooftest.Log{TB: m.TB, Key: m.Key}
	for _, body := range m.Bodies[:m.Size()-n] {
		before.AddBody(body)
	}
	m.Log = before
	m.told++
}

// rewrite puts others in the place of the last events: rewrite NAME NUMBER.
func rewrite(ts *testscript.TestScript, neg bool, args []string) {
	m, n := machineOf(ts, neg, args, "rewrite NAME NUMBER", 2, 2), number(ts, args[1])
	m.forget(n)
	m.grow(n)
}

// changeKey has another key take over, as planned: newkey NAME.
func changeKey(ts *testscript.TestScript, neg bool, args []string) {
	machineOf(ts, neg, args, "newkey NAME", 1, 1).AddKey()
}

// loseKey has another key take over that the one before did not sign: losekey NAME.
func loseKey(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts, neg, args, "losekey NAME", 1, 1)
	m.Key = prooftest.NewKey(m.TB)
	m.add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseKeyReplaced, Schema: 4, Key: m.Key.Verifier}
	})
}

// pruneHost removes the bodies of events up to a number: prune NAME THROUGH.
func pruneHost(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts, neg, args, "prune NAME THROUGH", 2, 2)
	m.Prune(number(ts, args[1]))
	m.grow(1)
}
