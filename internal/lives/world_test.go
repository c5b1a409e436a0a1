package lives

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/record"
)

// The kernels of all lives, the oldest first.
var kernels = []string{"6.4.0-150600.23.42.2", "6.4.0-150600.23.47.2", "6.4.0-150600.23.50.1", "6.4.0-150600.23.53.1"}

// birth is when a life begins, if nothing shifts it.
var birth = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

// world is what is true of one host. Nothing here knows what a recorder or a report makes of it.
type world struct {
	*rand.Rand
	now    time.Time     // true time
	clock  time.Duration // by how much the wall clock is ahead of it
	number int           // of the newest boot, package, entry

	boot    *boot   // nil: it is off
	boots   []*boot // with what the journal still has of them
	patch   patch   // in the running kernel
	sys     *system // that runs, or will at the next start
	next    *system // that the next boot runs
	past    []*system
	left    []*system // snapshots that were made to be booted, and were not
	history []moment  // what was true, by true time

	transactional bool
	changing      bool // packages are being changed
	vendor        *vendor
	repos         []*repo
}

// system is a root file system: what snapshots and rollbacks exchange.
type system struct {
	number int
	pkgs   []record.Package
	images map[string]image // initrds, by kernel release
	next   string           // kernel of the default boot entry
}

// image is an initrd: the live patch in it, and when its file says that it was written.
type image struct {
	module   string
	beside   string // another live patch in it; empty: none
	written  time.Time
	modified time.Time // by its inode, if that is not when it was written
	size     int64
}

// modTime is the time of change in its inode.
func (i image) modTime() time.Time {
	if i.modified.IsZero() {
		return i.written
	}
	return i.modified
}

// boot is one run of a kernel, with the journal of it.
type boot struct {
	id, release string
	base        time.Time // true time less the boot's own
	lines       []journal.Line
	loads       []load
	unread      bool // a file of the journal that holds more of it cannot be read
}

// load is a live patch being loaded, by the wall clock.
type load struct {
	module string
	at     time.Time
}

// patch is the live patch that the kernel runs, or changes to.
type patch struct {
	module  string // empty: none
	since   time.Time
	done    bool
	undoing bool
	under   string // what protects until it is done
}

// protects is the module whose fixes all tasks run.
func (p patch) protects() string {
	if p.done {
		return p.module
	}
	return p.under
}

// moment is what was true from a time on, until the next one.
type moment struct {
	from      time.Time
	clock     time.Duration
	boot      string // empty: it was off
	kernel    string
	active    string // module that protects; empty: none
	moving    string // module in transition; empty: none
	undoing   bool   // that goes away
	installed string
	changing  bool
	images    map[string]string
	next      string
	pending   record.Pending
	loaded    string            // module of the installed live patch of the running kernel
	newest    string            // installed kernel
	loads     []load            // of the boot
	staged    bool              // the next boot runs another snapshot
	running   map[string]string // images of the one that runs
}

// fixes is up to which level of live patches all tasks have the fixes: while one replaces another,
// some run either.
func (m moment) fixes() int {
	if m.moving != "" && !m.undoing {
		return min(level(m.active), level(m.moving))
	}
	return level(m.active)
}

func newWorld(rng *rand.Rand, at time.Time) *world {
	w := &world{Rand: rng, now: at, vendor: newVendor(rng, at)}
	w.sys = &system{number: 40, images: map[string]image{}}
	w.next = w.sys
	return w
}

func (w *world) wall() time.Time { return w.now.Add(w.clock) }

// chance says yes with a probability.
func (w *world) chance(p float64) bool { return w.Float64() < p }

// between is a random time between two.
func (w *world) between(low, high time.Duration) time.Duration {
	return (low + time.Duration(w.Int64N(int64(high-low)))).Truncate(time.Microsecond)
}

