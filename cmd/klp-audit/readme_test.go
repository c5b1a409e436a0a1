package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/helptest"
)

// readmeTime is when the README's reports were made: three hours after the last event of the record.
var readmeTime = time.Date(2026, 6, 29, 12, 0, 0, 0, time.UTC)

// The README shows the beginnings of reports on the record that 0.1.0 wrote, as they are printed; -update writes them, as
// many lines as there are. The demonstration in docs/usage.md comes from another run: see e2e/demo_test.go.
func TestReadmeShowsRealReports(t *testing.T) {
	const name = "../../README.md"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	export, db := unpacked(t, dir, "record.jsonl"), unpacked(t, dir, "record.db")
	readme := string(text)
	samples := samples(readme)
	if len(samples) < 2 {
		t.Fatalf("%d samples in README.md, want 2 at least", len(samples))
	}
	for _, s := range samples {
		var out, errs bytes.Buffer
		args := strings.Fields(s.command)
		if args[0] == "report" {
			args = append(args, "--input", export)
		} else {
			args = append(args, "--db", db)
		}
		if code := run(t.Context(), env{Args: args, Stdout: &out, Stderr: &errs, Getenv: os.Getenv, Now: func() time.Time { return readmeTime }}); code != exitDone {
			t.Fatalf("%q: %d, %s", args, code, &errs)
		}
		begin := slices.Collect(strings.Lines(out.String()))
		begin = begin[:min(len(begin), strings.Count(s.output, "\n"))]
		if got := strings.Join(begin, ""); got != s.output && !*update {
			t.Errorf("README.md shows of %s\n%s\nand it prints\n%s", s.command, s.output, got)
		} else {
			readme = strings.Replace(readme, indented(s.output), indented(got), 1)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(name, []byte(readme), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// sample is a command of klp-audit in the README, and the begin of what it prints.
type sample struct{ command, output string }

// samples returns those whose output ends with an ellipsis.
func samples(readme string) (list []sample) {
	for _, block := range strings.Split(readme, "\n    # klp-audit ")[1:] {
		command, rest, _ := strings.Cut(block, "\n")
		if output, _, found := strings.Cut(rest, "    …\n"); found {
			output = strings.ReplaceAll(strings.TrimPrefix(output, "    "), "\n    ", "\n")
			list = append(list, sample{command, output})
		}
	}
	return list
}

// indented is a text as a document shows it.
func indented(text string) string {
	return regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(text, "    $1")
}

// documents returns the documents that people read, by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no documents %q: %v", pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			list[name] = string(text)
		}
	}
	return list
}

var (
	documentedCommand = regexp.MustCompile("(?m)`klp-audit ([^`]+)`|^    (?:# )?klp-audit (.+)$")
	documentedLink    = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	heading           = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// Every command line that a document shows is one that the program takes.
func TestDocumentsShowRealCommands(t *testing.T) {
	shown := 0
	for name, text := range documents(t) {
		for _, m := range documentedCommand.FindAllStringSubmatch(text, -1) {
			line, _, _ := strings.Cut(m[1]+m[2], "  ") // what it does follows in another column
			if strings.Contains(line, " · ") || strings.HasPrefix(line, "…") {
				continue
			}
			shown++
			words := helptest.Words(line)
			if _, rest, err := new(app).command().Find(words); err == nil && len(rest) == 0 {
				continue // it is named, not shown
			}
			if err := accepts(words); err != nil {
				t.Errorf("%s: klp-audit %s: %v", name, line, err)
			}
		}
	}
	if shown < 50 {
		t.Errorf("%d commands in the documents", shown)
	}
}

// docs/usage.md lists every command, with what it is for.
func TestEveryCommandIsListed(t *testing.T) {
	usage := documents(t)["../../docs/usage.md"]
	root := new(app).command()
	for _, cmd := range shownCommands(root) {
		if path := strings.Fields(cmd.CommandPath()); len(path) > 2 && path[1] != "report" {
			continue // that of exception stand in one line
		}
		if !regexp.MustCompile(`(?m)^    ` + cmd.CommandPath() + ` `).MatchString(usage) {
			t.Errorf("docs/usage.md does not list %s", cmd.CommandPath())
		}
	}
}

// shownCommands are all commands below one that are not hidden.
func shownCommands(cmd *cobra.Command) (list []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			list = append(append(list, sub), shownCommands(sub)...)
		}
	}
	return list
}

// Links between documents lead somewhere.
func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	all := documents(t)
	for name, text := range all {
		for _, m := range documentedLink.FindAllStringSubmatch(text, -1) {
			target := name
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(name), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", name, m[0], err)
			}
			if m[2] != "" && !slices.Contains(anchors(all[target]), m[2]) {
				t.Errorf("%s: %s: there is no such heading", name, m[0])
			}
		}
	}
}

// anchors are what links to the headings of a document end with.
func anchors(text string) (list []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		list = append(list, "#"+strings.ReplaceAll(regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return list
}
