package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// The kernels of the stories, as packages and as uname -r says it.
const (
	kernelA, releaseA = "6.4.0-150600.23.42.2", "6.4.0-150600.23.42-default"
	kernelB, releaseB = "6.4.0-150600.23.47.2", "6.4.0-150600.23.47-default"
	kernelC, releaseC = "6.4.0-150600.23.53.1", "6.4.0-150600.23.53-default"
)

// machine is a host that a test makes up. What happens to it is the truth; its recorder
// writes what it sees of that into events, and its journal remembers boots.
type machine struct {
	t    *testing.T
	root string // of its file tree, with the record
	now  time.Time

	timer     time.Time       // when the daily timer ran last
	recording bool            // the recorder is installed and works
	rotated   bool            // the journal has lost the starts of boots
	written   []*record.Event // and not yet in the record
	all       []*record.Event
	known     map[string]time.Time // until when boots are on record
	truth     []truth
	number    int // of the newest event, boot, transaction

	boot      *record.Boot // nil: it is off
	pending   []*record.Boot
	module    string // active
	since     time.Time
	installed []record.Package
	initrds   map[string]string           // module, by kernel release
	next      string                      // kernel release of the default boot entry
	parts     map[record.PartName]setPart // what observations say beside
}

// truth is how it was from a moment on.
type truth struct {
	from      time.Time
	boot      string // empty: it was off
	kernel    string
	module    string // active live patch; empty: none
	inInitrd  string // module in the initrd of the running kernel
	next      string // kernel of the default boot entry
	installed []string
	changing  bool // packages are being changed
}

// newMachine is a machine that is installed, and off, without a recorder.
func newMachine(t *testing.T, start string) *machine {
	t.Helper()
	root := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	check(t, os.WriteFile(filepath.Join(root, "etc/machine-id"), []byte("0123456789abcdef0123456789abcdef\n"), 0o644))
	m := &machine{t: t, root: root, now: when(t, start), timer: when(t, start).Add(-5 * time.Hour), initrds: map[string]string{}, known: map[string]time.Time{}, parts: map[record.PartName]setPart{}}
	says(m, record.Taint{Value: 32768, Flags: []record.TaintFlag{}})
	says(m, record.Coverage{Date: "2026-03-31", File: "/var/lib/lifecycle/data/sle-module-live-patching.lifecycle", Line: 3, Name: "*", Version: "*"})
	says(m, record.Locks{})
	says(m, record.Entitlement{
		Products: []record.Product{{Name: "sle-module-live-patching", Version: "15.6", EndOfLife: "2031-12-31", File: "/etc/products.d/sle-module-live-patching.prod"}},
		Patterns: []string{"patterns-lp-lp_sles"}, Lifecycle: []string{"lifecycle-data-sle-module-live-patching"},
	})
	says(m, record.HistoryComparison{File: "/var/log/zypp/history", Missing: []record.MissingChange{}, Lost: []record.LostHistory{}})
	return m
}

// setPart gives an observation a part.
type setPart func(*record.Observation) error

