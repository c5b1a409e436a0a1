package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// writeJSON writes a history as one object. The rows are streamed; the provenance stands
// behind them, because it counts them.
func writeJSON(w io.Writer, h *History) error {
	if _, err := fmt.Fprintf(w, "{\"schema\":%q,\"rows\":[", HistorySchema); err != nil {
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
	for row, err := range h.counted() {
		if err != nil {
			return err
		}
		b, err := compact(row)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, separator+string(b)); err != nil {
			return err
		}
		separator = ",\n"
	}
	return nil
}

// writeJSONL writes a history as one object a line, and nothing else.
func writeJSONL(w io.Writer, h *History) error {
	for row, err := range h.counted() {
		if err != nil {
			return err
		}
		b, err := compact(row)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(b, '\n')); err != nil {
			return err
		}
	}
	return nil
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
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escapeUnprintable(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func escapeUnprintable(b []byte) []byte {
	if !bytes.ContainsFunc(b, hidden) {
		return b
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
