package report

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// lineBuffer gathers what is written line by line.
const lineBuffer = 64 << 10

// writeCSV writes a history with a header row of the names that JSON has, too, as RFC 4180 has it but
// for the line ends, and nothing else but the warning.
func writeCSV(w io.Writer, h *History) error {
	out, columns := bufio.NewWriterSize(w, lineBuffer), record.HistoryFields()
	if warning := h.Provenance.Warning(); warning != "" {
		out.Write(appendCell(nil, warning))
		out.WriteString(strings.Repeat(",", len(columns)-1) + "\n")
	}
	for i, c := range columns {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(c.Name)
	}
	out.WriteByte('\n')
	var line []byte
	for row, err := range h.counted() {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		line = line[:0]
		for _, c := range columns {
			line = append(appendCell(line, c.Text(row)), ',')
		}
		line[len(line)-1] = '\n'
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

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
