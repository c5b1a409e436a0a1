package proof

import (
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// Each event of a log is proven to be in it, by what another implementation of RFC 6962 accepts; and no other one is.
func TestInclusion(t *testing.T) {
	var leaves Leaves
	for n := int64(1); n <= 70; n++ {
		leaves = append(leaves, tlog.RecordHash([]byte(fmt.Sprint("event ", n))))
		for seq := int64(1); seq <= n; seq++ {
			p, err := Prove(seq, n, leaves)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(tlog.RecordProof(p.Path), n, p.Root, seq-1, leaves[seq-1]); err != nil || p.Leaf != leaves[seq-1] || p.Size != n {
				t.Errorf("event %d of %d: %+v, %v", seq, n, p, err)
			}
			if tlog.CheckRecord(tlog.RecordProof(p.Path), n, p.Root, seq-1, tlog.RecordHash([]byte("another"))) == nil {
				t.Errorf("event %d of %d: another one is proven, too", seq, n)
			}
		}
	}
}
