// Package report turns the record into reports: one model a section, one file a renderer.
// It reads the record only, never the machine.
package report

import (
	"io"
	"iter"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// HistorySchema names the form of a history in JSON.
const HistorySchema = "klp-audit/history/1"

// tableLimit is how many rows a table shows unless a limit is given: more would not be
// read, and a table is the only format that must be gathered before it is printed.
const tableLimit = 1000

// History is the section with every recorded change.
type History struct {
	Filter     record.HistoryFilter
	Rows       iter.Seq2[*record.HistoryRow, error] // what the filter selects
	Provenance *Provenance                          // RowsShown is counted while the rows are rendered

	stop int // where a table stops; 0: where the rows end
}

// NewHistory returns a history without its rows, with the filter that they are to be
// selected with: a table is limited even where nothing was asked for.
func NewHistory(f record.HistoryFilter, format string, p *Provenance) *History {
	p.ask(f)
	h := &History{Filter: f, Provenance: p}
	if format == "table" && f.Limit == 0 {
		h.stop = tableLimit
		h.Filter.Limit = tableLimit + 1 // one more shows that there are more
	}
	return h
}

func (h *History) forms() []form {
	return []form{
		{"table", func(w io.Writer, style table.Style) error { return writeTable(w, h, style) }},
		{"json", func(w io.Writer, _ table.Style) error { return writeJSON(w, h) }},
		{"jsonl", func(w io.Writer, _ table.Style) error { return writeJSONL(w, h) }},
		{"csv", func(w io.Writer, _ table.Style) error { return writeCSV(w, h) }},
	}
}

// counted yields the rows and counts them into the provenance.
func (h *History) counted() iter.Seq2[*record.HistoryRow, error] {
	return func(yield func(*record.HistoryRow, error) bool) {
		for row, err := range h.Rows {
			if err == nil {
				h.Provenance.RowsShown++
			}
			if !yield(row, err) {
				return
			}
		}
	}
}
