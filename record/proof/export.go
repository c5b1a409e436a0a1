package proof

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

// ExportFormat names the format of an export; docs/record.md describes it.
const ExportFormat = "klp-audit/export/1"

// MaxExportLine bounds one line of an export: the longest event is a commit with a command line of
// a few MiB.
const MaxExportLine = 64 << 20

// ErrNoExport says that a file is not an export.
var ErrNoExport = errors.New("not an export of klp-audit")

// exportHeader is the first line of an export.
type exportHeader struct {
	Format string      `json:"export"`
	Since  int64       `json:"since"` // the events after this one follow
	Tree   []tlog.Hash `json:"tree"`  // over the events up to it: the roots of its complete subtrees, largest first
	Key    string      `json:"key"`   // verifier key of the checkpoint
}

// An event's line is built and cut by hand, because everything between "event": and the last brace
// is exactly the stored body.
const eventKey = `,"event":`

// eventHead is the start of an event's line; for a pruned event, the whole line.
type eventHead struct {
	Seq  int64     `json:"seq"`
	Hash tlog.Hash `json:"hash"` // RFC 6962 leaf hash of the body
}

// exportEnd is the last line of an export.
type exportEnd struct {
	Checkpoint string `json:"checkpoint"` // the signed text
}

// WriteExportHeader writes the first line of an export of the events after number since. tree are
// the hashes at Subtrees(since), and key is the verifier key of the checkpoint that will end the
// export.
func WriteExportHeader(w io.Writer, since int64, tree []tlog.Hash, key string) error {
	if tree == nil {
		tree = []tlog.Hash{}
	}
	return writeLine(w, exportHeader{Format: ExportFormat, Since: since, Tree: tree, Key: key})
}

// WriteExportEntry writes the line of an event. Its body must be one line.
func WriteExportEntry(w *bufio.Writer, e Entry) error {
	head := eventHead{Seq: e.Seq, Hash: e.Hash}
	if e.Body == nil {
		return writeLine(w, head)
	}
	before, err := json.Marshal(head)
	if err != nil {
		return err
	}
	w.Write(bytes.TrimSuffix(before, []byte("}")))
	w.WriteString(eventKey)
	w.Write(e.Body)
	_, err = w.WriteString("}\n")
	return err
}

// WriteExportEnd writes the last line of an export: the checkpoint over all events of the log.
func WriteExportEnd(w io.Writer, checkpoint string) error {
	return writeLine(w, exportEnd{Checkpoint: checkpoint})
}

func writeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// exportReader reads the lines of an export into one buffer.
type exportReader struct {
	in   *bufio.Reader
	line []byte // read last, without its newline
	head exportHeader
	end  exportEnd // empty until it is read
}

// openExport reads the first line.
func openExport(r io.Reader) (*exportReader, error) {
	x := &exportReader{in: bufio.NewReaderSize(r, 64<<10)}
	if err := x.readLine(); err != nil && err != io.EOF {
		return nil, err
	}
	if err := json.Unmarshal(x.line, &x.head); err != nil || x.head.Format != ExportFormat {
		return nil, fmt.Errorf("%w: its first line is %.80q", ErrNoExport, x.line)
	}
	if x.head.Since < 0 || x.head.Since > 1<<40 {
		return nil, fmt.Errorf("%w: since event %d", ErrNoExport, x.head.Since)
	}
	if _, err := NewTree(x.head.Since, x.head.Tree); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoExport, err)
	}
	return x, nil
}

// errNoLine says that a line does not belong in an export.
var errNoLine = errors.New("neither an event nor the checkpoint")

// next reads an event; its body is valid until the next call. The error is io.EOF at the end,
// errNoLine for a line that is not an event (others may follow), and io.ErrUnexpectedEOF for a last
// line without a newline.
func (x *exportReader) next() (Entry, error) {
	err := x.readLine()
	if err == io.EOF && len(x.line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Entry{}, err
	}
	if e, ok := ParseEntry(x.line); ok {
		return e, nil
	}
	if json.Unmarshal(x.line, &x.end) != nil || x.end.Checkpoint == "" {
		x.end = exportEnd{}
		return Entry{}, errNoLine
	}
	return Entry{}, io.EOF
}

// more says whether anything else follows.
func (x *exportReader) more() bool {
	_, err := x.in.Peek(1)
	return err != io.EOF
}

// readLine reads a line without its newline. With io.EOF, it returns the rest that has no newline.
func (x *exportReader) readLine() error {
	x.line = x.line[:0]
	for {
		part, err := x.in.ReadSlice('\n')
		if x.line = append(x.line, part...); len(x.line) > MaxExportLine {
			return fmt.Errorf("%w: a line is longer than %d MiB", ErrNoExport, MaxExportLine>>20)
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

// ParseEntry reads the line of an event in an export, without its newline. ok is false if it is no
// such line. The body shares the line.
func ParseEntry(line []byte) (e Entry, ok bool) {
	head, body, ok := cutEvent(line)
	if !ok {
		body = nil
		head, ok = cutGap(line)
	}
	return Entry{Seq: head.Seq, Hash: head.Hash, Body: body}, ok
}

// cutEvent splits an event's line into what precedes the event and the event's bytes.
func cutEvent(line []byte) (head eventHead, body []byte, ok bool) {
	before, rest, ok := bytes.Cut(line, []byte(eventKey))
	if !ok || !bytes.HasSuffix(rest, []byte("}")) {
		return head, nil, false
	}
	before = append(bytes.Clone(before), '}')
	ok = json.Unmarshal(before, &head) == nil && isCanonical(before, head)
	return head, rest[:len(rest)-1], ok
}

// cutGap reads the line of an event whose body was removed.
func cutGap(line []byte) (head eventHead, ok bool) {
	const longest = 128 // a number and a hash
	ok = len(line) <= longest && json.Unmarshal(line, &head) == nil && head.Seq > 0 && isCanonical(line, head)
	return head, ok
}

// isCanonical says whether a line is exactly what encoding its value gives, so that no two readers
// can read it differently.
func isCanonical(line []byte, v any) bool {
	var b bytes.Buffer
	return writeLine(&b, v) == nil && bytes.Equal(bytes.TrimSuffix(b.Bytes(), []byte("\n")), line)
}
