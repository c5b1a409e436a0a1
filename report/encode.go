package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klp-audit/klp-audit/internal/say"
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

// appendCell appends a cell that neither a terminal nor a spreadsheet obeys, quoted where
// it has to be.
func appendCell(line []byte, cell string) []byte {
	if isBare(cell) {
		return append(line, cell...) // nearly every one, and a history has many
	}
	cell = harmless(say.Printable(cell))
	if cell[0] != ' ' && cell != `\.` && !strings.ContainsAny(cell, `",`) {
		return append(line, cell...)
	}
	line = append(line, '"')
	line = append(line, strings.ReplaceAll(cell, `"`, `""`)...)
	return append(line, '"')
}

// isBare says whether a cell may stand in a line as it is. Where it says no, it still may.
func isBare(cell string) bool {
	if cell == "" {
		return true
	}
	switch cell[0] {
	case ' ', '=', '+', '-', '@', '\\':
		return false
	}
	for i := range len(cell) {
		if c := cell[i]; c < ' ' || c > '~' || c == '"' || c == ',' {
			return false
		}
	}
	return true
}

// harmless keeps a spreadsheet from taking a cell for a formula (OWASP, CSV injection).
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// writeRecords writes the rows of a section, with the warning before the header; cells are harmless.
func writeRecords(w io.Writer, warning string, header []string, rows [][]string) error {
	records := append(append(warningRow(warning, len(header)), header), rows...)
	for _, record := range records {
		for i := range record {
			record[i] = harmless(say.Printable(record[i]))
		}
	}
	return csv.NewWriter(w).WriteAll(records)
}

// warningRow is the first row of a CSV file with so many columns, none if there is nothing to
// warn of. It stands where a program looks for the header, so that none reads on unaware.
func warningRow(warning string, columns int) [][]string {
	if warning == "" {
		return nil
	}
	row := make([]string, columns)
	row[0] = warning
	return [][]string{row}
}

func seconds(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

func numbers(list []int64) string {
	var words []string
	for _, n := range list {
		words = append(words, strconv.FormatInt(n, 10))
	}
	return strings.Join(words, " ")
}

// eventsText names the events of a cell in a sentence: "event 7", "events 7, 8 and 9".
func eventsText(cell string) string {
	list := strings.Fields(cell)
	if len(list) == 1 {
		return "event " + cell
	}
	return "events " + say.Join(list)
}
