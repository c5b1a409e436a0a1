package ingest_test

import (
	"testing"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// enrolls approves the host of a key before it sends.
func (c *collector) enrolls(key string) {
	c.Helper()
	_, err := c.DB.Enroll(c.Context(), []*pg.Log{pg.NewLog(key, pg.Approved, "enrolled", c.now)}, false)
	check(c, err)
}

// A host has changed its key before somebody enrolls it: its key.pub holds the newest one, and that is
// enrolled. What it sends is taken, from before the change, too.
func TestEnrolledByItsNewestKey(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(2)
	before := g.Export(0)
	g.AddKey()
	g.AddDrift(1)
	c.enrolls(g.Key.Verifier)
	c.sends(g.Export(0), ingest.Stored)
	c.gives(c.log(g), 0, g.Export(0))
	c.sends(before, ingest.Behind)
	since := g.Size()
	g.AddKey()
	c.sends(g.Export(since), ingest.Stored)
	c.gives(c.log(g), 0, g.Export(0))
	logs, err := c.DB.All(t.Context(), "")
	check(t, err)
	if len(logs) != 1 {
		t.Errorf("%d logs", len(logs))
	}
}

// A log whose first event names no key is refused, also of a host that was enrolled: nothing
// could follow it.
func TestFirstEventNamesNoKey(t *testing.T) {
	c, g := newCollector(t), &prooftest.Log{TB: t, Key: prooftest.NewKey(t)}
	g.AddDrift(2)
	c.enrolls(g.Key.Verifier)
	c.sends(g.Export(0), ingest.Refused, "its first event names no key")
	late := &prooftest.Log{TB: t, Key: g.Key}
	late.AddDrift(2)
	recorder("installed")(late)
	c.sends(late.Export(0), ingest.Refused, "its first event names no key")
	if n := c.log(g).Current().Size; n != 0 {
		t.Errorf("%d events", n)
	}
}
