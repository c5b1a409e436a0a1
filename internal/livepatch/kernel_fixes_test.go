package livepatch

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const kernelChangelog = `* Tue Nov 05 2024 - someone@example.com
- net: fix a use after free (bsc#1231234 CVE-2024-50001).
- Update
  patches.suse/ext4-check-something.patch
  (bsc#1230000 CVE-2024-1111 CVE-2024-1112).
- commit 1a2b3c4

* Mon Nov 04 2024 - someone@example.com
- Refresh patches.suse/x.patch (CVE-2024-2222).
- blacklist.conf: CVE-2024-3333 is not for us
- Revert "usb: something" (bsc#1 CVE-2024-4444).
- Delete patches.suse/y.patch (CVE-2024-5555).
- drop_monitor: fix
  a lock (CVE-2024-6666, CVE-2024-6667).
- commit 2b3c4d5
  * kabi: hide it (CVE-2024-7777)

* Fri Mar 01 2024 - someone@example.com
- usb: something (bsc#1 CVE-2024-4444).
- y: something (CVE-2024-5555).
- sched: fixed again (CVE-2024-50001).

* Wed Dec 15 2021 12:00:00 CET - someone@example.com
- Update config files (CVE-2021-1).
- configfs: fix it (CVE-2021-1000)
- mm: not a number CVE-2021-x
`

// Only an item that adds a fix shows that the kernel has it, and the newest item about a number
// counts.
func TestKernelChangelog(t *testing.T) {
	got := ParseKernelChangelog(kernelChangelog)
	want := KernelChangelog{
		CVEs:   []string{"CVE-2021-1000", "CVE-2024-6666", "CVE-2024-6667", "CVE-2024-50001"},
		Oldest: new(time.Date(2021, 12, 15, 12, 0, 0, 0, time.UTC)),
	}
	got.Oldest = new(got.Oldest.Truncate(24 * time.Hour).Add(12 * time.Hour)) // an abbreviation does not determine the time zone
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := ParseKernelChangelog(""); got.CVEs != nil || got.Oldest != nil {
		t.Errorf("of nothing: %+v", got)
	}
	// A fix that was removed, and came back.
	back := ParseKernelChangelog("* Tue Nov 05 2024 - a\n- x: it is back (CVE-2024-1)\n- Revert x (CVE-2024-1)\n- x: first (CVE-2024-1)\n")
	if !slices.Equal(back.CVEs, []string{"CVE-2024-1"}) {
		t.Errorf("got %q", back.CVEs)
	}
}

func FuzzParseKernelChangelog(f *testing.F) {
	f.Add(kernelChangelog)
	f.Add("- x (CVE-2024-1")
	f.Fuzz(func(t *testing.T, text string) {
		got := ParseKernelChangelog(text)
		for _, number := range got.CVEs {
			if !strings.Contains(strings.ToUpper(text), number) {
				t.Errorf("%s is not in %q", number, text)
			}
		}
	})
}
