package ingest_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/pgtest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// collector is a collector with a database of its own.
type collector struct {
	*testing.T
	*ingest.Collector
	dsn   string
	now   time.Time
	clock sync.Mutex
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	dsn := pgtest.DSN(t)
	_, _, err := pg.Migrate(t.Context(), dsn)
	check(t, err)
	return connected(t, dsn)
}

// connected is another collector on a database.
func connected(t *testing.T, dsn string) *collector {
	t.Helper()
	db, err := pg.Open(t.Context(), dsn)
	check(t, err)
	t.Cleanup(db.Close)
	c := &collector{T: t, dsn: dsn, now: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
	c.Collector = &ingest.Collector{DB: db, Limits: ingest.DefaultLimits, Now: c.later}
	return c
}

// later is the clock of the collector: a second after the last time that somebody looked.
func (c *collector) later() time.Time {
	c.clock.Lock()
	defer c.clock.Unlock()
	c.now = c.now.Add(time.Second)
	return c.now
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sends uploads an export and demands an outcome, with a problem that contains each of some texts.
func (c *collector) sends(export []byte, want ingest.Outcome, texts ...string) *ingest.Answer {
	c.Helper()
	a, err := c.Ingest(c.Context(), bytes.NewReader(export))
	check(c, err)
	ok := a.Outcome == want
	for _, text := range texts {
		ok = ok && strings.Contains(strings.Join(a.Problems, "\n"), text)
	}
	if !ok {
		c.Fatalf("%+v\nwant %s, %q", a, want, texts)
	}
	return a
}

// log is the log of a key.
func (c *collector) log(g *prooftest.Log) *pg.Log {
	c.Helper()
	l, err := c.DB.ByKey(c.Context(), g.Key.Verifier)
	check(c, err)
	return l
}

// gives demands that a branch of a log is given back as it was received, and verifies it.
func (c *collector) gives(l *pg.Log, branch int, export []byte) {
	c.Helper()
	var b bytes.Buffer
	check(c, keep.Export(c.Context(), c.DB, l, branch, &b))
	if !bytes.Equal(b.Bytes(), export) {
		c.Errorf("branch %d is given back as\n%s\nit was\n%s", branch, b.Bytes(), export)
	}
	v, err := keep.Verify(c.Context(), c.DB, l, branch, "")
	check(c, err)
	if v.Result != "intact" {
		c.Errorf("branch %d: %+v", branch, v)
	}
}

// A host sends its log piece by piece: in order, again, from earlier, from the start, and too late.
// What the collector keeps is what the host has.
func TestUploads(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(4)
	whole := g.Export(0)
	if a := c.sends(whole, ingest.Stored); a.New != 5 || a.State != pg.Pending || a.Hostname != "sles" {
		t.Errorf("first: %+v", a)
	}
	c.sends(whole, ingest.Known)
	g.AddDrift(3)
	if a := c.sends(g.Export(5), ingest.Stored); a.New != 3 || a.Size != 8 {
		t.Errorf("increment: %+v", a)
	}
	c.sends(whole, ingest.Behind)
	g.AddDrift(2)
	if a := c.sends(g.Export(9), ingest.Waiting, "it begins after event 9, the collector has 8"); a.Size != 8 {
		t.Errorf("too early: %+v", a)
	}
	if a := c.sends(g.Export(3), ingest.Stored); a.New != 2 {
		t.Errorf("from earlier: %+v", a)
	}
	c.sends(g.Export(9), ingest.Known)
	c.gives(c.log(g), 0, g.Export(0))
}

// An upload of a log that nobody knows begins at the first event.
func TestUnknownLog(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(4)
	c.sends(g.Export(2), ingest.Waiting, "from the first event on")
	c.sends(g.Export(0), ingest.Stored)
}

// The host's key changes by plan; the collector follows, also if an upload begins after it.
func TestPlannedKey(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(2)
	c.sends(g.Export(0), ingest.Stored)
	first := c.log(g)
	g.AddKey()
	g.AddDrift(1)
	c.sends(g.Export(3), ingest.Stored)
	g.AddDrift(1)
	c.sends(g.Export(5), ingest.Stored)
	g.AddKey()
	c.sends(g.Export(0), ingest.Stored)
	if l := c.log(g); l.ID != first.ID || len(l.Current().Keys) != 3 {
		t.Errorf("%+v", l)
	}
	c.gives(c.log(g), 0, g.Export(0))
}

// The key changes again, and the host sends only what is new, as it always does.
func TestPlannedKeyAgain(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	c.sends(g.Export(0), ingest.Stored)
	for range 3 {
		size := g.Size()
		g.AddKey()
		g.AddDrift(1)
		c.sends(g.Export(size), ingest.Stored)
	}
	c.gives(c.log(g), 0, g.Export(0))
}

// The host has pruned what was sent: the collector keeps it. What was pruned before it was sent is a
// finding.
func TestPrunedHost(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(4)
	before := g.Export(0)
	c.sends(before, ingest.Stored)
	g.AddDrift(4)
	g.Prune(7)
	c.sends(g.Export(0), ingest.Stored)
	l := c.log(g)
	found, err := c.DB.Findings(t.Context(), l.ID, 0)
	check(t, err)
	if len(found) != 1 || found[0].Kind != ingest.NeverSent || found[0].First != 6 || found[0].Last != 7 {
		t.Errorf("findings %+v", found)
	}
	var b bytes.Buffer
	check(t, keep.Export(t.Context(), c.DB, l, 0, &b))
	lines, kept := strings.Split(string(before), "\n"), strings.Split(b.String(), "\n")
	for i := 1; i <= 5; i++ {
		if lines[i] != kept[i] {
			t.Errorf("event %d: %s", i, kept[i])
		}
	}
}

// An export from before a prune comes after one from after it: the bodies are there then, and nothing
// is said of them any more.
func TestBodiesComeLater(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(3)
	c.sends(g.Export(0), ingest.Stored)
	g.AddDrift(6)
	late, whole := g.Export(4), slices.Clone(g.Bodies)
	g.PruneTo(9, func(seq int64) bool { return seq != 7 })
	c.sends(g.Export(4), ingest.Stored)
	findings := func() (list []string) {
		found, err := c.DB.Findings(t.Context(), c.log(g).ID, 0)
		check(t, err)
		for _, f := range found {
			list = append(list, fmt.Sprint(f.Kind, f.First, "-", f.Last))
		}
		return list
	}
	if got := fmt.Sprint(findings()); got != "[body-never-sent5-6 body-never-sent8-9]" {
		t.Error(got)
	}
	c.sends(late, ingest.Behind)
	if got := findings(); got != nil {
		t.Error(got)
	}
	copy(g.Bodies, whole)
	c.gives(c.log(g), 0, g.Export(0))
}

// The collector keeps what the host has removed, and lacks what the host removed before it was sent:
// that does not look as if somebody had chosen what to remove.
func TestPrunedHostKeptElsewhere(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(20)
	c.sends(g.Export(0), ingest.Stored)
	g.AddDrift(1)
	g.Prune(22)
	c.sends(g.Export(0), ingest.Stored)
	v, err := keep.Verify(t.Context(), c.DB, c.log(g), 0, "")
	check(t, err)
	if v.Result != "intact" {
		t.Errorf("%+v", v)
	}
}

// rewritten is a log whose event number seq and all after it are others, signed with the same key.
func rewritten(g *prooftest.Log, seq int64) *prooftest.Log {
	w := &prooftest.Log{TB: g.TB, Key: g.Key}
	for i, body := range g.Bodies {
		if int64(i) >= seq-1 {
			body = bytes.Replace(body, []byte(`"sles"`), []byte(`"eve"`), 1)
		}
		w.AddBody(body)
	}
	return w
}

// Root rewrites what the collector has, and signs it: however it is sent, it is a fork. The log that
// counts stays, and continues if the host sends it again.
func TestRewrite(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(9)
	c.sends(g.Export(0), ingest.Stored)
	honest := g.Export(0)
	w := rewritten(g, 6)
	a := c.sends(w.Export(0), ingest.Forked, "the last common event is 5")
	if a.Branch != 1 || *a.Common != 5 || a.Size != 10 {
		t.Errorf("%+v", a)
	}
	c.sends(w.Export(0), ingest.Forked, "it continues branch 1, which does not count")
	w.AddDrift(2)
	c.sends(w.Export(10), ingest.Forked)
	l := c.log(g)
	if len(l.Branches) != 2 || l.Branch != 0 {
		t.Fatalf("%+v", l)
	}
	c.gives(l, 1, w.Export(0))
	c.gives(l, 0, honest)
	g.AddDrift(1)
	c.sends(g.Export(10), ingest.Stored)
	c.gives(c.log(g), 0, g.Export(0))

	check(t, c.DB.Accept(t.Context(), c.log(g), 1, "restored from the snapshot of Monday", c.now))
	w.AddDrift(1)
	c.sends(w.Export(12), ingest.Stored)
	g.AddDrift(1)
	c.sends(g.Export(11), ingest.Forked)
	c.gives(c.log(g), 1, w.Export(0))
	c.gives(c.log(g), 0, g.Export(0))
	c.sends(honest, ingest.Behind) // a file from before is still lying about
}

// After somebody accepted the shorter history, what comes too early waits, as ever: that the longer one
// is another is known.
func TestTooEarlyAfterAccept(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(19)
	c.sends(g.Export(0), ingest.Stored)
	w := &prooftest.Log{TB: t, Key: g.Key}
	for _, body := range rewritten(g, 6).Bodies[:10] {
		w.AddBody(body)
	}
	a := c.sends(w.Export(0), ingest.Forked)
	check(t, c.DB.Accept(t.Context(), c.log(g), a.Branch, "restored from the snapshot of Monday", c.now))
	w.AddDrift(2)
	first := w.Export(10)
	w.AddDrift(1)
	c.sends(w.Export(12), ingest.Waiting, "it begins after event 12, the collector has 10")
	c.sends(first, ingest.Stored)
	c.sends(w.Export(12), ingest.Stored)
	c.gives(c.log(g), a.Branch, w.Export(0))
}

// A limit is for a host in a day, however many histories it sends.
func TestLimitOfADay(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	c.Limits.DayEvents = 20
	g.AddDrift(9)
	c.sends(g.Export(0), ingest.Stored)
	w := rewritten(g, 6)
	c.sends(w.Export(0), ingest.Forked)
	w.AddDrift(6)
	if _, err := c.Ingest(t.Context(), bytes.NewReader(w.Export(10))); !errors.Is(err, pg.ErrLimit) {
		t.Errorf("21 events in a day: %v", err)
	}
	if _, err := c.Ingest(t.Context(), bytes.NewReader(rewritten(g, 3).Export(0))); !errors.Is(err, pg.ErrLimit) {
		t.Errorf("a third history: %v", err)
	}
	c.now = c.now.AddDate(0, 0, 1)
	c.sends(w.Export(10), ingest.Forked)
}

// An upload that begins after the last common event shows a fork, too, and says what it can of
// where.
func TestRewriteSentLater(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(10)
	c.sends(g.Export(0), ingest.Stored)
	w := rewritten(g, 6)
	w.AddDrift(3)
	a := c.sends(w.Export(11), ingest.Forked, "the last common event is one of 0 to 7")
	l := c.log(g)
	if l.Whole(a.Branch) || l.At(a.Branch).Since != 11 {
		t.Errorf("%+v", l.At(a.Branch))
	}
	if err := keep.Export(t.Context(), c.DB, l, a.Branch, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "its events 1 to 11 were never sent") {
		t.Errorf("%v", err)
	}
	c.sends(w.Export(11), ingest.Forked, "it continues branch 1")
	w.AddDrift(1)
	c.sends(w.Export(11), ingest.Forked, "it continues branch 1")
	c.sends(w.Export(14), ingest.Forked)
	c.sends(w.Export(0), ingest.Forked, "the last common event is 5")
}

// A key file was lost: another key takes over, and nothing vouches for it. That is kept, and does not
// count until somebody accepts it.
func TestLostKey(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(3)
	c.sends(g.Export(0), ingest.Stored)
	first := c.log(g)
	before := g.Export(0)
	g.Key = prooftest.NewKey(t)
	g.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseKeyReplaced, Schema: 4, Key: g.Key.Verifier}
	})
	g.AddDrift(1)
	c.sends(g.Export(4), ingest.Waiting)
	c.sends(g.Export(0), ingest.NewKey, "event 5: the key ")
	c.sends(g.Export(0), ingest.NewKey, "it continues branch 1")
	l, err := c.DB.ByID(t.Context(), first.ID)
	check(t, err)
	c.gives(l, 0, before)
	check(t, c.DB.Accept(t.Context(), l, 1, "the disk was replaced", c.now))
	g.AddDrift(1)
	c.sends(g.Export(6), ingest.Stored)
	c.gives(c.log(g), 1, g.Export(0))
}

