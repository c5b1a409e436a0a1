package compliance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
)

// accepted are the numbers that a check leaves out of its result, as exceptions accept that they are open.
type accepted struct {
	numbers int
	by      []audit.Exception
}

// has says whether it is accepted that a number is open, and counts it then.
func (a *accepted) has(e *audit.Exposure) bool {
	if !e.Accepted() {
		return false
	}
	a.numbers++
	if !slices.ContainsFunc(a.by, func(x audit.Exception) bool { return x.ID == e.Exception.ID }) {
		a.by = append(a.by, *e.Exception)
	}
	return true
}

// on adds to a finding what it leaves out, and by which exceptions.
func (a *accepted) on(f finding) finding {
	if a.numbers == 0 {
		return f
	}
	f.detail = fmt.Sprintf("%s; %d accepted by exceptions.", strings.TrimSuffix(f.detail, "."), a.numbers)
	f.acceptedBy = a.by
	for _, x := range a.by {
		f = f.by(x.Event)
	}
	return f
}
