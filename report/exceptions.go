package report

import (
	"io"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// ExceptionsSchema names the form of a list of exceptions in JSON.
const ExceptionsSchema = "klp-audit/exceptions/1"

// exceptionRow is an exception with its beginning and its end.
type exceptionRow struct {
	Exception
	Added   record.Timestamp  `json:"added"`
	Ended   *record.Timestamp `json:"ended"` // null: not ended
	EndedBy *string           `json:"ended_by"`
}

// WriteExceptions renders exceptions as they are at a moment, out of a record that was found so
// (nil: nothing is known to be wrong with it).
func WriteExceptions(w io.Writer, format string, list []record.Exception, in *Input, now time.Time, style Style) error {
	rows := []exceptionRow{}
	for _, x := range list {
		row := exceptionRow{Exception: exceptionAt(x, now), Added: x.Time, Ended: x.Ended}
		if x.EndedBy != nil {
			row.EndedBy = new(by(*x.EndedBy))
		}
		rows = append(rows, row)
	}
	if format == "json" {
		return WriteObject(w, struct {
			Schema     string         `json:"schema"`
			Warning    *string        `json:"warning"`
			Exceptions []exceptionRow `json:"exceptions"`
		}{ExceptionsSchema, orNull(in.Warning()), rows})
	}
	if err := writeWarning(w, in.Warning(), style); err != nil {
		return err
	}
	if len(rows) == 0 {
		return writeWrapped(w, []string{"There is no exception."}, Style{Width: tableWidth})
	}
	if style.Width <= 0 {
		style.Width = tableWidth
	}
	return renderTable(w, []string{"UNTIL\nSTATE", "CHECK\nBY", "REASON\nID"}, exceptionCells(rows, style.Width), style)
}

func exceptionCells(rows []exceptionRow, width int) (cells [][]string) {
	left, middle := len("2006-01-02T15:04:05Z"), len("kernel-supported")
	for _, r := range rows {
		state := "active"
		switch {
		case r.Ended != nil:
			state = "ended"
		case r.Expired:
			state = "EXPIRED"
		}
		who := strings.Join(wrap(Printable(r.By), middle), "\n")
		what := append(wrap(Printable(r.Reason), max(width-left-middle-2*gap, 20)), Printable(r.ID))
		cells = append(cells, []string{shortTime(r.Until) + "\n" + state, Printable(r.Check) + "\n" + who, strings.Join(what, "\n")})
	}
	return cells
}

func exceptionAt(x record.Exception, at time.Time) Exception {
	return Exception{ID: x.ID, Check: x.Check, Reason: x.Reason, Until: x.Until, By: by(x.By), Event: x.Event, Expired: !at.Before(x.Until.Time)}
}
