package proof

import (
	"fmt"
	"os"
	python "os/exec"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// Each event of a log has a proof that another implementation of RFC 6962 accepts, and accepts for
// no other event.
func TestInclusion(t *testing.T) {
	var leaves Leaves
	for n := int64(1); n <= 70; n++ {
		leaves = append(leaves, tlog.RecordHash([]byte(fmt.Sprint("event ", n))))
		for seq := int64(1); seq <= n; seq++ {
			p, err := Prove(seq, n, leaves)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(tlog.RecordProof(p.Path), n, p.Root, seq-1, leaves[seq-1]); err != nil || p.Leaf != leaves[seq-1] || p.Size != n {
				t.Errorf("event %d of %d: %+v, %v", seq, n, p, err)
			}
			if tlog.CheckRecord(tlog.RecordProof(p.Path), n, p.Root, seq-1, tlog.RecordHash([]byte("another"))) == nil {
				t.Errorf("event %d of %d: the proof fits another event, too", seq, n)
			}
		}
	}
}

// The program in docs/record.md accepts the proof of one event, too.
func TestInclusionAsDocumented(t *testing.T) {
	if _, err := python.LookPath("python3"); err != nil {
		t.Skip(err)
	}
	text, err := os.ReadFile("../../docs/record.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(text), "    def root(leaf")
	code, _, _ = strings.Cut("    def root(leaf"+code, "\n\n")
	program := "import sys\nfrom hashlib import sha256\n" + strings.ReplaceAll(strings.TrimPrefix(code, "    "), "\n    ", "\n") +
		"\nfor line in sys.stdin:\n    seq, size, leaf, want, *path = line.split()\n" +
		"    assert root(bytes.fromhex(leaf), int(seq), int(size), [bytes.fromhex(p) for p in path]).hex() == want, line\n"
	var cases strings.Builder
	var leaves Leaves
	for n := int64(1); n <= 40; n++ {
		leaves = append(leaves, tlog.RecordHash([]byte(fmt.Sprint("event ", n))))
		for seq := int64(1); seq <= n; seq++ {
			p, err := Prove(seq, n, leaves)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&cases, "%d %d %x %x", seq, n, p.Leaf[:], p.Root[:])
			for _, h := range p.Path {
				fmt.Fprintf(&cases, " %x", h[:])
			}
			cases.WriteString("\n")
		}
	}
	cmd := python.Command("python3", "-c", program)
	cmd.Stdin = strings.NewReader(cases.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
