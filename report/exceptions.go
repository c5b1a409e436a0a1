package report

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// ExceptionsSchema names the form of a list of exceptions in JSON.
const ExceptionsSchema = "klp-audit/exceptions/1"

// exceptionRow is an exception with its beginning and its end.
type exceptionRow struct {
	audit.Exception
	Added   record.Timestamp  `json:"added"`
	Ended   *record.Timestamp `json:"ended"` // null: not ended
	EndedBy *string           `json:"ended_by"`
}

// Exceptions are exceptions as they are at a moment, out of a record that was found so (nil: nothing is
// known to be wrong with it).
type Exceptions struct {
	List []record.Exception
	At   time.Time
	From *audit.Input
}

func (x *Exceptions) forms() []form {
	return []form{{"table", x.writeTable}, {"json", x.writeJSON}, {"csv", x.writeCSV}}
}

func (x *Exceptions) rows() []exceptionRow {
	rows := []exceptionRow{}
	for _, e := range x.List {
		row := exceptionRow{Exception: audit.ExceptionAt(e, x.At), Added: e.Time, Ended: e.Ended}
		if e.EndedBy != nil {
			row.EndedBy = new(e.EndedBy.Name())
		}
		rows = append(rows, row)
	}
	return rows
}

func (x *Exceptions) writeJSON(w io.Writer, _ table.Style) error {
	return WriteObject(w, struct {
		Schema     string         `json:"schema"`
		Warning    *string        `json:"warning"`
		Exceptions []exceptionRow `json:"exceptions"`
	}{ExceptionsSchema, record.OrNil(x.From.Warning()), x.rows()})
}

// writeCSV writes the exceptions with a header row.
func (x *Exceptions) writeCSV(w io.Writer, _ table.Style) error {
	header := []string{"id", "check", "cve", "advisory", "reason", "until", "by", "event", "expired", "added", "ended", "ended_by"}
	var rows [][]string
	for _, r := range x.rows() {
		rows = append(rows, []string{r.ID, r.Check, r.CVE, r.Advisory, r.Reason, exactly(&r.Until), r.By, strconv.FormatInt(r.Event, 10),
			strconv.FormatBool(r.Expired), exactly(&r.Added), exactly(r.Ended), record.OrEmpty(r.EndedBy)})
	}
	return writeRecords(w, x.From.Warning(), header, rows)
}

func (x *Exceptions) writeTable(w io.Writer, style table.Style) error {
	if err := writeWarning(w, x.From.Warning(), style); err != nil {
		return err
	}
	if len(x.List) == 0 {
		return table.WriteParagraphs(w, []string{"There is no exception."}, table.Style{}.Sized())
	}
	style = style.Sized()
	return table.Render(w, []string{"UNTIL\nSTATE", "ABOUT\nBY", "REASON\nID"}, exceptionCells(x.rows(), style.Width), style)
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
		who := strings.Join(append(table.Wrap(say.Printable(r.About()), middle), table.Wrap(say.Printable(r.By), middle)...), "\n")
		what := append(table.Wrap(say.Printable(r.Reason), max(width-left-middle-2*table.Gap, 20)), say.Printable(r.ID))
		cells = append(cells, []string{r.Until.Short() + "\n" + state, who, strings.Join(what, "\n")})
	}
	return cells
}
