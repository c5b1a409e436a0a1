package guide

import (
	"fmt"
	"strings"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/report/table"
)

// ratingFacts are the results that a check can have, and what comes of exceptions.
var ratingFacts = []table.Fact{
	{Name: "pass", Text: "The machine meets the check."},
	{Name: "warn", Text: "Something needs attention soon; or the profile lets the check do no more than warn."},
	{Name: "fail", Text: "It does not."},
	{Name: "unknown", Text: "The record cannot answer. An unknown check never passes, and weighs more than a warning."},
	{Name: "not-applicable", Text: "There is nothing to check on this machine, or the profile leaves the check out. It has no weight in the verdict."},
	{Name: "accepted", Text: "Somebody accepts the finding until a day: see `klp-audit exception`. The result of the check does not change, and reports show the reason with it. CVE numbers that somebody accepts are left out of the checks updates, residual and latency, which say how many."},
}

// Markdown returns docs/checks.md.
func Markdown() (string, error) {
	profiles, err := builtIn()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(preface)
	markdownTable(&b, "result", "meaning")
	for _, f := range ratingFacts {
		row(&b, code(f.Name), f.Text)
	}
	b.WriteString("\n## The checks\n\n")
	markdownTable(&b, "check", "asks")
	for _, r := range compliance.Rules() {
		row(&b, fmt.Sprintf("[%s](#%s)", r.ID, r.ID), r.Explain().Asks)
	}
	b.WriteString(settingsText)
	markdownTable(&b, append([]string{"setting"}, compliance.Profiles()...)...)
	for _, all := range []struct {
		name string
		of   func(*compliance.Profile) compliance.Period
	}{
		{"look_back", func(p *compliance.Profile) compliance.Period { return p.LookBack }},
		{"max_age", func(p *compliance.Profile) compliance.Period { return p.MaxAge }},
	} {
		cells := []string{code(all.name)}
		for _, p := range profiles {
			cells = append(cells, all.of(p).String())
		}
		row(&b, cells...)
	}
	for _, r := range compliance.Rules() {
		c := chapterOf(r, profiles)
		c.markdown(&b)
	}
	return b.String(), nil
}

func (c *chapter) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n**%s.** %s\n\n", c.ID, c.Title, c.Asks)
	markdownTable(b, "result", "meaning")
	for _, r := range c.results {
		row(b, code(string(r.rating)), r.means)
	}
	b.WriteString("\nWhat to do:\n\n")
	for _, f := range c.remedies() {
		fmt.Fprintf(b, "- %s: %s\n", f.Name, f.Text)
	}
	b.WriteString("\n")
	markdownTable(b, append([]string{"setting", "meaning"}, compliance.Profiles()...)...)
	for _, s := range c.settings {
		row(b, append([]string{code(s.name), s.means}, s.values...)...)
	}
	if len(c.references) > 0 {
		b.WriteString("\nReferences:\n\n")
	}
	for _, f := range c.references {
		fmt.Fprintf(b, "- profile %s: %s\n", f.Name, f.Text)
	}
}

func code(s string) string { return "`" + s + "`" }

func markdownTable(b *strings.Builder, header ...string) {
	row(b, header...)
	b.WriteString(strings.Repeat("|---", len(header)) + "|\n")
}

func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

const preface = `# Compliance checks

` + "`klp-audit report compliance`" + ` judges a record by these checks. Here is what each one asks, what its results mean, what
to do, and which settings of a profile change it. The program prints the same:

    klp-audit help checks             # all checks, one question each
    klp-audit help patch-in-initrd    # one check, with its results and settings

` + "`make man`" + ` writes this file; ` + "`audit/compliance/explain.go`" + ` has the texts.

## Results

The verdict is the worst result of all checks. From the worst to the best they are fail, unknown, warn and pass.

`

const settingsText = `
## Profiles and settings

A profile says which checks count, and where their limits are. ` + "`--profile NAME`" + ` chooses one, else the setting
` + "`profile`" + ` in klp-audit.toml does. The built-in profiles are in the tables below.

To change a limit, write your own profile, /etc/klp-audit/profiles/NAME.toml, with only what differs from the profile
default:

    name = "site"
    title = "Our rules"

    [check.latency]
    fail = "21d"                # days (d), hours (h) or minutes (m)

    [check.taint]
    enabled = false             # not-applicable
    references = ["RISK-12"]    # shown with the result

Every check has three settings: ` + "`enabled`" + `; ` + "`severity`" + `, the worst result that it can have (with ` + "`warn`" + `, what would
fail only warns); and ` + "`references`" + `. Each chapter lists the other settings of its check, with their values in each
profile, and the references of the profile default and of those that have others.

Two settings are for the whole profile. ` + "`look_back`" + ` is how far back the checks of history look. ` + "`max_age`" + ` is how
old the newest observation may be; if it is older, the checks of the machine's state are unknown.

`
