package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDemo shows what klp-audit is for: an hour of a system's life with the machine's own zypper,
// and the record of it. `make demo` prints the lines that begin with the mark.
func TestDemo(t *testing.T) {
	if os.Getenv(wanted) != "1" || os.Getenv("KLP_AUDIT_DEMO") != "1" {
		t.Skip("run `make demo`")
	}
	kit := newKit(t)
	l := newPair(t, newBase(t, kit, "/")).audited
	for _, args := range [][]string{
		{"in", oldKernel, livepatch + "=" + patch1},
		{"--userdata", "CHG-4711", "in", livepatch + "=" + patch3},
		{"in", "--oldpackage", livepatch + "=" + patch2},
		{"in", livepatch + "=" + patchFails},
		{"in", newKernel, newLivepatch + "=" + patch1},
		{"rm", oldKernel, livepatch},
	} {
		show("# zypper -n " + strings.Join(args, " "))
		got := l.start(l.zypper(args...)).wait()
		if failed := strings.Contains(args[len(args)-1], patchFails); (got.exit != 0) != failed {
			t.Fatalf("zypper %q: exit %d\n%s", args, got.exit, got.out)
		}
		if got.exit != 0 {
			show(fmt.Sprintf("  … exit status %d: a script of that package fails", got.exit))
		}
	}
	for _, args := range [][]string{{"status"}, {"verify"}, {"report", "history", "--reverse"}} {
		show("", "# klp-audit "+strings.Join(args, " "))
		show(strings.Split(strings.TrimSuffix(l.mustRun("/usr/bin/klp-audit", args...), "\n"), "\n")...)
	}
}

func show(lines ...string) {
	for _, line := range lines {
		fmt.Println("demo: " + line)
	}
}