// says has observations have a part from now on.
func says[T record.PartType](m *machine, v T) {
	m.parts[record.PartNameOf[T]()] = func(o *record.Observation) error { return record.SetPart(o, v) }
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func when(t *testing.T, text string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	t.Fatalf("time %q", text)
	return time.Time{}
}

// until lets time pass, with an observation a day.
func (m *machine) until(text string) {
	m.t.Helper()
	m.pass(when(m.t, text))
}

func (m *machine) pass(to time.Time) {
	for next := m.timer.Add(24 * time.Hour); next.Before(to); next = m.timer.Add(24 * time.Hour) {
		if m.timer = next; next.After(m.now) {
			m.now = next
			m.observe(record.TriggerTimer)
		}
	}
	m.now = to
}

func (m *machine) wait(d time.Duration) { m.now = m.now.Add(d) }

// happened notes what is so from now on.
func (m *machine) happened() {
	now := truth{from: m.now, module: m.module, next: m.next, changing: m.changing()}
	if m.boot != nil {
		now.boot, now.kernel, now.inInitrd = m.boot.ID, m.boot.KernelRelease, m.initrds[m.boot.KernelRelease]
	}
	for _, p := range m.installed {
		now.installed = append(now.installed, p.Name+"-"+p.Version)
	}
	slices.Sort(now.installed)
	m.truth = append(m.truth, now)
}

func (m *machine) changing() bool { return len(m.truth) > 0 && m.truth[len(m.truth)-1].changing }

// at is the truth about a moment.
func (m *machine) at(moment time.Time) truth {
	i, found := slices.BinarySearchFunc(m.truth, moment, func(s truth, at time.Time) int { return s.from.Compare(at) })
	if found { // of several things at a moment the last one counts
		for i+1 < len(m.truth) && m.truth[i+1].from.Equal(moment) {
			i++
		}
		return m.truth[i]
	}
	if i == 0 {
		return truth{}
	}
	return m.truth[i-1]
}

func (m *machine) header(kind record.EventKind) record.Header {
	m.number++
	h := record.Header{
		V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", m.number), Time: m.stamp(), UTCOffset: "+01:00",
		Host:     record.Host{MachineID: "0123456789abcdef0123456789abcdef", Hostname: "db01"},
		Recorder: record.Program{Program: "klp-audit", Version: "1.0.0"},
	}
	if m.boot != nil {
		h.BootID, h.BoottimeUS = m.boot.ID, m.now.Sub(m.boot.First.Time).Microseconds()
	}
	return h
}

func (m *machine) stamp() record.Timestamp { return record.At(m.now) }

// write has the recorder write an event.
func (m *machine) write(ev *record.Event) {
	if m.recording {
		m.written, m.all = append(m.written, ev), append(m.all, ev)
	}
}

// flush appends what was written to the record. The clock of the store is the machine's:
// what it adds of its own accord is from now.
func (m *machine) flush() {
	m.t.Helper()
	evs, now := m.written, m.now
	m.written = nil
	synctest.Test(m.t, func(t *testing.T) {
		time.Sleep(time.Until(now))
		s, err := store.Open(t.Context(), m.root, "1.0.0")
		check(t, err)
		check(t, s.Append(t.Context(), evs...))
		check(t, s.Close())
	})
}

// record opens what was recorded so far.
func (m *machine) record() *store.Store {
	m.t.Helper()
	m.flush()
	s, err := store.OpenReadOnly(m.t.Context(), store.Path(m.root))
	check(m.t, err)
	m.t.Cleanup(func() { s.Close() })
	return s
}

// startRecording installs the recorder.
func (m *machine) startRecording() {
	m.flush()
	m.recording = true
}

// start boots a kernel; what its initrd holds is loaded.
func (m *machine) start(release string) {
	m.number++
	m.boot = &record.Boot{ID: fmt.Sprintf("%032x", m.number), KernelRelease: release, First: m.stamp(), StartInJournal: true, Loads: []record.Load{}, Builds: []record.Build{}}
	m.module = ""
	m.happened()
	if module := m.initrds[release]; module != "" {
		m.wait(2 * time.Second)
		m.load(module, "initrd", "R2")
	}
	m.wait(30 * time.Second)
	m.observe(record.TriggerBoot)
}

// halt ends the boot; the journal's last entry is so much older.
func (m *machine) halt(lost time.Duration) {
	m.endJournal(m.now.Add(-lost))
	m.wait(time.Microsecond) // it still ran when it wrote that
	m.boot, m.module = nil, ""
	m.happened()
}

// endJournal closes the journal of the boot at a moment; what came after it is lost.
func (m *machine) endJournal(last time.Time) {
	b := m.boot
	if last.Before(b.First.Time) {
		return // nothing of that boot was written
	}
	b.Last = record.At(last)
	b.Loads = slices.DeleteFunc(b.Loads, func(l record.Load) bool { return l.Time.After(last) })
	b.Builds = slices.DeleteFunc(b.Builds, func(l record.Build) bool { return l.Time.After(last) })
	for i := range b.Loads {
		if d := b.Loads[i].Disabled; d != nil && d.After(last) {
			b.Loads[i].Disabled, b.Loads[i].Replaced = nil, ""
		}
	}
	m.pending = append(m.pending, b)
}

// reboot ends the boot in order, and starts the default entry.
func (m *machine) reboot() {
	m.halt(0)
	m.wait(90 * time.Second)
	m.start(m.next)
}

// crash ends the boot; the last minutes of its journal never reached the disk.
func (m *machine) crash() {
	m.halt(4 * time.Minute)
	m.wait(5 * time.Minute)
	m.start(m.next)
}

// load activates a live patch, which replaces the one before.
func (m *machine) load(module, phase, rule string) {
	loads := m.boot.Loads
	for i := range loads {
		if loads[i].Patch == m.module && loads[i].Disabled == nil {
			loads[i].Disabled, loads[i].Replaced = new(m.stamp()), module
		}
	}
	m.number++
	m.boot.Loads = append(loads, record.Load{Patch: module, Phase: phase, Rule: rule, Result: "complete", Time: m.stamp(), Completed: new(m.stamp()), Cursor: "s=1;i=" + strconv.Itoa(m.number)})
	m.module, m.since = module, m.now
	m.happened()
}

// disable takes the active live patch away by hand.
func (m *machine) disable() {
	for i := range m.boot.Loads {
		if m.boot.Loads[i].Patch == m.module && m.boot.Loads[i].Disabled == nil {
			m.boot.Loads[i].Disabled = new(m.stamp())
		}
	}
	m.module = ""
	m.happened()
}

// build makes the initrd of a kernel anew, with the live patch that is installed for it.
func (m *machine) build(release string) {
	m.initrds[release] = ""
	b := record.Build{KernelRelease: release, Image: "/boot/initrd-" + release, Modules: []string{}, Success: true, Time: m.stamp(), Cursor: "s=2"}
	if p := m.patchFor(release); p != nil {
		m.initrds[release] = moduleOf(*p)
		b.Modules = append(b.Modules, moduleOf(*p)+".ko")
	}
	if m.boot != nil {
		m.boot.Builds = append(m.boot.Builds, b)
	}
	m.happened()
}

func (m *machine) patchFor(release string) *record.Package {
	for i, p := range m.installed {
		if r, ok := livepatch.KernelFor(p.Name); ok && r == release {
			return &m.installed[i]
		}
	}
	return nil
}

// kernelPackage and patchPackage are packages of the stories; patch n of a kernel.
func kernelPackage(version string) record.Package {
	return record.Package{Name: "kernel-default", Version: version, Arch: "x86_64", Kind: "kernel", Vendor: "SUSE LLC <https://www.suse.com/>", SignatureKey: "f74f09bc3fa1d6ce"}
}

func patchPackage(release string, n int) record.Package {
	name, _ := livepatch.PackageFor(release)
	p := kernelPackage(fmt.Sprintf("%d-150600.13.%d.1", n, 3*n))
	p.Name, p.Kind = name, "livepatch"
	return p
}

func moduleOf(p record.Package) string {
	version, release, _ := strings.Cut(p.Version, "-")
	return livepatch.Module(p.Name, version, release)
}

// releaseOf is the kernel release that a package is or is for.
func releaseOf(p record.Package) string {
	if release, ok := livepatch.KernelFor(p.Name); ok {
		return release
	}
	version, release, _ := strings.Cut(p.Version, "-")
	uname, _ := livepatch.KernelRelease(p.Name, version, release)
	return uname
}

// fixesOf are those of patch n of a kernel: two CVEs more than patch n-1, the initial patch none.
func fixesOf(p record.Package) (f record.Fixes) {
	number, _, _ := strings.Cut(p.Version, "-")
	n, err := strconv.Atoi(number)
	if err != nil {
		return f
	}
	kernel := strings.Split(p.Name, "_")
	minor := strings.TrimSuffix(kernel[len(kernel)-1], "-default")
	for i := 2; i <= n; i++ {
		f.CVEs = append(f.CVEs, fmt.Sprintf("CVE-2025-%s%d1", minor, i), fmt.Sprintf("CVE-2025-%s%d2", minor, i))
		f.Bugs = append(f.Bugs, fmt.Sprintf("bsc#12%s%d", minor, i))
	}
	return f
}

// failScript lets a script of the newest change fail.
func (m *machine) failScript() {
	for _, ev := range slices.Backward(m.written) {
		if ev.End != nil {
			ev.End.Changes[0].Scripts = []record.Script{{Script: "posttrans", Status: "exit status 4", Output: "no image"}}
			return
		}
	}
}

// install is a commit that brings packages in, beside or instead of others, and ends well.
func (m *machine) install(pkgs ...record.Package) { m.commit(record.OutcomeCompleted, pkgs, nil) }

// remove is a commit that removes packages.
func (m *machine) remove(pkgs ...record.Package) { m.commit(record.OutcomeCompleted, nil, pkgs) }

// commit is one of zypper's: it takes ten seconds. One that does not end well changes
// nothing. Without an outcome it has no end on record.
func (m *machine) commit(outcome record.Outcome, in, out []record.Package) {
	begin := &record.Event{Header: m.header(record.KindCommitBegin)}
	begin.Begin = &record.CommitBegin{
		Libzypp:   record.Process{PID: 1000 + m.number, StartTicks: 5000},
		Actor:     record.Actor{Login: "tux", LoginUID: "1000", EUID: "0", SudoUser: "tux", SudoUID: "1000", TTY: "pts/0", Session: "3", Exe: "/usr/bin/zypper"},
		Command:   []string{"zypper", "-n", "in"},
		UserData:  fmt.Sprintf("CHG-%d", m.number),
		Installed: slices.Clone(m.installed), Fixes: map[string]record.Fixes{}, Announced: []record.Change{},
	}
	for _, p := range m.installed {
		if _, ok := livepatch.KernelFor(p.Name); ok {
			begin.Begin.Fixes[p.Name+"-"+p.Version+"."+p.Arch] = fixesOf(p)
		}
	}
	end := &record.Event{End: &record.CommitEnd{Commit: begin.ID, Outcome: outcome}}
	end.End.Changes = m.changes(in, out)
	for _, c := range end.End.Changes {
		c.Result, c.Stage = record.ResultUnknown, ""
		begin.Begin.Announced = append(begin.Begin.Announced, c)
	}
	if outcome == record.OutcomeStaged {
		begin.Begin.Staging = &record.Staging{Snapshot: "42", Root: "/tmp/transactional-update"}
	}
	m.write(begin)
	m.wait(time.Second)
	if m.work(outcome, in, out, end.End); outcome == "" {
		return
	}
	end.Header = m.header(record.KindCommitEnd)
	m.write(end)
	m.wait(2 * time.Second)
	m.observe(record.TriggerCommit)
}

// work is what happens between begin and end.
func (m *machine) work(outcome record.Outcome, in, out []record.Package, end *record.CommitEnd) {
	done := outcome == record.OutcomeCompleted || outcome == ""
	if done {
		m.apply(in, out)
	}
	for i := range end.Changes {
		c := &end.Changes[i]
		switch {
		case done:
			for _, p := range m.installed {
				if p.Name == c.Package && p.Version == c.Version {
					c.InstallTime = new(record.At(time.Unix(p.InstallTime, 0)))
				}
			}
		case outcome == record.OutcomeStaged:
		default:
			c.Result, c.Stage, c.Added, c.Removed = record.ResultFailed, "err", record.Fixes{}, record.Fixes{}
		}
	}
	m.wait(2 * time.Second)
	m.settled()
}

// settled says that packages change no more.
func (m *machine) settled() {
	m.happened()
	m.truth[len(m.truth)-1].changing = false
}

// apply changes what is installed, loads what is for the running kernel, and builds initrds.
func (m *machine) apply(in, out []record.Package) {
	gone := func(p record.Package) bool {
		return slices.ContainsFunc(out, func(o record.Package) bool { return o.Name == p.Name && o.Version == p.Version }) ||
			slices.ContainsFunc(in, func(i record.Package) bool { return i.Name == p.Name && p.Name != "kernel-default" })
	}
	m.installed = slices.DeleteFunc(slices.Clone(m.installed), gone)
	for _, p := range in {
		m.number++
		p.InstallTime, p.InstallTID, p.DBInstance, p.BuildTime = m.now.Unix(), m.now.Unix(), int64(m.number), built(m.now).Unix()
		m.installed = append(m.installed, p)
		if p.Name == "kernel-default" {
			m.next = releaseOf(p)
		}
	}
	m.happened()
	m.truth[len(m.truth)-1].changing = true
	for _, p := range slices.Concat(in, out) {
		m.wait(time.Second)
		release := releaseOf(p)
		if p.Name != "kernel-default" && m.boot != nil && release == m.boot.KernelRelease && slices.ContainsFunc(in, func(i record.Package) bool { return i.Name == p.Name }) {
			m.load(moduleOf(p), "system", "R3")
			m.wait(time.Second)
		}
		m.build(release)
	}
}

// built is when the packages that are installed now were built.
func built(now time.Time) time.Time { return now.Truncate(24*time.Hour).AddDate(0, 0, -6) }

// changes are what libzypp would do to the packages that are installed.
func (m *machine) changes(in, out []record.Package) (list []record.Change) {
	for _, p := range in {
		c := change(p)
		c.Action, c.Step, c.Added = "install", "+", fixesOf(p)
		c.BuildTime = new(record.At(built(m.now)))
		for _, old := range m.installed {
			if old.Name != p.Name || p.Name == "kernel-default" {
				continue
			}
			c.Previous = old.Version
			c.Added, c.Removed = minus(fixesOf(p), fixesOf(old)), minus(fixesOf(old), fixesOf(p))
			c.Action = map[int]record.Action{-1: "downgrade", 0: "reinstall", 1: "upgrade"}[cmp.Compare(number(p), number(old))]
		}
		list = append(list, c)
	}
	for _, p := range out {
		c := change(p)
		c.Action, c.Step, c.Removed = "remove", "-", fixesOf(p)
		list = append(list, c)
	}
	return list
}

func number(p record.Package) int {
	text, _, _ := strings.Cut(p.Version, "-")
	n, _ := strconv.Atoi(text)
	return n
}

func minus(f, g record.Fixes) record.Fixes {
	return record.Fixes(livepatch.Fixes(f).Minus(livepatch.Fixes(g)))
}

// change is what is known of a package whatever becomes of it.
func change(p record.Package) record.Change {
	c := record.Change{
		Kind: record.PackageKind(livepatch.KindOf(p.Name)), Package: p.Name, Arch: p.Arch, Version: p.Version, Result: record.ResultOK, Stage: "ok",
		KernelRelease: releaseOf(p), Repo: "updates", Checksum: "0123abcd", SignatureKey: p.SignatureKey, Vendor: p.Vendor,
	}
	if _, ok := livepatch.KernelFor(p.Name); ok {
		c.Module, c.PatchNumber = moduleOf(p), number(p)
		c.Initial = c.PatchNumber == 1
	}
	return c
}

// observe takes an observation, if there is a recorder and the machine runs.
func (m *machine) observe(trigger record.Trigger) {
	if !m.recording || m.boot == nil {
		return
	}
	o := &record.Observation{
		Trigger: trigger, Kernel: record.Kernel{Release: m.boot.KernelRelease, Version: "#1 SMP PREEMPT_DYNAMIC", BootTime: m.boot.First},
		Installed: slices.Clone(m.installed), Patches: []record.LoadedPatch{}, Initrd: m.verdict(),
		NextBoot: &record.NextBoot{KernelRelease: m.next, Image: "/boot/initrd-" + m.next, Source: "/boot/grub2/grub.cfg"},
		Reboot:   &record.Reboot{Pending: m.pendingReboot(), NewestKernel: m.next},
		Parts:    map[record.PartName]json.RawMessage{}, Unknown: map[string]string{},
	}
	if m.module != "" {
		o.Patches = append(o.Patches, record.LoadedPatch{Module: m.module, Enabled: true, Replace: new(true), StackOrder: new(1)})
		o.LivePatch = m.livePatch()
	}
	for _, set := range m.parts {
		check(m.t, set(o))
	}
	o.Boots = m.journal()
	m.write(&record.Event{Header: m.header(record.KindObservation), Observation: o})
}

func (m *machine) pendingReboot() record.Pending {
	switch p := m.patchFor(m.boot.KernelRelease); {
	case m.next == m.boot.KernelRelease:
		return record.PendingNo
	case p != nil && moduleOf(*p) == m.module:
		return record.PendingLivePatched
	}
	return record.PendingYes
}

// livePatch describes the active live patch as an observation does.
func (m *machine) livePatch() *record.LivePatch {
	lp := &record.LivePatch{Module: m.module, Enabled: true, Forced: new(false), Since: new(record.At(m.since))}
	if m.rotated {
		lp.Since, lp.Forced = nil, nil
	}
	if p := m.patchFor(m.boot.KernelRelease); p != nil && moduleOf(*p) == m.module {
		fixes := fixesOf(*p)
		lp.Package, lp.Version, lp.PatchNumber, lp.Initial = &p.Name, &p.Version, new(number(*p)), new(number(*p) == 1)
		lp.CVEs, lp.Bugs = append([]string{}, fixes.CVEs...), append([]string{}, fixes.Bugs...)
	}
	return lp
}

// verdict is what the initrd of the running kernel proves.
func (m *machine) verdict() record.Initrd {
	v := record.Initrd{KernelRelease: m.boot.KernelRelease, Patch: m.module, Evidence: []record.Evidence{}}
	switch {
	case m.module == "":
		v.Verdict, v.Reason = record.VerdictUnknown, record.ReasonNoPatch
	case m.rotated:
		v.Verdict, v.Reason = record.VerdictUnknown, record.ReasonBootStart
	default:
		v.Verdict, v.Basis = record.VerdictMissing, record.BasisBuild
		if m.initrds[m.boot.KernelRelease] == m.module {
			v.Verdict = record.VerdictContained
		}
		v.Evidence = append(v.Evidence, record.Evidence{Says: "the newest build", Time: new(m.stamp()), BootID: m.boot.ID, Cursor: "s=2", Message: "live patch packed"})
	}
	return v
}

// journal is what is new in it: boots that ended since the last observation, and this one.
func (m *machine) journal() (boots []record.Boot) {
	b := *m.boot
	b.Last = m.stamp()
	for _, b := range append(m.pending, &b) {
		if !b.Last.After(m.known[b.ID]) {
			continue
		}
		c := *b
		m.known[c.ID] = c.Last.Time
		c.Loads, c.Builds = slices.Clone(b.Loads), slices.Clone(b.Builds)
		if m.rotated {
			c.First, c.StartInJournal, c.Loads = c.Last, false, []record.Load{}
		}
		boots = append(boots, c)
	}
	m.pending = nil
	return boots
}

// twoYears is the story that the reports are tested with: a host from January 2025 to June
// 2026, with three kernels and what can go wrong with their live patches.
func twoYears(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t, "2025-01-01T08:00:00Z")
	m.installed, m.next = []record.Package{kernelPackage(kernelA)}, releaseA
	m.start(releaseA)
	m.until("2025-01-07T10:00:00Z")
	m.startRecording()
	m.observe(record.TriggerManual)
	m.kernelAOfStory()
	m.kernelBOfStory()
	m.kernelCOfStory()
	return m
}

