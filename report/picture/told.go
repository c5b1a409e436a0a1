package picture

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// How many rows a table of what a picture shows has, and how many it has if it is short.
const (
	maxRows   = 500
	shortRows = 40
)

// Table is what a lane shows, in words, the newest first. Bars become one where nobody could tell
// them apart; rows do not.
type Table struct {
	Name string
	Rows []Row
	More int // older ones
}

// Row says what was so from when to when, and how sure that is.
type Row struct {
	From, To, What, Confidence string
	Events                     []int64
	at                         record.Timestamp // when it began
}

// Short says whether a table is so short that nobody minds it.
func (t Table) Short() bool { return len(t.Rows) <= shortRows }

// Count says how many rows there are.
func (t Table) Count() string { return say.Plural(len(t.Rows)+t.More, "row") }

// tell notes in words what a lane shows.
func (d *drawing) tell(lane int, s audit.Span, what string) {
	to := s.To.Short()
	if s.Open {
		to = "goes on"
	}
	d.told[lane] = append(d.told[lane], Row{s.From.Short(), to, what, string(s.Confidence), s.Events, s.From})
}

// tables are what the lanes show, and then what went wrong.
func (d *drawing) tables() (list []Table) {
	for lane, rows := range d.told {
		if len(rows) == 0 {
			continue
		}
		slices.SortStableFunc(rows, func(a, b Row) int { return b.at.Compare(a.at.Time) })
		t := Table{Name: tableNames[lane], Rows: rows}
		if n := len(rows); n > maxRows {
			t.Rows, t.More = rows[:maxRows], n-maxRows
		}
		list = append(list, t)
	}
	return list
}

// some are the first few of a list, and how many more there are.
func some(names []string) string {
	const few = 6
	text := ""
	for i, name := range names[:min(few, len(names))] {
		if i > 0 {
			text += ", "
		}
		text += named(name, 20)
	}
	if more := len(names) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// laneMarks is no lane: signs stand where they belong.
const laneMarks = laneCount

var tableNames = [laneCount + 1]string{
	laneKernel: "Boots and kernels", lanePatch: "Live patches", laneInitrd: "In the initrd", laneExposure: "Fixes known and not active", laneMarks: "Downgrades and failed changes",
}

// tellMark notes a sign: a moment, no stretch.
func (d *drawing) tellMark(at record.Timestamp, what string) {
	d.told[laneMarks] = append(d.told[laneMarks], Row{at.Short(), at.Short(), what, string(audit.Proven), nil, at})
}

// named is a name from outside. What is not written from left to right is kept from turning what stands around
// it: there are no elements in a title of SVG, so characters say so (Unicode, UAX #9).
func named(s string, n int) string {
	s = say.Clip(s, n)
	if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxLatin1 && r != '…' }) {
		return "\u2068" + s + "\u2069"
	}
	return s
}
