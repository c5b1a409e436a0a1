// Package page writes reports as pages of HTML: one file that needs nothing else, no script, no network and
// no font. It knows no report, only texts and the order in which they are shown.
package page

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/report/picture"
	"github.com/klp-audit/klp-audit/report/table"
)

//go:embed page.html timeline.html report.css
var files embed.FS

// Page is a report, or a section of one. Its texts are harmless, but for their direction: that, and what HTML
// would obey, is the template's business.
type Page struct {
	Title   string // of a section alone; empty: the whole report
	Host    string
	Made    string
	Times   string // in which zone they are
	Warning string // what stands before all else; empty: nothing
	Found   string // in a word, ALTERED

	Cover      Cover
	Contents   []Part
	Open       Open
	State      State
	Compliance Compliance
	Exposure   Exposure
	History    History
	Picture    *picture.Picture
	Integrity  Integrity
	Blocks     map[string]Block // by the id of their part
	Provenance table.Facts
	Scope      string
}

// Part is a part of a report, under a title of its own.
type Part struct{ ID, Title string }

// Cover is the first sheet of the whole report.
type Cover struct {
	Verdict, Title, Reason string
	Findings               []Check // the weightiest that do not pass
	MoreFindings           int
	Key                    table.Facts
}

// Open are the weightiest open fixes.
type Open struct {
	Seen string // when it was looked for
	Block
	More int // others
}

// State is what was so at a moment.
type State struct {
	Title      string
	At         string
	Confidence string
	Facts      table.Facts
	Installed  Block
	Fixes      []string
	MoreFixes  int
}

// Compliance are the checks, in order of weight.
type Compliance struct {
	Profile, Since  string
	Verdict, Reason string // of the section alone
	Checks          []Check
}

// Check is a check, and what it found.
type Check struct {
	ID, Title, Result string
	Detail, Short     string
	Unfolded          bool
	Hint              []Text
	Folded            string // the checks that hang on it
	Evidence          []Evidence
	References        []string
	Exception         *Grant
	Numbers           []Grant // that are left out
	MoreNumbers       int
}

// Text is a piece of a text, or of what is to be typed.
type Text struct {
	Text string
	Code bool
}

// Evidence is a text; of an event, where it is on the page, if it is there, and the command that prints it.
type Evidence struct{ Text, Anchor, Show string }

// Grant says who accepts something, and why.
type Grant struct {
	About   string // empty: the finding beside it
	Until   string // Accepted until a day, or that this has passed
	By, Why string
	Event   int64
	Expired bool
}

// Exposure is how fixes came to protect.
type Exposure struct {
	Latency  table.Facts
	Quarters Block
	Fixes    []Fixes
	More     int
}

// Fixes are numbers that have one course.
type Fixes struct {
	CVEs                                  []string
	Package, Version                      string
	Released, Installed, Active, InInitrd string
	ByBuild                               bool // the release is the build time of the package
	Latency, Status, Reason               string
	By                                    string // who installed them, and the event
	Lost                                  []string
	Events                                []Evidence
	Exception                             *Grant
}

// History are changes by commit.
type History struct {
	Order   string
	Commits []Commit
	Shown   int
	More    bool // changes than these
	Total   int64
	Notes   []string
}

// Commit are changes that one event shows.
type Commit struct {
	Anchor, Time, Source, By, Ticket, Command, Outcome string
	Event                                              int64
	Changes                                            []Change
}

// Change is what was done with one package.
type Change struct {
	Action, Package, Version, Before, Result, Fixes, Scripts string
	WentBack, Failed                                         bool
}

// Integrity is what proves the record.
type Integrity struct {
	Note       string
	Facts      table.Facts
	Checkpoint string
}

// Block is a part that is a table, and no more.
type Block struct {
	Part
	Note    string // what the rows mean
	Caption string
	Columns []Column
	Rows    [][]string
	None    string // said where there are no rows
}

// Column is one of a block: its name, and how its cells look.
type Column struct{ Name, Class string }

// Write writes the whole report, or a section alone: the parts with these ids, in their order.
func Write(w io.Writer, p *Page, parts ...string) error {
	css, err := files.ReadFile("report.css")
	if err != nil {
		return err
	}
	t, err := template.New("").Funcs(template.FuncMap{"out": outside}).ParseFS(files, "*.html")
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	head := struct {
		*Page
		CSS    template.CSS
		Policy string
	}{p, template.CSS(css), policy(css)}
	if err := t.ExecuteTemplate(out, "head", head); err != nil {
		return err
	}
	for _, id := range append(parts, "foot") {
		if block, ok := p.Blocks[id]; ok {
			err = t.ExecuteTemplate(out, "block", block)
		} else {
			err = t.ExecuteTemplate(out, id, p)
		}
		if err != nil {
			return err
		}
	}
	return out.Flush()
}

// policy lets the page use its own style, and nothing else.
func policy(css []byte) string {
	sum := sha256.Sum256(css)
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

// How long a word from outside may be that no line breaks: a package with its version is shorter than the one, a number
// or a date than the other, which fits on a phone.
const (
	longestWord  = 64
	longestShort = 24
)

// outside is a text from outside: it turns the direction of nothing but itself, and names, numbers and dates in it stay
// on one line.
func outside(text string) template.HTML {
	if class := kept(text); class != "" {
		return template.HTML(`<bdi class="` + class + `">` + template.HTMLEscapeString(text) + "</bdi>")
	}
	words := strings.Split(text, " ")
	for i, word := range words {
		words[i] = template.HTMLEscapeString(word)
		if class := kept(word); class != "" && strings.ContainsAny(word, "-") && strings.ContainsAny(word, "0123456789") { // others have no place where a line would break
			words[i] = `<span class="` + class + `">` + words[i] + "</span>"
		}
	}
	return template.HTML("<bdi>" + strings.Join(words, " ") + "</bdi>")
}

// kept is the class of a word that stays on one line; empty: it may break.
func kept(word string) string {
	switch {
	case len(word) > longestWord || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' }):
		return ""
	case len(word) > longestShort:
		return "word"
	}
	return "short"
}

// Evidence is a text that may name an event.
func (h *History) Evidence(text string) Evidence {
	e := Evidence{Text: text, Anchor: h.Leads(text)}
	if number, ok := strings.CutPrefix(text, "event "); ok {
		e.Show = "klp-audit show " + number
	}
	return e
}

// Leads links an event to its row, if the page has one.
func (h *History) Leads(evidence string) (anchor string) {
	number, ok := strings.CutPrefix(evidence, "event ")
	anchor = Anchor(number)
	if !ok || !slices.ContainsFunc(h.Commits, func(c Commit) bool { return c.Anchor == anchor }) {
		return ""
	}
	return anchor
}

// Anchor is where the changes of an event stand.
func Anchor(event any) string { return fmt.Sprint("event-", event) }
