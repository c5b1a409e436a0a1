package proof

import (
	"fmt"
	"strings"
)

// earlierCheckpoints are checkpoints that somebody kept. They are compared with a log while its
// tree grows: at the size of each, the tree must have its root hash.
type earlierCheckpoints struct {
	bySize map[int64][]*earlierCheckpoint
	all    []*earlierCheckpoint
	broken bool // one did not match
}

type earlierCheckpoint struct {
	Checkpoint
	reached bool
}

// newEarlier reads checkpoints without checking their signatures: which keys they must match is
// known only after the log has been read.
func newEarlier(notes []string) (*earlierCheckpoints, error) {
	e := &earlierCheckpoints{bySize: map[int64][]*earlierCheckpoint{}}
	for _, text := range notes {
		cp, err := parseBody(text, text)
		if err != nil {
			return nil, fmt.Errorf("earlier %w", err)
		}
		c := &earlierCheckpoint{Checkpoint: *cp}
		e.all, e.bySize[cp.Size] = append(e.all, c), append(e.bySize[cp.Size], c)
	}
	return e, nil
}

// startAt begins with a tree that covers some events already: nothing before them can be compared.
func (e *earlierCheckpoints) startAt(v *Verification, t *Tree) error {
	size := t.Size()
	for _, c := range e.all {
		if c.Size < size && c.Size > 0 {
			return fmt.Errorf("the earlier checkpoint covers %d events, but this export begins after event %d: use one that begins earlier", c.Size, size)
		}
	}
	return e.at(v, t)
}

// at compares a tree with the checkpoints of its size. If one does not match, no later one can, so
// it is reported once.
func (e *earlierCheckpoints) at(v *Verification, t *Tree) error {
	for _, c := range e.bySize[t.Size()] {
		h, err := t.Root()
		if err != nil {
			return err
		}
		c.reached = true
		if h != c.Root && !e.broken {
			e.broken = true
			v.Problem(Altered, "the first %d events are not those of the earlier checkpoint: their root hash is %s, it says %s", t.Size(), h, c.Root)
		}
	}
	return nil
}

// finish reports if the log is too short for a checkpoint, and which checkpoints no key of this
// record signed: one for each origin.
func (e *earlierCheckpoints) finish(v *Verification) {
	var farthest int64
	strange := map[string]bool{}
	named := map[string]map[string]bool{} // by origin, which is the name of the key
	for key := range v.keyNames() {
		name, _, _ := strings.Cut(key, "+")
		if named[name] == nil {
			named[name] = map[string]bool{}
		}
		named[name][key] = true
	}
	for _, c := range e.all {
		if _, err := ParseWithAny(c.Note, named[c.Origin]); err != nil && !strange[c.Origin] {
			strange[c.Origin] = true
			v.Problem(Altered, "the earlier checkpoint of %d events was not signed with a key of this record: %v", c.Size, err)
		}
		if !c.reached {
			farthest = max(farthest, c.Size)
		}
	}
	if farthest > 0 {
		v.Problem(Truncated, "the earlier checkpoint covers %d events, the log has fewer: it was rolled back or replaced", farthest)
	}
}
