// Package guide explains the compliance checks to people: on a terminal, and as docs/checks.md.
package guide

import (
	"io"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/report/table"
)

// chapter is what there is to say of a check.
type chapter struct {
	compliance.Rule
	compliance.Explanation
	results    []result
	settings   []setting
	references []table.Fact // by profile
}

type result struct {
	rating      compliance.Rating
	means, toDo string
}

type setting struct {
	name, means string
	values      []string // one for each built-in profile
}

// severityMeans is what the setting says that every check has.
const severityMeans = "The worst result that the check can have."

// chapterOf is the chapter of a check by the built-in profiles.
func chapterOf(r compliance.Rule, profiles []*compliance.Profile) chapter {
	c := chapter{Rule: r, Explanation: r.Explain()}
	for _, rating := range []compliance.Rating{compliance.Pass, compliance.Warn, compliance.Fail, compliance.NotDetermined, compliance.NotApplicable} {
		if means := c.Results[rating]; means != "" {
			c.results = append(c.results, result{rating, means, toDo(r, rating)})
		}
	}
	for _, name := range r.Settings() {
		s := setting{name: name, means: c.Means[name]}
		if name == "severity" {
			s.means = severityMeans
		}
		for _, p := range profiles {
			s.values = append(s.values, p.Criteria[r.ID].Setting(name))
		}
		c.settings = append(c.settings, s)
	}
	for i, p := range profiles {
		list := p.Criteria[r.ID].References
		if len(list) > 0 && (i == 0 || !slices.Equal(list, profiles[0].Criteria[r.ID].References)) {
			c.references = append(c.references, table.Fact{Name: p.Name, Text: strings.Join(list, "; ")})
		}
	}
	return c
}

// toDo is what to do about a result, empty if there is nothing to do.
func toDo(r compliance.Rule, rating compliance.Rating) string {
	if rating == compliance.Pass || rating == compliance.NotApplicable {
		return ""
	}
	return compliance.ToDo(r.ID, rating)
}

// remedies are what to do about the results of a check, each once, with the results that it is for.
func (c *chapter) remedies() (list []table.Fact) {
	for _, r := range c.results {
		switch i := slices.IndexFunc(list, func(f table.Fact) bool { return f.Text == r.toDo }); {
		case r.toDo == "":
		case i >= 0:
			list[i].Name += ", " + string(r.rating)
		default:
			list = append(list, table.Fact{Name: string(r.rating), Text: r.toDo})
		}
	}
	return list
}

// builtIn are the profiles that come with the program.
func builtIn() (list []*compliance.Profile, err error) {
	for _, name := range compliance.Profiles() {
		p, err := compliance.LoadProfile(name, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// WriteCheck explains a check on a terminal.
func WriteCheck(w io.Writer, r compliance.Rule, style table.Style) error {
	profiles, err := builtIn()
	if err != nil {
		return err
	}
	style = style.Sized()
	c := chapterOf(r, profiles)
	var results, settings table.Facts
	for _, r := range c.results {
		results = append(results, table.Fact{Name: "  " + string(r.rating), Text: r.means})
	}
	for _, s := range c.settings {
		settings = append(settings, table.Fact{Name: "  " + s.name, Text: s.means + " " + s.inShort(profiles)})
	}
	p := printer{w: w, style: style}
	p.lines(c.ID+": "+c.Title, "", c.Asks, "", "What a result means:")
	p.facts(results)
	p.lines("", "What to do:")
	p.facts(indented(c.remedies()))
	p.lines("", "Settings, in the section [check."+c.ID+"] of a profile:")
	p.facts(settings)
	if len(c.references) > 0 {
		p.lines("", "References of the profiles:")
		p.facts(indented(c.references))
	}
	return p.err
}

// inShort is the value of a setting in the profile default, and in those where it is another one.
func (s *setting) inShort(profiles []*compliance.Profile) string {
	var parts []string
	for i, p := range profiles {
		if i == 0 || s.values[i] != s.values[0] {
			parts = append(parts, p.Name+": "+s.values[i])
		}
	}
	return "[" + strings.Join(parts, "; ") + "]"
}

func indented(list []table.Fact) (f table.Facts) {
	for _, fact := range list {
		f = append(f, table.Fact{Name: "  " + fact.Name, Text: fact.Text})
	}
	return f
}

// WriteChecks lists all checks on a terminal.
func WriteChecks(w io.Writer, style table.Style) error {
	p := printer{w: w, style: style.Sized()}
	var list table.Facts
	for _, r := range compliance.Rules() {
		list = append(list, table.Fact{Name: r.ID, Text: r.Explain().Asks})
	}
	p.facts(list)
	p.lines("", "What a result means:")
	p.facts(indented(ratingFacts))
	p.lines("", "`klp-audit help CHECK` explains a check, its results and its settings.")
	return p.err
}

// printer prints until something goes wrong.
type printer struct {
	w     io.Writer
	style table.Style
	err   error
}

func (p *printer) lines(list ...string) {
	if p.err == nil {
		p.err = table.WriteParagraphs(p.w, list, p.style)
	}
}

func (p *printer) facts(f table.Facts) {
	if p.err == nil {
		p.err = f.Write(p.w, p.style)
	}
}
