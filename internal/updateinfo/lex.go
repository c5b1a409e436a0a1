package updateinfo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tag is the start or the end of an element.
type tag struct {
	name  []byte // without its namespace prefix
	attrs []byte // unparsed
	end   bool   // an end tag, or an empty element
	start bool
}

// next finds the first tag of a text, from an offset on, and where it ends. Before it is its text
// and perhaps comments. found is false if the text has no complete tag: either more of it is
// needed, or there is none. Nothing is copied.
//
// It reads what XML 1.0 (https://www.w3.org/TR/xml/) calls well-formed, and jumps from one < to the
// next, which can mean nothing else there: encoding/xml takes twenty times as long for the 100 MiB
// of an update repository. FuzzRead demands the same answers.
func next(text []byte, from int) (t tag, begin, end int, found bool, err error) {
	for {
		at := bytes.IndexByte(text[from:], '<')
		if at < 0 {
			return t, 0, 0, false, nil
		}
		begin = from + at
		rest := text[begin:]
		skip, ok, err := skipped(rest)
		switch {
		case err != nil:
			return t, 0, 0, false, err
		case !ok:
			return t, 0, 0, false, nil
		case skip > 0:
			from = begin + skip
			continue
		}
		size := closing(rest)
		if size < 0 {
			return t, 0, 0, false, nil
		}
		t, err = parseTag(rest[1 : size-1])
		return t, begin, begin + size, true, err
	}
}

// skipped is the length of the comment, CDATA section or instruction that a text begins with; 0: it
// begins with a tag. ok is false if its end is not there yet.
func skipped(rest []byte) (n int, ok bool, err error) {
	if len(rest) > 1 && rest[1] != '!' && rest[1] != '?' {
		return 0, true, nil
	}
	for _, s := range []struct{ begin, end string }{{"<!--", "-->"}, {cdata, "]]>"}, {"<?", "?>"}} {
		if len(rest) < len(s.begin) && strings.HasPrefix(s.begin, string(rest)) {
			return 0, false, nil
		}
		if !bytes.HasPrefix(rest, []byte(s.begin)) {
			continue
		}
		end := bytes.Index(rest[len(s.begin):], []byte(s.end))
		return len(s.begin) + end + len(s.end), end >= 0, nil
	}
	if bytes.HasPrefix(rest, []byte("<!")) {
		return 0, false, errors.New("a document type is not read")
	}
	return 0, true, nil
}

const cdata = "<![CDATA["

// closing is where a tag ends, after its >, which may also appear in an attribute value; negative:
// not yet.
func closing(rest []byte) int {
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; c {
		case '>':
			return i + 1
		case '"', '\'':
			quote := bytes.IndexByte(rest[i+1:], c)
			if quote < 0 {
				return -1
			}
			i += 1 + quote
		}
	}
	return -1
}

var errTag = errors.New("not well-formed")

// parseTag parses what is between < and >.
func parseTag(text []byte) (t tag, err error) {
	t.start = true
	if rest, ok := bytes.CutPrefix(text, []byte("/")); ok {
		text, t.start, t.end = rest, false, true
	} else if rest, ok := bytes.CutSuffix(text, []byte("/")); ok {
		text, t.end = rest, true
	}
	size := 0
	for size < len(text) && !isSpace(text[size]) {
		if forbidden := text[size] == '<' || text[size] == '&' || text[size] == '=' || text[size] == '"' || text[size] == '\''; forbidden {
			return t, fmt.Errorf("tag <%.100s>: %w", text, errTag)
		}
		size++
	}
	name, attrs := text[:size], trimRight(trimLeft(text[size:]))
	if len(name) == 0 || !t.start && len(attrs) > 0 {
		return t, fmt.Errorf("tag <%.100s>: %w", text, errTag)
	}
	t.name, t.attrs = local(name), attrs
	return t, nil
}

// local is a name without its prefix.
func local(name []byte) []byte {
	if at := bytes.IndexByte(name, ':'); at > 0 && at+1 < len(name) {
		return name[at+1:]
	}
	return name
}

