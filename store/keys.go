package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
)

// KeyInLog is a verifier key that a record names, from one of its events on.
type KeyInLog struct {
	Key   string `json:"key"`
	Event int64  `json:"event"` // the recorder event that names it first
	// Signed says whether the key before it signed that it takes over; null of the first.
	Signed *bool `json:"signed"`
}

// A planned change of key is a checkpoint over all events before it that both keys signed, with
// one more line (C2SP tlog-checkpoint: an extension) that says which key comes next. The recorder
// event that names the new key carries it.
const nextKeyLine = "next-key "

// handOver is the checkpoint by which one key hands over to another.
func handOver(from, to *key, size int64, root tlog.Hash) (string, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n%s%s\n", from.signer.Name(), size, root, nextKeyLine, to.verifier)
	signed, err := note.Sign(&note.Note{Text: text}, from.signer, to.signer)
	return string(signed), err
}

// handedOver says whether a text is the checkpoint by which one key handed a log of this size
// and root over to another.
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

// takeKey notes which key signs from event number seq on. root is the root hash of the tree before it.
func (v *Verification) takeKey(seq int64, id *record.Identity, root tlog.Hash) {
	last := len(v.Keys) - 1
	if last < 0 {
		v.Keys = append(v.Keys, KeyInLog{Key: id.Key, Event: seq})
		return
	}
	before := v.Keys[last].Key
	if before == id.Key {
		return
	}
	signed := handedOver(id.Checkpoint, before, id.Key, seq-1, root)
	v.Keys = append(v.Keys, KeyInLog{Key: id.Key, Event: seq, Signed: &signed})
	if !signed {
		v.problem(Altered, "event %d: the key %q takes over, and the key before it, %q, did not sign that: nothing vouches for what is before it", seq, id.Key, before)
	}
}

// OnlyKeys says whether nothing is wrong but that a key took over which the one before it had not
// signed for, as when a key file is lost: what came before it is as it is, and nobody vouches.
func (v *Verification) OnlyKeys() bool {
	unsigned := 0
	for _, k := range v.Keys {
		if k.Signed != nil && !*k.Signed {
			unsigned++
		}
	}
	return unsigned > 0 && v.Found == unsigned
}

// newestKey returns the key that signs last; empty where no event names one.
func (v *Verification) newestKey() string {
	if len(v.Keys) == 0 {
		return ""
	}
	return v.Keys[len(v.Keys)-1].Key
}

// Trust demands that a verifier key which is known from elsewhere is one of the record's.
func (v *Verification) Trust(key string) {
	for _, k := range v.Keys {
		if k.Key == key {
			return
		}
	}
	v.problem(Altered, "no event names the key %q, which is trusted: another key signed this record", key)
}

// TrustMachine demands that the key of the machine whose file tree is at root is one of the
// record's. Where there is none, nothing vouches for the record. An error says why that is not
// known.
func (v *Verification) TrustMachine(root string) error {
	key, err := MachineKey(root)
	switch {
	case errors.Is(err, ErrNoKey):
		v.problem(Altered, "%v: nothing says that this is the record which it signed", err)
		return nil
	case err != nil:
		return err
	}
	v.Trust(key)
	for i := len(v.Keys) - 1; i > 0 && v.Keys[i].Key != key; i-- {
		if !*v.Keys[i].Signed {
			v.problem(Altered, "event %d: the machine's key %q did not hand over to %q", v.Keys[i].Event, key, v.Keys[i].Key)
			break
		}
	}
	return nil
}

// keyNames are the keys that a record names.
func (v *Verification) keyNames() map[string]bool {
	names := map[string]bool{}
	for _, k := range v.Keys {
		names[k.Key] = true
	}
	return names
}

// ErrNoKey says that the key which signs the record of a machine is not there.
var ErrNoKey = errors.New("the key that signs the record is gone")

// MachineKey returns the verifier key of the machine whose file tree is at root, by its key file:
// what vouches for its record is this, and never a key that the record itself names. Who may not
// read that file goes by the public half beside it. The error is ErrNoKey if there is none.
func MachineKey(root string) (verifier string, err error) {
	path := KeyPath(root)
	text, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) { // made, and not yet in its place
		text, err = readKeyFile(path + newSuffix)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		text, err = readKeyFile(path + publicSuffix)
		return strings.TrimSpace(text), err
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: there is no %q", ErrNoKey, path)
	case err != nil:
		return "", err
	}
	k, err := parseKey(text)
	if err != nil {
		return "", fmt.Errorf("%w: %q: %w", ErrNoKey, path, err)
	}
	return k.verifier, nil
}

func readKeyFile(path string) (string, error) { return readAtMost(path, maxSmall) }
