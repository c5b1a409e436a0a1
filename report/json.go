package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// WriteObject writes a value as a JSON object on one line.
func WriteObject(w io.Writer, v any) error {
	b, err := compact(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// compact encodes a value in one line. What a terminal might obey is escaped, beyond what
// JSON demands: C1 controls and marks that turn the direction of text.
func compact(v any) ([]byte, error) { return newEncoder().compact(v) }

// encoder encodes values with the same buffer.
type encoder struct {
	b    bytes.Buffer
	json *json.Encoder
}

func newEncoder() *encoder {
	var e encoder
	e.json = json.NewEncoder(&e.b)
	e.json.SetEscapeHTML(false)
	return &e
}

// compact is as the function; what it returns is valid until it is called again.
func (e *encoder) compact(v any) ([]byte, error) {
	e.b.Reset()
	if err := e.json.Encode(v); err != nil {
		return nil, err
	}
	return escapeUnprintable(bytes.TrimSuffix(e.b.Bytes(), []byte("\n"))), nil
}

func escapeUnprintable(b []byte) []byte {
	if !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x7f }) {
		return b // nearly every row
	}
	var out []byte
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case !hidden(r):
			out = append(out, b[:n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out
}

func hidden(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) }
