package store

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

// maxExportLine bounds one line of an export: the longest event is one of a commit with a
// command line of some MiB.
const maxExportLine = 64 << 20

// ErrNoExport says that a file is not an export.
var ErrNoExport = errors.New("not an export of klp-audit")

// VerifyExport checks an export as Verify checks a record, without having the record: the
// hash of each event, the tree over them, and the checkpoint with its signature. It reads
// what the events say of the log; the rest is read by who opens the export as a record.
func VerifyExport(ctx context.Context, r io.Reader, verifierKey string, earlier ...string) (*Verification, error) {
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
	v    *Verification
	head exportHeader
	tree tree
	seen *witness
}

func (x *exportVerifier) verify(r io.Reader) (*Verification, error) {
	x.v = newVerification()
	x.seen = newWitness(x.v)
	in := bufio.NewReaderSize(r, 1<<20)
	if err := x.next(in); err != nil && err != io.EOF {
		return nil, err
	}
	if err := x.begin(x.line); err != nil {
		return nil, err
	}
	checks, err := newEarlier(x.earlier)
	if err != nil {
		return nil, err
	}
	if err := checks.startAt(x.v, x.head.Since, x.tree.root); err != nil {
		return nil, err
	}
	end, err := x.events(in, checks)
	if err != nil {
		return nil, err
	}
	x.v.TreeSize = x.tree.size
	root, err := x.tree.root()
	if err != nil {
		return nil, err
	}
	x.v.RootHash = root.String()
	named := x.v.newestKey()
	x.v.Key = cmp.Or(named, x.head.Key)
	if x.head.Key != x.v.Key {
		x.v.problem(Altered, "the first line says that the key is %q, not %q", x.head.Key, named)
	} else if CheckVerifierKey(x.v.Key) != nil {
		x.v.problem(Altered, "the key %q is not written as klp-audit does", x.v.Key)
	}
	if named == "" { // no event of this part of the log does
		x.v.Keys = append(x.v.Keys, KeyInLog{Key: x.head.Key})
	}
	checks.finish(x.v, x.v.keyNames())
	x.seen.gaps.check(x.v)
	if x.key != "" {
		x.v.Trust(x.key)
	}
	return x.v, x.end(end, root)
}

// begin reads the first line.
func (x *exportVerifier) begin(line []byte) error {
	err := json.Unmarshal(line, &x.head)
	if err != nil || x.head.Format != ExportFormat {
		return fmt.Errorf("%w: its first line is %.80q", ErrNoExport, line)
	}
	x.tree = tree{size: x.head.Since, kept: map[int64]tlog.Hash{}}
	if x.head.Since < 0 || x.head.Since > 1<<40 {
		return fmt.Errorf("%w: since event %d", ErrNoExport, x.head.Since)
	}
	if !isCanonical(line, x.head) {
		x.v.problem(Altered, "the first line is not written as klp-audit does")
	}
	if x.head.Since > 0 && x.key != "" && x.key != x.head.Key {
		x.v.Keys = append(x.v.Keys, KeyInLog{Key: x.key}) // that signed before this part of the log
	}
	ids := subtrees(x.head.Since)
	if len(ids) != len(x.head.Tree) {
		return fmt.Errorf("%w: %d hashes of a tree of %d events, want %d", ErrNoExport, len(x.head.Tree), x.head.Since, len(ids))
	}
	for i, id := range ids {
		x.tree.kept[id] = x.head.Tree[i]
	}
	return nil
}