func (m *machine) kernelAOfStory() {
	for _, step := range []struct {
		date  string
		patch int
	}{{"2025-01-10T09:00:00Z", 1}, {"2025-02-04T09:00:00Z", 2}, {"2025-02-25T09:00:00Z", 3}} {
		m.until(step.date)
		m.install(patchPackage(releaseA, step.patch))
	}
	m.until("2025-03-11T20:00:00Z")
	m.reboot()
	m.until("2025-04-01T09:00:00Z")
	m.install(patchPackage(releaseA, 4))
	m.until("2025-04-20T12:00:00Z")
	m.initrds[releaseA] = moduleOf(patchPackage(releaseA, 3)) // an image of before is put back
	m.happened()
	m.until("2025-04-22T03:17:00Z")
	m.crash()
	m.until("2025-04-23T08:00:00Z")
	m.install(patchPackage(releaseA, 4))
	m.until("2025-05-06T09:00:00Z")
	m.install(patchPackage(releaseA, 5))
	m.until("2025-05-13T09:00:00Z")
	m.install(patchPackage(releaseA, 4)) // a downgrade, for five days
	m.until("2025-05-18T09:00:00Z")
	m.install(patchPackage(releaseA, 5))
	m.until("2025-06-03T09:00:00Z")
	m.commit(record.OutcomeFailed, []record.Package{patchPackage(releaseA, 6)}, nil)
	m.until("2025-06-04T09:00:00Z")
	m.install(patchPackage(releaseA, 6))
}

