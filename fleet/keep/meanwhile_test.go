package keep_test

import (
	"testing"

	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// Uploads are packed while somebody reads them: each event is read once.
func TestPackedWhileRead(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	k.sends(g, 0)
	for range 40 {
		since := g.Size()
		g.AddDrift(1)
		k.sends(g, since)
	}
	k.now = k.now.AddDate(0, 1, 0)
	want := int64(0)
	for e, err := range k.db.Entries(t.Context(), k.log(g), 0, 0, g.Size()) {
		check(t, err)
		if want++; e.Seq != want {
			t.Fatalf("event %d is read after event %d", e.Seq, want-1)
		}
		if want == 1 && k.prune(keep.Prune{}).Segments != 41 {
			t.Fatal("nothing was packed")
		}
	}
	if want != g.Size() {
		t.Errorf("%d events were read", want)
	}
}