// mark notes what is true from now on.
func (w *world) mark() {
	m := moment{from: w.now, clock: w.clock, installed: identity(w.sys.pkgs), changing: w.changing, images: map[string]string{}, next: w.next.next}
	if w.boot != nil {
		m.boot, m.kernel, m.active = w.boot.id, w.boot.release, w.patch.protects()
		m.loads = slices.Clone(w.boot.loads)
		if !w.patch.done {
			m.moving, m.undoing = w.patch.module, w.patch.undoing
		}
	}
	for release, img := range w.next.images {
		m.images[release] = img.module
	}
	m.staged, m.running = w.next != w.sys, map[string]string{}
	for release, img := range w.sys.images {
		m.running[release] = img.module
	}
	m.newest = w.sys.newestKernel()
	if p := w.sys.patchFor(m.kernel); p != nil {
		m.loaded = moduleOf(*p)
	}
	switch {
	case m.newest == m.kernel:
		m.pending = record.PendingNo
	case m.moving == "" && level(m.active) > 1 && level(m.active) >= level(m.loaded):
		m.pending = record.PendingLivePatched
	default:
		m.pending = record.PendingYes
	}
	w.history = append(w.history, m)
}

// identity names packages.
func identity(pkgs []record.Package) string {
	var names []string
	for _, p := range pkgs {
		names = append(names, p.Name+"-"+p.Version)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// kernelPackage and patchPackage are the n-th kernel, and live patch level n of a kernel.
func kernelPackage(n int) record.Package {
	return record.Package{Name: "kernel-default", Version: kernels[n], Arch: "x86_64", Kind: "kernel", Vendor: "SUSE", SignatureKey: "f74f09bc3fa1d6ce"}
}

func patchPackage(release string, level int) record.Package {
	p := kernelPackage(0)
	p.Name, _ = livepatch.PackageFor(release)
	p.Kind, p.Version = "livepatch", fmt.Sprintf("%d-150600.13.%d.1", level, 3*level)
	return p
}

func isPatch(p record.Package) bool { return p.Kind == "livepatch" }

// releaseOf is the kernel release that a package is, or is for.
func releaseOf(p record.Package) string {
	if isPatch(p) {
		release, _ := livepatch.KernelFor(p.Name)
		return release
	}
	version, release, _ := strings.Cut(p.Version, "-")
	uname, _ := livepatch.KernelRelease(p.Name, version, release)
	return uname
}

func moduleOf(p record.Package) string {
	version, release, _ := strings.Cut(p.Version, "-")
	return livepatch.Module(p.Name, version, release)
}

// level is the number of a live patch, by its module or version; 0: none.
func level(text string) int {
	text = strings.TrimPrefix(text, "livepatch_")
	n, _ := strconv.Atoi(text[:max(0, strings.IndexAny(text, "_-"))])
	return n
}

// fixesOf are the numbers that live patch level n of a kernel fixes: two more than the level
// before, the first none.
func fixesOf(release string, n int) (f record.Fixes) {
	for i := 2; i <= n; i++ {
		f.CVEs = append(f.CVEs, cve(release, i))
		f.Bugs = append(f.Bugs, fmt.Sprintf("bsc#12%02d%d", i, kernelNumber(release)))
	}
	for i := 2; i <= n; i++ {
		f.CVEs = append(f.CVEs, shared(i+3*kernelNumber(release)))
	}
	return f
}

// cve is the number that a level of a kernel's live patch brings.
func cve(release string, level int) string {
	return fmt.Sprintf("CVE-2026-%d%03d", kernelNumber(release)+1, level)
}

func kernelNumber(release string) int {
	return slices.IndexFunc(kernels, func(k string) bool {
		return releaseOf(record.Package{Name: "kernel-default", Version: k}) == release
	})
}

// patchFor is the live patch package for a kernel in a system.
func (s *system) patchFor(release string) *record.Package {
	for i, p := range s.pkgs {
		if isPatch(p) && releaseOf(p) == release {
			return &s.pkgs[i]
		}
	}
	return nil
}

func (s *system) newestKernel() (newest string) {
	n := -1
	for _, p := range s.pkgs {
		if k := slices.Index(kernels, p.Version); !isPatch(p) && k > n {
			n, newest = k, releaseOf(p)
		}
	}
	return newest
}

func (s *system) clone() *system {
	c := *s
	c.pkgs, c.images = slices.Clone(s.pkgs), maps.Clone(s.images)
	return &c
}

func (b *boot) clone() *boot {
	c := *b
	c.lines = slices.Clone(b.lines)
	return &c
}

// log writes an entry of the journal.
func (w *world) log(fields map[string]string) {
	w.number++
	b := w.boot
	since := w.now.Sub(b.base)
	if fields["_TRANSPORT"] == "kernel" {
		fields["_SOURCE_MONOTONIC_TIMESTAMP"] = strconv.FormatInt(since.Microseconds(), 10)
	}
	b.lines = append(b.lines, journal.Line{Cursor: fmt.Sprintf("s=1;i=%x", w.number), Received: w.wall(), Since: since, Fields: fields})
}

func (w *world) logKernel(text string) {
	w.log(map[string]string{"_TRANSPORT": "kernel", "SYSLOG_FACILITY": "0", "SYSLOG_IDENTIFIER": "kernel", "PRIORITY": "5", "MESSAGE": text})
}

func (w *world) logSystemd(transport, text string) {
	w.log(map[string]string{"_TRANSPORT": transport, "SYSLOG_FACILITY": "3", "SYSLOG_IDENTIFIER": "systemd", "_UID": "0", "PRIORITY": "5", "MESSAGE": text})
}

func (w *world) wait(d time.Duration) { w.now = w.now.Add(d) }

// start boots what the next boot runs.
func (w *world) start() {
	w.sys = w.next
	w.number++
	w.boot = &boot{id: fmt.Sprintf("%032x", w.number), release: w.sys.next, base: w.now}
	w.boots = append(w.boots, w.boot)
	w.patch = patch{done: true}
	w.mark()
	w.logKernel("Linux version " + w.boot.release + " (geeko@buildhost)")
	w.wait(time.Second)
	w.logSystemd("kernel", "systemd 254 running in system mode (+PAM)")
	w.logSystemd("kernel", "Running in initrd.")
	w.wait(w.between(time.Second, 3*time.Second))
	if module := w.sys.images[w.boot.release].module; module != "" {
		w.load(module)
		w.wait(w.between(time.Second, 3*time.Second))
		w.complete()
	}
	w.wait(time.Second)
	w.logSystemd("journal", "Switching root.")
	w.wait(time.Second)
	w.logSystemd("kernel", "systemd 254 running in system mode (+PAM)")
	w.wait(w.between(5*time.Second, 30*time.Second))
}

// stop ends the boot.
func (w *world) stop() {
	w.logSystemd("journal", "Shutting down.")
	w.wait(time.Second)
	w.boot, w.patch = nil, patch{}
	w.mark()
}

// load begins to change to a live patch, which replaces the one before.
func (w *world) load(module string) {
	w.logKernel("livepatch: enabling patch '" + module + "'")
	w.patch = patch{module: module, since: w.now, under: w.patch.protects()}
	w.boot.loads = append(w.boot.loads, load{module, w.wall()})
	w.mark()
	w.logKernel("livepatch: '" + module + "': starting patching transition")
}

func (w *world) complete() {
	w.logKernel("livepatch: '" + w.patch.module + "': patching complete")
	w.patch.done = true
	w.mark()
}

// turnBack ends a transition by going back to what was before.
func (w *world) turnBack() {
	w.logKernel("livepatch: '" + w.patch.module + "': starting unpatching transition")
	w.wait(w.between(time.Second, 5*time.Second))
	w.logKernel("livepatch: '" + w.patch.module + "': unpatching complete")
	w.patch = patch{module: w.patch.under, since: w.now, done: true}
	w.mark()
}

// disable takes the active live patch away.
func (w *world) disable() {
	w.logKernel("livepatch: '" + w.patch.module + "': starting unpatching transition")
	w.patch = patch{module: w.patch.module, since: w.patch.since, undoing: true}
	w.mark()
	w.wait(w.between(time.Second, 5*time.Second))
	w.logKernel("livepatch: '" + w.patch.module + "': unpatching complete")
	w.patch = patch{done: true}
	w.mark()
}

// setClock sets the wall clock.
func (w *world) setClock(ahead time.Duration) {
	w.clock = ahead
	w.mark()
}
