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
func (v *Verification) takeKey(seq int64, id *record.Identity, root tlog.Hash) {
	last := len(v.Keys) - 1
	if last < 0 {
		v.Keys = append(v.Keys, record.VerifiedKey{Key: id.Key, Event: seq})
		return
	}
	before := v.Keys[last].Key
	if before == id.Key {
		return
	}
	signed := handedOver(id.Checkpoint, before, id.Key, seq-1, root)
	v.Keys = append(v.Keys, record.VerifiedKey{Key: id.Key, Event: seq, Signed: &signed})
	if !signed {
		v.Problem(Altered, "event %d: the key %q takes over, and the key before it, %q, did not sign that: nothing vouches for what is before it", seq, id.Key, before)
	}
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
