package proof

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Inclusion proves that a log contains an event: hash and path together give the root hash (RFC
// 6962, section 2.1.1, calls that an audit path).
type Inclusion struct {
	Leaf tlog.Hash   `json:"leaf"`      // SHA-256 of a zero byte and the body
	Size int64       `json:"tree_size"` // of the tree
	Root tlog.Hash   `json:"root_hash"` // of the tree
	Path []tlog.Hash `json:"path"`      // the sibling hashes on the way from the leaf to the root, lowest first
}

// Prove proves that event number seq is among the first size events of a log.
func Prove(seq, size int64, stored tlog.HashReader) (*Inclusion, error) {
	path, err := tlog.ProveRecord(size, seq-1, stored)
	if err != nil {
		return nil, err
	}
	leaves, err := stored.ReadHashes([]int64{tlog.StoredHashIndex(0, seq-1)})
	if err != nil {
		return nil, err
	}
	root, err := tlog.TreeHash(size, stored)
	if err != nil {
		return nil, err
	}
	return &Inclusion{Leaf: leaves[0], Size: size, Root: root, Path: path}, nil
}

// Leaves are the hashes of the events of a log, in its order. All hashes of the tree follow from
// them.
type Leaves []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (l Leaves) ReadHashes(ids []int64) (hashes []tlog.Hash, err error) {
	for _, id := range ids {
		level, n := tlog.SplitStoredHashIndex(id)
		first := n << level
		if first+1<<level > int64(len(l)) {
			return nil, fmt.Errorf("hash %d of a tree over %d events", id, len(l))
		}
		hashes = append(hashes, l[first:first+1<<level].subtree())
	}
	return hashes, nil
}

// subtree returns the root of a complete tree over the leaves; their number is a power of two.
func (l Leaves) subtree() tlog.Hash {
	if len(l) == 1 {
		return l[0]
	}
	half := len(l) / 2
	return tlog.NodeHash(l[:half].subtree(), l[half:].subtree())
}
