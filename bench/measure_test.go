package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// entrant is one of those that are measured side by side.
type entrant struct {
	name    string
	run     func() sample
	peak    func() int // peak resident memory in bytes; nil: not wanted
	rows    int        // events whose rows it keeps; 0: it reads them one after the other
	samples []sample
}

// sample is one run.
type sample struct {
	wall, cpu time.Duration // cpu: of the process and the children that it waited for
}

func wall(s sample) float64 { return float64(s.wall.Microseconds()) / 1000 }
func cpu(s sample) float64  { return float64(s.cpu.Microseconds()) / 1000 }

// race runs the entrants in turn, round after round: whatever else happens on the machine affects
// all of them. The first round fills caches and is not counted, unless it took so long that it is
// the only one.
func (b *bench) race(entrants ...*entrant) {
	start := time.Now()
	entrants = distinct(entrants)
	for round := range b.rounds + 1 {
		took := time.Since(start)
		if round > b.fewest && took > b.patience || round > 0 && took > 5*b.patience {
			break
		}
		for _, e := range entrants {
			if s := e.run(); round == 1 {
				e.samples[len(e.samples)-1] = s
			} else {
				e.samples = append(e.samples, s)
			}
		}
	}
}

// distinct leaves out duplicates: an entrant may be compared with several others.
func distinct(entrants []*entrant) (list []*entrant) {
	for _, e := range entrants {
		if !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	return list
}

// quartiles are the quartiles, the median and the least of some numbers.
type quartiles struct{ least, low, median, high float64 }

func quartilesOf(v []float64) quartiles {
	slices.Sort(v)
	return quartiles{v[0], v[len(v)/4], v[len(v)/2], v[len(v)-1-len(v)/4]}
}

// of returns a figure of all runs, in milliseconds.
func (e *entrant) of(figure func(sample) float64) quartiles {
	var v []float64
	for _, s := range e.samples {
		v = append(v, figure(s))
	}
	return quartilesOf(v)
}

// ratio compares each run with that of another entrant in the same round.
func (e *entrant) ratio(to *entrant, figure func(sample) float64) quartiles {
	var v []float64
	for i, s := range e.samples {
		v = append(v, figure(s)/max(figure(to.samples[i]), 0.001))
	}
	return quartilesOf(v)
}

// command is an entrant that runs a program, in the environment for measurements.
func (b *bench) command(name string, args ...string) *entrant {
	return &entrant{name: name, run: func() sample { return b.time(exec.Command(args[0], args[1:]...)) }, peak: func() int { return b.peakOf(args) }}
}

// ours is an entrant that runs klp-audit.
func (b *bench) ours(args ...string) *entrant {
	return b.command("klp-audit "+strings.Join(args, " "), append([]string{b.program("klp-audit")}, args...)...)
}

// shell is an entrant that runs a line of shell.
func (b *bench) shell(name, line string, args ...string) *entrant {
	return b.command(name, append([]string{"/bin/sh", "-c", "set -e; " + line, "sh"}, args...)...)
}

func (b *bench) program(name string) string { return filepath.Join(b.tree, "build", name) }

// time runs a command that must succeed. Findings of check count as success.
func (b *bench) time(cmd *exec.Cmd) sample {
	b.Helper()
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	found := slices.Contains(cmd.Args, "check") && cmp.Or(cmd.ProcessState.ExitCode(), 3) < 3
	if err != nil && !found {
		b.Fatalf("%q: %v\n%s", cmd.Args, err, complaint.Bytes())
	}
	return sample{took, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

// peakOf runs a command once more and reads its peak resident memory just before it exits, where it
// is stopped (see PTRACE_EVENT_EXIT in ptrace(2)): wait4(2) also counts the memory of this process
// from before exec.
func (b *bench) peakOf(args []string) (bytes int) {
	b.Helper()
	runtime.LockOSThread() // ptrace works on threads, not processes
	defer runtime.UnlockOSThread()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	pid, status := cmd.Process.Pid, syscall.WaitStatus(0)
	b.traced(syscall.Wait4(pid, &status, 0, nil))
	b.check(syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACEEXIT))
	for signal := 0; ; {
		b.check(syscall.PtraceCont(pid, signal))
		b.traced(syscall.Wait4(pid, &status, 0, nil))
		switch {
		case status.Exited() || status.Signaled():
			cmd.Process.Release()
			return bytes
		case status.TrapCause() == syscall.PTRACE_EVENT_EXIT:
			bytes, signal = peakMemory(pid), 0
		default:
			signal = int(status.StopSignal()) // pass it on to the program
		}
	}
}

func (b *bench) traced(_ int, err error) {
	b.Helper()
	b.check(err)
}

// peakMemory is the peak resident memory of a process in bytes; see VmHWM in proc(5).
func peakMemory(pid int) (bytes int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		fmt.Sscan(rest, &bytes)
	}
	return bytes << 10
}

// bench is one run of the measurements.
type bench struct {
	*testing.T
	tree     string // root folder of the project
	cache    string // below build: what is made only once
	out      io.Writer
	sizes    []int         // of records, events
	rounds   int           // runs that are counted
	fewest   int           // the minimum, even if they take longer than patience
	patience time.Duration // for one race
	smoke    bool
	rows     []row
}

func (b *bench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// kept returns the path of something that is made only once, and makes it if it is missing.
func (b *bench) kept(name string, make func(path string)) string {
	b.Helper()
	path := filepath.Join(b.cache, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	b.check(os.MkdirAll(b.cache, 0o755))
	part := path + ".part"
	b.check(os.RemoveAll(part))
	make(part)
	b.check(os.Rename(part, path))
	return path
}

// has says whether programs are installed; what needs a missing one is left out.
func (b *bench) has(what string, programs ...string) bool {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			fmt.Fprintf(b.out, "left out: %s: %v\n", what, err)
			return false
		}
	}
	return true
}
