// Package report turns the record into reports: one model a section, one file a renderer.
// It reads the record only, never the machine.
package report

import (
	"cmp"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
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
		alone(h.Provenance, "history", "History", h.onPage),
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

// HistorySummarySchema names the form of a summary of a history in JSON.
const HistorySummarySchema = "klp-audit/history-summary/1"

// groupings say which group a change is in.
var groupings = map[string]func(*record.HistoryRow) string{
	"by-user":   func(r *record.HistoryRow) string { return r.Actor.Name() },
	"by-action": func(r *record.HistoryRow) string { return string(r.Action) },
	"by-month":  func(r *record.HistoryRow) string { return r.Time.Shown("2006-01") },
}

// Groupings are what a history can be summed up by.
func Groupings() []string { return []string{"by-user", "by-action", "by-month"} }

// HistorySummary is a history that is summed up.
type HistorySummary struct {
	By         string
	Groups     []HistoryGroup // in the order of their names
	Provenance *Provenance
}

// HistoryGroup are the changes of a history that have something in common.
type HistoryGroup struct {
	Group   string           `json:"group"`
	Changes int              `json:"changes"`
	Failed  int              `json:"failed"`
	Commits int              `json:"commits"` // that they are of; drift is of none
	First   record.Timestamp `json:"first"`
	Last    record.Timestamp `json:"last"`
}

// Summarize sums up a history.
func Summarize(h *History, by string) (*HistorySummary, error) {
	groups, commits := map[string]*HistoryGroup{}, map[string]bool{}
	for r, err := range h.counted() {
		if err != nil {
			return nil, err
		}
		name := groupings[by](r)
		g := groups[name]
		if g == nil {
			g = &HistoryGroup{Group: name, First: r.Time, Last: r.Time}
			groups[name] = g
		}
		g.add(r)
		if r.Commit != nil && !commits[name+"\x00"+*r.Commit] {
			commits[name+"\x00"+*r.Commit] = true
			g.Commits++
		}
	}
	s := &HistorySummary{By: by, Groups: []HistoryGroup{}, Provenance: h.Provenance}
	for _, g := range groups {
		s.Groups = append(s.Groups, *g)
	}
	slices.SortFunc(s.Groups, func(a, b HistoryGroup) int { return cmp.Compare(a.Group, b.Group) })
	return s, nil
}

func (g *HistoryGroup) add(r *record.HistoryRow) {
	if g.Changes++; r.Result == record.ResultFailed {
		g.Failed++
	}
	if r.Time.Before(g.First.Time) {
		g.First = r.Time
	}
	if r.Time.After(g.Last.Time) {
		g.Last = r.Time
	}
}

func (s *HistorySummary) forms() []form {
	return []form{{"table", s.writeTable}, object(struct {
		Schema     string         `json:"schema"`
		Warning    *string        `json:"warning"`
		By         string         `json:"by"`
		Groups     []HistoryGroup `json:"groups"`
		Provenance *Provenance    `json:"provenance"`
	}{HistorySummarySchema, record.OrNil(s.Provenance.Warning()), s.By, s.Groups, s.Provenance}), {"csv", s.writeCSV}, aloneBlock(s.Provenance, "history", "History in numbers", s.block)}
}

func (s *HistorySummary) block() block {
	return block{
		Caption: "Changes " + strings.ReplaceAll(s.By, "-", " "), Rows: s.cells(date), None: "No change is on record for what was asked.",
		Columns: []column{{Name: groupHeads[s.By]}, {Name: "Changes"}, {Name: "Failed"}, {Name: "Commits"}, {Name: "First", Class: "day"}, {Name: "Last", Class: "day"}},
	}
}

func (s *HistorySummary) cells(at func(*record.Timestamp) string) (cells [][]string) {
	for _, g := range s.Groups {
		cells = append(cells, []string{say.Printable(g.Group), strconv.Itoa(g.Changes), strconv.Itoa(g.Failed), strconv.Itoa(g.Commits), at(&g.First), at(&g.Last)})
	}
	return cells
}

func (s *HistorySummary) writeCSV(w io.Writer, _ table.Style) error {
	return writeRecords(w, s.Provenance.Warning(), []string{"group", "changes", "failed", "commits", "first", "last"}, s.cells(exactly))
}

func (s *HistorySummary) writeTable(w io.Writer, style table.Style) error {
	style = style.Sized()
	if err := writeWarning(w, s.Provenance.Warning(), style); err != nil {
		return err
	}
	if len(s.Groups) > 0 {
		if err := table.Render(w, []string{groupHeads[s.By], "CHANGES", "FAILED", "COMMITS", "FIRST", "LAST"}, s.cells(date), style); err != nil {
			return err
		}
	}
	return writeFooter(w, s.Provenance, nil, false, style)
}

// groupHeads head the column of a group.
var groupHeads = map[string]string{"by-user": "BY", "by-action": "ACTION", "by-month": "MONTH"}
