package proof

import (
	"fmt"
	"strings"
)

// earlierCheckpoints are checkpoints that somebody kept, to be compared with a log while its
// tree grows: at the size of each, its root hash must be the tree's.
type earlierCheckpoints struct {
	bySize map[int64][]*earlierCheckpoint
	all    []*earlierCheckpoint
	broken bool // one did not fit
}

type earlierCheckpoint struct {
	Checkpoint
	reached bool
}

// newEarlier reads checkpoints without their signatures: with which keys to check those is
// known only when the log has been read.
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

// startAt begins with a tree of some events: what is before cannot be looked at.
func (e *earlierCheckpoints) startAt(v *Verification, t *Tree) error {
	size := t.Size()
	for _, c := range e.all {
		if c.Size < size && c.Size > 0 {
			return fmt.Errorf("the earlier checkpoint covers %d events, and this export begins after event %d: take one that begins before", c.Size, size)
		}
	}
	return e.at(v, t)
}

// at compares a tree with the checkpoints of its size. Where one does not fit, no later one
// can: it is reported once.
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

// finish says whether the log is too short for a checkpoint, and which were not signed with
// a key of this record: of each origin one.
func (e *earlierCheckpoints) finish(v *Verification) {
	var farthest int64
	strange := map[string]bool{}
	named := map[string]map[string]bool{} // of each origin, which is the name of its key
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
