package observe

import (
	"context"
	"time"

	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// journalTime bounds the search for checkpoints in the journal: its index finds a hundred thousand
// of them in seconds.
const journalTime = 5 * time.Minute

// Verified is a verification that also compared the checkpoints in the journal.
type Verified struct {
	*proof.Verification
	Checkpoints int    // how many the journal holds
	Unread      string // why there may be more; empty: everything was read
	KeyUnread   string // why the record could not be compared with the machine's key; empty: it was
}

// part is the verification as a part of an observation.
func (v *Verified) part() record.Verified {
	return record.Verified{
		Result: string(v.Result), TreeSize: v.TreeSize, RootHash: v.RootHash, FirstTime: v.FirstTime, LastTime: v.LastTime,
		Checkpoint: v.Checkpoint, Key: v.Key, Keys: v.Keys, Problems: v.Problems, Checkpoints: v.Checkpoints, Unread: v.Unread, KeyUnread: v.KeyUnread,
	}
}

// Verify verifies the record of the machine whose file tree is at root: that it is intact, signed
// with that machine's key and, if given, with a verifier key; and that it grew from earlier
// checkpoints and from those in the machine's journal.
func Verify(ctx context.Context, s *store.Store, root, key string, earlier ...string) (*Verified, error) {
	reading, cancel := context.WithTimeout(ctx, journalTime)
	work := progress.Begin(ctx, "reading the journal", 0)
	noted, unread := Checkpoints(reading, root)
	work.End()
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
