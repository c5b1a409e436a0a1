package lives

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// open are kinds of false statements that are known and not mended yet: delete those that
// are. A kind stands for the same with a wrong clock, too.
var open = map[string]string{
	"check/kernel-supported":      "live patches that cannot be read",
	"check/next-boot":             "a staged snapshot is the next boot",
	"check/patch-in-initrd":       "builds of other roots, and staged snapshots",
	"check/patch-loaded":          "a load that is not complete",
	"cve/fixed":                   "a load that is not complete, and boots that nobody looked at",
	"cve/installed":               "a version that is gone, or was active where nobody looked",
	"cve/lost":                    "a version that is not on record counts as without the fix",
	"cve/lost at":                 "a version that is not on record counts as without the fix",
	"panic":                       "boots that overlap, for the clock was wrong",
	"sections disagree on kernel": "state and timeline read other rows",
	"sections disagree on patch":  "state and timeline read other rows",
	"state/cves":                  "jumps of the clock, transitions that were turned back",
	"state/initrd":                "builds of other roots, and staged snapshots",
	"state/installed":             "a virtual machine that was set back, and rollbacks",
	"state/kernel":                "jumps of the clock",
	"state/next":                  "a staged snapshot is the next boot",
	"state/next patch":            "a staged snapshot is the next boot",
	"state/package":               "jumps of the clock",
	"state/patch":                 "jumps of the clock, transitions that were turned back, unread journals",
	"state/reboot":                "live patches that cannot be read",
	"state/since":                 "the load of another patch",
	"timeline/initrd":             "builds of other roots, and staged snapshots",
	"timeline/kernel":             "jumps of the clock",
	"timeline/patch":              "jumps of the clock, transitions that were turned back, unread journals",
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// one lives a life and asks about it.
func one(t *testing.T, sum *tally, seed, n uint64) {
	l := live(seed, n, birth)
	if len(l.events) > 0 {
		sum.take(l, l.examine(t, l.events, l.questions()))
	}
}

// shm is a folder in memory, where there is one.
func shm() string {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return "/dev/shm"
	}
	return ""
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	must(t, err)
	return n
}

// few are the lives of an ordinary test.
func few() uint64 {
	if testing.Short() {
		return 20
	}
	return 120
}

func TestLives(t *testing.T) {
	lives, seed := number(t, "KLP_AUDIT_LIVES", few()), number(t, "KLP_AUDIT_SEED", 1)
	sum := newTally()
	sum.keep = int(number(t, "KLP_AUDIT_EXAMPLES", 1))
	t.Run("all", func(t *testing.T) {
		workers := uint64(runtime.NumCPU())
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for n := w; n < lives; n += workers {
					synctest.Test(t, func(t *testing.T) { one(t, sum, seed, n) })
				}
			})
		}
	})
	for _, line := range sum.table() {
		fmt.Println("lives: " + line)
	}
	for _, kind := range slices.Sorted(maps.Keys(sum.false)) {
		text := fmt.Sprintf("%s: %d of %d", kind, sum.false[kind], sum.claims[kind])
		if why, ok := open[strings.TrimSuffix(kind, ", clock")]; ok && sum.keep == 1 {
			t.Logf("known open: %s: %s", text, why)
		} else if only := os.Getenv("KLP_AUDIT_KIND"); only != "" && kind != only {
			t.Log(text)
		} else if sum.keep > 1 || !strings.Contains(kind, " inferred") {
			t.Error(text + sum.show(t, kind, seed))
		}
	}
}