// A stranger knows the log and its key's public half, but cannot sign: nothing of what it sends is
// kept, and it makes no fork.
func TestStranger(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(9)
	c.sends(g.Export(0), ingest.Stored)

	forged := rewritten(g, 6)
	forged.Key = prooftest.NewKey(t)
	forged.AddDrift(1)
	c.sends(forged.Export(0), ingest.Refused)
	c.sends(forged.Export(10), ingest.Waiting)

	takes := rewritten(g, 6)
	takes.Key = prooftest.NewKey(t)
	takes.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseKeyReplaced, Schema: 4, Key: takes.Key.Verifier}
	})
	c.sends(takes.Export(0), ingest.Refused, "no key of the log signed it")

	own := prooftest.New(t)
	own.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseKeyReplaced, Schema: 4, Key: g.Key.Verifier}
	})
	c.sends(own.Export(0), ingest.Refused)
	if l := c.log(g); len(l.Branches) != 1 || l.Current().Size != 10 {
		t.Errorf("%+v", l)
	}
	g.AddDrift(1)
	c.sends(g.Export(10), ingest.Stored)
}

// A stranger gives its key the name of a host's key. When the host's key changes, the collector still
// knows which log goes on.
func TestKeyOfTheSameName(t *testing.T) {
	for _, first := range []bool{true, false} {
		c, g := newCollector(t), prooftest.New(t)
		name, _, _ := strings.Cut(g.Key.Verifier, "+")
		stranger := prooftest.NewNamed(t, name)
		stranger.AddDrift(5)
		g.AddDrift(2)
		if first {
			c.sends(stranger.Export(0), ingest.Stored)
		}
		c.sends(g.Export(0), ingest.Stored)
		c.sends(stranger.Export(0), map[bool]ingest.Outcome{true: ingest.Known, false: ingest.Stored}[first])
		g.AddKey()
		c.sends(g.Export(3), ingest.Stored)
		c.gives(c.log(g), 0, g.Export(0))
	}
}

