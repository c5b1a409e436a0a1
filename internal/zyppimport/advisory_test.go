package zyppimport

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/store/storetest"
)

// A history does not say which package an advisory belongs to. An advisory is attributed to a
// change only if the commit did nothing else.
func TestAdvisoryOfAChange(t *testing.T) {
	const (
		command = "2026-01-01 10:00:00|command|root@vm|'zypper' 'patch'|\n"
		patch   = "2026-01-01 10:00:01|install|kernel-livepatch-6_4_0-150600_23_17-default|5-150600.2.1|x86_64||r|a|\n"
		kernel  = "2026-01-01 10:00:01|install|kernel-default|6.4.0-150600.23.22.1|x86_64||r|b|\n"
		other   = "2026-01-01 10:00:01|install|bash|1-1|x86_64||r|c|\n"
		gone    = "2026-01-01 10:00:01|remove |bash|1-1|x86_64||\n"
		applied = "2026-01-01 10:00:02|patch  |P-1|1|noarch|r|important|security|needed|applied|\n"
		second  = "2026-01-01 10:00:02|patch  |P-2|1|noarch|r|important|security|needed|applied|\n"
		needed  = "2026-01-01 10:00:02|patch  |P-3|1|noarch|r|important|security|not-needed|needed|\n"
		install = "2026-01-01T10:00:01 install kernel-livepatch-6_4_0-150600_23_17-default-5-150600.2.1.x86_64 ok import"
	)
	for name, tt := range map[string]struct {
		text string
		want string // expected after the change of the live patch
	}{
		"the only one":             {command + patch + applied, " P-1 by P-1"},
		"another is needed now":    {command + patch + applied + needed, " P-1 by P-1"},
		"none":                     {command + patch, ""},
		"none that became applied": {command + patch + needed, ""},
		"two":                      {command + patch + applied + second, " P-1,P-2"},
		"a kernel, too":            {command + patch + kernel + applied, " P-1"},
		"another package, too":     {command + other + patch + applied, " P-1"},
		"another one was removed":  {command + patch + gone + applied, " P-1"},
		"of the next commit":       {command + patch + command + other + applied, ""},
		"the command is not known": {patch + applied, " P-1"},
		"a line cannot be read":    {command + "2026-01-01 10:00:01|install|bash||\n" + patch + applied, " P-1"},
		"it was aborted":           {command + patch + "# Commit was aborted.\n" + applied, " commit aborted P-1"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.text(tt.text)
			if got := m.lines()[0]; got != install+tt.want {
				t.Errorf("%s\nwant %s", got, install+tt.want)
			}
			if sum, _ := m.text(tt.text); sum.Commits != 0 {
				t.Errorf("a second time: %+v", sum)
			}
		})
	}
}

// A later import may show that a commit had more than one change; then the attribution is
// withdrawn. Cut anywhere, the history shows the same as in one piece.
func TestAdvisoryOfAChangeInPieces(t *testing.T) {
	const history = `2026-01-01 10:00:00|command|root@vm|'zypper' 'patch'|
2026-01-01 10:00:01|install|dracut|1-1|x86_64||r|a|
2026-01-01 10:00:02|patch  |P-1|1|noarch|r|important|security|needed|applied|
2026-01-01 10:00:03|install|bash|1-1|x86_64||r|c|
`
	m := newMachine(t)
	lines := strings.SplitAfter(history, "\n")
	for n := 1; n < len(lines); n++ {
		m.text(strings.Join(lines[:n], ""))
		if n == 3 {
			m.shows("2026-01-01T10:00:01 install dracut-1-1.x86_64 ok import P-1 by P-1")
		}
	}
	m.shows("2026-01-01T10:00:01 install dracut-1-1.x86_64 ok import P-1")
}

// The advisory that a real libzypp recorded stays with its commit, which had two tracked packages
// and more.
func TestAdvisoryOfARealCommit(t *testing.T) {
	text, err := os.ReadFile("../zypp/testdata/libzypp-17.25.7-update.history")
	storetest.Check(t, err)
	m := newMachine(t)
	m.text(string(text))
	n := 0
	for _, r := range m.rows() {
		if r.Advisory != nil || len(r.Advisories) != 1 || r.Advisories[0] != "SUSE-SLE-Module-Live-Patching-15-SP6-2024-1234" {
			t.Errorf("%s: %q", r.Package, r.Advisories)
		}
		n++
	}
	if n < 2 {
		t.Errorf("%d changes", n)
	}
}

// Too many advisories, or ones with too much data, take no room in the record.
func TestAdvisoriesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("2026-01-01 10:00:00|command|root@vm|'zypper' 'patch'|\n2026-01-01 10:00:01|install|dracut|1-1|x86_64||r|a|\n")
	fmt.Fprintf(&b, "2026-01-01 10:00:02|patch  |%s|1|noarch|r|important|security|needed|applied|\n", strings.Repeat("P", maxAdvisory))
	for n := range maxAdvisories + 3 {
		fmt.Fprintf(&b, "2026-01-01 10:00:02|patch  |P-%d|1|noarch|r|important|security|needed|applied|\n", n)
	}
	m := newMachine(t)
	sum, problems := m.text(b.String())
	if sum.Broken != 4 || len(problems) != 4 || !strings.Contains(problems[0], "more than 1000 bytes") || !strings.Contains(problems[3], "more than 5000 advisories") {
		t.Errorf("%+v, %v", sum, problems)
	}
	if got := m.rows()[0]; len(got.Advisories) != maxAdvisories || got.Advisory != nil {
		t.Errorf("%d advisories, %v", len(got.Advisories), got.Advisory)
	}
	if sum, _ := m.text(b.String()); sum.Commits != 0 {
		t.Errorf("a second time: %+v", sum)
	}
}