// attr is the value of an attribute; empty: the tag does not have it.
func (t tag) attr(name string) (value string, err error) {
	for rest := t.attrs; len(rest) > 0; {
		equals := bytes.IndexByte(rest, '=')
		after := trimLeft(rest[equals+1:])
		if equals < 0 || len(after) == 0 || after[0] != '"' && after[0] != '\'' {
			return "", fmt.Errorf("attributes %.100q: %w", t.attrs, errTag)
		}
		end := bytes.IndexByte(after[1:], after[0])
		if end < 0 {
			return "", fmt.Errorf("attributes %.100q: %w", t.attrs, errTag)
		}
		if string(local(trimRight(rest[:equals]))) == name {
			value, err = plain(after[1 : 1+end])
			if err == nil && len(value) > maxField {
				err = fmt.Errorf("attribute %q: %w", name, errTooLarge)
			}
			return value, err
		}
		rest = trimLeft(after[end+2:])
	}
	return "", nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func trimLeft(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	return b
}

func trimRight(b []byte) []byte {
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// text is the text of an element: without its comments, but with the content of its CDATA sections.
func text(raw []byte) (string, error) {
	var b strings.Builder
	for len(raw) > 0 {
		at := bytes.IndexByte(raw, '<')
		if at < 0 {
			at = len(raw)
		}
		s, err := plain(raw[:at])
		if err != nil {
			return "", err
		}
		b.WriteString(s)
		if raw = raw[at:]; len(raw) == 0 {
			break
		}
		n, ok, err := skipped(raw)
		if !ok || n == 0 || err != nil {
			return "", fmt.Errorf("text %.100q: %w", raw, errTag)
		}
		if bytes.HasPrefix(raw, []byte(cdata)) {
			b.Write(raw[len(cdata) : n-len("]]>")])
		}
		raw = raw[n:]
	}
	return b.String(), nil
}

// plain replaces the character references in a text.
func plain(raw []byte) (string, error) {
	if !utf8.Valid(raw) {
		return "", fmt.Errorf("text %.100q: not UTF-8", raw)
	}
	s := string(raw)
	if strings.Contains(s, "\r") { // XML counts any line end as one character
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	if !strings.Contains(s, "&") {
		return s, nil
	}
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "&")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, rest, ok := strings.Cut(after, ";")
		r, known := character(name)
		if !ok || !known {
			return "", fmt.Errorf("reference %.20q: %w", "&"+after, errTag)
		}
		b.WriteRune(r)
		s = rest
	}
}

// character is what a reference stands for.
func character(name string) (rune, bool) {
	if number, ok := strings.CutPrefix(name, "#"); ok {
		base := 10
		if hex, ok := strings.CutPrefix(number, "x"); ok {
			number, base = hex, 16
		}
		n, err := strconv.ParseUint(number, base, 21)
		return rune(n), err == nil && utf8.ValidRune(rune(n))
	}
	r, ok := map[string]rune{"lt": '<', "gt": '>', "amp": '&', "apos": '\'', "quot": '"'}[name]
	return r, ok
}

// window is a piece of a text that is read from end to end.
type window struct {
	r     io.Reader
	buf   []byte
	from  int // what is before it is no longer needed
	err   error
	max   int // of what is needed at a time
	reads int // how often it has read more
}

// more reads more, and reports whether there was more to read.
func (w *window) more() (bool, error) {
	if w.err != nil {
		if w.err == io.EOF {
			return false, nil
		}
		return false, w.err
	}
	if w.from > 0 {
		w.buf = w.buf[:copy(w.buf, w.buf[w.from:])]
		w.from = 0
	}
	if len(w.buf) > w.max {
		return false, errTooLarge
	}
	// Most files are small.
	if want := min(chunk, firstChunk<<min(w.reads, 8)); cap(w.buf)-len(w.buf) < want {
		w.buf = append(make([]byte, 0, 2*(len(w.buf)+want)), w.buf...)
	}
	w.reads++
	n, err := w.r.Read(w.buf[len(w.buf):cap(w.buf)])
	w.buf, w.err = w.buf[:len(w.buf)+n], err
	if n == 0 && err != nil {
		return w.more()
	}
	return true, nil
}

const (
	firstChunk = 16 << 10
	chunk      = 256 << 10
)
