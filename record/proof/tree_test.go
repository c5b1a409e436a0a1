package proof

import (
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// A tree that continues from the roots of its subtrees equals one that was built in one go.
func TestTreeGoesOnFromItsRoots(t *testing.T) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(ids []int64) (hashes []tlog.Hash, err error) {
		for _, id := range ids {
			hashes = append(hashes, stored[id])
		}
		return hashes, nil
	})
	var whole Tree
	for n := range int64(130) {
		part, err := NewTree(n, whole.Roots())
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Append(nil, n)
		more, err := tlog.StoredHashes(n, body, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		want, err := tlog.TreeHash(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, tree := range []*Tree{&whole, part} {
			if err := tree.Add(tlog.RecordHash(body)); err != nil {
				t.Fatal(err)
			}
			if got, err := tree.Root(); got != want || err != nil || tree.Size() != n+1 {
				t.Errorf("%d events: %s, %v, want %s", tree.Size(), got, err, want)
			}
		}
	}
	if _, err := NewTree(3, whole.Roots()[:1]); err == nil {
		t.Error("a tree of 3 events has two roots")
	}
}