func (m *machine) kernelBOfStory() {
	m.until("2025-07-01T09:00:00Z")
	m.install(kernelPackage(kernelB), patchPackage(releaseB, 1))
	m.until("2025-07-08T20:00:00Z")
	m.reboot()
	m.until("2025-08-05T09:00:00Z")
	m.install(patchPackage(releaseB, 2))
	m.until("2025-08-12T09:00:00Z")
	m.recording = false // for a week nothing is written down
	m.until("2025-08-14T09:00:00Z")
	m.install(patchPackage(releaseB, 3))
	m.until("2025-08-15T20:00:00Z")
	m.reboot()
	m.until("2025-08-19T09:00:00Z")
	m.startRecording()
	m.observe(record.TriggerManual)
	m.until("2025-09-09T09:00:00Z")
	m.install(patchPackage(releaseB, 4))
	m.remove(kernelPackage(kernelA), patchPackage(releaseA, 6))
	m.until("2025-09-20T09:00:00Z")
	m.flush()
	check(m.t, os.Remove(store.KeyPath(m.root)))
	m.flush() // makes another key
	m.until("2025-10-07T09:00:00Z")
	m.commit(record.OutcomeStaged, []record.Package{patchPackage(releaseB, 5)}, nil)
	m.until("2025-10-08T20:00:00Z")
	m.halt(0)
	m.apply([]record.Package{patchPackage(releaseB, 5)}, nil)
	m.settled()
	m.wait(time.Minute)
	m.start(releaseB)
}

