package proof

import (
	"testing"

	"github.com/klp-audit/klp-audit/record"
)

// A long record with many gaps is checked in linear time: this test ends.
func TestGapsAreLinear(t *testing.T) {
	p := record.Prune{Through: 600_000}
	for i := range int64(300_000) {
		p.Kept = append(p.Kept, 2*i+1)
	}
	g := gaps{pruned: &p, since: &p}
	for seq := int64(2); seq <= p.Through; seq += 2 {
		g.seqs = append(g.seqs, seq)
	}
	v := NewVerification()
	if g.check(v); v.Result != Intact {
		t.Errorf("%d problems", len(v.Problems))
	}
}
