// Package bench measures klp-audit on large data that it makes itself. Each benchmark runs
// only when it is given a size.
package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
)

const (
	remote = "/usr/lib/systemd/systemd-journal-remote"
	// fillers is how many lines user space writes for one of the kernel. A server that runs
	// for a week or two has about that.
	fillers = 20
	runs    = 15

	allowedRatio = 0.5
	allowedAnon  = 64 << 20
)

// TestJournal compares klp-audit with journalctl on a journal of KLP_AUDIT_BENCH_JOURNAL
// (100M, 1G, 4G). It keeps the journal in build/.
func TestJournal(t *testing.T) {
	size := os.Getenv("KLP_AUDIT_BENCH_JOURNAL")
	if size == "" {
		t.Skip("KLP_AUDIT_BENCH_JOURNAL=1G runs it; make bench-journal")
	}
	program, err := filepath.Abs("../build/klp-audit")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("../build/journal-" + size)
	if err != nil {
		t.Fatal(err)
	}
	generate(t, dir, parseSize(t, size))
	last := lastBoot(t, dir)
	fmt.Printf("journal: %s, %d files, %d MiB on disk, %d boots; medians of %d alternating runs (fastest to slowest)\n\n",
		size, len(journalFiles(t, dir)), diskUse(t, dir)>>20, strings.Count(output(t, "journalctl", "-D", dir, "-F", "_BOOT_ID"), "\n"), runs)
	fmt.Printf("%-10s  %-26s  %-26s  %5s  %9s  %s\n", "", "klp-audit boots", "journalctl", "ratio", "CPU ratio", "anonymous memory")
	for _, c := range []struct {
		name            string
		ours, reference []string
	}{
		{"last boot", []string{"--boot", last}, []string{"-b", "-k"}},
		{"all boots", nil, []string{"_TRANSPORT=kernel"}},
	} {
		ours := append([]string{program, "boots", "--format", "json", "--journal", dir}, c.ours...)
		reference := append([]string{"journalctl", "-o", "json", "--no-pager", "-D", dir}, c.reference...)
		compare(t, c.name, ours, reference)
	}
	fmt.Printf("\nrequired: ratio at most %.1f, anonymous memory below %d MiB\n", allowedRatio, allowedAnon>>20)
}

// compare runs both commands in turn and prints a row.
func compare(t *testing.T, name string, ours, reference []string) {
	var mine, theirs series
	for i := range runs + 1 {
		m, r := run(t, ours), run(t, reference)
		if i == 0 {
			continue // fills the page cache
		}
		mine, theirs = append(mine, m), append(theirs, r)
	}
	ratio, anon := mine.median(wall)/theirs.median(wall), mine.peak()
	verdict := "ok"
	if ratio > allowedRatio || anon >= allowedAnon {
		verdict = "TOO MUCH"
		t.Fail()
	}
	fmt.Printf("%-10s  %-26s  %-26s  %5.2f  %9.2f  %.1f MiB  %s\n", name, mine.spread(), theirs.spread(), ratio,
		mine.median(cpu)/theirs.median(cpu), float64(anon)/(1<<20), verdict)
}

// measured is one run of a command.
type measured struct {
	wall, cpu time.Duration
	anon      int // most anonymous memory it was seen with, bytes
}

func wall(m measured) time.Duration { return m.wall }
func cpu(m measured) time.Duration  { return m.cpu }

type series []measured

// sorted returns one of the times of each run, milliseconds.
func (s series) sorted(of func(measured) time.Duration) (ms []float64) {
	for _, m := range s {
		ms = append(ms, float64(of(m).Microseconds())/1000)
	}
	slices.Sort(ms)
	return ms
}

func (s series) median(of func(measured) time.Duration) float64 { return s.sorted(of)[len(s)/2] }

func (s series) spread() string {
	ms := s.sorted(wall)
	return fmt.Sprintf("%.0f ms (%.0f to %.0f)", ms[len(ms)/2], ms[0], ms[len(ms)-1])
}

