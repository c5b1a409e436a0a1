// Package bench measures what klp-audit costs, each time side by side with other programs that do
// the same. make bench writes RESULTS.md, and make bench-smoke uses little data to check how time
// and memory grow.
package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Limits for an operation that reads ten times the data: how many times longer it may take, how
// much more memory it may need, and how much memory for each event whose rows it keeps.
const (
	mostGrowth = 13.0
	mostMemory = 20 << 20 // on a busy machine, garbage waits longer for its collector
	rowMemory  = 3 << 10
)

// TestBench measures what KLP_AUDIT_BENCH says: "full" or "smoke". KLP_AUDIT_BENCH_ONLY names the
// parts to measure; then RESULTS.md is not rewritten.
func TestBench(t *testing.T) {
	b := newBench(t, os.Getenv("KLP_AUDIT_BENCH"))
	only := strings.Fields(os.Getenv("KLP_AUDIT_BENCH_ONLY"))
	before := loadNow()
	fmt.Fprint(b.out, head)
	for _, part := range []struct {
		name string
		run  func()
		full bool // skipped in a smoke test
	}{
		{"plugin", b.plugin, false}, {"zypper", b.zypper, true}, {"history", b.histories, false}, {"report", b.reports, false}, {"append", b.appends, false},
		{"export", b.exports, false}, {"rebuild", b.rebuilds, true}, {"years", b.years, true}, // verify builds the views, too
		{"import", b.imports, false}, {"image", b.images, false}, {"releases", b.releases, false}, {"journal", b.journals, true},
	} {
		if part.full && b.smoke || len(only) > 0 && !slices.Contains(only, part.name) {
			continue
		}
		part.run()
	}
	fmt.Fprintf(b.out, "\n%s; %s\n", b.machine(), before.since())
	if b.smoke {
		b.judge()
	} else if len(only) == 0 {
		b.write(before)
	}
}

func newBench(t *testing.T, mode string) *bench {
	t.Helper()
	tree, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, tree: tree, cache: filepath.Join(tree, "build/bench"), out: os.Stdout}
	switch mode {
	case "":
		t.Skip("make bench and make bench-smoke run it")
	case "smoke":
		b.smoke, b.sizes, b.rounds, b.fewest, b.patience = true, []int{1000, 10_000}, 2, 1, 500*time.Millisecond
	case "full":
		b.sizes, b.rounds, b.patience = []int{1000, 10_000, 100_000}, 15, time.Minute
		if n, err := strconv.Atoi(os.Getenv("KLP_AUDIT_BENCH_ROUNDS")); err == nil && n > 0 {
			b.rounds, b.patience = n, time.Duration(4*n)*time.Second
		}
		b.fewest = max(b.rounds/5, 1)
	default:
		t.Fatalf("KLP_AUDIT_BENCH is %q, want full or smoke", mode)
	}
	if os.Getenv("KLP_AUDIT_BENCH_MILLION") != "" {
		b.sizes = append(b.sizes, 1_000_000)
	}
	if _, err := os.Stat(b.program("klp-audit")); err != nil {
		t.Fatalf("%v: make build", err)
	}
	return b
}

// judge fails if something grows faster than its data. It never fails on one measurement of time:
// what seems to grow is measured again, because other programs may have interfered.
func (b *bench) judge() {
	for _, r := range b.rows {
		if r.less == nil {
			continue
		}
		for again := 0; again < 3 && r.growth() > r.mostGrowth(); again++ {
			b.race(r.less, r.ours)
		}
		if r.growth() > r.mostGrowth() {
			b.Errorf("%s, %s: %.1f times the time for %g times the data", r.what, r.size, r.growth(), r.times)
		}
		if r.peak > r.before+mostMemory+r.ours.rows*rowMemory {
			b.Errorf("%s, %s: %d MiB of memory, and %d MiB with %g times less data", r.what, r.size, r.peak>>20, r.before>>20, r.times)
		}
	}
}

func (r *row) mostGrowth() float64 { return mostGrowth * r.times / 10 }

// size is the amount of data that something is measured with.
type size struct {
	label  string
	amount int
	asked  bool // whether the limit on the ratio applies here
}

// events are the sizes of records.
func (b *bench) events() (sizes []size) {
	for _, n := range b.sizes {
		sizes = append(sizes, size{thousands(n) + " events", n, n == 100_000})
	}
	return sizes
}

// grown measures an operation at several sizes, side by side. make returns the entrant of a size
// and what it is compared with.
func (b *bench) grown(what string, sizes []size, asked float64, make func(size) (ours, against *entrant)) {
	var rows []row
	var entrants []*entrant
	for i, n := range sizes {
		r := row{what: what, size: n.label}
		r.ours, r.against = make(n)
		if n.asked {
			r.asked = asked
		}
		if i > 0 {
			r.less, r.times = rows[i-1].ours, float64(n.amount)/float64(sizes[i-1].amount)
		}
		rows, entrants = append(rows, r), append(entrants, r.ours, r.against)
	}
	b.race(entrants...)
	for i, r := range rows {
		if i > 0 {
			r.before = b.rows[len(b.rows)-1].peak
		}
		b.add(r)
	}
}

// thousands writes a number with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
