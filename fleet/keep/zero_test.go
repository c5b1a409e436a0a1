package keep_test

import (
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// PostgreSQL keeps no text with a zero byte. A host that writes one into what it says of a fault hides with
// that neither what verify finds nor an upload that is refused.
func TestZeroByteHidesNothing(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	g.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseProofBroken, Schema: 4, Key: g.Key.Verifier, Problem: "a\x00b"}
	})
	if a := k.sends(g, 0); a.Outcome != ingest.Stored {
		t.Fatalf("%+v", a)
	}
	var found []keep.Result
	r := &keep.Run{DB: k.db, Began: k.now, Workers: 1, Now: func() time.Time { return k.now }, Found: func(res keep.Result) error {
		found = append(found, res)
		return nil
	}}
	check(t, r.Verify(t.Context(), []*pg.Log{k.log(g)}))
	if len(found) != 1 || found[0].Err != nil || found[0].Result != "altered" {
		t.Errorf("%+v", found)
	}
	g.AddDrift(1)
	g.Bodies[2] = nil
	if a := k.sends(g, 0); a.Outcome != ingest.Refused {
		t.Errorf("%+v", a)
	}
	if k.count("refusal") != 1 {
		t.Error("the refused upload is not kept")
	}
}
