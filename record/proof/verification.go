package proof

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
)

// takeKey notes which key signs from event number seq on. root is that of the tree before it.
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
		v.Problem(Altered, "event %d: the key %q takes over, and the key before it, %q, did not sign that: nothing vouches for what is before it", seq, id.Key, before)
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

// NewestKey is the key that signs last; empty where no event names one.
func (v *Verification) NewestKey() string {
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
	v.Problem(Altered, "no event names the key %q, which is trusted: another key signed this record", key)
}

// KeyNames are the keys that a record names.
func (v *Verification) KeyNames() map[string]bool {
	names := map[string]bool{}
	for _, k := range v.Keys {
		names[k.Key] = true
	}
	return names
}

// Integrity says what a verification found.
type Integrity string

// The verdicts.
const (
	Intact    Integrity = "intact"
	Altered   Integrity = "altered"
	Truncated Integrity = "truncated" // events that a checkpoint covers are gone
)

// Verification is the result of checking a record. Its JSON is the published form.
type Verification struct {
	Result     Integrity         `json:"result"`
	TreeSize   int64             `json:"tree_size"`
	RootHash   string            `json:"root_hash"`
	FirstTime  *record.Timestamp `json:"first_time"`
	LastTime   *record.Timestamp `json:"last_time"`
	Checkpoint string            `json:"checkpoint"` // the signed text
	Key        string            `json:"key"`        // verifier key that it was checked with
	Keys       []KeyInLog        `json:"keys"`       // all that the record names, the newest last
	Problems   []string          `json:"problems"`

	Found int `json:"-"` // how many problems, also those that are not listed
}

func (v *Verification) Problem(verdict Integrity, format string, args ...any) {
	if v.Result != Truncated {
		v.Result = verdict
	}
	v.Found++
	if len(v.Problems) < 100 {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

func NewVerification() *Verification {
	return &Verification{Result: Intact, Problems: []string{}, Keys: []KeyInLog{}}
}

// CheckCheckpoint holds the newest checkpoint against the log.
func (v *Verification) CheckCheckpoint(note string, size int64, root tlog.Hash) {
	cp, err := ParseCheckpoint(note, v.Key)
	switch {
	case err != nil:
		v.Problem(Altered, "%v", err)
	case cp.Size > size:
		v.Problem(Truncated, "the checkpoint covers %d events, the log has %d", cp.Size, size)
	case cp.Size < size:
		v.Problem(Altered, "the checkpoint covers %d events, the log has %d: another program added some", cp.Size, size)
	case cp.Root != root:
		v.Problem(Altered, "the root hash is %s, the checkpoint says %s", root, cp.Root)
	}
}

// checkIdentity reports what the recorder itself found wrong when it wrote an event.
func (v *Verification) checkIdentity(seq int64, id *record.Identity) {
	switch id.Cause {
	case record.CauseProofBroken:
		v.Problem(Altered, "event %d: before it, the recorder found that the log was not the one it had signed: %s", seq, id.Problem)
	case record.CauseRecordLost:
		v.Problem(Truncated, "event %d: an earlier record was gone, and its key still there", seq)
	}
}

func (v *Verification) takeTime(ev *record.Event) {
	if v.FirstTime == nil {
		v.FirstTime = &ev.Time
	}
	v.LastTime = &ev.Time
}
