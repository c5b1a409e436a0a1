package proof

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Tree is a growing Merkle tree over the events of a log (RFC 6962). It keeps one hash for each one
// bit of its size: the roots of the complete subtrees, which is all that the next event needs. The
// zero Tree is that of an empty log.
type Tree struct {
	size int64
	kept map[int64]tlog.Hash
}

// NewTree builds a tree from the roots of its complete subtrees, largest first: one for each of
// Subtrees(size).
func NewTree(size int64, roots []tlog.Hash) (*Tree, error) {
	ids := Subtrees(size)
	if len(ids) != len(roots) {
		return nil, fmt.Errorf("%d hashes for a tree of %d events, want %d", len(roots), size, len(ids))
	}
	t := &Tree{size: size, kept: map[int64]tlog.Hash{}}
	for i, id := range ids {
		t.kept[id] = roots[i]
	}
	return t, nil
}

// Subtrees returns the ids of the roots of the complete subtrees that make up a tree, largest
// first: one for each one bit of its size.
func Subtrees(size int64) (ids []int64) {
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			ids = append(ids, tlog.StoredHashIndex(level, size>>level-1))
		}
	}
	return ids
}

// Size returns how many events the tree covers.
func (t *Tree) Size() int64 { return t.size }

// Add adds an event by its hash.
func (t *Tree) Add(leaf tlog.Hash) error {
	return t.add(leaf, func(_ int64, h tlog.Hash) tlog.Hash { return h })
}

// add adds an event by its hash. For each hash that this completes, choose returns the hash that
// the tree continues with.
func (t *Tree) add(leaf tlog.Hash, choose func(id int64, h tlog.Hash) tlog.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(t.size, leaf, tlog.HashReaderFunc(t.read))
	if err != nil {
		return err
	}
	first := tlog.StoredHashCount(t.size)
	t.size++
	for i, h := range hashes {
		id := first + int64(i)
		t.keep(id, choose(id, h))
	}
	return nil
}

// Root returns the root hash; for an empty tree all zeros.
func (t *Tree) Root() (tlog.Hash, error) {
	if t.size == 0 {
		return tlog.Hash{}, nil
	}
	return tlog.TreeHash(t.size, tlog.HashReaderFunc(t.read))
}

// Roots returns the roots of the complete subtrees, largest first.
func (t *Tree) Roots() (roots []tlog.Hash) {
	for _, id := range Subtrees(t.size) {
		roots = append(roots, t.kept[id])
	}
	return roots
}

// keep keeps a hash and drops the two that it covers.
func (t *Tree) keep(id int64, h tlog.Hash) {
	if t.kept == nil {
		t.kept = map[int64]tlog.Hash{}
	}
	t.kept[id] = h
	if level, n := tlog.SplitStoredHashIndex(id); level > 0 {
		delete(t.kept, tlog.StoredHashIndex(level-1, 2*n))
		delete(t.kept, tlog.StoredHashIndex(level-1, 2*n+1))
	}
}

func (t *Tree) read(ids []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(ids))
	for i, id := range ids {
		h, ok := t.kept[id]
		if !ok {
			return nil, fmt.Errorf("hash %d was not kept", id)
		}
		hashes[i] = h
	}
	return hashes, nil
}
