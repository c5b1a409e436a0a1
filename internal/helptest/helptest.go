// Package helptest makes man pages and completions from a program's commands, and compares those in a package with them.
package helptest

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Packaging holds what is installed beside a program and says the same as the program.
type Packaging struct {
	Dir    string
	Update bool // write the files instead of comparing them
}

// Compare compares a file of the package with what it has to be.
func (p Packaging) Compare(t testing.TB, name, want string) {
	t.Helper()
	path := filepath.Join(p.Dir, name)
	if p.Update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what the commands say; run `make man` (-want +got):\n%s", name, diff)
	}
}

// Completions compares a program's completions for three shells.
func (p Packaging) Completions(t testing.TB, root func() *cobra.Command) {
	t.Helper()
	for shell, generate := range map[string]func(*cobra.Command, io.Writer) error{
		"bash": func(c *cobra.Command, w io.Writer) error { return c.GenBashCompletionV2(w, true) },
		"zsh":  (*cobra.Command).GenZshCompletion,
		"fish": func(c *cobra.Command, w io.Writer) error { return c.GenFishCompletion(w, true) },
	} {
		var b bytes.Buffer
		cmd := root()
		if err := generate(cmd, &b); err != nil {
			t.Fatal(err)
		}
		p.Compare(t, "completion/"+cmd.Name()+"."+shell, b.String())
	}
}

// Page compares a man page, NAME.8, with what its template, FROM.8.in, makes of data.
func (p Packaging) Page(t testing.TB, name, from string, data any) {
	t.Helper()
	tmpl, err := template.New("").Funcs(template.FuncMap{
		"flags": flags, "text": text, "quote": quote, "arguments": arguments, "upper": strings.ToUpper, "lower": lowerFirst, "leaves": Leaves,
	}).ParseFiles(filepath.Join(p.Dir, "man", from+".8.in"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := tmpl.ExecuteTemplate(&b, from+".8.in", data); err != nil {
		t.Fatal(err)
	}
	p.Compare(t, "man/"+name+".8", b.String())
}

// Leaves are the commands below one that do something by themselves.
func Leaves(cmd *cobra.Command) (list []*cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.HasSubCommands() {
			list = append(list, Leaves(c)...)
		} else {
			list = append(list, c)
		}
	}
	return list
}

// arguments are the arguments of a command besides its flags, for .RI.
func arguments(cmd *cobra.Command) string {
	_, args, _ := strings.Cut(cmd.Use, " ")
	if args == "" {
		return ""
	}
	return `"" "` + quote(args) + ` " `
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// flags lists a command's own flags.
func flags(cmd *cobra.Command) string {
	var b strings.Builder
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		b.WriteString(".TP\n\\fB")
		if f.Shorthand != "" {
			b.WriteString(quote("-"+f.Shorthand) + "\\fR, \\fB")
		}
		b.WriteString(quote("--"+f.Name) + "\\fR")
		if f.NoOptDefVal == "" {
			b.WriteString(" \\fI" + quote(value) + "\\fR")
		}
		b.WriteString("\n" + quote(usage))
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" {
			b.WriteString(" (default " + quote(d) + ")")
		}
		b.WriteString("\n")
	})
	return b.String()
}

// text sets a text of help in paragraphs; indented lines stay as they are.
func text(help string) string {
	paragraphs := strings.Split(strings.Trim(help, "\n"), "\n\n")
	for i, paragraph := range paragraphs {
		paragraphs[i] = quote(paragraph)
		if strings.HasPrefix(paragraph, "  ") {
			paragraphs[i] = ".EX\n" + paragraphs[i] + "\n.EE"
		}
	}
	return strings.Join(paragraphs, "\n.PP\n") + "\n"
}

// quote keeps roff from taking text for requests and hyphens for dashes.
func quote(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `\[u2026]`).Replace(text)
	return regexp.MustCompile(`(?m)^([.'])`).ReplaceAllString(text, `\&$1`)
}

// Examples are the texts of a page between .EX and .EE, without roff's quoting.
func Examples(page string) (list []string) {
	for _, part := range strings.Split(page, "\n.EX\n")[1:] {
		example, _, _ := strings.Cut(part, "\n.EE")
		list = append(list, strings.NewReplacer(`\-`, "-", `\&`, "", `\e`, `\`, `\[u2026]`, "…").Replace(example))
	}
	return list
}

// word is a word of a command line, as far as documents need the shell's rules.
var word = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)

// Words are the words of a command line.
func Words(line string) []string {
	list := word.FindAllString(line, -1)
	for i, w := range list {
		list[i] = strings.Trim(w, `'"`)
	}
	return list
}

// Accepts says whether a program would run a command line.
func Accepts(root *cobra.Command, args []string) error {
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}
