package proof_test

import (
	"bufio"
	"bytes"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) *proof.Key {
	t.Helper()
	text, err := proof.MakeKey()
	check(t, err)
	key, err := proof.ParseKey(text)
	check(t, err)
	return key
}

// at is the time of event n.
func at(n int64) record.Timestamp {
	return record.At(time.Date(2026, 3, 1, 12, int(n), 0, 0, time.UTC))
}

// growing is a log in memory, with the key that signs it.
type growing struct {
	*testing.T
	key        *proof.Key
	bodies     [][]byte // nil: pruned
	hashes     []tlog.Hash
	checkpoint string
}

// newLog is a log with its recorder event.
func newLog(t *testing.T) *growing {
	t.Helper()
	g := &growing{T: t, key: newKey(t)}
	g.add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseInstalled, Schema: 4, Key: g.key.Verifier}
	})
	return g
}

func (g *growing) size() int64 { return int64(len(g.bodies)) }

func (g *growing) ReadHashes(ids []int64) (hashes []tlog.Hash, err error) {
	for _, id := range ids {
		hashes = append(hashes, g.hashes[id])
	}
	return hashes, nil
}

func (g *growing) root() tlog.Hash {
	g.Helper()
	root, err := tlog.TreeHash(g.size(), g)
	check(g, err)
	return root
}

// add adds an event with a payload, and signs the log.
func (g *growing) add(kind record.EventKind, fill func(*record.Event)) {
	g.Helper()
	n := g.size() + 1
	ev := &record.Event{Header: record.Header{
		V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", n), Time: at(n), UTCOffset: "+01:00",
		Host: record.Host{MachineID: "m1", Hostname: "sles"}, Recorder: record.Program{Program: "klp-audit", Version: "1.0.0"},
	}}
	fill(ev)
	body, err := record.Encode(ev)
	check(g, err)
	g.addBody(body)
}

// addBody adds an event's bytes, and signs the log.
func (g *growing) addBody(body []byte) {
	g.Helper()
	hashes, err := tlog.StoredHashes(g.size(), body, g)
	check(g, err)
	g.bodies, g.hashes = append(g.bodies, body), append(g.hashes, hashes...)
	cp, err := g.key.Sign(g.size(), g.root(), nil)
	check(g, err)
	g.checkpoint = cp.Note
}

// addDrift adds n events that say nothing about the log.
func (g *growing) addDrift(n int) {
	g.Helper()
	for range n {
		g.add(record.KindDrift, func(ev *record.Event) {
			ev.Drift = &record.Drift{Cause: record.DriftUnrecorded, Since: at(0), Changes: []record.Change{}, Installed: []record.Package{}}
		})
	}
}

// addKey adds the event by which another key takes over.
func (g *growing) addKey() {
	g.Helper()
	next := newKey(g.T)
	handOver, err := g.key.HandOver(next, g.size(), g.root())
	check(g, err)
	g.key = next
	g.add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseIdentityChanged, Schema: 4, Key: next.Verifier, Checkpoint: handOver}
	})
}

// prune removes the bodies of the events up to a number, except those that name keys.
func (g *growing) prune(through int64) {
	g.Helper()
	p := &record.Prune{Horizon: at(through + 1), Through: through}
	for i, body := range g.bodies[:through] {
		if bytes.Contains(body, []byte(`"kind":"recorder"`)) {
			p.Kept = append(p.Kept, int64(i)+1)
		} else {
			g.bodies[i] = nil
			p.Gone++
		}
	}
	g.add(record.KindPrune, func(ev *record.Event) { ev.Prune = p })
}

// export is the export of the events after number since.
func (g *growing) export(since int64) []byte {
	g.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	tree, _ := g.ReadHashes(proof.Subtrees(since))
	check(g, proof.WriteExportHeader(w, since, tree, g.key.Verifier))
	for seq := since + 1; seq <= g.size(); seq++ {
		leaf := g.hashes[tlog.StoredHashIndex(0, seq-1)]
		check(g, proof.WriteExportEntry(w, proof.Entry{Seq: seq, Hash: leaf, Body: g.bodies[seq-1]}))
	}
	check(g, proof.WriteExportEnd(w, g.checkpoint))
	check(g, w.Flush())
	return b.Bytes()
}
