package report

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
)

// facts are what is known on one screen, a name and a text each.
type facts []fact

type fact struct{ name, text string }

func (f *facts) add(name, format string, args ...any) {
	*f = append(*f, fact{name, say.Printable(fmt.Sprintf(format, args...))})
}

// write prints the facts below each other, long texts on several lines; where no width is
// known a line each, for programs that look for one.
func (f facts) write(w io.Writer, style Style) error {
	if style.Width <= 0 {
		style.Width = math.MaxInt
	}
	left := 0
	for _, fact := range f {
		left = max(left, len(fact.name)+gap)
	}
	for _, fact := range f {
		name := fact.name
		for _, line := range wrap(fact.text, max(style.Width-left, 20)) {
			if _, err := fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-*s%s", left, name, line), " ")); err != nil {
				return err
			}
			name = ""
		}
	}
	return nil
}
