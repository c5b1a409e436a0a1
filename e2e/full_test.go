package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lastResort matches the journal entries with an event that could not be stored elsewhere.
const lastResort = "MESSAGE_ID=c9b7d3f15a0e4c5f9d0a4f6f3f3c8e22"

// TestNoRoomAnywhere: if neither the record nor a spool folder accepts an event because the disk is
// full, zypper notices nothing and the events are in the journal.
func TestNoRoomAnywhere(t *testing.T) {
	if os.Getenv(wanted) != "1" {
		t.Skip("the end-to-end tests need root and the real zypper: run `make test`")
	}
	p := newPair(t, newBase(t, newKit(t), "/"))
	l := p.audited
	if !l.exists("/lib/systemd/systemd-journald") || !l.exists("/bin/journalctl") {
		t.Skip("needs systemd-journald")
	}
	l.mount("tmpfs", l.root+"/run", "tmpfs", 0, "mode=0755")
	l.startJournal()
	for _, dir := range []string{"/var/lib/klp-audit", "/var/log/klp-audit"} {
		l.mount("tmpfs", l.root+dir, "tmpfs", 0, "mode=0755,size=16k")
		full := strings.Repeat("x", 64<<10)
		os.WriteFile(l.root+dir+"/ballast", []byte(full), 0o600) // as far as there is room
	}
	want := p.plain.must("/usr/bin/zypper", "-n", "--no-gpg-checks", "in", oldKernel)
	got := l.must("/usr/bin/zypper", "-n", "--no-gpg-checks", "in", oldKernel)
	if diff := cmp.Diff(steady(want), steady(got)); diff != "" {
		t.Errorf("zypper's output changed (-without +with the plugin):\n%s", diff)
	}
	l.must("/bin/journalctl", "--sync")
	out := l.must("/bin/journalctl", "-q", "--no-pager", "-o", "cat", "--output-fields=KLP_EVENT", lastResort)
	for _, kind := range []string{"commit-begin", "commit-end"} {
		if n := strings.Count(out, `"kind":"`+kind+`"`); n != 1 {
			t.Errorf("%d %s events in the journal:\n%s", n, kind, out)
		}
	}
	if !strings.Contains(out, `"package":"kernel-default"`) || !strings.Contains(out, `"spooled":"`) {
		t.Errorf("events: %s", out)
	}
}
