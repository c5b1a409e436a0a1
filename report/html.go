package report

import (
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/report/page"
	"github.com/klp-audit/klp-audit/report/picture"
)

// How many findings the first sheet shows, how many grants a check, and how much of what it found.
const (
	maxDetail    = 4000
	pageFindings = 6
	pageGrants   = 6
)

// writeHTML writes the whole report as a page.
func writeHTML(w io.Writer, f *Full) error {
	p := &page.Page{Picture: picture.Draw(f.Timeline, f.Exposures, f.Marks), Blocks: map[string]page.Block{}}
	if err := f.History.onPage(p); err != nil { // first: it counts the rows, and evidence leads to them
		return err
	}
	p.Open.Block, p.Open.More = openBlock(f.Compliance.Open), f.Compliance.Open.Numbers-len(f.Compliance.Open.Worst)
	p.Open.Seen = f.openSeen()
	stateOnPage(p, f.State, f.state())
	complianceOnPage(p, f.Compliance)
	exposuresOnPage(p, f.Latency, f.Exposures, pageExposures)
	cover(p, f)
	p.Integrity = page.Integrity{Note: integrityNote, Facts: pageFacts(integrityFacts(f.Integrity)), Checkpoint: printableLines(f.Integrity.Checkpoint)}
	ids := []string{"verdict"}
	p.Contents = []page.Part{{ID: "verdict", Title: "Verdict and scope"}}
	for _, part := range parts() {
		if part.block != nil {
			b := part.block(f)
			b.Part = page.Part{ID: part.ID, Title: part.Title}
			p.Blocks[part.ID] = b
		}
		ids, p.Contents = append(ids, part.ID), append(p.Contents, page.Part{ID: part.ID, Title: part.Title})
	}
	describe(p, f.Provenance)
	return page.Write(w, p, ids...)
}

// cover is the first sheet: the verdict, and the weightiest of what is open.
func cover(p *page.Page, f *Full) {
	c := &p.Cover
	c.Verdict, c.Title, c.Reason, c.Key = string(f.Compliance.Verdict), verdictText(f.Compliance.Verdict), verdictReason(f.Compliance), pageFacts(keyFacts(f))
	findings := f.Compliance.Findings()
	for i, check := range p.Compliance.Checks {
		switch {
		case !isOpen(&findings[i].CheckResult):
		case len(c.Findings) == pageFindings:
			c.MoreFindings++
		default:
			c.Findings = append(c.Findings, check)
		}
	}
}

// complianceOnPage are the checks: what passes is folded.
func complianceOnPage(p *page.Page, c *compliance.Summary) {
	p.Compliance.Profile, p.Compliance.Since = say.Clip(c.Profile, 80), c.Since.Short()
	for _, found := range c.Findings() {
		check := &found.CheckResult
		row := page.Check{
			ID: say.Clip(check.ID, 80), Title: say.Clip(check.Title, maxText), Result: string(check.Result), Detail: say.Clip(check.Short(), maxDetail), Short: say.Clip(check.Short(), 160),
			Unfolded: isOpen(check) || check.Exception != nil || len(check.Accepted) > 0, Exception: grantOnPage(check.Exception, false),
		}
		if isOpen(check) && check.ToDo != nil {
			row.Hint = texts(*check.ToDo)
		}
		if len(found.Folded) > 0 {
			row.Folded = foldedText(found.Folded)
		}
		for _, e := range check.Evidence {
			row.Evidence = append(row.Evidence, p.History.Evidence(say.Clip(e, maxText)))
		}
		for _, r := range check.References {
			row.References = append(row.References, say.Clip(r, maxText))
		}
		for i := range check.Accepted[:min(len(check.Accepted), pageGrants)] {
			row.Numbers = append(row.Numbers, *grantOnPage(&check.Accepted[i], true))
		}
		row.MoreNumbers = len(check.Accepted) - len(row.Numbers)
		p.Compliance.Checks = append(p.Compliance.Checks, row)
	}
}

// texts splits a text where code begins and ends, at "`".
func texts(s string) (pieces []page.Text) {
	for i, piece := range strings.Split(s, "`") {
		pieces = append(pieces, page.Text{Text: say.Clip(piece, maxText), Code: i%2 == 1})
	}
	return pieces
}

// printableLines makes a text of several lines harmless.
func printableLines(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, say.Clip(strings.TrimSuffix(line, "\n"), maxText))
	}
	return strings.Join(lines, "\n")
}
