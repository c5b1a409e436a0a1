package table

import (
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"github.com/klp-audit/klp-audit/internal/say"
)

// Wrap breaks a text into lines of at most width columns of a terminal, at a blank where
// it can, else after a separator that package names and versions have.
func Wrap(s string, width int) (lines []string) {
	for {
		n := fitting(s, width)
		if n == len(s) {
			return append(lines, s)
		}
		if s[n] != ' ' {
			n = cut(s[:n])
		}
		lines = append(lines, strings.TrimRight(s[:n], " "))
		if s = strings.TrimLeft(s[n:], " "); s == "" {
			return lines
		}
	}
}

// fitting returns how many bytes of a text fit into a line: one character at least.
func fitting(s string, width int) int {
	used := 0
	for i, r := range s {
		w := twwidth.Width(string(r))
		if used += w; used > width && used > w {
			return i
		}
	}
	return len(s)
}

// cut returns how much of a full line to keep, so that the rest begins a word.
func cut(line string) int {
	if i := strings.LastIndex(line, " "); i > 0 {
		return i
	}
	if i := strings.LastIndexAny(line, "-_.,/"); i > len(line)/2 {
		return i + 1
	}
	return len(line)
}

// WriteParagraphs prints texts one after the other, each on as many lines as it needs.
func WriteParagraphs(w io.Writer, lines []string, style Style) error {
	for _, l := range lines {
		if _, err := fmt.Fprintln(w, strings.Join(Wrap(say.Printable(l), style.Width), "\n")); err != nil {
			return err
		}
	}
	return nil
}
