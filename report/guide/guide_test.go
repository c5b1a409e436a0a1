package guide_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/report/guide"
	"github.com/klp-audit/klp-audit/report/table"
)

var update = flag.Bool("update", false, "write the document anew")

const document = "../../docs/checks.md"

// docs/checks.md says what the checks say of themselves.
func TestChecksAreDocumented(t *testing.T) {
	want, err := guide.Markdown()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(document); err != nil || string(got) != want {
		t.Errorf("docs/checks.md is not what the checks say: run `make man` (%v)", err)
	}
	for _, line := range strings.Split(want, "\n") {
		if strings.HasPrefix(line, "|") && (strings.Contains(line, "|  |") || strings.Count(line, "`")%2 != 0) {
			t.Errorf("a cell is empty, or its code has no end: %s", line)
		}
	}
}

// A chapter fits on a terminal of 80 columns, and names all that a profile can say of the check.
func TestChapterOnATerminal(t *testing.T) {
	for _, r := range compliance.Rules() {
		var b strings.Builder
		if err := guide.WriteCheck(&b, r, table.Style{}); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(b.String(), "\n") {
			if len([]rune(line)) > 80 {
				t.Errorf("%s: %d columns: %s", r.ID, len([]rune(line)), line)
			}
		}
		for _, name := range append(r.Settings(), "[check."+r.ID+"]", r.Title) {
			if !strings.Contains(b.String(), name) {
				t.Errorf("%s: no %s in\n%s", r.ID, name, &b)
			}
		}
	}
}
