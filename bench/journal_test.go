package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
)

const (
	remote = "/usr/lib/systemd/systemd-journal-remote"
	// fillers is how many lines user space writes for each line of the kernel. A server that runs
	// for a week or two has about this ratio.
	fillers = 20
)

// journals compares klp-audit with journalctl, on journals of the sizes that
// KLP_AUDIT_BENCH_JOURNALS names.
func (b *bench) journals() {
	if !b.has("journals", remote, "journalctl") {
		return
	}
	dirs := map[int]string{}
	var sizes []size
	for _, text := range strings.Fields(cmp.Or(os.Getenv("KLP_AUDIT_BENCH_JOURNALS"), "100M 1G")) {
		n, dir := parseSize(b.T, text), filepath.Join(b.tree, "build/journal-"+text)
		generate(b.T, dir, n)
		dirs[int(n)] = dir
		sizes = append(sizes, size{fmt.Sprintf("%d MiB", diskUse(b.T, dir)>>20), int(n), text == "4G"})
	}
	for _, q := range []struct {
		what, command string
		last          bool // only the last boot
		journalctl    []string
		asked         float64
	}{
		{"boots, the last one", "boots", true, []string{"-b", "-k"}, 0.3},
		{"boots, all", "boots", false, []string{"_TRANSPORT=kernel"}, 0},
		{"initrd", "initrd", true, []string{"-b", "-k"}, 0},
	} {
		b.grown(q.what, sizes, q.asked, func(n size) (*entrant, *entrant) {
			dir := dirs[n.amount]
			ours := []string{q.command, "--format", "json", "--journal", dir}
			if q.last {
				ours = append(ours, "--boot", lastBoot(b.T, dir))
			}
			return b.ours(ours...), b.command("journalctl "+strings.Join(q.journalctl, " ")+" -o json",
				append([]string{"journalctl", "-o", "json", "--no-pager", "-D", dir}, q.journalctl...)...)
		})
	}
}

func parseSize(t *testing.T, text string) int64 {
	t.Helper()
	unit := map[string]int64{"M": 1 << 20, "G": 1 << 30}[text[len(text)-1:]]
	n, err := strconv.ParseInt(text[:len(text)-1], 10, 64)
	if err != nil || unit == 0 || n <= 0 || n*unit > 16<<30 {
		t.Fatalf("size %q: want sizes such as 100M, 1G, 4G", text)
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

// generate makes a journal of a size with systemd's own writer, unless it exists: the boots of a
// fixture again and again, each with its own id and a day later.
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

// writeJournal writes boots until the journal is large enough, or until the writer, which rotates
// its files as journald does, starts to remove old ones.
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
	fields              []byte // all other fields
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

// writeBoot writes a boot, followed by what user space writes in the rest of its day.
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

// fill writes the fields of a line as services write them through syslog or stdout; one in fifty is
// from the kernel, for example its firewall.
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
