package proof_test

import (
	"os"
	python "os/exec"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record/proof"
)

const vectors = "../../docs/vectors/"

func vector(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(vectors + name)
	check(t, err)
	return string(b)
}

// This program accepts what docs/record.md shows to authors of other programs, and says the same.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("../../docs/record.md")
	check(t, err)
	earlier, page := vector(t, "earlier.checkpoint"), string(b)
	for _, name := range []string{"record.jsonl", "since-3.jsonl"} {
		v, err := proof.VerifyExport(t.Context(), strings.NewReader(vector(t, name)), "", earlier)
		check(t, err)
		if v.Result != proof.Intact || v.TreeSize != 5 || !strings.Contains(page, v.RootHash) || !strings.Contains(page, name) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	v, err := proof.VerifyExport(t.Context(), strings.NewReader(vector(t, "pruned.jsonl")), "")
	check(t, err)
	if v.Result != proof.Intact || v.TreeSize != 6 || !strings.Contains(page, "pruned.jsonl") {
		t.Errorf("pruned: %+v", v)
	}
	v, err = proof.VerifyExport(t.Context(), strings.NewReader(vector(t, "record.jsonl")), "")
	check(t, err)
	cp, err := proof.ParseCheckpoint(earlier, v.Key)
	check(t, err)
	if !strings.Contains(page, cp.Root.String()) || !strings.Contains(page, proof.ExportFormat) {
		t.Error("the page says something else")
	}
}

// The program that was written from that page says the same.
func TestVectorsWithAnotherProgram(t *testing.T) {
	name := "python3"
	if python.Command(name, "-c", "import cryptography").Run() != nil {
		name = "/usr/bin/python3" // the one that the package python3-cryptography belongs to
		if out, err := python.Command(name, "-c", "import cryptography").CombinedOutput(); err != nil {
			t.Skipf("python3 has no cryptography: %s", out)
		}
	}
	for _, tt := range []struct {
		intact bool
		args   []string
	}{
		{true, []string{"record.jsonl", "earlier.checkpoint"}}, {true, []string{"since-3.jsonl", "earlier.checkpoint"}},
		{true, []string{"pruned.jsonl"}}, {true, []string{"cloned.jsonl"}}, {false, []string{"replaced.jsonl"}}, {true, []string{"--refused", "refused.jsonl"}},
		{false, []string{"cloned.jsonl", "earlier.checkpoint"}},
	} {
		cmd := python.Command(name, append([]string{"verify.py"}, tt.args...)...)
		cmd.Dir = vectors
		if out, err := cmd.CombinedOutput(); (err == nil) != tt.intact {
			t.Errorf("%q: %v\n%s", tt.args, err, out)
		}
	}
}
