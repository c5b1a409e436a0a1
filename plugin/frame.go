package plugin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The commands of libzypp's commit plugin protocol (PluginExecutor.cc) and the answers.
const (
	cmdPluginBegin = "PLUGINBEGIN"
	cmdCommitBegin = "COMMITBEGIN"
	cmdCommitEnd   = "COMMITEND"
	cmdPluginEnd   = "PLUGINEND"
	cmdDisconnect  = "_DISCONNECT"
	// cmdPackagesChanged comes to a system plugin, which this program is, too.
	cmdPackagesChanged = "PACKAGESETCHANGED"

	answerACK     = "ACK"
	answerUnknown = "_ENOMETHOD"
)

// maxHead bounds the command and the headers of a frame. libzypp sends one header of its
// own and the user data.
const maxHead = 1 << 20

var errHead = errors.New("command and headers are longer than 1 MiB")

// frame is one message of libzypp's plugin protocol, a STOMP frame: a command line,
// header lines, an empty line, a body, and a NUL, which end of input may stand for.
type frame struct {
	command string
	header  []string  // lines as they came, key:value
	body    io.Reader // to be read before the next frame
}

// cut says whether the body, once read, was ended by the end of input.
func (f *frame) cut() bool {
	b, ok := f.body.(*bodyReader)
	return ok && b.cut
}

// get returns the value of a header. A libzypp that sends content-length (17.34.2 and
// later) escapes line ends and backslashes in values, and until 17.35.11 colons; an
// older one sends them as they are.
func (f *frame) get(key string) (value string, ok bool) {
	for _, line := range f.header {
		if k, v, found := strings.Cut(line, ":"); found && k == key {
			if key != "content-length" && f.escaped() {
				v = unescape(v)
			}
			return v, true
		}
	}
	return "", false
}

func (f *frame) escaped() bool {
	_, ok := f.get("content-length")
	return ok
}

// unescape undoes STOMP's escapes. One that is not known stays as it is.
var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\c`, ":").Replace

// writeTo writes the frame, with its NUL.
func (f *frame) writeTo(w io.Writer) error {
	head := f.command + "\n"
	for _, line := range f.header {
		head += line + "\n"
	}
	if _, err := io.WriteString(w, head+"\n"); err != nil {
		return err
	}
	if f.body != nil {
		if _, err := io.Copy(w, f.body); err != nil {
			return err
		}
	}
	_, err := w.Write([]byte{0})
	return err
}

// frameReader reads frames from libzypp.
type frameReader struct {
	r    *bufio.Reader
	body *bodyReader // of the last frame
}

func newFrameReader(r io.Reader) *frameReader { return &frameReader{r: bufio.NewReaderSize(r, 64<<10)} }

// next returns the next frame, io.EOF at the end of input. It skips what is left of the
// frame before.
func (fr *frameReader) next() (*frame, error) {
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
	f := &frame{command: head[0], header: head[1:]}
	fr.body = &bodyReader{r: fr.r, left: -1}
	if text, ok := f.get("content-length"); ok {
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n >= 0 {
			fr.body.left = n
		}
	}
	f.body = fr.body
	return f, nil
}

// head reads the lines up to the empty one. A frame may be cut off anywhere in them by its
// NUL or by the end of input; what there is, counts.
func (fr *frameReader) head() (lines []string, err error) {
	var line []byte
	for size := 0; ; size++ {
		b, err := fr.r.ReadByte()
		switch {
		case err == io.EOF && size == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, err
		case size >= maxHead:
			return nil, errHead
		case err == io.EOF:
			return append(lines, string(line)), nil
		case b == 0:
			fr.r.UnreadByte() // is an empty body's
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

// bodyReader reads a body up to its NUL, or as many bytes as content-length says, and
// then the NUL.
type bodyReader struct {
	r    *bufio.Reader
	left int64 // bytes of content-length to come; -1: not known
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

// readToNUL reads what is buffered up to the NUL. Behind a content-length nothing but the
// NUL should come; what does is part of the body all the same, for it is not a frame.
func (b *bodyReader) readToNUL(p []byte) (n int, err error) {
	if _, err := b.r.Peek(1); err != nil {
		b.done, b.cut = true, err == io.EOF
		return 0, err
	}
	buffered, _ := b.r.Peek(min(b.r.Buffered(), len(p)))
	for n < len(buffered) && buffered[n] != 0 {
		n++
	}
	copy(p, buffered[:n])
	b.r.Discard(n)
	if n < len(buffered) {
		b.r.Discard(1)
		b.done = true
		if n == 0 {
			return 0, io.EOF
		}
	}
	return n, nil
}

// answer writes a frame with nothing but a command.
func answer(w io.Writer, command string) error {
	f := frame{command: command}
	if err := f.writeTo(w); err != nil {
		return fmt.Errorf("answering %s: %w", command, err)
	}
	return nil
}
