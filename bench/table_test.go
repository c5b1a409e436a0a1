package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// row is a line of the table: what was measured, and what it is compared with.
type row struct {
	what, size    string
	ours, against *entrant
	asked         float64  // highest ratio allowed; 0: no limit
	less          *entrant // the same with less data
	times         float64  // how many times less data
	peak, before  int      // peak memory in bytes, and that with less data; 0: not measured
}

// growth is how many times longer it takes than with less data, in CPU time of the fastest runs:
// other programs on the machine lengthen all other runs.
func (r *row) growth() float64 { return r.ours.of(cpu).least / max(r.less.of(cpu).least, 0.001) }

// add measures the memory of a row, and adds the row to the table.
func (b *bench) add(r row) {
	if r.ours.peak != nil {
		r.peak = r.ours.peak()
	}
	b.rows = append(b.rows, r)
	fmt.Fprintln(b.out, r.line())
}

const head = "| what | size | klp-audit, ms | against | ms | ratio | CPU ratio | asked | growth | memory, MiB |\n" +
	"|---|--:|--:|---|--:|--:|--:|--:|--:|--:|\n"

func (r *row) line() string {
	ratio := r.ours.ratio(r.against, wall)
	asked, growth, memory := "", "", ""
	if r.asked > 0 {
		asked = fmt.Sprintf("%g", r.asked)
		if ratio.median > r.asked {
			asked += " **no**"
		}
	}
	if r.less != nil {
		growth = fmt.Sprintf("%.1f for %g", r.growth(), r.times)
	}
	if r.peak > 0 {
		memory = fmt.Sprintf("%.1f", float64(r.peak)/(1<<20))
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | **%.2f** (%.2f to %.2f) | %.2f | %s | %s | %s |", r.what, r.size, r.ours.of(wall), r.against.name,
		r.against.of(wall), ratio.median, ratio.low, ratio.high, r.ours.of(cpu).median/max(r.against.of(cpu).median, 0.001), asked, growth, memory)
}

// String returns the median, and the range of the middle half of the runs.
func (q quartiles) String() string {
	digits := 0
	if q.median < 100 {
		digits = 1
	}
	return fmt.Sprintf("%.*f (%.*f to %.*f)", digits, q.median, digits, q.low, digits, q.high)
}

// load is how much of the machine other programs used meanwhile.
type load struct {
	start        time.Time
	busy, stolen float64 // seconds of all processors
	own          time.Duration
}

func loadNow() load {
	l := load{start: time.Now()}
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line) {
		ticks, _ := strconv.ParseFloat(f, 64)
		switch i {
		case 1, 2, 3, 6, 7: // user, nice, system, irq, softirq
			l.busy += ticks / 100
		case 8:
			l.stolen += ticks / 100
		}
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		syscall.Getrusage(who, &u)
		l.own += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return l
}

func (l load) since() string {
	now := loadNow()
	all := now.start.Sub(l.start).Seconds() * float64(runtime.NumCPU())
	others := max(0, now.busy-l.busy-(now.own-l.own).Seconds()) // the two clocks differ a little
	return fmt.Sprintf("others used %.0f %% of its processors meanwhile, the host took %.0f %%", 100*others/all, 100*(now.stolen-l.stolen)/all)
}

// machine describes where this ran.
func (b *bench) machine() string {
	var u syscall.Utsname
	syscall.Uname(&u)
	var kernel strings.Builder
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		kernel.WriteByte(byte(c))
	}
	return fmt.Sprintf("%d processors (%s), %s memory, Linux %s, %s", runtime.NumCPU(), field("/proc/cpuinfo", "model name"), field("/proc/meminfo", "MemTotal"),
		kernel.String(), strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`))
}

// field is the first value of a key in a file of keys and values.
func field(path, key string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.Replace(line, "=", ":", 1), ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// versions are the versions of the programs used for comparison.
func (b *bench) versions() string {
	list := []string{runtime.Version(), firstLine(b.program("klp-audit"), "version") + " of commit " + firstLine("git", "-C", b.tree, "describe", "--always", "--dirty")}
	for _, args := range [][]string{{"rpm", "--version"}, {"journalctl", "--version"}, {"zstd", "--version"}, {"xz", "--version"},
		{"gzip", "--version"}, {python, "--version"}} {
		list = append(list, firstLine(args...))
	}
	return strings.Join(append(list, "sqlite3 "+firstLine("sqlite3", "--version")), "; ")
}

func firstLine(args ...string) string {
	out, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		return args[0] + ": not here"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.Trim(line, "* ")
}

// write writes the results into the project.
func (b *bench) write(l load) {
	var text strings.Builder
	fmt.Fprintf(&text, resultsHead, l.start.UTC().Format("2006-01-02"), b.machine(), b.versions(), l.since(), b.rounds, b.fewest)
	text.WriteString(head)
	for _, r := range b.rows {
		text.WriteString(r.line() + "\n")
	}
	b.check(os.WriteFile(filepath.Join(b.tree, "bench/RESULTS.md"), []byte(text.String()), 0o644))
}

const resultsHead = "# What klp-audit costs\n\n" + "`make bench` made this on %s.\n\n" + `- Machine: %s
- Versions: %s
- Load: %s

Every row compares klp-audit with other programs that do the same, or the least of it. They ran
in turn, in the same minutes, after a round that fills the caches: %d rounds, %d where they
take long, one where it takes minutes. Times are medians of wall time; the range in brackets holds the middle half
of the runs. The ratio is the median of the ratios of each round; the CPU ratio leaves out waiting.
"asked" is the most that the project allows itself. Growth is that of CPU
time in the fastest runs, for this many times the data. Memory is VmHWM of klp-audit itself, from a separate run.

Repeat it with ` + "`make bench`" + ` as root: an hour on such a machine, 5 GiB below build/. What is made only
once is kept there; records are made anew each day.
KLP_AUDIT_BENCH_ONLY="plugin zypper history report append export rebuild years import image releases journal"
chooses parts,
KLP_AUDIT_BENCH_ROUNDS=5 is faster and less certain,
KLP_AUDIT_BENCH_JOURNALS="100M 1G 4G" sizes of journals, and KLP_AUDIT_BENCH_MILLION=1 adds
records of 1,000,000 events.

`