// The key before the newest one was stolen: it signs nothing any more, though the log names it.
func TestStolenKey(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	old := g.Key
	g.AddKey()
	c.sends(g.Export(0), ingest.Stored)
	size := g.Size()
	newest := g.Key
	g.Key = old
	g.AddDrift(1)
	g.Key = newest // its name is in the first line
	c.sends(g.Export(0), ingest.Refused, "no verifiable signatures")
	c.sends(g.Export(size), ingest.Refused)
	if n := c.log(g).Current().Size; n != size {
		t.Errorf("%d events", n)
	}
}

// The recorder says that something was wrong with its log. The log goes on, so the collector takes
// it, and what the recorder says is a finding.
func TestRecorderTells(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(2)
	c.sends(g.Export(0), ingest.Stored)
	g.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseProofBroken, Schema: 4, Key: g.Key.Verifier, Problem: "the root hash is another"}
	})
	g.AddDrift(1)
	c.sends(g.Export(3), ingest.Stored)
	found, err := c.DB.Findings(t.Context(), c.log(g).ID, 0)
	check(t, err)
	if len(found) != 1 || found[0].Kind != "proof-broken" || found[0].First != 4 {
		t.Errorf("%+v", found)
	}

	// The record was removed, and a new one begins with the same key: another history.
	anew := &prooftest.Log{TB: t, Key: g.Key}
	anew.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseRecordLost, Schema: 4, Key: g.Key.Verifier}
	})
	anew.AddDrift(6)
	c.sends(anew.Export(0), ingest.Forked, "the last common event is 0")
	check(t, c.DB.Accept(t.Context(), c.log(g), 1, "the disk was full, and somebody removed it", c.now))
	anew.AddDrift(1)
	c.sends(anew.Export(7), ingest.Stored)
}

