// Package prooftest makes up logs in memory, for tests of whatever reads or keeps exports.
package prooftest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
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

// NewKey makes a private key.
func NewKey(t testing.TB) *proof.Key {
	t.Helper()
	text, err := proof.MakeKey()
	check(t, err)
	key, err := proof.ParseKey(text)
	check(t, err)
	return key
}

// At is the time of event n.
func At(n int64) record.Timestamp {
	return record.At(time.Date(2026, 3, 1, 12, int(n), 0, 0, time.UTC))
}

// Log is a log in memory, with the key that signs it.
type Log struct {
	testing.TB
	Key        *proof.Key
	Bodies     [][]byte    // nil: pruned
	Hashes     []tlog.Hash // of the tree, as package tlog numbers them
	Checkpoint string      // the newest, signed
}

// New returns a log with its recorder event.
func New(t testing.TB) *Log {
	t.Helper()
	return begin(t, NewKey(t))
}

// NewNamed returns a log whose key has a name.
func NewNamed(t testing.TB, name string) *Log {
	t.Helper()
	text, _, err := note.GenerateKey(rand.Reader, name)
	check(t, err)
	key, err := proof.ParseKey(text)
	check(t, err)
	return begin(t, key)
}

func begin(t testing.TB, key *proof.Key) *Log {
	t.Helper()
	g := &Log{TB: t, Key: key}
	g.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseInstalled, Schema: 4, Key: g.Key.Verifier}
	})
	return g
}

// Size is how many events the log has.
func (g *Log) Size() int64 { return int64(len(g.Bodies)) }

// ReadHashes implements tlog.HashReader.
func (g *Log) ReadHashes(ids []int64) (hashes []tlog.Hash, err error) {
	for _, id := range ids {
		hashes = append(hashes, g.Hashes[id])
	}
	return hashes, nil
}

// Root is the root hash of the tree.
func (g *Log) Root() tlog.Hash {
	g.Helper()
	root, err := tlog.TreeHash(g.Size(), g)
	check(g, err)
	return root
}

// Add adds an event with a payload, and signs the log.
func (g *Log) Add(kind record.EventKind, fill func(*record.Event)) {
	g.Helper()
	n := g.Size() + 1
	ev := &record.Event{Header: record.Header{
		V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", n), Time: At(n), UTCOffset: "+01:00",
		Host: record.Host{MachineID: "m1", Hostname: "sles"}, Recorder: record.Program{Program: "klp-audit", Version: "1.0.0"},
	}}
	fill(ev)
	body, err := record.Encode(ev)
	check(g, err)
	g.AddBody(body)
}

// AddBody adds an event's bytes, and signs the log.
func (g *Log) AddBody(body []byte) {
	g.Helper()
	hashes, err := tlog.StoredHashes(g.Size(), body, g)
	check(g, err)
	g.Bodies, g.Hashes = append(g.Bodies, body), append(g.Hashes, hashes...)
	cp, err := g.Key.Sign(g.Size(), g.Root(), nil)
	check(g, err)
	g.Checkpoint = cp.Note
}

// AddDrift adds n events that say nothing about the log.
func (g *Log) AddDrift(n int) {
	g.Helper()
	for range n {
		g.Add(record.KindDrift, func(ev *record.Event) {
			ev.Drift = &record.Drift{Cause: record.DriftUnrecorded, Since: At(0), Changes: []record.Change{}, Installed: []record.Package{}}
		})
	}
}

// AddKey adds the event by which another key takes over.
func (g *Log) AddKey() {
	g.Helper()
	g.HandOver(NewKey(g.TB))
}

// HandOver adds the event by which a key takes over, with the signature of the one before it.
func (g *Log) HandOver(next *proof.Key) {
	g.Helper()
	handOver, err := g.Key.HandOver(next, g.Size(), g.Root())
	check(g, err)
	g.Key = next
	g.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseIdentityChanged, Schema: 4, Key: next.Verifier, Checkpoint: handOver}
	})
}

// Prune removes the bodies of the events up to a number, except those that name keys.
func (g *Log) Prune(through int64) {
	g.Helper()
	g.PruneTo(through, func(int64) bool { return true })
}

// PruneTo prunes the events up to a number, and removes the bodies of those that go, except those
// that name keys.
func (g *Log) PruneTo(through int64, goes func(seq int64) bool) {
	g.Helper()
	p := &record.Prune{Horizon: At(through + 1), Through: through}
	for i, body := range g.Bodies[:through] {
		if seq := int64(i) + 1; bytes.Contains(body, []byte(`"kind":"recorder"`)) || !goes(seq) {
			p.Kept = append(p.Kept, seq)
		} else {
			g.Bodies[i] = nil
			p.Gone++
		}
	}
	g.Add(record.KindPrune, func(ev *record.Event) { ev.Prune = p })
}

// Export is the export of the events after number since.
func (g *Log) Export(since int64) []byte {
	g.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	tree, _ := g.ReadHashes(proof.Subtrees(since))
	check(g, proof.WriteExportHeader(w, since, tree, g.Key.Verifier))
	for seq := since + 1; seq <= g.Size(); seq++ {
		leaf := g.Hashes[tlog.StoredHashIndex(0, seq-1)]
		check(g, proof.WriteExportEntry(w, proof.Entry{Seq: seq, Hash: leaf, Body: g.Bodies[seq-1]}))
	}
	check(g, proof.WriteExportEnd(w, g.Checkpoint))
	check(g, w.Flush())
	return b.Bytes()
}
