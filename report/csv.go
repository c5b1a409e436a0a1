package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
)

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
