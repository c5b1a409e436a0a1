// Package report turns the record into reports: one model a section, one file a renderer.
// It reads the record only, never the machine.
package report

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// HistorySchema names the form of a history in JSON.
const HistorySchema = "klp-audit/history/1"

// Scope is what a report must say of what it cannot show.
const Scope = "SUSE live patches cover vulnerabilities of CVSS 7 and above, not every kernel fix."

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

// Provenance says what a report was made from.
type Provenance struct {
	Section      string            `json:"section"`
	Since        *record.Timestamp `json:"since"`
	Until        *record.Timestamp `json:"until"`
	Filters      map[string]string `json:"filters"`
	Order        string            `json:"order"`
	TimeZone     string            `json:"time_zone"` // of what was asked for without one; all that is shown is UTC
	RowsShown    int64             `json:"rows_shown"`
	RowsInRecord int64             `json:"rows_in_record"`
	OpenCommits  int64             `json:"open_commits"`
	FirstEvent   *record.Timestamp `json:"first_event"`
	LastEvent    *record.Timestamp `json:"last_event"`
	TreeSize     int64             `json:"tree_size"`
	RootHash     string            `json:"root_hash"`
	Gaps         []string          `json:"gaps"` // when nothing was recorded, as far as known
	Host         record.Host       `json:"host"`
	Program      string            `json:"program"`
	Version      string            `json:"version"`
	Input        *audit.Input      `json:"input"` // what it was made from; null: the machine's own record, and nothing is known to be wrong with it
	MadeAt       record.Timestamp  `json:"made_at"`
	Scope        string            `json:"scope"`
}

// NewProvenance fills in what does not depend on the rows.
func NewProvenance(section, version string, now time.Time, sum *record.Summary) *Provenance {
	return &Provenance{
		Section: section, Filters: map[string]string{}, Order: "newest first", TimeZone: zone(now),
		RowsInRecord: sum.Changes, OpenCommits: sum.Open, FirstEvent: sum.First, LastEvent: sum.Last,
		TreeSize: sum.Events, RootHash: sum.RootHash, Gaps: []string{}, Host: sum.Host,
		Program: "klp-audit", Version: version, MadeAt: record.At(now), Scope: Scope,
	}
}

// ask notes what was asked for.
func (p *Provenance) ask(f record.HistoryFilter) {
	if !f.Since.IsZero() {
		p.Since = new(record.At(f.Since))
	}
	if !f.Until.IsZero() {
		p.Until = new(record.At(f.Until))
	}
	for name, value := range map[string]string{
		"package": f.Package, "kind": string(f.Kind), "action": string(f.Action), "result": string(f.Result), "source": string(f.Source), "user": f.User,
	} {
		if value != "" {
			p.Filters[name] = value
		}
	}
	if f.Limit > 0 {
		p.Filters["limit"] = strconv.Itoa(f.Limit)
	}
	if f.OldestFirst {
		p.Order = "oldest first"
	}
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

// fixes sums the CVEs of a row up, "+3 -1 CVE".
func fixes(r *record.HistoryRow) string {
	var parts []string
	if n := len(r.CVEsAdded); n > 0 {
		parts = append(parts, fmt.Sprintf("+%d", n))
	}
	if n := len(r.CVEsRemoved); n > 0 {
		parts = append(parts, fmt.Sprintf("-%d", n))
	}
	if parts == nil {
		return ""
	}
	return strings.Join(append(parts, "CVE"), " ")
}

// sortedKeys returns the keys of a map in order.
func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
