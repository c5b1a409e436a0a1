package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record/proof"
)

// Input is what a report was made from, and how it was found: an export or a copy that was
// verified before, or the machine's own record where a quick look at it found something.
type Input struct {
	File     string          `json:"file"`
	Result   proof.Integrity `json:"result"` // of its verification
	Problems []string        `json:"problems"`
}

// NewInput is what a file was found to be.
func NewInput(file string, v *proof.Verification) *Input {
	return &Input{File: file, Result: v.Result, Problems: v.Problems}
}

// Warning is the first line of each report on what was altered or cut; empty: nothing is
// known to be wrong.
func (i *Input) Warning() string {
	if i.finding() == "" {
		return ""
	}
	return i.finding() + " What follows is what it says, and proves nothing."
}

// finding says what is wrong with it.
func (i *Input) finding() string {
	var text string
	switch {
	case i == nil || i.Result == proof.Intact:
		return ""
	case i.Result == proof.Truncated:
		text = fmt.Sprintf("TRUNCATED: the end of %q is missing", i.File)
	default:
		text = fmt.Sprintf("ALTERED: %q is not as it was signed", i.File)
	}
	if len(i.Problems) > 0 {
		text += ": " + strings.TrimSuffix(say.Clip(i.Problems[0], 300), ".")
	}
	if more := len(i.Problems) - 1; more > 0 {
		text += ", and " + say.Plural(more, "more problem")
	}
	return text + "."
}

// Warning returns the warning about what the report was made from.
func (p *Provenance) Warning() string {
	if p == nil {
		return ""
	}
	return p.Input.Warning()
}

// orNull is a text for JSON, null if there is none.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// writeWarning prints the first line of a table, and an empty one below it.
func writeWarning(w io.Writer, warning string, style Style) error {
	if warning == "" {
		return nil
	}
	if style.Width <= 0 {
		style.Width = tableWidth
	}
	for _, line := range append(wrap(say.Printable(warning), style.Width), "") {
		if style.Color && line != "" {
			line = sgrBold + sgrRed + line + sgrReset
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// warningRow is the first row of a CSV file with so many columns, none if there is nothing to
// warn of. It stands where a program looks for the header, so that none reads on unaware.
func warningRow(warning string, columns int) [][]string {
	if warning == "" {
		return nil
	}
	row := make([]string, columns)
	row[0] = warning
	return [][]string{row}
}

// Distrust makes integrity fail, and with it the verdict, whatever a profile says of it, if
// what was judged is not intact.
func (c *Compliance) Distrust(in *Input) {
	if c.Warning = in.Warning(); c.Warning == "" {
		return
	}
	i := slices.IndexFunc(c.Checks, func(r CheckResult) bool { return r.ID == integrityID })
	if i < 0 {
		return
	}
	r := c.Checks[i]
	r.Result, r.Detail, r.Evidence = Fail, in.finding(), []string{}
	c.Checks = slices.Insert(slices.Delete(c.Checks, i, i+1), 0, r)
	c.Verdict = c.worst()
}
