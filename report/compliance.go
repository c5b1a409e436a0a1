package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/page"
	"github.com/klp-audit/klp-audit/report/table"
)

// ComplianceSection is a compliance summary as a section of its own.
type ComplianceSection struct {
	*compliance.Summary
	Provenance *Provenance
}

func (c *ComplianceSection) forms() []form {
	return []form{{"table", c.writeTable}, {"json", c.writeJSON}, {"csv", c.writeCSV}, alone(c.Provenance, "compliance", "Compliance", func(p *page.Page) error {
		complianceOnPage(p, c.Summary)
		p.Compliance.Verdict, p.Compliance.Reason = verdictText(c.Verdict), verdictReason(c.Summary)
		return nil
	})}
}

func (c *ComplianceSection) writeJSON(w io.Writer, _ table.Style) error {
	return WriteObject(w, struct {
		Schema     string      `json:"schema"`
		Warning    *string     `json:"warning"`
		Provenance *Provenance `json:"provenance"`
		*compliance.Summary
	}{compliance.Schema, record.OrNil(c.Warning), c.Provenance, c.Summary})
}

// writeTable prints the verdict, then the checks, the weightiest first, each with what to do.
func (c *ComplianceSection) writeTable(w io.Writer, style table.Style) error {
	style = style.Sized()
	if err := writeWarning(w, c.Warning, style); err != nil {
		return err
	}
	lines := []string{
		"Verdict: " + strings.ToUpper(string(c.Verdict)) + ". " + c.Sum() + ".",
		fmt.Sprintf("Profile %s (%s), as of %s, looking back to %s; %s.", c.Profile, c.Title, c.At.Short(), c.Since.Short(), timesAre()),
		c.observed(),
		"",
	}
	if err := table.WriteParagraphs(w, lines, style); err != nil {
		return err
	}
	facts := append(openFacts(c.Open, c.At.Time, c.made()), latencyFact(c.Latency)...)
	if err := facts.Write(w, style); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := table.Render(w, checkColumns, checkCells(c.Summary, style.Width), style); err != nil {
		return err
	}
	if p := c.Provenance; p != nil {
		return table.WriteParagraphs(w, append([]string{""}, p.lines()...), style)
	}
	return nil
}

// made is when the section was made.
func (c *ComplianceSection) made() time.Time {
	if c.Provenance == nil {
		return c.At.Time
	}
	return c.Provenance.MadeAt.Time
}

// observed says when the machine was observed last.
func (c *ComplianceSection) observed() string {
	if c.ObservedAt == nil {
		return "The machine was never observed."
	}
	return "The machine was observed last " + seenText(*c.ObservedAt, c.At.Time, c.made()) + "."
}

var checkColumns = []string{"RESULT", "CHECK", "FINDING"}

// checkCells are the checks as rows: what a check found, and below it what to do, what hangs on it and what stands
// for it.
func checkCells(c *compliance.Summary, width int) (cells [][]string) {
	left := len(compliance.NotApplicable) + len("kernel-supported") + 2*table.Gap
	for _, f := range c.Findings() {
		var lines []string
		for _, text := range checkTexts(&f) {
			lines = append(lines, table.Wrap(say.Clip(text, 3*maxText), max(width-left, 20))...)
		}
		if isOpen(&f.CheckResult) {
			lines = append(lines, " ")
		}
		cells = append(cells, []string{string(f.Result), say.Clip(f.ID, 24), strings.Join(lines, "\n")})
	}
	return cells
}

// checkTexts are what there is to say of a check, and of those that hang on it, a line each.
func checkTexts(f *compliance.Finding) []string {
	r := &f.CheckResult
	texts := append([]string{r.Short()}, firstOf(numberGrants(r.Accepted))...)
	if !isOpen(r) {
		if len(r.Evidence) > 0 {
			texts[0] += " [" + evidenceText(r.Evidence) + "]"
		}
		return texts
	}
	if r.ToDo != nil {
		texts = append(texts, "To do: "+*r.ToDo+".")
	}
	if len(f.Folded) > 0 {
		texts = append(texts, foldedText(f.Folded))
	}
	if x := r.Exception; x != nil {
		texts = append(texts, grantText(x))
	}
	for _, hangs := range f.Folded {
		if x := hangs.Exception; x != nil {
			texts = append(texts, grantedText("Exception for "+hangs.ID, x))
		}
	}
	if len(r.Evidence) > 0 {
		texts = append(texts, "Evidence: "+evidenceText(r.Evidence))
	}
	if len(r.References) > 0 {
		texts = append(texts, "See: "+strings.Join(r.References, "; "))
	}
	return texts
}

// foldedText names the checks that hang on another one, by their results.
func foldedText(folded []compliance.CheckResult) string {
	var parts []string
	for _, rating := range compliance.Ratings() {
		var ids []string
		for _, r := range folded {
			if r.Result == rating {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) > 0 {
			parts = append(parts, string(rating)+" "+strings.Join(ids, ", "))
		}
	}
	return "For the same reason: " + strings.Join(parts, "; ") + "."
}

// evidenceText is the first few pieces: cursors hold semicolons, and are long.
func evidenceText(list []string) string {
	const few = 6
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:few], ", ") + fmt.Sprintf(", and %d more", len(list)-few)
}

