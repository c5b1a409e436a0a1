package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klp-audit/klp-audit/internal/helptest"
)

// packaging holds what is installed beside the program and says the same as the program.
const packaging = "../../packaging/"

func TestPackaged(t *testing.T) {
	p := helptest.Packaging{Dir: packaging, Update: *update}
	p.Completions(t, func() *cobra.Command { return new(app).command() })
	p.Page(t, "klp-audit-fleet", "klp-audit-fleet", new(app).command())
}

func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shown is a command line of the program in a document: on a line of its own, after another one in a pipe, or in a
// sentence.
var shown = regexp.MustCompile("(?m)(?:^ *(?:[#$] )?|[|] |`|/usr/bin/)klp-audit-fleet ([a-z][^`|>\n]*)")

// Every command line that a document shows is one that the program takes, and each command, flag and
// outcome is documented.
func TestDocuments(t *testing.T) {
	page := document(t, packaging+"man/klp-audit-fleet.8")
	guide := document(t, "../../docs/fleet.md")
	for name, text := range map[string]string{"page": strings.Join(helptest.Examples(page), "\n"), "docs/fleet.md": guide} {
		lines := shown.FindAllStringSubmatch(text, -1)
		if len(lines) < 10 {
			t.Errorf("%s shows %d commands", name, len(lines))
		}
		for _, m := range lines {
			line, _, _ := strings.Cut(m[1], "  ") // what it does follows in another column
			words := helptest.Words(line)
			if _, rest, err := new(app).command().Find(words); err == nil && len(rest) == 0 {
				continue // it is named, not shown
			}
			if err := helptest.Accepts(new(app).command(), words); err != nil {
				t.Errorf("%s: klp-audit-fleet %s: %v", name, line, err)
			}
		}
	}
	for _, cmd := range new(app).command().Commands() {
		if !strings.Contains(guide, "klp-audit-fleet "+cmd.Name()) {
			t.Errorf("docs/fleet.md does not show %s", cmd.Name())
		}
	}
	for _, o := range outcomes {
		if !strings.Contains(guide, "| "+string(o)+" |") {
			t.Errorf("docs/fleet.md does not explain %s", o)
		}
	}
	for _, word := range []string{"altered", "truncated", forked, newKey, behind, unverified, "intact"} {
		if !strings.Contains(guide, "| "+word+" |") {
			t.Errorf("docs/fleet.md does not explain the integrity %s", word)
		}
	}
}

// The keys of the JSON are documented.
func TestKeysAreDocumented(t *testing.T) {
	guide := document(t, "../../docs/fleet.md")
	for _, script := range []string{document(t, "testdata/script/json.txtar")} {
		_, keys, _ := strings.Cut(script, "-- want-show --\n")
		for _, key := range append(strings.Fields(keys), "file", "outcome", "since", "upto", "new", "problems") {
			if !strings.Contains(guide, "`"+key+"`") {
				t.Errorf("docs/fleet.md does not explain the key %s", key)
			}
		}
	}
}

func TestPackagedManIsClean(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("needs mandoc")
	}
	if out, err := exec.Command(mandoc, "-Tlint", "-Wwarning", packaging+"man/klp-audit-fleet.8").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Every command and every flag is explained; a value is called by what it is, not by a type of Go.
func TestHelp(t *testing.T) {
	root := new(app).command()
	for _, cmd := range slices.Concat(root.Commands(), helptest.Leaves(root), []*cobra.Command{root}) {
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" && cmd.HasParent() {
			t.Errorf("%s is not explained", cmd.CommandPath())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if value, usage := pflag.UnquoteUsage(f); usage == "" || strings.ToUpper(value) != value {
				t.Errorf("%s: --%s %s: %s", cmd.CommandPath(), f.Name, value, usage)
			}
		})
	}
}