func (m *machine) kernelCOfStory() {
	m.until("2025-11-11T09:00:00Z")
	m.install(kernelPackage(kernelC), patchPackage(releaseC, 1))
	m.until("2025-11-12T20:00:00Z")
	m.reboot()
	m.until("2026-01-13T09:00:00Z")
	m.install(patchPackage(releaseC, 2))
	m.until("2026-06-29T09:00:00Z")
	m.commit("", []record.Package{patchPackage(releaseC, 3)}, nil) // zypper was killed
}

// last is the newest observation that was written; what a test changes in it is recorded so.
func (m *machine) last() *record.Observation {
	m.t.Helper()
	for _, ev := range slices.Backward(m.written) {
		if ev.Observation != nil {
			return ev.Observation
		}
	}
	m.t.Fatal("there is no observation")
	return nil
}

// drop has the newest observation lack a part, for a reason.
func (m *machine) drop(name record.PartName, why string) {
	delete(m.last().Parts, name)
	m.last().Unknown[string(name)] = why
}

// set gives a part of the newest observation another value.
func set[T record.PartType](m *machine, v T) { check(m.t, record.SetPart(m.last(), v)) }

// setJSON gives a part of the newest observation another text, of whatever form.
func (m *machine) setJSON(name record.PartName, text string) { m.last().Parts[name] = []byte(text) }
