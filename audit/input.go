package audit

import (
	"fmt"
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
	if i.Fault() == "" {
		return ""
	}
	return i.Fault() + " What follows is what it says, and proves nothing."
}

// Fault says what is wrong with it; empty: nothing is known to be.
func (i *Input) Fault() string {
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