// A stranger is faster than a host whose key was enrolled, or than one that nobody knows: what it sends
// in the host's name does not become the host's log.
func TestStrangerIsFirst(t *testing.T) {
	for _, enrolled := range []bool{true, false} {
		c, g := newCollector(t), prooftest.New(t)
		if enrolled {
			_, err := c.DB.Enroll(t.Context(), []*pg.Log{pg.NewLog(g.Key.Verifier, pg.Approved, "", c.now)}, false)
			check(t, err)
		}
		forged := &prooftest.Log{TB: t, Key: prooftest.NewKey(t)}
		forged.AddBody(g.Bodies[0])
		forged.Add(record.KindRecorder, func(ev *record.Event) {
			ev.Identity = &record.Identity{Cause: record.CauseKeyReplaced, Schema: 4, Key: forged.Key.Verifier}
		})
		forged.AddDrift(3)
		c.sends(forged.Export(0), ingest.NewKey, "did not sign that")
		c.sends(forged.Export(0), ingest.NewKey, "it continues branch 1")
		g.AddDrift(3)
		c.sends(g.Export(0), ingest.Stored)
		c.gives(c.log(g), 0, g.Export(0))
	}
}

// A log's events name a key that its host does not have: approving that host, or accepting its
// branch, does not give it the key. Whoever has it sends a log of his own.
func TestApprovalGivesNoKey(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	claims := prooftest.New(t)
	c.sends(claims.Export(0), ingest.Stored)
	own := claims.Key
	claims.Key = g.Key
	claims.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseKeyReplaced, Schema: 4, Key: g.Key.Verifier}
	})
	claims.Key = own
	claims.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseKeyReplaced, Schema: 4, Key: own.Verifier}
	})
	a := c.sends(claims.Export(0), ingest.NewKey)
	check(t, c.DB.Accept(t.Context(), c.log(claims), a.Branch, "why not", c.now))
	check(t, c.DB.SetState(t.Context(), c.log(claims), pg.Approved, "why not", c.now))
	g.AddDrift(2)
	c.sends(g.Export(0), ingest.Stored)
	if l := c.log(g); l.Key != g.Key.Verifier {
		t.Errorf("%+v", l)
	}
}

