package proof

import (
	"crypto/sha256"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
)

// Entry is an event as the proof sees it.
type Entry struct {
	Seq  int64
	Hash tlog.Hash // RFC 6962 leaf hash, as stored next to the body
	Body []byte    // nil: it was pruned
}

// Edge is where a log was left off. Whoever keeps it can prove that later events continue that log.
type Edge struct {
	Size int64       // how many events there were
	Tree []tlog.Hash // over those events: the roots of the complete subtrees, largest first
	Key  string      // the verifier key of their newest checkpoint; empty: not known
}

// Verifier verifies a log event by event, wherever the events are read from. Its Verification holds
// what it finds.
type Verifier struct {
	*Verification
	Whole   bool // Add decodes events completely, for callers that need their content; else only what a verification needs
	since   int64
	stored  tlog.HashReader
	tree    *Tree
	earlier *earlierCheckpoints
	gaps    gaps
	first   *Takeover             // the first event that names a key, unless one was known before
	ids     map[[16]byte]struct{} // first half of a digest of each event's id
}

// NewVerifier starts to verify the events after an edge; the zero Edge is before the first. If all
// hashes of the tree are stored, it compares with those, else it compares each event with the hash
// in its entry. Earlier checkpoints, kept elsewhere, must match a beginning of the log.
func NewVerifier(after Edge, stored tlog.HashReader, earlier ...string) (*Verifier, error) {
	tree, err := NewTree(after.Size, after.Tree)
	if err != nil {
		return nil, err
	}
	checks, err := newEarlier(earlier)
	if err != nil {
		return nil, err
	}
	v := &Verifier{Verification: NewVerification(), since: after.Size, stored: stored, tree: tree, earlier: checks, gaps: gaps{after: after.Size}, ids: map[[16]byte]struct{}{}}
	if after.Key != "" {
		v.Keys = append(v.Keys, record.VerifiedKey{Key: after.Key})
	}
	return v, checks.startAt(v.Verification, tree)
}

// Since returns the number of events before those that are verified.
func (v *Verifier) Since() int64 { return v.since }

// Size returns how many events the log has so far.
func (v *Verifier) Size() int64 { return v.tree.size }

// Pruned returns the prune event that goes farthest, nil if there is none.
func (v *Verifier) Pruned() *record.Prune { return v.gaps.pruned }

// Add verifies the next event and returns it decoded. It returns nil if there is no body, or one
// that two readers could read differently.
func (v *Verifier) Add(e Entry) (*record.Event, error) {
	seq := v.tree.size + 1
	if e.Seq != seq {
		v.Problem(Altered, "event %d is missing: number %d follows", seq, e.Seq)
	}
	t, err := v.hear(seq, e.Body)
	if err != nil {
		return nil, err
	}
	if err := v.grow(e); err != nil {
		return nil, err
	}
	if err := v.earlier.at(v.Verification, v.tree); err != nil {
		return nil, err
	}
	if e.Body == nil {
		v.gaps.seqs = append(v.gaps.seqs, seq)
		v.FirstTime = nil // the record is complete from here on only
		return nil, nil
	}
	return v.take(t), nil
}

// Withheld, before the first event, names a keeper of the log who answers for bodies that no prune event
// removed: answers says of an event whether they do.
func (v *Verifier) Withheld(answers func(seq int64) bool) { v.gaps.withheld = answers }

// Late notes an event that was added while the log was read. It is not verified, but it may have
// removed bodies meanwhile.
func (v *Verifier) Late(seq int64, body []byte) {
	if ev, err := record.DecodeOutline(seq, body); err == nil {
		v.gaps.seeLate(ev)
	}
}

// Finish, after the last event, checks what all events say together. It returns the root hash of
// their tree.
func (v *Verifier) Finish() (root tlog.Hash, err error) {
	if root, err = v.tree.Root(); err != nil {
		return root, err
	}
	v.TreeSize, v.RootHash, v.Key = v.tree.size, root.String(), v.newestKey()
	v.earlier.finish(v.Verification)
	v.gaps.check(v.Verification)
	return root, nil
}

// Edge returns where the log ends. Keep it only if nothing is wrong.
func (v *Verifier) Edge() Edge { return Edge{Size: v.tree.size, Tree: v.tree.Roots(), Key: v.Key} }

// grow adds an event to the tree. If its hash is not the stored one, it reports that and continues
// with the stored one, so that one altered event is one problem.
func (v *Verifier) grow(e Entry) error {
	leaf := e.Hash
	if e.Body != nil {
		leaf = tlog.RecordHash(e.Body)
	}
	if v.stored != nil {
		return v.growAsStored(e.Seq, leaf)
	}
	if leaf != e.Hash {
		v.Problem(Altered, "event %d: its hash is %s, the export says %s: the event or its hash was altered", e.Seq, leaf, e.Hash)
	}
	return v.tree.Add(e.Hash)
}

// growAsStored compares all hashes that an event completes.
func (v *Verifier) growAsStored(seq int64, leaf tlog.Hash) error {
	problem := ""
	err := v.tree.add(leaf, func(id int64, h tlog.Hash) tlog.Hash {
		stored, err := v.stored.ReadHashes([]int64{id})
		if err != nil {
			problem = err.Error()
			return h
		}
		if stored[0] != h && problem == "" {
			problem = fmt.Sprintf("its hash is %s, the proof says %s: the event or the proof was altered", h, stored[0])
		}
		return stored[0]
	})
	if problem != "" {
		v.Problem(Altered, "event %d: %s", seq, problem)
	}
	return err
}

// testimony is an event as it was decoded.
type testimony struct {
	seq    int64
	event  *record.Event
	bad    error
	before tlog.Hash // root of the tree before it, if it names a key
}

// hear decodes event number seq, while the tree covers the events before it.
func (v *Verifier) hear(seq int64, body []byte) (t testimony, err error) {
	if body == nil {
		return t, nil
	}
	t.seq = seq
	decode := record.DecodeOutline
	if v.Whole {
		decode = record.DecodeAt
	}
	if t.event, t.bad = decode(seq, body); t.bad == nil && t.event.Identity != nil {
		t.before, err = v.tree.Root()
	}
	return t, err
}

// take uses what an event says, and returns it if every reader reads it alike.
func (v *Verifier) take(t testimony) *record.Event {
	if t.bad != nil {
		v.Problem(Altered, "event %d: %v", t.seq, t.bad)
		return nil
	}
	digest := sha256.Sum256([]byte(t.event.ID))
	id := [16]byte(digest[:])
	if _, twice := v.ids[id]; twice {
		v.Problem(Altered, "event %d: its id %q is that of an event before it", t.seq, t.event.ID)
		return nil
	}
	v.ids[id] = struct{}{}
	v.gaps.see(t.seq, t.event)
	v.takeTime(t.event)
	if t.event.Identity != nil {
		v.checkIdentity(t.seq, t.event.Identity)
		v.takeKey(t.seq, t.event.Identity, t.before)
	}
	return t.event
}