func (s series) peak() (bytes int) {
	for _, m := range s {
		bytes = max(bytes, m.anon)
	}
	return bytes
}

func run(t *testing.T, args []string) (m measured) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for tick := time.NewTicker(2 * time.Millisecond); ; {
		select {
		case err := <-done:
			tick.Stop()
			if err != nil {
				t.Fatalf("%q: %v", args, err)
			}
			m.wall, m.cpu = time.Since(start), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
			return m
		case <-tick.C:
			m.anon = max(m.anon, rssAnon(cmd.Process.Pid))
		}
	}
}

// rssAnon is the anonymous memory of a process, bytes: see proc(5), status.
func rssAnon(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "RssAnon:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.Atoi(kib)
	return n << 10
}

func parseSize(t *testing.T, text string) int64 {
	t.Helper()
	unit := map[string]int64{"M": 1 << 20, "G": 1 << 30}[text[len(text)-1:]]
	n, err := strconv.ParseInt(text[:len(text)-1], 10, 64)
	if err != nil || unit == 0 || n <= 0 || n*unit > 16<<30 {
		t.Fatalf("size %q: want such as 100M, 1G, 4G", text)
	}
	return n * unit
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return string(out)
}

func lastBoot(t *testing.T, dir string) string {
	t.Helper()
	out := output(t, "journalctl", "-D", dir, "-n", "1", "-o", "export", "--output-fields=_BOOT_ID")
	_, rest, _ := strings.Cut(out, "\n_BOOT_ID=")
	return rest[:32]
}

func journalFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func diskUse(t *testing.T, dir string) (sum int64) {
	t.Helper()
	for _, f := range journalFiles(t, dir) {
		sum += sizeOf(f)
	}
	return sum
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// generate makes a journal of a size, unless it is there, with systemd's own writer: the
// boots of a fixture, again and again, each with an id of its own and a day later.
func generate(t *testing.T, dir string, size int64) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		return
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs("..", &fs); err != nil || int64(fs.Bavail)*fs.Bsize < size+1<<30 {
		t.Fatalf("making a journal of %d bytes: the disk has %d free, and a GiB must stay, %v", size, int64(fs.Bavail)*fs.Bsize, err)
	}
	boot := fixture(t)
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(part, 0o755); err != nil {
		t.Fatal(err)
	}
	writeJournal(t, part, size, boot)
	if err := os.Rename(part, dir); err != nil {
		t.Fatal(err)
	}
}

// writeJournal writes boots until the journal has the size, or until the writer, which
// rotates its files as journald does, begins to remove old ones.
func writeJournal(t *testing.T, dir string, size int64, boot []entry) {
	t.Helper()
	cmd := exec.Command(remote, "-o", filepath.Join(dir, "system.journal"), "-")
	cmd.Stderr = io.Discard
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(in, 1<<20)
	before := int64(0)
	for day := 0; before < size; day++ {
		writeBoot(w, boot, day)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		now := diskUse(t, dir)
		if now < before-16<<20 {
			break
		}
		before = now
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// entry is one entry of journalctl -o export.
type entry struct {
	realtime, monotonic int64
	boot                string
	kernel              bool
	fields              []byte // all others
}

// fixture reads the entries of the first boot of a fixture.
func fixture(t *testing.T) (first []entry) {
	t.Helper()
	dir := journaltest.Unpack(t, "A")
	for _, text := range bytes.Split([]byte(output(t, "journalctl", "-D", dir, "-o", "export")), []byte("\n\n")) {
		e := parseEntry(text)
		if e.realtime == 0 || len(first) > 0 && e.boot != first[0].boot {
			continue
		}
		first = append(first, e)
	}
	if len(first) < 100 {
		t.Fatalf("only %d entries in the fixture", len(first))
	}
	return first
}

func parseEntry(text []byte) (e entry) {
	for line := range bytes.Lines(append(text, '\n')) {
		name, value, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), "=")
		switch name {
		case "__REALTIME_TIMESTAMP":
			e.realtime, _ = strconv.ParseInt(value, 10, 64)
		case "__MONOTONIC_TIMESTAMP":
			e.monotonic, _ = strconv.ParseInt(value, 10, 64)
		case "_BOOT_ID":
			e.boot = value
		case "__CURSOR", "__SEQNUM", "__SEQNUM_ID", "_SOURCE_REALTIME_TIMESTAMP":
		default:
			e.kernel = e.kernel || string(line) == "_TRANSPORT=kernel\n"
			e.fields = append(e.fields, line...)
		}
	}
	return e
}

