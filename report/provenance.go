package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/page"
	"github.com/klp-audit/klp-audit/report/table"
)

// Scope is what a report must say of what it cannot show.
const Scope = "SUSE live patches cover vulnerabilities of CVSS 7 and above, not every kernel fix."

// Provenance says what a report was made from.
type Provenance struct {
	Section      string            `json:"section"`
	Since        *record.Timestamp `json:"since"`
	Until        *record.Timestamp `json:"until"`
	Filters      map[string]string `json:"filters"`
	Order        string            `json:"order"`
	TimeZone     string            `json:"time_zone"` // of what was asked for without one; all moments in JSON and CSV are UTC
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
		"command": f.Command, "userdata": f.UserData, "outcome": string(f.Outcome), "outside": f.Outside.String(),
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

// recordText says which record it was. One that was cut has no root hash.
func (p *Provenance) recordText() string {
	text := fmt.Sprintf("Record of %s: %s from %s to %s", hostName(p.Host), say.Plural(int(p.TreeSize), "event"), (*p.FirstEvent).Short(), (*p.LastEvent).Short())
	if p.RootHash != "" {
		text += ", root hash " + p.RootHash
	}
	return text + "."
}

// lines say what a section without rows was made from.
func (p *Provenance) lines() (lines []string) {
	if p.FirstEvent != nil {
		lines = append(lines, p.recordText())
	}
	return append(lines, fmt.Sprintf("Made %s by %s %s. %s", p.MadeAt.Short(), p.Program, p.Version, p.Scope))
}

// provenanceFacts are what the report was made from.
func provenanceFacts(p *Provenance) (out table.Facts) {
	out.Add("Host", "%s", hostName(p.Host))
	out.Add("Asked for", "%s", cmp.Or(asked(p), "everything on record"))
	out.Add("Changes shown", "%d of %d, %s", p.RowsShown, p.RowsInRecord, p.Order)
	if p.FirstEvent != nil {
		out.Add("Events", "%d, from %s to %s", p.TreeSize, (*p.FirstEvent).Short(), (*p.LastEvent).Short())
		out.Add("Root hash", "%s", cmp.Or(p.RootHash, "none"))
	}
	if p.Input != nil {
		out.Add("Made from", "%s, found %s", p.Input.File, p.Input.Result)
	}
	if p.OpenCommits > 0 {
		out.Add("Commits without an end", "%d: what became of their changes is unknown", p.OpenCommits)
	}
	out.Add("Times", "%s; without a zone they were asked for as %s", strings.TrimPrefix(timesAre(), "times are "), p.TimeZone)
	out.Add("Made", "%s by %s %s", p.MadeAt.Short(), p.Program, p.Version)
	return out
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
	for _, k := range slices.Sorted(maps.Keys(p.Filters)) {
		value := p.Filters[k]
		if at, err := time.Parse(time.RFC3339, value); err == nil && (k == "at" || k == "known_at") {
			value = record.At(at).Shown(time.RFC3339Nano)
		}
		parts = append(parts, k+" "+say.Printable(value))
	}
	if p.TimeZone != "UTC" && (p.Since != nil || p.Until != nil) {
		parts = append(parts, "times without a zone being "+p.TimeZone)
	}
	return strings.Join(parts, ", ")
}

// Warning returns the warning about what the report was made from.
func (p *Provenance) Warning() string {
	if p == nil {
		return ""
	}
	return p.Input.Warning()
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

// maxText is how many characters of a text from outside a page shows.
const maxText = 300

// pageFacts are facts with texts that are short enough for a page.
func pageFacts(f table.Facts) (out table.Facts) {
	for _, fact := range f {
		out = append(out, table.Fact{Name: fact.Name, Text: say.Clip(fact.Text, maxText)})
	}
	return out
}

// describe says on a page whose it is, and what it was made from.
func describe(pg *page.Page, p *Provenance) {
	pg.Host, pg.Made, pg.Scope, pg.Warning = say.Clip(p.Host.Hostname, 80), p.MadeAt.Short(), p.Scope, p.Warning()
	pg.Times = "T" + timesAre()[1:]
	if pg.Warning != "" {
		pg.Found = strings.ToUpper(string(p.Input.Result))
	}
	pg.Provenance = pageFacts(provenanceFacts(p))
}

// alone is the form of a section as a page of its own: the part with that id, and what it was made from. What
// fills it counts the rows for the provenance, and is asked first.
func alone(p *Provenance, id, title string, fill func(*page.Page) error) form {
	return form{"html", func(w io.Writer, _ table.Style) error {
		pg := &page.Page{Title: title}
		if err := fill(pg); err != nil {
			return err
		}
		if p == nil {
			return page.Write(w, pg, id)
		}
		describe(pg, p)
		return page.Write(w, pg, id, "provenance")
	}}
}

// A block is a table on a page.
type (
	block  = page.Block
	column = page.Column
)

// aloneBlock is the form of a section that is a table and no more.
func aloneBlock(p *Provenance, id, title string, b func() block) form {
	return alone(p, id, title, func(pg *page.Page) error {
		made := b()
		made.Part = page.Part{ID: id, Title: title}
		pg.Blocks = map[string]page.Block{id: made}
		return nil
	})
}
