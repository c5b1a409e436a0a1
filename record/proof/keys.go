package proof

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
)

// A planned change of key is a checkpoint over all events before it. Both keys sign it, and one
// more line (C2SP tlog-checkpoint: an extension) says which key comes next. The recorder event that
// names the new key carries it.
const nextKeyLine = "next-key "

// HandOver returns the checkpoint by which a key hands over to another.
func (k *Key) HandOver(to *Key, size int64, root tlog.Hash) (string, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n%s%s\n", k.signer.Name(), size, root, nextKeyLine, to.Verifier)
	signed, err := note.Sign(&note.Note{Text: text}, k.signer, to.signer)
	return string(signed), err
}

// handedOver says whether a text is the checkpoint by which one key handed over a log of this size
// and root to another.
func handedOver(text, from, to string, size int64, root tlog.Hash) bool {
	cp, err := ParseCheckpoint(text, from)
	if err != nil || cp.Size != size || cp.Root != root {
		return false
	}
	v, err := note.NewVerifier(to)
	if err != nil {
		return false
	}
	n, err := note.Open([]byte(text), note.VerifierList(v))
	return err == nil && strings.HasSuffix(n.Text, "\n"+root.String()+"\n"+nextKeyLine+to+"\n")
}

// takeKey notes which key signs from event number seq on. root is the tree's root before it.
func (v *Verifier) takeKey(seq int64, id *record.Identity, root tlog.Hash) {
	last := len(v.Keys) - 1
	if last < 0 {
		v.first = &Takeover{seq, id, root}
		v.Keys = append(v.Keys, record.VerifiedKey{Key: id.Key, Event: seq})
		return
	}
	if before := v.Keys[last].Key; before != id.Key {
		signed := v.vouched(before, Takeover{seq, id, root})
		v.Keys = append(v.Keys, record.VerifiedKey{Key: id.Key, Event: seq, Signed: &signed})
	}
}

// Takeover is an event that names a key, and the root of the tree before it.
type Takeover struct {
	seq  int64
	id   *record.Identity
	root tlog.Hash
}

// vouched says whether the key before it signed a takeover; if not, that is a problem.
func (v *Verification) vouched(before string, t Takeover) bool {
	signed := handedOver(t.id.Checkpoint, before, t.id.Key, t.seq-1, t.root)
	if !signed {
		v.tell(Altered, t.seq, record.CauseKeyReplaced, "event %d: the key %q takes over, and the key before it, %q, did not sign that: nothing vouches for what is before it", t.seq, t.id.Key, before)
	}
	return signed
}

// Takeover returns the first event that names a key, nil if none does, or if the key before was known.
func (v *Verifier) Takeover() *Takeover { return v.first }

// Follow, after Finish, demands that events that were verified after an edge without a key follow
// from the key that signed that edge: they name it, or one that it handed over to, first in t.
func (v *Verification) Follow(key string, t *Takeover) {
	switch {
	case t == nil && v.newestKey() == key, t != nil && t.id.Key == key:
	case t == nil:
		v.Problem(Altered, "the key is %q, and no event says that %q handed over to it", v.newestKey(), key)
	default:
		signed := v.vouched(key, *t)
		v.Keys[0].Signed = &signed
	}
}

// Predecessor returns the name of the key that hands over to the first one that the events after an
// edge without a key name, as that event claims; empty if it claims nothing.
func (v *Verifier) Predecessor() string {
	if v.first == nil {
		return ""
	}
	name, _, _ := strings.Cut(v.first.id.Checkpoint, "\n")
	return name
}

// OnlyKeys says whether the only problem is a key that took over without the previous key's
// signature, as after a key file was lost: the earlier events match their hashes, but nothing
// vouches for them.
func (v *Verification) OnlyKeys() bool {
	unsigned := 0
	for _, k := range v.Keys {
		if k.Signed != nil && !*k.Signed {
			unsigned++
		}
	}
	return unsigned > 0 && v.Found == unsigned
}

// newestKey returns the key that signs last; empty if no event names one.
func (v *Verification) newestKey() string {
	if len(v.Keys) == 0 {
		return ""
	}
	return v.Keys[len(v.Keys)-1].Key
}

// Trust demands that a verifier key known from elsewhere is one of the record's.
func (v *Verification) Trust(key string) {
	for _, k := range v.Keys {
		if k.Key == key {
			return
		}
	}
	v.Problem(Altered, "no event names the key %q, which is trusted: another key signed this record", key)
}

// keyNames returns the keys that a record names.
func (v *Verification) keyNames() map[string]bool {
	names := map[string]bool{}
	for _, k := range v.Keys {
		names[k.Key] = true
	}
	return names
}