const dayLength = 24 * int64(time.Hour/time.Microsecond)

// writeBoot writes a boot, and after it what user space says in the rest of its day.
func writeBoot(w io.Writer, boot []entry, day int) {
	id := fmt.Sprintf("%032x", 0xb007<<32+day)
	shift := int64(day) * dayLength
	kernel := 0
	var end entry
	for _, e := range boot {
		stamp(w, id, e.realtime+shift, e.monotonic)
		w.Write(append(e.fields, '\n'))
		if e.kernel {
			kernel++
		}
		end = e
	}
	lines := kernel * fillers
	for i := range lines {
		later := (int64(i) + 1) * (dayLength / 2) / int64(lines)
		stamp(w, id, end.realtime+shift+later, end.monotonic+later)
		fill(w, day*lines+i)
	}
}

func stamp(w io.Writer, boot string, realtime, monotonic int64) {
	fmt.Fprintf(w, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n", realtime, monotonic, boot)
}

// fill writes the fields of a line as services write them through syslog or stdout; one in
// fifty is of the kernel, such as its firewall's.
func fill(w io.Writer, n int) {
	if n%50 == 0 {
		fmt.Fprintf(w, "_TRANSPORT=kernel\nPRIORITY=6\nSYSLOG_FACILITY=0\nSYSLOG_IDENTIFIER=kernel\n_MACHINE_ID=0123456789abcdef0123456789abcdef\n"+
			"_HOSTNAME=server\nMESSAGE=drop IN=eth0 OUT= SRC=192.0.2.%d DST=198.51.100.7 LEN=40 PROTO=TCP SPT=%d DPT=23\n\n", n%250, 1024+n%60000)
		return
	}
	name := []string{"sshd", "cron", "postfix", "systemd-logind", "chronyd", "httpd", "salt-minion", "sudo"}[n%8]
	pid, uid := 1000+n/7%30000, []int{0, 0, 0, 0, 51, 30, 0, 1000}[n%8]
	fmt.Fprintf(w, `_TRANSPORT=%s
PRIORITY=%d
SYSLOG_FACILITY=%d
SYSLOG_IDENTIFIER=%s
SYSLOG_PID=%d
_PID=%d
_UID=%d
_GID=%d
_COMM=%s
_EXE=/usr/sbin/%s
_CMDLINE=/usr/sbin/%s -D --session %d
_CAP_EFFECTIVE=1ffffffffff
_SYSTEMD_CGROUP=/system.slice/%s.service
_SYSTEMD_UNIT=%s.service
_SYSTEMD_SLICE=system.slice
_SYSTEMD_INVOCATION_ID=%032x
_MACHINE_ID=0123456789abcdef0123456789abcdef
_HOSTNAME=server
MESSAGE=connection %d from 192.0.2.%d port %d: request %x served in %d ms

`, []string{"syslog", "stdout", "journal"}[n%3], []int{6, 6, 6, 5, 6, 7, 6, 4}[n/3%8], []int{3, 9, 10, 4}[n%4], name,
		pid, pid, uid, uid, name, name, name, n/50, name, name, n/4000, n, n%250, 1024+n%60000, uint64(n)*2654435761, n%977)
}
