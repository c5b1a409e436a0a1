package keep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/fleet/segment"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/view"
)

// Verify verifies a branch of a log from the kept bytes alone: each event, the tree over them, the
// signed checkpoint, and what the database says of them. key is the collector's verifier key, for
// its statements of what it withholds; empty if it has none.
func Verify(ctx context.Context, db *pg.DB, l *pg.Log, branch int, key string) (*pg.Verification, error) {
	b := l.At(branch)
	found := &pg.Verification{Branch: branch, Size: b.Size, Result: string(proof.Intact), Problems: []string{}}
	if b.Size == 0 {
		return found, nil
	}
	held, err := withheldOf(ctx, db, l, branch, key)
	if err != nil {
		return nil, err
	}
	earlier, lost, err := receipts(ctx, db, l, b)
	if err != nil {
		return nil, err
	}
	v, err := verifyBytes(ctx, db, l, branch, held, earlier)
	if errors.Is(err, segment.ErrAltered) {
		found.Result, found.Problems = string(proof.Altered), []string{err.Error()}
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	if lost > 0 {
		v.Problem(proof.Truncated, "a checkpoint covers %d events, the database says %d: the newest are missing", lost, b.Size)
	}
	compareHead(v, l, b)
	v.Problems = append(v.Problems, held.problems...)
	found.Result, found.Problems, found.Withheld = string(v.Result), v.Problems, held.found
	if v.OnlyKeys() && len(held.problems) == 0 {
		found.Result = string(proof.Intact) // the collector saw the log grow from one key to the next
	}
	if len(held.problems) > 0 {
		found.Result = string(proof.Altered)
	}
	return found, nil
}

// receipts returns the checkpoints that were accepted of a branch, up to its size. lost is the size of
// one that covers more than the branch has, also if it has grown meanwhile; 0: none does.
func receipts(ctx context.Context, db *pg.DB, l *pg.Log, b *pg.Branch) (earlier []string, lost int64, err error) {
	list, err := db.Receipts(ctx, l.ID, b.Number)
	for _, r := range list {
		if r.Size <= b.Size {
			earlier = append(earlier, r.Checkpoint)
		} else {
			lost = r.Size
		}
	}
	if err != nil || lost == 0 {
		return earlier, 0, err
	}
	now, err := db.ByID(ctx, l.ID)
	if err == nil && now.At(b.Number) != nil && now.At(b.Number).Size >= lost {
		lost = 0
	}
	return earlier, lost, err
}

// verifyBytes verifies the kept bytes, a segment at a time. They must match the checkpoints of earlier
// uploads.
func verifyBytes(ctx context.Context, db *pg.DB, l *pg.Log, branch int, held *withheld, earlier []string) (*proof.Verifier, error) {
	v, err := proof.NewVerifier(proof.Edge{}, nil, earlier...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", segment.ErrAltered, err)
	}
	v.Whole = true
	v.Withheld(held.has)
	b := l.At(branch)
	for p, err := range db.Pieces(ctx, l, branch, 0, b.Size) {
		if err == nil {
			err = verifyPiece(v, p)
		}
		if err != nil {
			return nil, err
		}
	}
	root, err := v.Finish()
	if err != nil {
		return nil, err
	}
	v.Checkpoint = b.Checkpoint
	v.CheckCheckpoint(b.Checkpoint, v.Size(), root)
	return v, nil
}

// verifyPiece verifies the events of a piece, and what the collector keeps besides their lines.
func verifyPiece(v *proof.Verifier, p *pg.Piece) error {
	if p.After == p.First-1 && !slices.Equal(v.Edge().Tree, p.Tree) {
		v.Problem(proof.Altered, "event %d: the hashes that are kept of the events before it are not theirs", p.First)
	}
	entries, err := p.Entries()
	if err != nil {
		return err
	}
	var outlines []*view.Outline
	for _, e := range entries {
		ev, err := v.Add(e)
		if err != nil {
			return err
		}
		if ev != nil {
			outlines = append(outlines, view.Of(e.Seq, ev))
		}
	}
	if !p.Outlined(outlines, p.After, p.To) {
		v.Problem(proof.Altered, "events %d to %d: what is kept for reports is not what they say", p.First, p.Last)
	}
	return nil
}

// compareHead compares what the database says of a branch with its bytes.
func compareHead(v *proof.Verifier, l *pg.Log, b *pg.Branch) {
	edge := v.Edge()
	switch {
	case !slices.ContainsFunc(v.Keys, func(k record.VerifiedKey) bool { return k.Key == l.Key }):
		v.Problem(proof.Altered, "no event names the key of the log, %q", l.Key)
	case !slices.EqualFunc(v.Keys, b.Keys, func(k record.VerifiedKey, has pg.KeyFrom) bool { return k.Key == has.Key && k.Event == has.Event }):
		v.Problem(proof.Altered, "the database says other keys than the events name")
	case b.Base != nil && l.Left(b) == nil:
		v.Problem(proof.Altered, "the database says that it leaves branch %d, which is no earlier one", *b.Base)
	case edge.Size != b.Size || !slices.Equal(edge.Tree, b.Tree) || v.Checkpoint != b.Checkpoint || v.Key != b.Key:
		v.Problem(proof.Altered, "the database says %d events, key %q, and other hashes than the kept bytes give", b.Size, b.Key)
	}
}

// Result is what a run found of a log.
type Result struct {
	Log *pg.Log
	*pg.Verification
	Err error // the log could not be read
}

// Run is a verification of many logs.
type Run struct {
	DB      *pg.DB
	Key     string    // the collector's verifier key
	Began   time.Time // names the run
	Resumed bool      // leaves out the logs that a run of this time has verified
	Workers int
	Now     func() time.Time
	Found   func(Result) error // is called for each log, by one goroutine at a time
}

// Verify verifies all branches of logs, and notes what it found of the branches that count.
func (r *Run) Verify(ctx context.Context, logs []*pg.Log) error {
	return each(ctx, r.Workers, logs, r.verify, r.Found)
}

func (r *Run) verify(ctx context.Context, l *pg.Log) (res Result) {
	res = Result{Log: l}
	if r.Resumed {
		v, err := r.DB.Verified(ctx, l.ID)
		if err == nil && v != nil && v.Run.Equal(r.Began) {
			return Result{Log: l, Verification: v}
		}
	}
	res.Verification = &pg.Verification{Branch: l.Branch, Size: l.Current().Size, Result: string(proof.Intact), Problems: []string{}}
	for i := range l.Branches {
		number := l.Branches[i].Number
		if number != l.Branch && !l.Whole(number) {
			continue // evidence of a fork, no log
		}
		v, err := r.branch(ctx, l, number)
		if err != nil {
			res.Err = fmt.Errorf("verifying branch %d: %w", number, err)
			return res
		}
		res.add(v)
	}
	res.Run, res.Verified = r.Began, r.Now()
	res.Err = r.DB.SaveVerification(ctx, l.ID, res.Verification)
	return res
}

// branch verifies a branch. If something is wrong, it looks again: the log may have grown, and bodies may
// have been removed, since it was read.
func (r *Run) branch(ctx context.Context, l *pg.Log, number int) (*pg.Verification, error) {
	v, err := Verify(ctx, r.DB, l, number, r.Key)
	if err != nil || v.Result == string(proof.Intact) {
		return v, err
	}
	now, err := r.DB.ByID(ctx, l.ID)
	if err != nil || now.At(number) == nil {
		return v, err
	}
	return Verify(ctx, r.DB, now, number, r.Key)
}

// add adds what was found of a branch.
func (res *Result) add(v *pg.Verification) {
	if v.Result != string(proof.Intact) {
		res.Result = v.Result
	}
	res.Withheld += v.Withheld
	for _, p := range v.Problems {
		if v.Branch != res.Branch {
			p = fmt.Sprintf("branch %d: %s", v.Branch, p)
		}
		res.Problems = append(res.Problems, p)
	}
}
