package report

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// tableWidth is assumed where nothing says how wide the terminal is; gap separates columns.
const (
	tableWidth = 80
	gap        = 2
)

const (
	sgrReset  = "\x1b[0m"
	sgrBold   = "\x1b[1m"
	sgrRed    = "\x1b[31m"
	sgrYellow = "\x1b[33m"
)

// bad and odd are the words that are coloured. Most output has no colour.
var (
	bad = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(^| )(failed|fail)(,| |$)`) })
	odd = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(^| )(unknown|warn|not-done|downgrade|aborted|interrupted|open|drift|import)(,| |$)`)
	})
)

// writeTable writes a history for people: one line a change where the width allows it,
// else two.
func writeTable(w io.Writer, h *History, style Style) error {
	if style.Width <= 0 {
		style.Width = tableWidth
	}
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

func renderRows(w io.Writer, rows []*record.HistoryRow, style Style) error {
	header, cells := wide(rows)
	if tableCols(header, cells) > style.Width {
		header, cells = narrow(rows, style.Width)
	}
	return renderTable(w, header, cells, style)
}

// wide is the layout with one line a change.
func wide(rows []*record.HistoryRow) (header []string, cells [][]string) {
	for _, r := range rows {
		cells = append(cells, []string{
			r.Time.Short(), say.Printable(string(r.Action)), say.Printable(r.Package), say.Printable(r.Version), say.Printable(record.OrEmpty(r.Previous)),
			say.Printable(string(r.Result) + failedScripts(r)), say.Printable(outcome(r)), fixes(r), say.Printable(r.Actor.Name()), say.Printable(string(r.Source)),
		})
	}
	return []string{"TIME", "ACTION", "PACKAGE", "VERSION", "PREVIOUS", "RESULT", "COMMIT", "FIXES", "BY", "SOURCE"}, cells
}

// narrow is the layout with two lines a change and a blank one before it; in 80
// columns a live patch's name fits. It names the outcome of a commit, and the source of a
// change, only if it is not the usual one.
func narrow(rows []*record.HistoryRow, width int) (header []string, cells [][]string) {
	left, middle := len(rows[0].Time.Short()), len("reinstall")
	right := max(width-left-middle-2*gap, 10)
	for _, r := range rows {
		name := wrap(say.Printable(r.Package), right)
		below := strings.Repeat("\n", len(name)) // the second line stands below the whole name
		cells = append(cells, []string{
			" \n" + r.Time.Short() + below + strings.Join(wrap(say.Printable(r.Actor.Name()), left), "\n"),
			" \n" + say.Printable(string(r.Action)) + below + say.Printable(string(r.Result)),
			" \n" + strings.Join(append(name, wrap(detail(r), right)...), "\n"),
		})
	}
	return []string{"TIME\nBY", "ACTION\nRESULT", "PACKAGE\nVERSION"}, cells
}

// detail says which version came after which, and what else is worth a look.
func detail(r *record.HistoryRow) string {
	parts := []string{say.Printable(r.Version)}
	if r.Previous != nil && *r.Previous != r.Version {
		parts[0] = say.Printable(*r.Previous) + " -> " + parts[0]
	}
	if r.Source != record.SourcePlugin {
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
	return strings.Join(parts, ", ")
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

// tableCols is how many columns a table with these cells takes.
func tableCols(header []string, cells [][]string) int {
	total := gap * (len(header) - 1)
	for i := range header {
		widest := twwidth.Width(header[i])
		for _, row := range cells {
			widest = max(widest, twwidth.Width(row[i]))
		}
		total += widest
	}
	return total
}

// renderTable prints cells without any drawing, for terminals and pipes alike.
func renderTable(w io.Writer, header []string, cells [][]string, style Style) error {
	var b strings.Builder
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithPadding(tw.Padding{Left: "", Right: strings.Repeat(" ", gap), Overwrite: true}),
	)
	t.Header(header)
	for _, row := range cells {
		if err := t.Append(slices.Clone(row)); err != nil {
			return err
		}
	}
	if err := t.Render(); err != nil {
		return err
	}
	return writeLines(w, b.String(), strings.Count(header[0], "\n")+1, style)
}

// writeLines prints a rendered table: without the blanks at the ends of lines, and with
// colours if they are wanted, for those end no line.
func writeLines(w io.Writer, table string, headerLines int, style Style) error {
	n := 0
	for line := range strings.Lines(table) {
		line = strings.TrimRight(line, " \n")
		if n++; style.Color {
			line = colored(line, n <= headerLines)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func colored(line string, header bool) string {
	if header {
		return sgrBold + line + sgrReset
	}
	line = bad().ReplaceAllString(line, "$1"+sgrRed+"$2"+sgrReset+"$3")
	return odd().ReplaceAllString(line, "$1"+sgrYellow+"$2"+sgrReset+"$3")
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
func writeFooter(w io.Writer, p *Provenance, rows []*record.HistoryRow, more bool, style Style) error {
	shown := fmt.Sprintf("%d of %d changes shown, %s; times are UTC.", p.RowsShown, p.RowsInRecord, p.Order)
	if len(p.Filters) > 0 || p.Since != nil || p.Until != nil {
		shown += " Asked for: " + asked(p) + "."
	}
	lines := append([]string{shown}, sourceNotes(rows)...)
	if more {
		lines = append(lines, stopsAt(p))
	}
	if p.FirstEvent != nil {
		lines = append(lines, fmt.Sprintf("Record of %s: %d events from %s to %s, root hash %s.", hostName(p.Host), p.TreeSize, (*p.FirstEvent).Short(), (*p.LastEvent).Short(), p.RootHash))
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
		if _, err := fmt.Fprintln(w, separator+strings.Join(wrap(l, style.Width), "\n")); err != nil {
			return err
		}
		separator = ""
	}
	return nil
}

// stopsAt says that a table stops before the rows do.
func stopsAt(p *Provenance) string {
	return fmt.Sprintf("The table stops at %d rows, and there are more: see them with --limit N, or all of them with --format csv, json or jsonl.", p.RowsShown)
}

// hostName names a machine by its name and its machine id.
func hostName(h record.Host) string {
	if h.MachineID == "" {
		return say.Printable(h.Hostname) + " (without a machine id)"
	}
	return say.Printable(h.Hostname + " (machine id " + h.MachineID + ")")
}

// asked names the filters in one phrase.
func asked(p *Provenance) string {
	var parts []string
	if p.Since != nil {
		parts = append(parts, "since "+(*p.Since).Short())
	}
	if p.Until != nil {
		parts = append(parts, "until "+(*p.Until).Short())
	}
	for _, k := range sortedKeys(p.Filters) {
		parts = append(parts, k+" "+say.Printable(p.Filters[k]))
	}
	if p.TimeZone != "UTC" && (p.Since != nil || p.Until != nil) {
		parts = append(parts, "times without a zone being "+p.TimeZone)
	}
	return strings.Join(parts, ", ")
}
