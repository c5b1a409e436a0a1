package proof

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
)

// Integrity says what a verification found.
type Integrity string

// The possible results.
const (
	Intact    Integrity = "intact"
	Altered   Integrity = "altered"
	Truncated Integrity = "truncated" // events that a checkpoint covers are missing
)

// Verification is the result of verifying a record. Its JSON is published.
type Verification struct {
	Result     Integrity            `json:"result"`
	TreeSize   int64                `json:"tree_size"`
	RootHash   string               `json:"root_hash"`
	FirstTime  *record.Timestamp    `json:"first_time"`
	LastTime   *record.Timestamp    `json:"last_time"`
	Checkpoint string               `json:"checkpoint"` // the signed text
	Key        string               `json:"key"`        // verifier key that it was checked against
	Keys       []record.VerifiedKey `json:"keys"`       // all that the record names, the newest last
	Problems   []string             `json:"problems"`

	Found int `json:"-"` // how many problems, including those not listed

	// Told are the problems that events tell of: the log as such is whole, and says that something was
	// wrong before them.
	Told []Told `json:"-"`
}

// Told is an event that tells of a fault before it.
type Told struct {
	Event int64
	Cause record.Cause // record-lost, proof-broken, or key-replaced if the key before it did not sign that
}

// Sound says whether nothing is wrong but what events themselves tell of.
func (v *Verification) Sound() bool { return v.Found == len(v.Told) }

// tell adds a problem that an event tells of.
func (v *Verification) tell(verdict Integrity, seq int64, cause record.Cause, format string, args ...any) {
	v.Told = append(v.Told, Told{seq, cause})
	v.Problem(verdict, format, args...)
}

// NewVerification returns one that has found nothing wrong yet.
func NewVerification() *Verification {
	return &Verification{Result: Intact, Problems: []string{}, Keys: []record.VerifiedKey{}}
}

// Problem adds a problem. A truncated log stays truncated, whatever else is found.
func (v *Verification) Problem(verdict Integrity, format string, args ...any) {
	if v.Result != Truncated {
		v.Result = verdict
	}
	v.Found++
	if len(v.Problems) < 100 {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

// CheckCheckpoint compares the newest checkpoint with a log of this size and root hash.
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
		v.tell(Altered, seq, id.Cause, "event %d: before it, the recorder found that the log was not the one it had signed: %s", seq, id.Problem)
	case record.CauseRecordLost:
		v.tell(Truncated, seq, id.Cause, "event %d: an earlier record was gone, but its key was still there", seq)
	}
}

func (v *Verification) takeTime(ev *record.Event) {
	if v.FirstTime == nil {
		v.FirstTime = &ev.Time
	}
	v.LastTime = &ev.Time
}
