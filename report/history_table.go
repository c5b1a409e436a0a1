package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// writeTable writes a history for people: one line a change where the width allows it,
// else two.
func writeTable(w io.Writer, h *History, style table.Style) error {
	style = style.Sized()
	rows, more, err := gathered(h)
	if err != nil {
		return err
	}
	if err := writeWarning(w, h.Provenance.Warning(), style); err != nil {
		return err
	}
	if len(rows) > 0 {
		if err := renderRows(w, rows, style); err != nil {
			return err
		}
	}
	return writeFooter(w, h.Provenance, rows, more, style)
}

// gathered are the rows of a table, and whether it stops before they do.
func gathered(h *History) (rows []*record.HistoryRow, more bool, err error) {
	for row, err := range h.counted() {
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, row)
	}
	if more = h.stop > 0 && len(rows) > h.stop; more {
		rows = rows[:h.stop]
		h.Provenance.RowsShown = int64(h.stop)
	}
	return rows, more, nil
}

// renderRows prints rows in the layout that the width has room for.
func renderRows(w io.Writer, rows []*record.HistoryRow, style table.Style) error {
	header, cells := wide(rows)
	if table.Cols(header, cells) > style.Width {
		header, cells = twoLines(rows, style.Width)
	}
	return table.Render(w, header, cells, style)
}

// wide is the layout with one line a change.
func wide(rows []*record.HistoryRow) (header []string, cells [][]string) {
	for _, r := range rows {
		cells = append(cells, []string{
			r.Time.Short(), say.Printable(string(r.Action)), say.Printable(r.Package), say.Printable(r.Version), say.Printable(record.OrEmpty(r.Previous)),
			say.Printable(string(r.Result) + failedScripts(r)), say.Printable(outcome(r)), fixes(r), say.Printable(r.Actor.Name()), ticket(r),
			say.Printable(string(r.Source)), strconv.FormatInt(r.Event, 10),
		})
	}
	return []string{"TIME", "ACTION", "PACKAGE", "VERSION", "PREVIOUS", "RESULT", "COMMIT", "FIXES", "BY", "TICKET", "SOURCE", "EVENT"}, cells
}

// twoLines is the layout with two lines a change and a blank one before it. Where there is room, ticket, source and event
// have columns; else they come after all that there is to say of the version.
func twoLines(rows []*record.HistoryRow, width int) (header []string, cells [][]string) {
	left, middle, beside, last := 0, len("reinstall"), len("TICKET"), len("EVENT")
	for _, r := range rows {
		left, beside = max(left, len(r.Time.Short())), min(max(beside, len(ticket(r))), ticketWidth)
		last = max(last, len(strconv.FormatInt(r.Event, 10)))
	}
	right := width - left - middle - beside - last - 4*table.Gap
	roomy := right >= nameWidth
	if !roomy {
		right = max(width-left-middle-2*table.Gap, 10)
	}
	for _, r := range rows {
		name := table.Wrap(say.Printable(r.Package), right)
		below := strings.Repeat("\n", len(name)) // the second line stands below the whole name
		row := []string{
			" \n" + r.Time.Short() + below + strings.Join(table.Wrap(say.Printable(r.Actor.Name()), left), "\n"),
			" \n" + say.Printable(string(r.Action)) + below + say.Printable(string(r.Result)),
			" \n" + strings.Join(append(name, table.Wrap(detail(r, !roomy), right)...), "\n"),
		}
		if roomy {
			of := table.Wrap(ticket(r), beside)
			row = append(row, " \n"+strings.Join(of, "\n")+strings.Repeat("\n", max(1, len(name)-len(of)+1))+say.Printable(string(r.Source)), " \n"+strconv.FormatInt(r.Event, 10))
		}
		cells = append(cells, row)
	}
	header = []string{"TIME\nBY", "ACTION\nRESULT", "PACKAGE\nVERSION"}
	if roomy {
		header = append(header, "TICKET\nSOURCE", "EVENT\n ")
	}
	return header, cells
}

const (
	nameWidth   = 45 // of a live patch's name
	ticketWidth = 24 // before it goes on in the next line
)

