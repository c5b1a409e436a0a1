package report

import (
	"fmt"
	"io"

	"github.com/klp-audit/klp-audit/internal/say"
)

// Warning returns the warning about what the report was made from.
func (p *Provenance) Warning() string {
	if p == nil {
		return ""
	}
	return p.Input.Warning()
}

// orNull is a text for JSON, null if there is none.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// writeWarning prints the first line of a table, and an empty one below it.
func writeWarning(w io.Writer, warning string, style Style) error {
	if warning == "" {
		return nil
	}
	if style.Width <= 0 {
		style.Width = tableWidth
	}
	for _, line := range append(wrap(say.Printable(warning), style.Width), "") {
		if style.Color && line != "" {
			line = sgrBold + sgrRed + line + sgrReset
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
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
