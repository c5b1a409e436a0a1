package store

import (
	"bufio"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record/proof"
)

// VerifyExport checks an export as Verify checks a record, without having the record: the
// hash of each event, the tree over them, and the checkpoint with its signature. It reads
// what the events say of the log; the rest is read by who opens the export as a record.
func VerifyExport(ctx context.Context, r io.Reader, verifierKey string, earlier ...string) (*proof.Verification, error) {
	x := exportVerifier{ctx: ctx, key: verifierKey, earlier: earlier}
	return x.verify(r)
}

// exportVerifier reads an export.
type exportVerifier struct {
	ctx     context.Context
	key     string
	earlier []string
	into    *sql.Tx // where to write what it holds; nil: nowhere

	line []byte // the one that is read, in a buffer that serves all
	v    *proof.Verification
	head proof.ExportHeader
	tree proof.Tree
	seen *proof.Witness
}

func (x *exportVerifier) verify(r io.Reader) (*proof.Verification, error) {
	x.v = proof.NewVerification()
	x.seen = proof.NewWitness(x.v)
	in := bufio.NewReaderSize(r, 1<<20)
	if err := x.next(in); err != nil && err != io.EOF {
		return nil, err
	}
	if err := x.begin(x.line); err != nil {
		return nil, err
	}
	checks, err := proof.NewEarlier(x.earlier)
	if err != nil {
		return nil, err
	}
	if err := checks.StartAt(x.v, x.head.Since, x.tree.Root); err != nil {
		return nil, err
	}
	end, err := x.events(in, checks)
	if err != nil {
		return nil, err
	}
	x.v.TreeSize = x.tree.Size
	root, err := x.tree.Root()
	if err != nil {
		return nil, err
	}
	x.v.RootHash = root.String()
	named := x.v.NewestKey()
	x.v.Key = cmp.Or(named, x.head.Key)
	if x.head.Key != x.v.Key {
		x.v.Problem(proof.Altered, "the first line says that the key is %q, not %q", x.head.Key, named)
	} else if proof.CheckVerifierKey(x.v.Key) != nil {
		x.v.Problem(proof.Altered, "the key %q is not written as klp-audit does", x.v.Key)
	}
	if named == "" { // no event of this part of the log does
		x.v.Keys = append(x.v.Keys, proof.KeyInLog{Key: x.head.Key})
	}
	checks.Finish(x.v, x.v.KeyNames())
	x.seen.Gaps.Check(x.v)
	if x.key != "" {
		x.v.Trust(x.key)
	}
	return x.v, x.end(end, root)
}

// begin reads the first line.
func (x *exportVerifier) begin(line []byte) error {
	err := json.Unmarshal(line, &x.head)
	if err != nil || x.head.Format != proof.ExportFormat {
		return fmt.Errorf("%w: its first line is %.80q", proof.ErrNoExport, line)
	}
	x.tree = proof.Tree{Size: x.head.Since, Kept: map[int64]tlog.Hash{}}
	if x.head.Since < 0 || x.head.Since > 1<<40 {
		return fmt.Errorf("%w: since event %d", proof.ErrNoExport, x.head.Since)
	}
	if !proof.IsCanonical(line, x.head) {
		x.v.Problem(proof.Altered, "the first line is not written as klp-audit does")
	}
	if x.head.Since > 0 && x.key != "" && x.key != x.head.Key {
		x.v.Keys = append(x.v.Keys, proof.KeyInLog{Key: x.key}) // that signed before this part of the log
	}
	ids := proof.Subtrees(x.head.Since)
	if len(ids) != len(x.head.Tree) {
		return fmt.Errorf("%w: %d hashes of a tree of %d events, want %d", proof.ErrNoExport, len(x.head.Tree), x.head.Since, len(ids))
	}
	for i, id := range ids {
		x.tree.Kept[id] = x.head.Tree[i]
	}
	return nil
}

