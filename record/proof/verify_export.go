package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
)

// ErrOtherEdge says that an export does not begin where the log was left off.
var ErrOtherEdge = errors.New("the export does not begin where the log was left")

// VerifyExport verifies an export as a record is verified, without the record: the hash of each
// event, the tree over them, and the checkpoint with its signature. It decodes only what events say
// about the log; opening the export as a record decodes the rest. A trusted verifier key (empty:
// none) must be one of the record's, and earlier checkpoints, kept elsewhere, must match a
// beginning of it.
func VerifyExport(ctx context.Context, r io.Reader, verifierKey string, earlier ...string) (*Verification, error) {
	v, err := Export{Key: verifierKey, Earlier: earlier}.Verify(ctx, r)
	if err != nil {
		return nil, err
	}
	return v.Verification, nil
}

// Export says what an export is compared with, and who receives its events.
type Export struct {
	Key     string   // a verifier key that is trusted; empty: none
	Earlier []string // checkpoints that were kept elsewhere
	After   *Edge    // where the log that the export must continue was left off; nil: the export may begin anywhere
	// Opened is called before the first event; tree are the hashes at Subtrees(since), as the export
	// claims. nil: nobody is.
	Opened func(since int64, tree []tlog.Hash) error
	// Keep receives each event with its number in the log; nil: nobody does. ev is nil if there is
	// no body, or one that two readers could read differently.
	Keep func(e Entry, ev *record.Event) error
}

// Verify verifies an export as VerifyExport does. The error is ErrNoExport if it is not an export,
// and ErrOtherEdge if it begins elsewhere than demanded.
func (x Export) Verify(ctx context.Context, r io.Reader) (*Verifier, error) {
	in, err := openExport(r)
	if err != nil {
		return nil, err
	}
	v, err := x.begin(in)
	if err != nil {
		return nil, err
	}
	v.Whole = x.Keep != nil
	if x.Opened != nil {
		if err := x.Opened(in.head.Since, in.head.Tree); err != nil {
			return nil, err
		}
	}
	if err := x.entries(ctx, in, v); err != nil {
		return nil, err
	}
	v.checkKey(in.head.Key)
	root, err := v.Finish()
	if err != nil {
		return nil, err
	}
	if x.Key != "" {
		v.Trust(x.Key)
	}
	v.checkEnd(in.end, root)
	return v, nil
}

// begin makes the verifier of an export whose first line was read.
func (x Export) begin(in *exportReader) (*Verifier, error) {
	head := in.head
	after := Edge{Size: head.Since, Tree: head.Tree}
	switch {
	case x.After != nil && x.After.Size != head.Since:
		return nil, fmt.Errorf("%w: it begins after event %d, the log has %d", ErrOtherEdge, head.Since, x.After.Size)
	case x.After != nil:
		after = *x.After
	case head.Since > 0 && x.Key != head.Key: // it signed before this part of the log
		after.Key = x.Key
	}
	v, err := NewVerifier(after, nil, x.Earlier...)
	if err != nil {
		return nil, err
	}
	if !isCanonical(in.line, head) {
		v.Problem(Altered, "the first line is not written as klp-audit does")
	}
	if !slices.Equal(after.Tree, head.Tree) {
		v.Problem(Altered, "the first %d events are not those that the log had: what comes continues another one", head.Since)
	}
	return v, nil
}

// entries reads all lines after the first.
func (x Export) entries(ctx context.Context, in *exportReader, v *Verifier) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := in.next()
		switch err {
		case nil:
			err = x.add(v, e)
		case errNoLine:
			v.Problem(Altered, "after event %d: a line that is neither an event nor the checkpoint: %.80q", v.Size(), in.line)
			err = nil
		case io.ErrUnexpectedEOF:
			v.Problem(Truncated, "the last line has no end")
			return nil
		case io.EOF:
			v.checkLastLine(in)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (x Export) add(v *Verifier, e Entry) error {
	if x.Keep != nil {
		e.Body = bytes.Clone(e.Body)
	}
	ev, err := v.Add(e)
	if err != nil || x.Keep == nil {
		return err
	}
	e.Seq = v.Size()
	return x.Keep(e, ev)
}

// checkLastLine checks the form of the last line, if there is one.
func (v *Verifier) checkLastLine(in *exportReader) {
	if in.end.Checkpoint == "" {
		return
	}
	if !isCanonical(in.line, in.end) {
		v.Problem(Altered, "the last line is not written as klp-audit does")
	}
	if in.more() {
		v.Problem(Altered, "there is more after the checkpoint")
	}
}

// checkKey compares the key in the first line with the newest one that the events name.
func (v *Verifier) checkKey(claimed string) {
	switch named := v.newestKey(); {
	case named == "": // no event in this part of the log does
		v.Keys = append(v.Keys, record.VerifiedKey{Key: claimed})
	case named != claimed:
		v.Problem(Altered, "the first line says that the key is %q, not %q", claimed, named)
		return
	}
	if CheckVerifierKey(claimed) != nil {
		v.Problem(Altered, "the key %q is not written as klp-audit does", claimed)
	}
}

// checkEnd checks the checkpoint in the last line.
func (v *Verifier) checkEnd(end exportEnd, root tlog.Hash) {
	if end.Checkpoint == "" {
		v.Problem(Truncated, "there is no checkpoint after event %d", v.Size())
		return
	}
	v.Checkpoint = end.Checkpoint
	v.CheckCheckpoint(end.Checkpoint, v.Size(), root)
}
