package report

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/picture"
	"github.com/klp-audit/klp-audit/report/table"
)

//go:embed templates
var templates embed.FS

// How much of what comes from outside, or has no end, a page shows.
const (
	pageRows      = 1000 // changes
	pageExposures = 200
	pageSpans     = 500 // boots and live patches
	pageFixes     = 600 // CVE numbers of the state
	pageFindings  = 6   // on the first page
)

// page is the whole report as its template wants it: texts that are harmless, in the order
// in which they are shown.
type page struct {
	CSS          template.CSS
	Policy       string // Content-Security-Policy
	Host         string
	Made         string
	Times        string // in which zone they are
	Warning      string // what stands before all else; empty: nothing
	Found        string // in a word, ALTERED
	Verdict      compliance.Rating
	Title        string
	Reason       string
	Scope        string
	Findings     []pageCheck // the weightiest checks that do not pass
	MoreFindings int
	Sections     []part
	Key          table.Facts
	Open         block // the weightiest open fixes
	MoreOpen     int   // others
	Picture      *picture.Picture

	At         string
	Confidence audit.Confidence
	State      table.Facts
	Installed  [][]string
	Fixes      []string
	MoreFixes  int
	Profile    string
	Since      string
	Checks     []pageCheck
	Latency    table.Facts
	Quarters   block
	Exposures  []pageExposure
	MoreFixed  int
	Spans      []pageSpan
	MoreSpans  int
	Changes    []pageChange
	More       bool // changes than these
	Total      int64
	Blocks     []block
	Integrity  table.Facts
	Proof      string
	Checkpoint string
	Provenance table.Facts
}

// block is a part of the page that is a table, and no more.
type block struct {
	part
	Note    string // what the rows mean
	Caption string
	Columns []column
	Rows    [][]string
	None    string // said where there are no rows
}

// column is one of a block: its name, and how its cells look.
type column struct{ Name, Class string }

type pageCheck struct {
	ID, Title, Detail, Short string
	Result                   compliance.Rating
	Hint                     []pageText
	Folded                   string // the checks that hang on it
	Evidence                 []pageEvidence
	References               []string
	Exception, Accepted      string // at length, and in short
	Expired                  bool
	Numbers                  []string // that are left out, and who accepts them
}

// pageText is a piece of a text, or of what is to be typed.
type pageText struct {
	Text string
	Code bool
}

// pageEvidence is a text, and where it is on the page if it is there.
type pageEvidence struct{ Text, Anchor string }

type pageExposure struct {
	CVE, Package, Released, ReleasedBy, Installed, Active, InInitrd, Latency, Status string
	Lost                                                                             []string
	Exception                                                                        string
	Expired                                                                          bool
}

type pageChange struct {
	Anchor                                 string // of the first row of an event
	Time, Action, Package, Version, Before string
	Result, Outcome, Fixes, By, Command    string
	Event                                  int64
	Scripts                                string // that failed
	Source                                 string // empty: it was recorded while it was made
	Notable                                bool   // a failure or a downgrade
}

// writeHTML writes the whole report as one file that needs nothing else: no script, no
// network, no font.
func writeHTML(w io.Writer, f *Full) error {
	t, err := template.ParseFS(templates, "templates/*.html")
	if err != nil {
		return err
	}
	p, err := newPage(f)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if err := t.ExecuteTemplate(out, "report.html", p); err != nil {
		return err
	}
	return out.Flush()
}

func newPage(f *Full) (*page, error) {
	css, err := templates.ReadFile("templates/report.css")
	if err != nil {
		return nil, err
	}
	p := &page{
		CSS: template.CSS(css), Policy: policy(css), Host: say.Clip(f.Provenance.Host.Hostname, 80), Made: f.Provenance.MadeAt.Short(), Times: "T" + timesAre()[1:],
		Warning: f.Provenance.Warning(), Verdict: f.Compliance.Verdict, Title: verdictText(f.Compliance.Verdict), Reason: verdictReason(f.Compliance), Scope: f.Provenance.Scope,
		Sections: append([]part{{ID: "verdict", Title: "Verdict and scope"}}, parts()...), Key: pageFacts(keyFacts(f)), Picture: picture.Draw(f.Timeline, f.Exposures, f.Marks),
		Proof: integrityNote,
	}
	if p.Warning != "" {
		p.Found = strings.ToUpper(string(f.Provenance.Input.Result))
	}
	if err := p.history(f.History); err != nil { // first: it counts the rows, and evidence leads to them
		return nil, err
	}
	p.open(f.Compliance.Open)
	p.state(f)
	p.compliance(f.Compliance)
	p.exposure(f.Latency, f.Exposures)
	p.timeline(f.Timeline)
	for _, part := range parts() {
		if part.block != nil {
			b := part.block(f)
			b.part = part
			p.Blocks = append(p.Blocks, b)
		}
	}
	p.Integrity, p.Checkpoint = pageFacts(integrityFacts(f.Integrity)), printableLines(f.Integrity.Checkpoint)
	p.Provenance = pageFacts(provenanceFacts(f.Provenance))
	return p, nil
}

