package proof

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
)

// Witness takes in the events of a log one by one, from a database as from an export, and says
// what is wrong with each, and with what they say together.
type Witness struct {
	v    *Verification
	Gaps Gaps
	ids  map[[16]byte]struct{} // the beginnings of the digests of their ids
}

func NewWitness(v *Verification) *Witness {
	return &Witness{v: v, ids: map[[16]byte]struct{}{}}
}

// testimony is an event as a witness reads it.
type testimony struct {
	seq    int64
	event  *record.Event
	bad    error
	before tlog.Hash // root of the tree before it, if it names a key
}

// Hear reads event number seq; root is that of the tree before it.
func Hear(seq int64, body []byte, root func() (tlog.Hash, error)) (t testimony, err error) {
	t.seq = seq
	if t.event, t.bad = record.DecodeOutline(seq, body); t.bad == nil && t.event.Identity != nil {
		t.before, err = root()
	}
	return t, err
}

// Take takes in an event, and says whether it is one that everybody reads alike.
func (w *Witness) Take(t testimony) bool {
	if t.bad != nil {
		w.v.Problem(Altered, "event %d: %v", t.seq, t.bad)
		return false
	}
	digest := sha256.Sum256([]byte(t.event.ID))
	id := [16]byte(digest[:])
	if _, twice := w.ids[id]; twice {
		w.v.Problem(Altered, "event %d: its id %q is that of an event before it", t.seq, t.event.ID)
		return false
	}
	w.ids[id] = struct{}{}
	w.Gaps.see(t.seq, t.event)
	w.v.takeTime(t.event)
	if t.event.Identity != nil {
		w.v.checkIdentity(t.seq, t.event.Identity)
		w.v.takeKey(t.seq, t.event.Identity, t.before)
	}
	return true
}
