package observe

import (
	"context"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// journalTime bounds how long checkpoints are looked for in the journal: they are found by its
// index, a hundred thousand of them in seconds.
const journalTime = 5 * time.Minute

// Verified is a verification that knew the checkpoints in the journal.
type Verified struct {
	*proof.Verification
	Checkpoints int    // how many the journal has
	Unread      string // why there may be more; empty: nothing was left unread
	KeyUnread   string // why the record could not be compared with the machine's key; empty: it was
}

// part is the verification as an observation has it.
func (v *Verified) part() record.Verified {
	return record.Verified{
		Result: string(v.Result), TreeSize: v.TreeSize, RootHash: v.RootHash, FirstTime: v.FirstTime, LastTime: v.LastTime,
		Checkpoint: v.Checkpoint, Key: v.Key, Keys: v.Keys, Problems: v.Problems, Checkpoints: v.Checkpoints, Unread: v.Unread, KeyUnread: v.KeyUnread,
	}
}

// Verify checks the record of the machine whose file tree is at root: that it is intact, signed
// with the key of that machine and, if one is given, with a verifier key; and that it grew from
// earlier checkpoints and from those that the machine's journal holds.
func Verify(ctx context.Context, s *store.Store, root, key string, earlier ...string) (*Verified, error) {
	reading, cancel := context.WithTimeout(ctx, journalTime)
	noted, unread := Checkpoints(reading, root)
	cancel()
	v, err := s.Verify(ctx, key, append(noted, earlier...)...)
	if err != nil {
		return nil, err
	}
	verified := &Verified{Verification: v, Checkpoints: len(noted)}
	if unread != nil {
		verified.Unread = unread.Error()
	}
	if err := store.TrustMachine(v, root); err != nil {
		verified.KeyUnread = err.Error()
	}
	return verified, nil
}