// policy lets the page use its own style, and nothing else.
func policy(css []byte) string {
	sum := sha256.Sum256(css)
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

// pageFacts are facts with texts that are short enough for a page.
func pageFacts(f table.Facts) (out table.Facts) {
	for _, fact := range f {
		out = append(out, table.Fact{Name: fact.Name, Text: say.Clip(fact.Text, maxText)})
	}
	return out
}

func (p *page) history(h *History) error {
	anchored := map[int64]bool{}
	for row, err := range h.Rows {
		if err != nil {
			return err
		}
		if p.More = len(p.Changes) == pageRows; p.More {
			break
		}
		c := pageChange{
			Time: row.Time.Short(), Action: say.Clip(string(row.Action), 40), Package: say.Clip(row.Package, maxText), Version: say.Clip(row.Version, maxText),
			Before: say.Clip(record.OrEmpty(row.Previous), maxText), Result: say.Clip(string(row.Result), 40), Outcome: say.Clip(outcome(row), 40), Fixes: fixes(row),
			By: say.Clip(row.Actor.Name(), 80), Command: say.Clip(record.OrEmpty(row.Command), maxText), Event: row.Event,
			Scripts: say.Clip(row.FailedScripts(), maxText), Source: say.Clip(row.FoundLater(), 40),
			Notable: row.Action == record.ActionDowngrade || row.Result == record.ResultFailed || len(row.Scripts) > 0,
		}
		if u := record.OrEmpty(row.UserData); u != "" {
			c.Command = strings.TrimPrefix(c.Command+"; "+say.Clip(u, 80), "; ")
		}
		if !anchored[row.Event] {
			anchored[row.Event], c.Anchor = true, fmt.Sprintf("event-%d", row.Event)
		}
		p.Changes = append(p.Changes, c)
	}
	h.Provenance.RowsShown, p.Total = int64(len(p.Changes)), h.Provenance.RowsInRecord
	return nil
}

func (p *page) open(o *audit.Open) {
	p.Open, p.MoreOpen = openBlock(o), o.Numbers-len(o.Worst)
}

func (p *page) state(f *Full) {
	s := f.State
	p.At, p.Confidence, p.State = s.At.Short(), s.Confidence, pageFacts(f.state())
	for _, pkg := range s.Installed {
		p.Installed = append(p.Installed, []string{say.Clip(pkg.Name, maxText), say.Clip(pkg.Version, maxText), say.Clip(pkg.Arch, 20)})
	}
	for _, cve := range s.CVEs {
		p.Fixes = append(p.Fixes, say.Clip(cve, 40))
	}
	if n := len(p.Fixes); n > pageFixes {
		p.Fixes, p.MoreFixes = p.Fixes[:pageFixes], n-pageFixes
	}
}

func (p *page) compliance(c *compliance.Summary) {
	p.Profile, p.Since = say.Clip(c.Profile, 80), c.Since.Short()
	for _, found := range c.Findings() {
		check := found.CheckResult
		row := pageCheck{ID: say.Clip(check.ID, 80), Title: say.Clip(check.Title, maxText), Detail: say.Clip(check.Short(), 2*maxText), Short: say.Clip(check.Short(), 160), Result: check.Result}
		if isOpen(&check) && check.ToDo != nil {
			row.Hint = texts(*check.ToDo)
		}
		if len(found.Folded) > 0 {
			row.Folded = foldedText(found.Folded)
		}
		for _, e := range check.Evidence {
			row.Evidence = append(row.Evidence, p.evidence(e))
		}
		for _, r := range check.References {
			row.References = append(row.References, say.Clip(r, maxText))
		}
		if e := check.Exception; e != nil {
			row.Exception, row.Accepted, row.Expired = exceptionText(e), acceptedText(e), e.Expired
		}
		row.Numbers = numberTexts(check.Accepted)
		p.Checks = append(p.Checks, row)
		switch {
		case !isOpen(&check):
		case len(p.Findings) == pageFindings:
			p.MoreFindings++
		default:
			p.Findings = append(p.Findings, row)
		}
	}
}

// texts splits a text where code begins and ends, at "`".
func texts(s string) (pieces []pageText) {
	for i, piece := range strings.Split(s, "`") {
		pieces = append(pieces, pageText{say.Clip(piece, maxText), i%2 == 1})
	}
	return pieces
}

// evidence links an event to its row, if the page has one.
func (p *page) evidence(text string) pageEvidence {
	e := pageEvidence{Text: say.Clip(text, maxText)}
	number, ok := strings.CutPrefix(text, "event ")
	if anchor := "event-" + number; ok && slices.ContainsFunc(p.Changes, func(c pageChange) bool { return c.Anchor == anchor }) {
		e.Anchor = anchor
	}
	return e
}

func (p *page) exposure(l *audit.Latency, all []audit.Exposure) {
	p.Latency, p.Quarters = pageFacts(latencyFacts(l)), quartersBlock(l)
	shown, more := worthALook(all, pageExposures)
	p.MoreFixed = more
	for _, e := range shown {
		row := pageExposure{
			CVE: say.Clip(e.CVE, 20), Package: say.Clip(e.Package+" "+e.Version, maxText), Released: date(e.Released), ReleasedBy: say.Clip(strings.ReplaceAll(e.ReleasedBy, "-", " "), 40), Installed: date(e.Installed),
			Active: date(e.Active), InInitrd: date(e.InInitrd), Latency: cmp.Or(latencyText(&e), duration(nil)), Status: string(e.Status),
		}
		for _, l := range e.Losses() {
			row.Lost = append(row.Lost, say.Clip(l.Text(date), maxText))
		}
		if x := shownException(&e); x != nil {
			row.Exception, row.Expired = numberText(x), x.Expired
		}
		p.Exposures = append(p.Exposures, row)
	}
}

// timeline lists what the picture shows: boots and live patches, the newest first.
func (p *page) timeline(t *audit.Timeline) {
	if t == nil {
		return
	}
	p.Spans = spanRows(t)
	if n := len(p.Spans); n > pageSpans {
		p.Spans, p.MoreSpans = p.Spans[:pageSpans], n-pageSpans
	}
}

// printableLines makes a text of several lines harmless.
func printableLines(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, say.Clip(strings.TrimSuffix(line, "\n"), maxText))
	}
	return strings.Join(lines, "\n")
}
