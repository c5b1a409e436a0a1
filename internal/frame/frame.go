// Package frame reads the frames of libzypp's plugin protocol. It links little, because it is part
// of a program that libzypp starts in every commit.
package frame

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// The commands of libzypp's commit plugin protocol (PluginExecutor.cc) and the answers.
const (
	PluginBegin = "PLUGINBEGIN"
	CommitBegin = "COMMITBEGIN"
	CommitEnd   = "COMMITEND"
	PluginEnd   = "PLUGINEND"
	Disconnect  = "_DISCONNECT"
	// PackagesChanged is sent to a system plugin, which klp-audit is, too.
	PackagesChanged = "PACKAGESETCHANGED"

	ACK      = "ACK"
	NoMethod = "_ENOMETHOD"
)

// Reply is the answer to a command that was carried out.
func Reply(command string) string {
	switch command {
	case PluginBegin, CommitBegin, CommitEnd, PluginEnd, Disconnect, PackagesChanged:
		return ACK
	}
	return NoMethod
}

// MaxHead bounds the command and the headers of a frame. libzypp sends one header of its own, and
// the user data.
const MaxHead = 1 << 20

// ErrHead says that something is not a frame: its head has no end.
var ErrHead = errors.New("command and headers are longer than 1 MiB")

// Frame is one message of libzypp's plugin protocol, a STOMP frame: a command line, header lines,
// an empty line, a body, and a NUL, or the end of input instead.
type Frame struct {
	Command string
	Header  []string  // lines as received, key:value
	Body    io.Reader // read it before the next frame
}

// Cut says whether the end of input ended the body, after it was read.
func (f *Frame) Cut() bool {
	b, ok := f.Body.(*bodyReader)
	return ok && b.cut
}

// Get returns the value of a header. Versions of libzypp that send content-length (17.34.2 and
// later) escape line ends and backslashes in values, and until 17.35.11 colons; older ones send
// them unescaped.
func (f *Frame) Get(key string) (value string, ok bool) {
	for _, line := range f.Header {
		if k, v, found := strings.Cut(line, ":"); found && k == key {
			if key != "content-length" && f.escaped() {
				v = unescape(v)
			}
			return v, true
		}
	}
	return "", false
}

func (f *Frame) escaped() bool {
	_, ok := f.Get("content-length")
	return ok
}

// unescape undoes STOMP's escapes. Unknown escapes stay as they are.
var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\c`, ":").Replace

// Reader reads frames from libzypp.
type Reader struct {
	r    *bufio.Reader
	body *bodyReader // of the last frame
}

// NewReader returns a reader of the frames in r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// Next returns the next frame, or io.EOF at the end of input. It skips the rest of the previous
// frame.
func (fr *Reader) Next() (*Frame, error) {
	if fr.body != nil {
		if _, err := io.Copy(io.Discard, fr.body); err != nil {
			return nil, err
		}
		fr.body = nil
	}
	head, err := fr.head()
	if err != nil {
		return nil, err
	}
	f := &Frame{Command: head[0], Header: head[1:]}
	fr.body = &bodyReader{r: fr.r, left: -1}
	if text, ok := f.Get("content-length"); ok {
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n >= 0 {
			fr.body.left = n
		}
	}
	f.Body = fr.body
	return f, nil
}

// head reads the lines up to the empty one. The NUL of a frame, or the end of input, may come
// anywhere in them; the lines before it are used.
func (fr *Reader) head() (lines []string, err error) {
	var line []byte
	for size := 0; ; size++ {
		b, err := fr.r.ReadByte()
		switch {
		case err == io.EOF && size == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, err
		case size >= MaxHead:
			return nil, ErrHead
		case err == io.EOF:
			return append(lines, string(line)), nil
		case b == 0:
			fr.r.UnreadByte() // it ends an empty body
			return append(lines, string(line)), nil
		case b != '\n':
			line = append(line, b)
		case len(line) == 0 && size > 0:
			return lines, nil
		default:
			lines = append(lines, string(line))
			line = line[:0]
		}
	}
}

// bodyReader reads a body up to its NUL, or as many bytes as content-length says and then the NUL.
type bodyReader struct {
	r    *bufio.Reader
	left int64 // bytes of content-length that are left; -1: not known
	done bool
	cut  bool // ended by the end of input
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (n int, err error) {
	if b.done {
		return 0, io.EOF
	}
	if b.left > 0 {
		n, err = b.r.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		b.cut = err == io.EOF
		return n, err
	}
	return b.readToNUL(p)
}

// readToNUL reads what is buffered up to the NUL. After as many bytes as content-length says, only
// the NUL should come; anything else is still part of the body, because it is not a frame.
func (b *bodyReader) readToNUL(p []byte) (n int, err error) {
	if _, err := b.r.Peek(1); err != nil {
		b.cut = err == io.EOF
		b.done = b.cut // what cannot be read now may be read later
		return 0, err
	}
	buffered, _ := b.r.Peek(min(b.r.Buffered(), len(p)))
	n = bytes.IndexByte(buffered, 0)
	ended := n >= 0
	if !ended {
		n = len(buffered)
	}
	copy(p, buffered[:n])
	b.r.Discard(n)
	if ended {
		b.r.Discard(1)
		b.done = true
		if n == 0 {
			return 0, io.EOF
		}
	}
	return n, nil
}

// Buffered returns how many bytes after the last frame have already been read, once its body has
// been read to the end.
func (fr *Reader) Buffered() int { return fr.r.Buffered() }

// Answer writes a frame that consists of a command, in one piece.
func Answer(w io.Writer, command string) error {
	_, err := io.WriteString(w, command+"\n\n\x00")
	return err
}