// events reads the lines of events, and returns the line behind them, which should be the
// last one: nil, if there is none.
func (x *exportVerifier) events(in *bufio.Reader, checks *proof.EarlierCheckpoints) (end []byte, err error) {
	for {
		if err := x.ctx.Err(); err != nil {
			return nil, err
		}
		err := x.next(in)
		line := x.line
		if err == io.EOF {
			if len(line) > 0 {
				x.v.Problem(proof.Truncated, "the last line has no end")
			}
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		head, body, ok := proof.CutEvent(line)
		if gone, isGap := proof.CutGap(line); isGap {
			head, body, ok = gone, nil, true
		}
		if !ok {
			var e proof.ExportEnd
			if json.Unmarshal(line, &e) != nil || e.Checkpoint == "" {
				x.v.Problem(proof.Altered, "behind event %d: a line that is neither an event nor the checkpoint: %.80q", x.tree.Size, line)
				continue
			}
			if !proof.IsCanonical(line, e) {
				x.v.Problem(proof.Altered, "the last line is not written as klp-audit does")
			}
			if _, err := in.Peek(1); err != io.EOF {
				x.v.Problem(proof.Altered, "there is more behind the checkpoint")
			}
			return line, nil
		}
		if err := x.add(head, body); err != nil {
			return nil, err
		}
		if err := checks.At(x.v, x.tree.Size, x.tree.Root); err != nil {
			return nil, err
		}
	}
}

// add takes in an event.
func (x *exportVerifier) add(head proof.EventHead, body []byte) error {
	seq := x.tree.Size + 1
	if head.Seq != seq {
		x.v.Problem(proof.Altered, "event %d is missing: number %d follows", seq, head.Seq)
	}
	if body == nil {
		x.seen.Gaps.Seqs = append(x.seen.Gaps.Seqs, seq)
		x.v.FirstTime = nil
		return x.tree.Grow(head.Hash)
	}
	if hash := tlog.RecordHash(body); hash != head.Hash {
		x.v.Problem(proof.Altered, "event %d: its hash is %s, the export says %s: the event or its hash was altered", head.Seq, hash, head.Hash)
	}
	heard, err := proof.Hear(seq, body, x.tree.Root)
	if err != nil {
		return err
	}
	// Going on with the hash in the export, one altered event is one problem.
	if err := x.tree.Grow(head.Hash); err != nil || !x.seen.Take(heard) {
		return err
	}
	return x.keep(body)
}

// keep writes an event into the record that an export is opened as.
func (x *exportVerifier) keep(body []byte) error {
	if x.into == nil {
		return nil
	}
	_, err := x.into.ExecContext(x.ctx, `INSERT INTO events (seq, body) VALUES (?, ?)`, x.tree.Size, string(body))
	return err
}

// end checks the last line.
func (x *exportVerifier) end(line []byte, root tlog.Hash) error {
	if line == nil {
		x.v.Problem(proof.Truncated, "the end is missing: there is no checkpoint behind event %d", x.tree.Size)
		return nil
	}
	var e proof.ExportEnd
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	x.v.Checkpoint = e.Checkpoint
	x.v.CheckCheckpoint(e.Checkpoint, x.tree.Size, root)
	if x.into == nil {
		return nil
	}
	_, err := x.into.ExecContext(x.ctx, `INSERT INTO checkpoint (id, size, note) VALUES (1, ?, ?)`, x.tree.Size, e.Checkpoint)
	return err
}

// next reads a line without its newline. With io.EOF comes what has no newline.
func (x *exportVerifier) next(in *bufio.Reader) error {
	x.line = x.line[:0]
	for {
		part, err := in.ReadSlice('\n')
		if x.line = append(x.line, part...); len(x.line) > proof.MaxExportLine {
			return fmt.Errorf("%w: a line is longer than %d MiB", proof.ErrNoExport, proof.MaxExportLine>>20)
		}
		if err == nil {
			x.line = x.line[:len(x.line)-1]
			return nil
		}
		if err != bufio.ErrBufferFull {
			return err
		}
	}
}
