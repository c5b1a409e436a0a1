package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

// ExportFormat names the form of an export, which docs/record.md describes.
const ExportFormat = "klp-audit/export/1"

// ExportHeader is the first line of an export.
type ExportHeader struct {
	Format string      `json:"export"`
	Since  int64       `json:"since"` // the events behind this one follow
	Tree   []tlog.Hash `json:"tree"`  // over those up to it: the roots of its complete subtrees, largest first
	Key    string      `json:"key"`   // verifier key of the checkpoint
}

// An event's line is built and cut by hand: between "event": and the last brace are the
// exact bytes of the stored body.
const EventKey = `,"event":`

// EventHead is what stands before the event in its line.
type EventHead struct {
	Seq  int64     `json:"seq"`
	Hash tlog.Hash `json:"hash"` // RFC 6962 leaf hash of the body
}

// ExportEnd is the last line of an export.
type ExportEnd struct {
	Checkpoint string `json:"checkpoint"` // the signed text
}

func WriteLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// MaxExportLine bounds one line of an export: the longest event is one of a commit with a
// command line of some MiB.
const MaxExportLine = 64 << 20

// ErrNoExport says that a file is not an export.
var ErrNoExport = errors.New("not an export of klp-audit")

// CutEvent cuts an event's line into what stands before the event and the event's bytes.
func CutEvent(line []byte) (head EventHead, body []byte, ok bool) {
	before, rest, ok := bytes.Cut(line, []byte(EventKey))
	if !ok || !bytes.HasSuffix(rest, []byte("}")) {
		return head, nil, false
	}
	before = append(bytes.Clone(before), '}')
	ok = json.Unmarshal(before, &head) == nil && IsCanonical(before, head)
	return head, rest[:len(rest)-1], ok
}

// CutGap reads the line of an event that has no body any more.
func CutGap(line []byte) (head EventHead, ok bool) {
	const longest = 128 // a number and a hash
	ok = len(line) <= longest && json.Unmarshal(line, &head) == nil && head.Seq > 0 && IsCanonical(line, head)
	return head, ok
}

// IsCanonical says whether a line is what writing its value gives: whatever else it may be,
// nobody who read it differently could be told something else by it.
func IsCanonical(line []byte, v any) bool {
	var b bytes.Buffer
	return WriteLine(&b, v) == nil && bytes.Equal(bytes.TrimSuffix(b.Bytes(), []byte("\n")), line)
}
