package store

import (
	"context"
	"errors"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// lookBack is how far before the newest observation to search for a full verification, which runs
// daily.
const lookBack = 31 * 24 * time.Hour

// Look takes a quick look at the record of the machine whose file tree is at root. It takes no
// longer for a longer record: the newest checkpoint must cover the whole log and be signed with the
// machine's key, and neither the recorder nor the last full verification on record may have found
// anything. Whoever can read neither half of the key uses the one that the record names.
func (s *Store) Look(ctx context.Context, root string) (*proof.Verification, error) {
	v := proof.NewVerification()
	for _, look := range []func(context.Context, *proof.Verification) error{
		func(ctx context.Context, v *proof.Verification) error { return s.lookAtHead(ctx, root, v) },
		s.lookAtRecorders, s.lookAtVerified,
	} {
		if err := look(ctx, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// lookAtHead compares the newest checkpoint with the end of the log.
func (s *Store) lookAtHead(ctx context.Context, machine string, v *proof.Verification) (err error) {
	err = sqlite.Classify(s.db.QueryRowContext(ctx, `SELECT (SELECT coalesce(max(seq), 0) FROM events), coalesce((SELECT note FROM checkpoint), '')`).Scan(&v.TreeSize, &v.Checkpoint))
	if err != nil {
		return err
	}
	if v.TreeSize == 0 {
		v.Problem(proof.Truncated, "there is no event: a record has one from its first moment")
		return nil
	}
	if v.Key, err = s.key(ctx); err != nil {
		return err
	}
	switch key, err := MachineKey(machine); {
	case errors.Is(err, ErrNoKey):
		v.Problem(proof.Altered, "%v: nothing shows that it signed this record", err)
	case err == nil:
		v.Key = key
	}
	root, err := tlog.TreeHash(v.TreeSize, hashReader(ctx, s.db))
	if errors.Is(err, ErrDamaged) {
		v.Problem(proof.Altered, "the proof is not whole: %v", err)
		return nil
	} else if err != nil {
		return sqlite.Classify(err)
	}
	v.RootHash = root.String()
	v.CheckCheckpoint(v.Checkpoint, v.TreeSize, root)
	return nil
}

// lookAtRecorders checks what the recorder itself found when it continued the log.
func (s *Store) lookAtRecorders(ctx context.Context, v *proof.Verification) error {
	rows, err := s.Recorders(ctx)
	for _, r := range rows {
		switch r.Cause {
		case record.CauseProofBroken:
			v.Problem(proof.Altered, "event %d: before it, the recorder found that the log was not the one it had signed", r.Event)
		case record.CauseRecordLost:
			v.Problem(proof.Truncated, "event %d: an earlier record was gone, but its key was still there", r.Event)
		}
	}
	return err
}

// lookAtVerified checks what the last full verification on record found.
func (s *Store) lookAtVerified(ctx context.Context, v *proof.Verification) error {
	last, err := s.LastObserved(ctx)
	if err != nil || last == nil {
		return err
	}
	part, err := s.NewestPart(ctx, record.PartVerify, last.Add(-lookBack), last.Time)
	if err != nil || part == nil {
		return err
	}
	said, problems := record.FoundBy(part)
	result := proof.Integrity(said)
	if result != proof.Altered && result != proof.Truncated {
		return nil
	}
	what := "see the event"
	if len(problems) > 0 {
		what = problems[0]
	}
	v.Problem(result, "event %d: the full verification of %s found: %s", part.Event, part.Time.Short(), what)
	return nil
}
