package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// packaging holds what is installed beside the program and says the same as the program.
const packaging = "../../packaging/"

// packaged compares a file of the package with what it has to be; -update writes it.
func packaged(t *testing.T, name, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(packaging+name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(packaging + name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what the commands say; run `make man` (-want +got):\n%s", name, diff)
	}
}

func TestPackagedCompletions(t *testing.T) {
	for name, generate := range map[string]func(*cobra.Command, io.Writer) error{
		"klp-audit.bash": func(c *cobra.Command, w io.Writer) error { return c.GenBashCompletionV2(w, true) },
		"klp-audit.zsh":  (*cobra.Command).GenZshCompletion,
		"klp-audit.fish": func(c *cobra.Command, w io.Writer) error { return c.GenFishCompletion(w, true) },
	} {
		var b bytes.Buffer
		if err := generate(new(app).command(), &b); err != nil {
			t.Fatal(err)
		}
		packaged(t, "completion/"+name, b.String())
	}
}

// The page of each command says what its help says. klp-audit(8) is written by hand but for the list of
// commands, and the flags of all of them.
func TestPackagedMan(t *testing.T) {
	tmpl, err := template.New("").Funcs(template.FuncMap{
		"flags": manFlags, "text": manText, "quote": manQuote, "arguments": manArguments, "upper": strings.ToUpper, "lower": lowerFirst,
	}).ParseGlob(packaging + "man/*.8.in")
	if err != nil {
		t.Fatal(err)
	}
	page := func(name, from string, data any) {
		var b strings.Builder
		if err := tmpl.ExecuteTemplate(&b, from+".8.in", data); err != nil {
			t.Fatal(err)
		}
		packaged(t, "man/"+name+".8", b.String())
	}
	root := new(app).command()
	var pages []manPage
	names := []string{packaging + "man/klp-audit-plugin.8"} // written by hand
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

// manArguments are the arguments of a command besides its flags, for .RI.
func manArguments(cmd *cobra.Command) string {
	_, args, _ := strings.Cut(cmd.Use, " ")
	if args == "" {
		return ""
	}
	return `"" "` + manQuote(args) + ` " `
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// manFlags lists a command's own flags.
func manFlags(cmd *cobra.Command) string {
	var b strings.Builder
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		b.WriteString(".TP\n\\fB")
		if f.Shorthand != "" {
			b.WriteString(manQuote("-"+f.Shorthand) + "\\fR, \\fB")
		}
		b.WriteString(manQuote("--"+f.Name) + "\\fR")
		if f.NoOptDefVal == "" {
			b.WriteString(" \\fI" + manQuote(value) + "\\fR")
		}
		b.WriteString("\n" + manQuote(usage))
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" {
			b.WriteString(" (default " + manQuote(d) + ")")
		}
		b.WriteString("\n")
	})
	return b.String()
}

// manText sets a text of help in paragraphs; indented lines stay as they are.
func manText(text string) string {
	paragraphs := strings.Split(strings.Trim(text, "\n"), "\n\n")
	for i, paragraph := range paragraphs {
		paragraphs[i] = manQuote(paragraph)
		if strings.HasPrefix(paragraph, "  ") {
			paragraphs[i] = ".EX\n" + paragraphs[i] + "\n.EE"
		}
	}
	return strings.Join(paragraphs, "\n.PP\n") + "\n"
}

// manQuote keeps roff from taking text for requests and hyphens for dashes.
func manQuote(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `\[u2026]`).Replace(text)
	return regexp.MustCompile(`(?m)^([.'])`).ReplaceAllString(text, `\&$1`)
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
		for _, example := range manExamples(text) {
			for _, line := range shownCommand.FindAllStringSubmatch(example, -1) {
				shown++
				if err := accepts(shellWords(line[1])); err != nil {
					t.Errorf("%s: %q: %v", name, line[0], err)
				}
			}
		}
		if shown == 0 && !strings.HasSuffix(name, "klp-audit.toml.5") {
			t.Errorf("%s shows no command", name)
		}
	}
}

// manExamples are the texts between .EX and .EE, without roff's quoting.
func manExamples(page string) (list []string) {
	for _, part := range strings.Split(page, "\n.EX\n")[1:] {
		example, _, _ := strings.Cut(part, "\n.EE")
		list = append(list, strings.NewReplacer(`\-`, "-", `\&`, "", `\e`, `\`, `\[u2026]`, "…").Replace(example))
	}
	return list
}

// shellWord is a word of a command line, as far as man pages need the shell's rules.
var shellWord = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)

func shellWords(line string) []string {
	list := shellWord.FindAllString(line, -1)
	for i, word := range list {
		list[i] = strings.Trim(word, `'"`)
	}
	return list
}

// accepts says whether the program would run a command line, without a note that it is written otherwise now.
func accepts(args []string) error {
	var notes bytes.Buffer
	root := (&app{env: env{Stderr: &notes}}).command()
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if notes.Len() > 0 {
		return errors.New(notes.String())
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
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