// events reads the lines of events, and returns the line behind them, which should be the
// last one: nil, if there is none.
func (x *exportVerifier) events(in *bufio.Reader, checks *earlierCheckpoints) (end []byte, err error) {
	for {
		if err := x.ctx.Err(); err != nil {
			return nil, err
		}
		err := x.next(in)
		line := x.line
		if err == io.EOF {
			if len(line) > 0 {
				x.v.problem(Truncated, "the last line has no end")
			}
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		head, body, ok := cutEvent(line)
		if gone, isGap := cutGap(line); isGap {
			head, body, ok = gone, nil, true
		}
		if !ok {
			var e exportEnd
			if json.Unmarshal(line, &e) != nil || e.Checkpoint == "" {
				x.v.problem(Altered, "behind event %d: a line that is neither an event nor the checkpoint: %.80q", x.tree.size, line)
				continue
			}
			if !isCanonical(line, e) {
				x.v.problem(Altered, "the last line is not written as klp-audit does")
			}
			if _, err := in.Peek(1); err != io.EOF {
				x.v.problem(Altered, "there is more behind the checkpoint")
			}
			return line, nil
		}
		if err := x.add(head, body); err != nil {
			return nil, err
		}
		if err := checks.at(x.v, x.tree.size, x.tree.root); err != nil {
			return nil, err
		}
	}
}

// add takes in an event.
func (x *exportVerifier) add(head eventHead, body []byte) error {
	seq := x.tree.size + 1
	if head.Seq != seq {
		x.v.problem(Altered, "event %d is missing: number %d follows", seq, head.Seq)
	}
	if body == nil {
		x.seen.gaps.seqs = append(x.seen.gaps.seqs, seq)
		x.v.FirstTime = nil
		return x.tree.grow(head.Hash)
	}
	if hash := tlog.RecordHash(body); hash != head.Hash {
		x.v.problem(Altered, "event %d: its hash is %s, the export says %s: the event or its hash was altered", head.Seq, hash, head.Hash)
	}
	heard, err := hear(seq, body, x.tree.root)
	if err != nil {
		return err
	}
	// Going on with the hash in the export, one altered event is one problem.
	if err := x.tree.grow(head.Hash); err != nil || !x.seen.take(heard) {
		return err
	}
	return x.keep(body)
}

// keep writes an event into the record that an export is opened as.
func (x *exportVerifier) keep(body []byte) error {
	if x.into == nil {
		return nil
	}
	_, err := x.into.ExecContext(x.ctx, `INSERT INTO events (seq, body) VALUES (?, ?)`, x.tree.size, string(body))
	return err
}

// end checks the last line.
func (x *exportVerifier) end(line []byte, root tlog.Hash) error {
	if line == nil {
		x.v.problem(Truncated, "the end is missing: there is no checkpoint behind event %d", x.tree.size)
		return nil
	}
	var e exportEnd
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	x.v.Checkpoint = e.Checkpoint
	x.v.checkCheckpoint(e.Checkpoint, x.tree.size, root)
	if x.into == nil {
		return nil
	}
	_, err := x.into.ExecContext(x.ctx, `INSERT INTO checkpoint (id, size, note) VALUES (1, ?, ?)`, x.tree.size, e.Checkpoint)
	return err
}

// next reads a line without its newline. With io.EOF comes what has no newline.
func (x *exportVerifier) next(in *bufio.Reader) error {
	x.line = x.line[:0]
	for {
		part, err := in.ReadSlice('\n')
		if x.line = append(x.line, part...); len(x.line) > maxExportLine {
			return fmt.Errorf("%w: a line is longer than %d MiB", ErrNoExport, maxExportLine>>20)
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

// cutEvent cuts an event's line into what stands before the event and the event's bytes.
func cutEvent(line []byte) (head eventHead, body []byte, ok bool) {
	before, rest, ok := bytes.Cut(line, []byte(eventKey))
	if !ok || !bytes.HasSuffix(rest, []byte("}")) {
		return head, nil, false
	}
	before = append(bytes.Clone(before), '}')
	ok = json.Unmarshal(before, &head) == nil && isCanonical(before, head)
	return head, rest[:len(rest)-1], ok
}

// cutGap reads the line of an event that has no body any more.
func cutGap(line []byte) (head eventHead, ok bool) {
	const longest = 128 // a number and a hash
	ok = len(line) <= longest && json.Unmarshal(line, &head) == nil && head.Seq > 0 && isCanonical(line, head)
	return head, ok
}

// isCanonical says whether a line is what writing its value gives: whatever else it may be,
// nobody who read it differently could be told something else by it.
func isCanonical(line []byte, v any) bool {
	var b bytes.Buffer
	return writeLine(&b, v) == nil && bytes.Equal(bytes.TrimSuffix(b.Bytes(), []byte("\n")), line)
}