// isOpen says whether there is something to do.
func isOpen(r *compliance.CheckResult) bool {
	return r.Result != compliance.Pass && r.Result != compliance.NotApplicable
}

// grantText says who accepts a finding, until when, and why.
func grantText(x *audit.Exception) string { return grantedText("Exception", x) }

func grantedText(what string, x *audit.Exception) string {
	state := "until"
	if x.Expired {
		state = "EXPIRED on"
	}
	return fmt.Sprintf("%s %s %s by %s: %s (event %d)", what, state, x.Until.Short(), x.By, x.Reason, x.Event)
}

// numberGrantText says who accepts that a number is open, or those of an advisory, until when, and why.
func numberGrantText(x *audit.Exception) string {
	return grantedText("Exception for "+x.About(), x)
}

// numberGrants are all that a check leaves numbers out by.
func numberGrants(list []audit.Exception) (texts []string) {
	for i := range list {
		texts = append(texts, numberGrantText(&list[i]))
	}
	return texts
}

// firstOf are the first few texts, and how many more there are.
func firstOf(texts []string) []string {
	const few = 6
	if len(texts) <= few {
		return texts
	}
	return append(slices.Clone(texts[:few]), fmt.Sprintf("And %d more: see klp-audit exception list.", len(texts)-few))
}

// writeCSV writes the checks with a header row.
func (c *ComplianceSection) writeCSV(w io.Writer, _ table.Style) error {
	header := []string{"id", "title", "result", "detail", "evidence", "references", "exception", "known_since", "accepted", "to_do", "hangs_on"}
	var rows [][]string
	for _, r := range c.Checks {
		exception := ""
		if r.Exception != nil {
			exception = grantText(r.Exception)
		}
		rows = append(rows, []string{r.ID, r.Title, string(r.Result), r.Detail, strings.Join(r.Evidence, ", "), strings.Join(r.References, "; "), exception, exactly(r.KnownSince), strings.Join(numberGrants(r.Accepted), "; "), record.OrEmpty(r.ToDo), record.OrEmpty(r.HangsOn)})
	}
	return writeRecords(w, c.Warning, header, rows)
}

// verdictText is a verdict as a title.
func verdictText(r compliance.Rating) string { return "Verdict: " + string(r) }

// verdictReason says how the checks came to a verdict, in a sentence.
func verdictReason(c *compliance.Summary) string {
	count := map[compliance.Rating]int{}
	for _, check := range c.Checks {
		count[check.Result]++
	}
	judged := len(c.Checks) - count[compliance.NotApplicable]
	if judged == 0 {
		return fmt.Sprintf("No check of profile %s applies.", say.Printable(c.Profile))
	}
	var parts []string
	for _, r := range []struct {
		rating    compliance.Rating
		one, many string
	}{{compliance.Fail, "fails", "fail"}, {compliance.NotDetermined, "is unknown", "are unknown"}, {compliance.Warn, "warns", "warn"}, {compliance.Pass, "passes", "pass"}} {
		switch n := count[r.rating]; n {
		case 0:
		case 1:
			parts = append(parts, "1 "+r.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, r.many))
		}
	}
	if len(parts) == 1 && count[compliance.Pass] > 1 {
		return fmt.Sprintf("All %d checks of profile %s that apply pass.", judged, say.Printable(c.Profile))
	}
	return fmt.Sprintf("Of %s of profile %s that %s, %s.", say.Plural(judged, "check"), say.Printable(c.Profile), map[bool]string{true: "applies", false: "apply"}[judged == 1], say.Join(parts))
}

// exceptionText says what was granted.
func exceptionText(e *audit.Exception) string {
	return fmt.Sprintf("%s, by %s: %s (event %d)", acceptedText(e), say.Clip(cmp.Or(e.By, "unset"), 80), say.Clip(e.Reason, 300), e.Event)
}

// numberText says what was granted for a number, or those of an advisory.
func numberText(e *audit.Exception) string {
	return say.Clip(e.About(), maxText) + ": " + exceptionText(e)
}

// grantOnPage is what was granted, for a finding or for numbers; nil: nothing was.
func grantOnPage(e *audit.Exception, about bool) *page.Grant {
	if e == nil {
		return nil
	}
	g := &page.Grant{Until: acceptedText(e), By: say.Clip(cmp.Or(e.By, "unset"), 80), Why: say.Clip(e.Reason, maxText), Event: e.Event, Expired: e.Expired}
	if about {
		g.About = say.Clip(e.About(), maxText)
	}
	return g
}

// acceptedText says until when.
func acceptedText(e *audit.Exception) string {
	if e.Expired {
		return "Acceptance expired " + day10(e.Until)
	}
	return "Accepted until " + day10(e.Until)
}
