package table

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
)

// Facts are what is known on one screen, a name and a text each.
type Facts []Fact

// Fact is a text under its name.
type Fact struct{ Name, Text string }

// Add appends a fact; what comes from outside is made printable.
func (f *Facts) Add(name, format string, args ...any) {
	*f = append(*f, Fact{name, say.Printable(fmt.Sprintf(format, args...))})
}

// Write prints the facts below each other, long texts on several lines; where no width is
// known a line each, for programs that look for one.
func (f Facts) Write(w io.Writer, style Style) error {
	if style.Width <= 0 {
		style.Width = math.MaxInt
	}
	left := 0
	for _, fact := range f {
		left = max(left, len(fact.Name)+Gap)
	}
	for _, fact := range f {
		name := fact.Name
		for _, line := range Wrap(fact.Text, max(style.Width-left, 20)) {
			if _, err := fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-*s%s", left, name, line), " ")); err != nil {
				return err
			}
			name = ""
		}
	}
	return nil
}
