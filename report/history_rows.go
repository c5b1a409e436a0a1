package report

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/page"
)

// lineBuffer gathers what is written line by line.
const lineBuffer = 64 << 10

// writeJSON writes a history as one object. The rows are streamed; the provenance comes after them,
// because it counts them.
func writeJSON(w io.Writer, h *History) error {
	head, err := compact(struct {
		Schema  string  `json:"schema"`
		Warning *string `json:"warning"`
	}{HistorySchema, record.OrNil(h.Provenance.Warning())})
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

// How much of a history a page shows, unless a limit says otherwise, and of what was typed.
const (
	pageRows  = 1000
	maxTyped  = 1000
	maxTicket = 300
)

// onPage are the changes by commit: who made it, by what command and for which ticket is said once.
func (h *History) onPage(p *page.Page) error {
	out, anchored := &p.History, map[int64]bool{}
	out.Order, out.Total = h.Provenance.Order, h.Provenance.RowsInRecord
	var rows []*record.HistoryRow
	for row, err := range h.Rows {
		if err != nil {
			return err
		}
		if out.More = len(rows) == cmp.Or(h.Filter.Limit, pageRows); out.More {
			break
		}
		if n := len(rows); n == 0 || rows[n-1].Event != row.Event || rows[n-1].Source != row.Source {
			c := commitOnPage(row)
			if !anchored[row.Event] {
				anchored[row.Event], c.Anchor = true, page.Anchor(row.Event)
			}
			out.Commits = append(out.Commits, c)
		}
		rows = append(rows, row)
		last := &out.Commits[len(out.Commits)-1]
		last.Changes = append(last.Changes, changeOnPage(row))
	}
	h.Provenance.RowsShown, out.Shown, out.Notes = int64(len(rows)), len(rows), sourceNotes(rows)
	return nil
}

func commitOnPage(r *record.HistoryRow) page.Commit {
	c := page.Commit{
		Time: r.Time.Short(), Event: r.Event, Source: say.Clip(r.FoundLater(), 40), By: say.Clip(r.Actor.Name(), 80), Ticket: say.Clip(record.OrEmpty(r.UserData), maxTicket),
		Command: say.Clip(record.OrEmpty(r.Command), maxTyped),
	}
	if o := outcome(r); o != string(record.OutcomeCompleted) {
		c.Outcome = say.Clip(o, 40)
	}
	return c
}

func changeOnPage(r *record.HistoryRow) page.Change {
	c := page.Change{
		Action: say.Clip(string(r.Action), 40), Package: say.Clip(r.Package, maxText), Version: say.Clip(r.Version, maxText), Result: say.Clip(string(r.Result), 40), Fixes: fixes(r),
		Scripts: say.Clip(r.FailedScripts(), maxText), WentBack: r.Action == record.ActionDowngrade, Failed: r.Result == record.ResultFailed || len(r.Scripts) > 0,
	}
	if before := record.OrEmpty(r.Previous); before != r.Version {
		c.Before = say.Clip(before, maxText)
	}
	return c
}
