package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// demoRPM names the variable with the package that `make demo` shows.
const demoRPM = "KLP_AUDIT_DEMO"

// TestDemo shows what klp-audit is for. `make demo` prints the lines that begin with the mark.
func TestDemo(t *testing.T) {
	rpm := os.Getenv(demoRPM)
	if os.Getenv(wanted) != "1" || rpm == "" {
		t.Skip("run `make demo`")
	}
	for _, line := range demonstrate(t, &kit{repo: buildRepo(t, t.TempDir())}, rpm) {
		fmt.Println("demo: " + line)
	}
}

// demonstrate lets the machine's own zypper install the package, and does what happens in an hour
// of a system's life. It returns what a user types, and what klp-audit prints.
func demonstrate(t *testing.T, k *kit, rpm string) (lines []string) {
	t.Helper()
	if err := syscall.Sethostname([]byte("db01")); err != nil { // in this run's own namespace
		t.Fatal(err)
	}
	l := newLab(t, newBase(t, k, "/"))
	for _, name := range []string{rpm, buildSystem(t, rpm)} {
		execute(t, "cp", name, l.root+"/root/")
	}
	l.mustRun("/bin/sh", "-c", "rpm -i --nodeps /root/lab-system-*.rpm")
	for _, args := range [][]string{
		{"in", "--allow-unsigned-rpm", filepath.Base(rpm)},
		{"in", oldKernel, livepatch + "=" + patch1},
		{"--userdata", "CHG-4711", "in", livepatch + "=" + patch3},
		{"in", "--oldpackage", livepatch + "=" + patch2},
		{"in", livepatch + "=" + patchFails},
		{"in", newKernel, newLivepatch + "=" + patch1},
		{"rm", oldKernel, livepatch},
	} {
		lines = append(lines, "# zypper -n "+strings.Join(args, " "))
		cmd := l.zypper(args...)
		cmd.Dir = "/root"
		got := l.start(cmd).wait()
		if failed := strings.Contains(args[len(args)-1], patchFails); (got.exit != 0) != failed {
			t.Fatalf("zypper %q: exit %d\n%s", args, got.exit, got.out)
		}
		if got.exit != 0 {
			lines = append(lines, fmt.Sprintf("  … exit status %d: a script of that package fails", got.exit))
		}
	}
	for _, args := range [][]string{{"verify"}, {"report", "history", "--reverse"}} {
		lines = append(lines, "", "# klp-audit "+strings.Join(args, " "))
		lines = append(lines, strings.Split(strings.TrimSuffix(l.mustRun("/usr/bin/klp-audit", args...), "\n"), "\n")...)
	}
	return lines
}

// volatile is what differs between demonstrations: times, hashes, keys, how many observations were
// quick enough, and the architecture of the package.
var volatile = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z|[A-Za-z0-9+/]{43}=|klp-audit/[0-9a-f]{16}\+[^ ]+|[0-9]+ events|\.[a-z0-9_]+\.rpm`)

// actor is who ran zypper, in a row of a history: nobody known, or whoever runs the tests.
var actor = regexp.MustCompile(`^[^ ]+ +(ok|failed) `)

// checkDemo compares the demonstration with the one in docs/usage.md.
func checkDemo(t *testing.T, k *kit, rpm string) {
	usage, err := os.ReadFile("../docs/usage.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(usage), "\n\n    # zypper")
	text, _, _ = strings.Cut("    # zypper"+text, "\n\n##")
	want := strings.Split(strings.TrimPrefix(strings.ReplaceAll(text, "\n    ", "\n"), "    "), "\n")
	got := demonstrate(t, k, rpm)
	for _, lines := range [][]string{want, got} {
		for i, line := range lines {
			lines[i] = volatile.ReplaceAllString(actor.ReplaceAllString(line, "… $1 "), "…")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/usage.md differs from what `make demo` prints (-usage +demo):\n%s", diff)
	}
}
