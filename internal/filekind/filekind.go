// Package filekind says what a file is, judged by its first bytes: people confuse an export with a
// copy, a checkpoint with a key, and name whatever the shell completes.
package filekind

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// Kind is what a file is, in words that follow "it is".
type Kind string

// The kinds that klp-audit reads or writes, and those that are never opened.
const (
	Record       Kind = "a record of klp-audit"
	Export       Kind = "an export of klp-audit"
	Checkpoint   Kind = "a checkpoint"
	Verification Kind = "what `klp-audit verify --format json` prints"
	PrivateKey   Kind = "the private key of a record"
	VerifierKey  Kind = "a verifier key"
	History      Kind = "a libzypp history"
	Folder       Kind = "a folder"
	FIFO         Kind = "a FIFO"
	Socket       Kind = "a socket"
	Device       Kind = "a device"
	Empty        Kind = "an empty file"

	database Kind = "a SQLite database of another program"
	piece    Kind = "a piece of a SQLite database"
	jsonText Kind = "JSON"
	text     Kind = "a text"
	data     Kind = "binary data"
)

// prefix is how much of a file is looked at.
const prefix = 1 << 20

// Of says what the file at a path is. It does not open anything but a regular file, because that
// might block for ever.
func Of(path string) (Kind, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if kind, special := irregular(info.Mode()); special {
		return kind, nil
	}
	// Somebody could put a FIFO there just now.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, prefix))
	if err != nil {
		return "", err
	}
	return of(b), nil
}

// irregular says what a file is that has no content of its own.
func irregular(mode fs.FileMode) (kind Kind, special bool) {
	switch {
	case mode.IsDir():
		return Folder, true
	case mode&fs.ModeNamedPipe != 0:
		return FIFO, true
	case mode&fs.ModeSocket != 0:
		return Socket, true
	}
	return Device, !mode.IsRegular()
}

// of says what a file with this content is.
func of(b []byte) Kind {
	for _, look := range []func([]byte) Kind{empty, packed, sqlite, object, lines} {
		if kind := look(b); kind != "" {
			return kind
		}
	}
	if isText(b) {
		return text
	}
	return data
}

func empty(b []byte) Kind {
	if len(b) == 0 {
		return Empty
	}
	return ""
}

// Known says whether it is something definite, rather than just a text, data or a compressed file.
func (k Kind) Known() bool { return k != text && k != data && k != jsonText && !k.Packed() }

// Packed says whether it is a compressed file.
func (k Kind) Packed() bool { return strings.HasPrefix(string(k), "packed with ") }

func packed(b []byte) Kind {
	for _, p := range []struct{ magic, by string }{
		{"\x1f\x8b", "gzip"}, {"\xfd7zXZ\x00", "xz"}, {"\x28\xb5\x2f\xfd", "zstd"}, {"BZh", "bzip2"}, {"\x04\x22\x4d\x18", "lz4"}, {"PK\x03\x04", "zip"},
	} {
		if bytes.HasPrefix(b, []byte(p.magic)) {
			return Kind("packed with " + p.by)
		}
	}
	return ""
}

// sqlite distinguishes databases by their application id; see
// https://www.sqlite.org/fileformat.html.
func sqlite(b []byte) Kind {
	const header, applicationID = 100, 68
	switch {
	case !bytes.HasPrefix(b, []byte("SQLite format 3\x00")):
		return ""
	case len(b) < header:
		return piece
	case binary.BigEndian.Uint32(b[applicationID:]) == store.ApplicationID:
		return Record
	}
	return database
}

// object distinguishes content that begins with a JSON object or array.
func object(b []byte) Kind {
	start := bytes.TrimSpace(b)
	if len(start) == 0 || start[0] != '{' && start[0] != '[' {
		return ""
	}
	var first struct{ Export, Checkpoint string }
	err := json.NewDecoder(bytes.NewReader(start)).Decode(&first)
	switch {
	case err == nil && strings.HasPrefix(first.Export, proof.ExportFormat[:strings.LastIndexByte(proof.ExportFormat, '/')+1]):
		return Export
	case err == nil && first.Checkpoint != "":
		return Verification
	case err == nil, isText(b):
		return jsonText
	}
	return ""
}

// lines distinguishes texts of several lines.
func lines(b []byte) Kind {
	s := strings.ReplaceAll(string(b), "\r\n", "\n")
	word := strings.TrimSpace(s)
	switch {
	case strings.HasPrefix(word, "PRIVATE+KEY+"):
		return PrivateKey
	case proof.CheckVerifierKey(word) == nil:
		return VerifierKey
	case proof.IsCheckpoint(strings.TrimRight(s, " \n") + "\n"):
		return Checkpoint
	}
	for line := range strings.Lines(s) {
		if _, err := zypp.ParseRecord(strings.TrimSuffix(line, "\n")); err == nil {
			return History
		}
	}
	return ""
}

// isText says whether people could read it: a last character may be cut off.
func isText(b []byte) bool {
	if len(b) == prefix {
		for n := 0; n < utf8.UTFMax-1 && !utf8.Valid(b); n++ {
			b = b[:len(b)-1]
		}
	}
	return utf8.Valid(b) && bytes.IndexFunc(b, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }) < 0
}