// An upload that is wrong in itself is refused. If a key of the log signed it, it stays as evidence.
func TestRefused(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(5)
	c.sends(g.Export(0), ingest.Stored)
	g.AddDrift(5)
	lines := strings.SplitAfter(string(g.Export(6)), "\n")
	without := strings.Join(append(append([]string{}, lines[:3]...), lines[4:]...), "")
	c.sends([]byte(without), ingest.Refused, "is missing")
	c.sends([]byte(strings.Join(lines[:4], "")), ingest.Refused, "there is no checkpoint")
	l := c.log(g)
	kept, err := c.DB.Refusals(t.Context(), l.ID)
	check(t, err)
	if len(kept) != 1 || l.Current().Size != 6 {
		t.Errorf("%d events, refusals %+v", l.Current().Size, kept)
	}
	check(t, c.DB.SetState(t.Context(), l, pg.Retired, "sold", c.now))
	c.sends(g.Export(6), ingest.Refused, "the log was retired on 2026-03-02T")
	check(t, c.DB.SetState(t.Context(), l, pg.Approved, "came back", c.now))
	c.sends(g.Export(6), ingest.Stored)

	c.sends([]byte(without), ingest.Refused, "is missing") // anybody may know that checkpoint now
	kept, err = c.DB.Refusals(t.Context(), l.ID)
	check(t, err)
	if len(kept) != 1 {
		t.Errorf("refusals %+v", kept)
	}
}
