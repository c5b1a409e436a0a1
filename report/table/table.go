// Package table lays out text in the columns of a terminal: tables, facts and paragraphs. It alone uses
// tablewriter.
package table

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Style is how a table looks where it is printed.
type Style struct {
	Width int  // columns; 0: not known
	Color bool // SGR colours
}

// Gap is how many columns are empty between two of a table.
const Gap = 2

// Sized is a style with a width: where none is known, 80 columns.
func (s Style) Sized() Style {
	if s.Width <= 0 {
		s.Width = 80
	}
	return s
}

// What text is painted with, SGR parameters of ECMA-48.
const (
	Bold   = "\x1b[1m"
	Red    = "\x1b[31m"
	Yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// Paint puts a text between SGR sequences if the style has colours.
func (s Style) Paint(text, sgr string) string {
	if !s.Color {
		return text
	}
	return sgr + text + reset
}

// bad and odd are the words that are coloured. Most output has no colour.
var (
	bad = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(^| )(failed|fail)(,| |$)`) })
	odd = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(^| )(unknown|warn|not-done|downgrade|aborted|interrupted|open|drift|import)(,| |$)`)
	})
)

// Cols is how many columns a table with these cells takes.
func Cols(header []string, cells [][]string) int {
	total := Gap * (len(header) - 1)
	for i := range header {
		widest := twwidth.Width(header[i])
		for _, row := range cells {
			widest = max(widest, twwidth.Width(row[i]))
		}
		total += widest
	}
	return total
}

// Render prints cells without any drawing, for terminals and pipes alike.
func Render(w io.Writer, header []string, cells [][]string, style Style) error {
	var b strings.Builder
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithPadding(tw.Padding{Left: "", Right: strings.Repeat(" ", Gap), Overwrite: true}),
	)
	t.Header(header)
	for _, row := range cells {
		if err := t.Append(slices.Clone(row)); err != nil {
			return err
		}
	}
	if err := t.Render(); err != nil {
		return err
	}
	return writeLines(w, b.String(), strings.Count(header[0], "\n")+1, style)
}

// writeLines prints a rendered table: without the blanks at the ends of lines, and with
// colours if they are wanted, for those end no line.
func writeLines(w io.Writer, table string, headerLines int, style Style) error {
	n := 0
	for line := range strings.Lines(table) {
		line = strings.TrimRight(line, " \n")
		if n++; style.Color {
			line = colored(line, n <= headerLines)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func colored(line string, header bool) string {
	if header {
		return Bold + line + reset
	}
	line = bad().ReplaceAllString(line, "$1"+Red+"$2"+reset+"$3")
	return odd().ReplaceAllString(line, "$1"+Yellow+"$2"+reset+"$3")
}

// Fit wraps the last column of cells to what the width leaves for it.
func Fit(cells [][]string, style Style) [][]string {
	width := style.Sized().Width
	left := Gap * (len(cells[0]) - 1)
	for i := range len(cells[0]) - 1 {
		widest := 0
		for _, row := range cells {
			widest = max(widest, len(row[i]))
		}
		left += widest
	}
	for _, row := range cells {
		last := len(row) - 1
		row[last] = strings.Join(Wrap(row[last], max(width-left, 20)), "\n")
	}
	return cells
}
