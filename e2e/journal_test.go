package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
)

const machineID = "0123456789abcdef0123456789abcdef"

// If something on a machine is missing or closed to its user, the message says so in plain words,
// with the exit code that the commands have for it; nothing is made up.
func TestWhatIsMissingIsSaid(t *testing.T) {
	if os.Getenv(wanted) != "1" {
		t.Skip("the end-to-end tests need root: run `make test`")
	}
	k := newKit(t)
	l := mountLab(t, k, "/", memory(t))
	l.furnish()
	l.install(k.bin+"/klp-audit", "/usr/bin/klp-audit")
	folder := l.root + "/var/log/journal/" + machineID
	for _, name := range []string{"/var/log/journal", "/run/log/journal"} {
		if err := os.RemoveAll(l.root + name); err != nil {
			t.Fatal(err)
		}
	}
	says := func(what string, exit int, text string, args ...string) {
		t.Helper()
		if got := l.run(args[0], args[1:]...); got.exit != exit || !strings.Contains(got.out, text) {
			t.Errorf("%s: exit %d, want %d; want %q in:\n%s", what, got.exit, exit, text, got.out)
		}
	}
	says("no journal", 1, "the system's journal: no journal", "/usr/bin/klp-audit", "boots")
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(journaltest.Unpack(t, "K")))); err != nil {
		t.Fatal(err)
	}
	flatten(t, folder)
	says("a journal", 0, "loaded livepatch_2_150600_2_40 in the initrd", "/usr/bin/klp-audit", "boots")
	user := []string{"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/klp-audit"}
	says("an ordinary user", 1, "no permission to read", append(user, "boots")...)
	says("an ordinary user", 0, "Live patch", append(user, "status")...)
	for _, pattern := range []string{"/usr/lib/*/libsystemd.so*", "/lib/*/libsystemd.so*"} {
		found, err := filepath.Glob(l.root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
	says("no libsystemd", 1, "libsystemd is not installed", "/usr/bin/klp-audit", "boots")
	says("an image that is not there", 0, "UNKNOWN", "/usr/bin/klp-audit", "initrd", "--patch", "livepatch_1", "--image", "/boot/none")
}

// flatten moves the files of a journal folder to its top, readable only for root.
func flatten(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(folder + "/*/*.journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if err := os.Rename(name, filepath.Join(folder, filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	files, err = filepath.Glob(folder + "/*.journal")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d journal files, %v", len(files), err)
	}
	for _, name := range files {
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
