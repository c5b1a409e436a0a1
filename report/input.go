package report

import (
	"fmt"
	"io"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/report/table"
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
func writeWarning(w io.Writer, warning string, style table.Style) error {
	if warning == "" {
		return nil
	}
	style = style.Sized()
	for _, line := range append(table.Wrap(say.Printable(warning), style.Width), "") {
		if line != "" {
			line = style.Paint(line, table.Bold+table.Red)
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
