package keep_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// What is withheld of a branch is no answer for the events of another that have the same numbers, but are
// others.
func TestWithheldOfAnotherBranch(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	key := prooftest.NewKey(t)
	g.AddDrift(9)
	k.sends(g, 0)
	w := &prooftest.Log{TB: t, Key: g.Key}
	for _, body := range g.Bodies[:4] {
		w.AddBody(body)
	}
	for range 5 {
		w.AddBody(bytes.Replace(g.Bodies[4], []byte("000000000005"), fmt.Appendf(nil, "%012d", 100+w.Size()), 1))
	}
	if a := k.sends(w, 0); a.Outcome != ingest.Forked {
		t.Fatalf("%+v", a)
	}
	k.prune(keep.Prune{Before: prooftest.At(8).Time, Withhold: true, Key: key})
	verifies := func() *pg.Verification {
		v, err := keep.Verify(t.Context(), k.db, k.log(g), 1, key.Verifier)
		check(t, err)
		return v
	}
	if v := verifies(); v.Result != "intact" || v.Withheld != 8 { // 2 to 4 are of branch 0
		t.Errorf("%+v", v)
	}
	k.exec(`delete from withheld where branch = 1`)
	if v := verifies(); v.Result != "altered" || len(v.Problems) != 5 {
		t.Errorf("without the statement about it: %+v", v)
	}
}
