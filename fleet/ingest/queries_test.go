package ingest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// Nine hosts send for two months, wherever their logs are kept. An admin finds each by whatever he
// knows of it, and all are verified, packed and given back.
func TestManyLogs(t *testing.T) {
	c := newCollector(t)
	var hosts []*prooftest.Log
	for range 9 {
		hosts = append(hosts, prooftest.New(t))
	}
	for range 2 {
		for range 3 {
			for _, g := range hosts {
				g.AddDrift(2)
				c.sends(g.Export(max(0, g.Size()-3)), ingest.Stored)
			}
		}
		c.now = c.now.AddDate(0, 1, 0)
	}
	for _, g := range hosts {
		l := c.log(g)
		for _, text := range []string{g.Key.Verifier, l.Name, l.ID.String()[:12]} {
			c.finds(text, l)
		}
		if others, err := c.DB.Others(t.Context(), l); err != nil || len(others) != len(hosts)-1 {
			t.Errorf("%d others of the same machine id, %v", len(others), err)
		}
	}
	all, err := c.DB.All(t.Context(), pg.Pending)
	check(t, err)
	c.finds("m1", all...)
	c.finds("sles", all...)
	c.finds("nobody")
	if n, err := c.DB.Count(t.Context(), pg.Pending); err != nil || n != 9 || len(all) != 9 {
		t.Errorf("%d logs, %d counted, %v", len(all), n, err)
	}
	c.prunes(all)
	c.verifies(all)
	for _, g := range hosts {
		c.gives(c.log(g), 0, g.Export(0))
	}
}

// finds demands that a text means some logs.
func (c *collector) finds(text string, want ...*pg.Log) {
	c.Helper()
	found, err := c.DB.Matching(c.Context(), text)
	check(c, err)
	if !slices.EqualFunc(found, want, func(a, b *pg.Log) bool { return a.ID == b.ID }) {
		c.Errorf("%q finds %d logs, not %d", text, len(found), len(want))
	}
}

// prunes packs the segments of logs.
func (c *collector) prunes(logs []*pg.Log) {
	c.Helper()
	packed := 0
	check(c, (&keep.Prune{DB: c.DB, Now: c.now, Workers: 4, Found: func(p keep.Pruned) error {
		packed += p.Segments
		return p.Err
	}}).Run(c.Context(), logs))
	if packed != 6*len(logs) {
		c.Errorf("%d segments were packed", packed)
	}
}

// verifies verifies logs, and demands that all are intact.
func (c *collector) verifies(logs []*pg.Log) {
	c.Helper()
	began := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, resumed := range []bool{false, true} {
		run := &keep.Run{DB: c.DB, Began: began, Resumed: resumed, Workers: 4, Now: c.Now, Found: func(r keep.Result) error {
			if r.Err == nil && r.Result != "intact" {
				c.Errorf("log %s: %+v", r.Log.Name, r.Verification)
			}
			return r.Err
		}}
		check(c, run.Verify(c.Context(), logs))
	}
	if last, err := c.DB.LastRun(c.Context()); err != nil || !last.Equal(began) {
		c.Errorf("last run at %s, %v", last, err)
	}
}
