package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// writeJSON writes a history as one object. The rows are streamed; the provenance comes after them,
// because it counts them.
func writeJSON(w io.Writer, h *History) error {
	head, err := compact(struct {
		Schema  string  `json:"schema"`
		Warning *string `json:"warning"`
	}{HistorySchema, orNull(h.Provenance.Warning())})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s,\"rows\":[", bytes.TrimSuffix(head, []byte("}"))); err != nil {
		return err
	}
	if err := writeRows(w, h); err != nil {
		return err
	}
	b, err := compact(h.Provenance)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n],\"provenance\":%s}\n", b)
	return err
}

// writeRows writes the rows of a history as the elements of an array.
func writeRows(w io.Writer, h *History) error {
	separator := "\n"
	return encodeRows(w, h, func(out *bufio.Writer, row []byte) error {
		out.WriteString(separator)
		separator = ",\n"
		_, err := out.Write(row)
		return err
	})
}

// writeJSONL writes a history as one object a line, and nothing else but the warning.
func writeJSONL(w io.Writer, h *History) error {
	if warning := h.Provenance.Warning(); warning != "" {
		err := WriteObject(w, struct {
			Warning string `json:"warning"`
		}{warning})
		if err != nil {
			return err
		}
	}
	return encodeRows(w, h, func(out *bufio.Writer, row []byte) error {
		out.Write(row)
		return out.WriteByte('\n')
	})
}

// encodeRows encodes the rows of a history one by one.
func encodeRows(w io.Writer, h *History, write func(out *bufio.Writer, row []byte) error) error {
	out, e := bufio.NewWriterSize(w, lineBuffer), newEncoder()
	for row, err := range h.counted() {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		b, err := e.compact(row)
		if err != nil {
			return err
		}
		if err := write(out, b); err != nil {
			return err
		}
	}
	return out.Flush()
}

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