// detail says which version came after which, and what else is worth a look. It names the outcome of a commit only
// if it is not the usual one; and, unless they have columns, the source likewise, the ticket and the event.
func detail(r *record.HistoryRow, whole bool) string {
	parts := []string{say.Printable(r.Version)}
	if r.Previous != nil && *r.Previous != r.Version {
		parts[0] = say.Printable(*r.Previous) + " -> " + parts[0]
	}
	if whole && r.Source != record.SourcePlugin {
		parts = append(parts, "source "+say.Printable(string(r.Source)))
	}
	if f := fixes(r); f != "" {
		parts = append(parts, f)
	}
	if o := outcome(r); o != "" && o != string(record.OutcomeCompleted) {
		parts = append(parts, "commit "+say.Printable(o))
	}
	if s := r.FailedScripts(); s != "" {
		parts = append(parts, say.Printable(s))
	}
	if !whole {
		return strings.Join(parts, ", ")
	}
	if t := ticket(r); t != "" {
		parts = append(parts, "ticket "+t)
	}
	return strings.Join(append(parts, fmt.Sprintf("event %d", r.Event)), ", ")
}

// ticket is the user data that zypper was given, which is where a change request is named.
func ticket(r *record.HistoryRow) string { return say.Clip(record.OrEmpty(r.UserData), 60) }

// fixes sums the CVEs of a row up, "+3 -1 CVE", and names the advisory that it applied.
func fixes(r *record.HistoryRow) string {
	var parts []string
	if n := len(r.CVEsAdded); n > 0 {
		parts = append(parts, fmt.Sprintf("+%d", n))
	}
	if n := len(r.CVEsRemoved); n > 0 {
		parts = append(parts, fmt.Sprintf("-%d", n))
	}
	if parts != nil {
		parts = append(parts, "CVE")
	}
	if r.Advisory != nil {
		parts = append(parts, "advisory "+say.Clip(*r.Advisory, 80))
	}
	return strings.Join(parts, " ")
}

// failedScripts names the scripts that failed, after the result.
func failedScripts(r *record.HistoryRow) string {
	var names []string
	for _, s := range r.Scripts {
		names = append(names, s.Script)
	}
	if names == nil {
		return ""
	}
	return ", " + strings.Join(names, " and ") + " failed"
}

func outcome(r *record.HistoryRow) string {
	switch {
	case r.Outcome != nil:
		return string(*r.Outcome)
	case r.Commit != nil && r.Source == record.SourcePlugin:
		return "open"
	}
	return ""
}

// sourceNotes say what the sources mean that are not the usual one.
func sourceNotes(rows []*record.HistoryRow) (notes []string) {
	for _, note := range []struct {
		source record.Source
		text   string
	}{
		{record.SourceDrift, "Source drift: no commit on record made the change; it was found later, and may be older than it seems."},
		{record.SourceImport, "Source import: libzypp's history claims the change; nobody recorded it while it was made."},
	} {
		if slices.ContainsFunc(rows, func(r *record.HistoryRow) bool { return r.Source == note.source }) {
			notes = append(notes, note.text)
		}
	}
	return notes
}

// writeFooter prints the provenance. more says that the table stopped before the rows did.
func writeFooter(w io.Writer, p *Provenance, rows []*record.HistoryRow, more bool, style table.Style) error {
	shown := fmt.Sprintf("%d of %d changes shown, %s; %s.", p.RowsShown, p.RowsInRecord, p.Order, timesAre())
	if len(p.Filters) > 0 || p.Since != nil || p.Until != nil {
		shown += " Asked for: " + asked(p) + "."
	}
	lines := append([]string{shown}, sourceNotes(rows)...)
	if more {
		lines = append(lines, stopsAt(p))
	}
	if len(rows) > 0 {
		lines = append(lines, eventNote(rows, style))
	}
	if p.FirstEvent != nil {
		lines = append(lines, p.recordText())
	}
	if p.OpenCommits > 0 {
		lines = append(lines, fmt.Sprintf("Commits without an end yet: %d. What became of their changes is unknown.", p.OpenCommits))
	}
	lines = append(lines, fmt.Sprintf("Made %s by %s %s. %s", p.MadeAt.Short(), p.Program, p.Version, p.Scope))
	separator := ""
	if p.RowsShown > 0 {
		separator = "\n"
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(w, separator+strings.Join(table.Wrap(l, style.Width), "\n")); err != nil {
			return err
		}
		separator = ""
	}
	return nil
}

// eventNote says how to see the event of a change, and what the width had no room for.
func eventNote(rows []*record.HistoryRow, style table.Style) string {
	note := "klp-audit show EVENT prints an event."
	header, cells := wide(rows)
	if table.Cols(header, cells) <= style.Width {
		return note
	}
	if header, _ = twoLines(rows, style.Width); len(header) > 3 {
		return note
	}
	return note + " Tables of 120 columns have columns for ticket, source and event; here a source is named where it is not plugin."
}

// stopsAt says that a table stops before the rows do.
func stopsAt(p *Provenance) string {
	return fmt.Sprintf("The table stops at %d rows, and there are more: see them with --limit N, or all of them with --format csv, json or jsonl.", p.RowsShown)
}
