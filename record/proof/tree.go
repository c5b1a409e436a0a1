package proof

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Subtrees are the ids of the roots of the complete subtrees that make up a tree, largest
// first: one for each bit of its size.
func Subtrees(size int64) (ids []int64) {
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			ids = append(ids, tlog.StoredHashIndex(level, size>>level-1))
		}
	}
	return ids
}

// Tree recomputes the hashes of a log while its events go by. It keeps one hash for each
// bit of its size: the roots of the complete subtrees, which is all that the next event
// needs.
type Tree struct {
	Size int64
	Kept map[int64]tlog.Hash
}

// Add adds an event by its hash and holds the hashes that it completes against the stored ones. Where
// they differ it says so and goes on with the stored ones, so that one altered event is
// one problem.
func (t *Tree) Add(leaf tlog.Hash, proof tlog.HashReader) (problem string) {
	hashes, err := tlog.StoredHashesForRecordHash(t.Size, leaf, tlog.HashReaderFunc(t.read))
	if err != nil {
		return err.Error()
	}
	first := tlog.StoredHashCount(t.Size)
	t.Size++
	for i, h := range hashes {
		id := first + int64(i)
		stored, err := proof.ReadHashes([]int64{id})
		switch {
		case err != nil:
			problem = err.Error()
		case stored[0] != h && problem == "":
			problem = fmt.Sprintf("its hash is %s, the proof says %s: the event or the proof was altered", h, stored[0])
			h = stored[0]
		case stored[0] != h:
			h = stored[0]
		}
		t.keep(id, h)
	}
	return problem
}

// Grow adds an event of which only the hash is known.
func (t *Tree) Grow(leaf tlog.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(t.Size, leaf, tlog.HashReaderFunc(t.read))
	if err != nil {
		return err
	}
	first := tlog.StoredHashCount(t.Size)
	t.Size++
	for i, h := range hashes {
		t.keep(first+int64(i), h)
	}
	return nil
}

// Root is the root hash; of an empty tree all zeros.
func (t *Tree) Root() (tlog.Hash, error) {
	if t.Size == 0 {
		return tlog.Hash{}, nil
	}
	return tlog.TreeHash(t.Size, tlog.HashReaderFunc(t.read))
}

// keep keeps a hash and drops the two that it covers.
func (t *Tree) keep(id int64, h tlog.Hash) {
	t.Kept[id] = h
	if level, n := tlog.SplitStoredHashIndex(id); level > 0 {
		delete(t.Kept, tlog.StoredHashIndex(level-1, 2*n))
		delete(t.Kept, tlog.StoredHashIndex(level-1, 2*n+1))
	}
}

func (t *Tree) read(ids []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(ids))
	for i, id := range ids {
		h, ok := t.Kept[id]
		if !ok {
			return nil, fmt.Errorf("hash %d was not kept", id)
		}
		hashes[i] = h
	}
	return hashes, nil
}
