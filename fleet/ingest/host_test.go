package ingest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// trials is how many random cases a test tries: as many as KLP_AUDIT_FLEET_TRIALS says, or few.
func trials(t testing.TB, short, long int) int {
	return int(number(t, "KLP_AUDIT_FLEET_TRIALS", uint64(storetest.Few(short, long))))
}

// seed is that of all random cases: KLP_AUDIT_SEED, or 1.
func seed(t testing.TB) uint64 { return number(t, "KLP_AUDIT_SEED", 1) }

func number(t testing.TB, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 32)
	check(t, err)
	return n
}

// hasty leads to a database whose commits are not synced: for tests that kill no server.
func hasty(dsn string) string {
	if strings.Contains(dsn, "://") {
		return dsn + "&synchronous_commit=off"
	}
	return dsn + " synchronous_commit=off"
}

var material struct {
	sync.Once
	events []*record.Event
}

// realEvents are those of a record that a random machine has made, except those that are about the
// log itself.
func realEvents(t *testing.T) []*record.Event {
	t.Helper()
	material.Do(func() {
		s := storetest.RandomMachine(t, storetest.NewRand(seed(t))).OpenRecord()
		size, evs := storetest.EventsOf(t, s)
		for seq := range size {
			if ev := evs[seq+1]; ev.Kind != record.KindRecorder && ev.Kind != record.KindPrune {
				material.events = append(material.events, ev)
			}
		}
	})
	if len(material.events) < 50 {
		t.Fatalf("%d events", len(material.events))
	}
	return material.events
}

// step adds one event to a log.
type step func(*prooftest.Log)

// host makes events up, and logs of them.
type host struct {
	*testing.T
	*rand.Rand
	first *proof.Key
	count int
}

func newHost(t *testing.T, r *rand.Rand) *host {
	return &host{T: t, Rand: r, first: prooftest.NewKey(t)}
}

// recorder names the key that signs: the first event, or the program was upgraded.
func recorder(cause record.Cause) step {
	return func(g *prooftest.Log) {
		g.Add(record.KindRecorder, func(ev *record.Event) {
			ev.Identity = &record.Identity{Cause: cause, Schema: 4, Key: g.Key.Verifier}
		})
	}
}

// something is an event of a real record, with an id of its own. Some waited in the spool, so they
// come after events that happened later.
func (h *host) something() step {
	events := realEvents(h.T)
	ev := *events[h.IntN(len(events))]
	h.count++
	ev.ID = fmt.Sprintf("019ca8d5-0000-7000-9000-%012d", h.count)
	if h.IntN(10) == 0 {
		taken := ev.Time
		ev.Time = record.At(taken.Add(-time.Duration(h.IntN(1000)) * time.Hour))
		ev.Spooled, ev.TakenIn = "the record was locked", &taken
	}
	body, err := record.Encode(&ev)
	check(h.T, err)
	return func(g *prooftest.Log) { g.AddBody(body) }
}

func (h *host) several(n int) (steps []step) {
	for range n {
		steps = append(steps, h.something())
	}
	return steps
}

// any is any event: something that happened, an upgrade, a planned change of key, or a prune.
func (h *host) any() step {
	switch h.IntN(40) {
	case 0:
		return recorder(record.CauseUpgraded)
	case 1:
		next := prooftest.NewKey(h.T)
		return func(g *prooftest.Log) { g.HandOver(next) }
	case 2:
		before := h.Int64N(30)
		return func(g *prooftest.Log) { g.Prune(max(g.Size()-before, 1)) }
	}
	return h.something()
}

// life is what happens on a host, up to n events.
func (h *host) life(n int) (steps []step) {
	steps = append(steps, recorder(record.CauseInstalled))
	for len(steps) < n {
		steps = append(steps, h.any())
	}
	return steps
}

// log is a log of these events.
func (h *host) log(steps []step) *prooftest.Log {
	g := &prooftest.Log{TB: h.T, Key: h.first}
	for _, add := range steps {
		add(g)
	}
	return g
}

// same is how many events two logs share.
func same(a, b *prooftest.Log) (n int64) {
	for n < min(a.Size(), b.Size()) && leaf(a, n+1) == leaf(b, n+1) {
		n++
	}
	return n
}

// leaf is the leaf hash of an event.
func leaf(g *prooftest.Log, seq int64) tlog.Hash { return g.Hashes[tlog.StoredHashIndex(0, seq-1)] }

// packed is an export as it travels: as it is, or compressed.
func (h *host) packed(export []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch h.IntN(3) {
	case 0:
		w = gzip.NewWriter(&b)
	case 1:
		w, err = zstd.NewWriter(&b)
	default:
		return export
	}
	check(h.T, err)
	_, err = w.Write(export)
	check(h.T, err)
	check(h.T, w.Close())
	return b.Bytes()
}
