package recorder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// configured returns a root with a configuration, and with the processes of this test.
func configured(t *testing.T, text string) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "etc/klp-audit")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "klp-audit.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

// beginning is the commit-begin event of a commit below root.
func beginning(t *testing.T, root string) *record.CommitBegin {
	t.Helper()
	New(root, "test", func(string) string { return "" }, t.Output()).Begin(t.Context(), []Step{stepOf(t, "M", kernel, "6.4.0-150600.23.42.2", "")}, nil, "CHG-4711")
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	schematest.Record(t, s)
	open, err := s.OpenCommits(t.Context())
	if err != nil || len(open) != 1 {
		t.Fatalf("%d open commits, %v", len(open), err)
	}
	return open[0].Begin.Begin
}

// What the configuration excludes is not recorded; the test's own program plays libzypp.
func TestConfiguredAway(t *testing.T) {
	b := beginning(t, configured(t, "redact = ['.+']\nuserdata = false\n"))
	if b.UserData != "" || strings.Trim(strings.Join(b.Command, ""), "*") != "" {
		t.Errorf("user data %q, command %q", b.UserData, b.Command)
	}
	b = beginning(t, configured(t, ""))
	if b.UserData != "CHG-4711" || strings.Contains(strings.Join(b.Command, ""), "***") {
		t.Errorf("nothing configured: user data %q, command %q", b.UserData, b.Command)
	}
}

// A commit is recorded even if the configuration is broken, and that it was broken is recorded,
// too.
func TestBrokenConfigurationIsRecorded(t *testing.T) {
	for text, want := range map[string]string{
		"userdate = false\n":                "klp-audit.toml:1: unknown key \"userdate\"",
		"\nredact = ['(']\nuserdata = true": "klp-audit.toml:2: redact: \"(\": ",
		"\x00":                              "klp-audit.toml:1: control character",
	} {
		b := beginning(t, configured(t, text))
		if problems := strings.Join(b.Problems, "\n"); !strings.Contains(problems, want) || b.UserData != "CHG-4711" {
			t.Errorf("%q: problems %q, want %q; user data %q", text, problems, want, b.UserData)
		}
	}
}
