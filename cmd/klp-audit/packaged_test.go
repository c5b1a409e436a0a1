package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/helptest"
)

// packaging holds what is installed beside the program and says the same as the program.
const packaging = "../../packaging/"

// inPackage compares files there with what they have to be; -update writes them.
func inPackage() helptest.Packaging { return helptest.Packaging{Dir: packaging, Update: *update} }

func TestPackagedCompletions(t *testing.T) {
	inPackage().Completions(t, func() *cobra.Command { return new(app).command() })
}

// The page of each command says what its help says. klp-audit(8) is written by hand but for the list of
// commands, and the flags of all of them.
func TestPackagedMan(t *testing.T) {
	page := func(name, from string, data any) { inPackage().Page(t, name, from, data) }
	root := new(app).command()
	var pages []manPage
	names := []string{packaging + "man/klp-audit-plugin.8", packaging + "man/klp-audit-fleet.8"} // written by hand, or of another program
	for _, cmd := range root.Commands() {
		if cmd.Hidden || cmd.Name() == "version" || cmd.Name() == "help" {
			continue
		}
		p := manPage{cmd}
		pages, names = append(pages, p), append(names, packaging+"man/"+p.Page()+".8")
		page(p.Page(), "klp-audit-COMMAND", p)
	}
	page("klp-audit", "klp-audit", struct {
		Root  *cobra.Command
		Pages []manPage
	}{root, pages})
	slices.Sort(names)
	if there, err := filepath.Glob(packaging + "man/klp-audit-*.8"); err != nil || !slices.Equal(there, names) {
		t.Errorf("pages %q, want %q (%v)", there, names, err)
	}
}

// manPage is a command with a page of its own.
type manPage struct{ *cobra.Command }

// Page is the name of the page.
func (p manPage) Page() string { return "klp-audit-" + p.Name() }

// All are the command, if it does something by itself, and those below it.
func (p manPage) All() []*cobra.Command {
	if p.Example == "" {
		return p.Commands()
	}
	return append([]*cobra.Command{p.Command}, p.Commands()...)
}

// manPages returns the man pages of the package with their text.
func manPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"man/*.5", "man/*.8"} {
		names, err := filepath.Glob(packaging + pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no pages %q: %v", pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			pages[name] = string(text)
		}
	}
	return pages
}

// shownCommand is a command line in a page: that of klp-audit, as root or not.
var shownCommand = regexp.MustCompile(`(?m)^ *(?:# |\$ )?(?:zypper )?klp-audit (.*?)(?: \d?[|>].*)?$`)

// Every command line that a man page shows is one that the program takes.
func TestPackagedExamples(t *testing.T) {
	for name, text := range manPages(t) {
		shown := 0
		for _, example := range helptest.Examples(text) {
			for _, line := range shownCommand.FindAllStringSubmatch(example, -1) {
				shown++
				if err := accepts(helptest.Words(line[1])); err != nil {
					t.Errorf("%s: %q: %v", name, line[0], err)
				}
			}
		}
		if shown == 0 && !strings.HasSuffix(name, "klp-audit.toml.5") {
			t.Errorf("%s shows no command", name)
		}
	}
}

// accepts says whether the program would run a command line, without a note that it is written otherwise now.
func accepts(args []string) error {
	var notes bytes.Buffer
	if err := helptest.Accepts((&app{env: env{Stderr: &notes}}).command(), args); err != nil {
		return err
	}
	if notes.Len() > 0 {
		return errors.New(notes.String())
	}
	return nil
}

// A page that the man program complains about is badly shown.
func TestPackagedManIsClean(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("needs mandoc")
	}
	for name := range manPages(t) {
		if out, err := exec.Command(mandoc, "-Tlint", "-Wwarning", name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// ownMessageID is how a constant names a kind of the program's journal entries.
var ownMessageID = regexp.MustCompile(`\w*[mM]essageID\s*=\s*"([0-9a-f]{32})"`)

// The journal's catalog explains every kind of entry that the program writes, and no other.
func TestPackagedCatalog(t *testing.T) {
	written := map[string]bool{}
	for _, pattern := range []string{"../../*/*.go", "../../*/*/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ownMessageID.FindAllStringSubmatch(string(text), -1) {
				written[id[1]] = true
			}
		}
	}
	catalog, err := os.ReadFile(packaging + "systemd/klp-audit.catalog")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, id := range regexp.MustCompile(`(?m)^-- ([0-9a-f]{32})$`).FindAllStringSubmatch(string(catalog), -1) {
		explained[id[1]] = true
	}
	if diff := cmp.Diff(written, explained); diff != "" || len(written) == 0 {
		t.Errorf("message ids (-written +explained):\n%s", diff)
	}
}

// The man page names a command for each question of an auditor, and a script asks it of a record that has the answer.
func TestQuestionsOfTheManPageAreAsked(t *testing.T) {
	page, err := os.ReadFile(packaging + "man/klp-audit.8.in")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/script/questions.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), ".SH QUESTIONS\n")
	block, _, _ = strings.Cut(block, "\n.SH ")
	questions := 0
	for line := range strings.Lines(strings.ReplaceAll(block, `\-`, "-")) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "klp-audit ")
		if !ok {
			continue
		}
		questions++
		asked := slices.ContainsFunc(strings.Split(string(script), "\n"), func(line string) bool {
			return strings.ReplaceAll(line, " --root machine", "") == "exec klp-audit "+command
		})
		if !asked {
			t.Errorf("the script does not ask: klp-audit %s", command)
		}
	}
	if questions < 7 {
		t.Errorf("%d commands in the man page", questions)
	}
}
