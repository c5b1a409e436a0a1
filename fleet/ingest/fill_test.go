package ingest_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// While bodies that come late are filled in, another upload says of other events that their bodies were
// never sent: that stays known. What one of two such fillings has done, the other does not undo.
func TestFindingComesMeanwhile(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.AddDrift(5)
	g.Prune(3)
	c.sends(g.Export(0), ingest.Stored)
	id := c.log(g).ID
	seen, err := c.DB.Findings(t.Context(), id, 0)
	check(t, err)
	since := g.Size()
	g.AddDrift(3)
	g.Prune(9)
	c.sends(g.Export(since), ingest.Stored)
	check(t, c.DB.Fill(t.Context(), id, 0, &pg.Filling{Was: seen, Received: c.now}))
	left, err := c.DB.Findings(t.Context(), id, 0)
	check(t, err)
	if len(seen) != 1 || len(left) != 1 || left[0].First != since+1 {
		t.Errorf("%+v, then %+v", seen, left)
	}
	if err := c.DB.Fill(t.Context(), id, 0, &pg.Filling{Was: seen, Left: seen, Received: c.now}); !errors.Is(err, pg.ErrMoved) {
		t.Error(err)
	}
}

// Bodies that come late count to what a log may bring in a day.
func TestLateBodiesHaveLimits(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	for range 5 {
		g.Add(record.KindDrift, func(ev *record.Event) {
			ev.Drift = &record.Drift{Cause: record.DriftUnrecorded, Since: prooftest.At(0), Changes: []record.Change{}, Installed: []record.Package{}}
			ev.Host.Hostname = string(bytes.Repeat([]byte("x"), 1000))
		})
	}
	late, whole := g.Export(0), slices.Clone(g.Bodies)
	g.Prune(6)
	c.Limits.DayBytes = 4000
	c.sends(g.Export(0), ingest.Stored)
	if _, err := c.Ingest(t.Context(), bytes.NewReader(late)); !errors.Is(err, pg.ErrLimit) {
		t.Error(err)
	}
	c.now = c.now.AddDate(0, 0, 1)
	c.Limits.DayBytes = 8000
	c.sends(late, ingest.Behind)
	copy(g.Bodies, whole)
	c.gives(c.log(g), 0, g.Export(0))
}
