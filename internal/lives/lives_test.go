package lives

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/klp-audit/klp-audit/store/storetest"
)

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

func TestLives(t *testing.T) {
	lives, seed := number(t, "KLP_AUDIT_LIVES", uint64(storetest.Few(20, 120))), number(t, "KLP_AUDIT_SEED", 1)
	sum := newTally()
	sum.keep = int(number(t, "KLP_AUDIT_EXAMPLES", 1))
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // lives are short: nearly all is garbage soon
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
	only := os.Getenv("KLP_AUDIT_KIND")
	for _, kind := range slices.Sorted(maps.Keys(sum.false)) {
		switch text := fmt.Sprintf("%s: %d of %d", kind, sum.false[kind], sum.claims[kind]); {
		case only != "" && kind != only:
			t.Log(text)
		case sum.keep > 1 || only != "" || sum.fails(kind):
			t.Error(text + sum.show(t, kind, seed))
		}
	}
}
