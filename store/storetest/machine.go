package storetest

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
	KernelA, ReleaseA = "6.4.0-150600.23.42.2", "6.4.0-150600.23.42-default"
	KernelB, ReleaseB = "6.4.0-150600.23.47.2", "6.4.0-150600.23.47-default"
	KernelC, ReleaseC = "6.4.0-150600.23.53.1", "6.4.0-150600.23.53-default"
)

// Machine is a host that a test makes up. What happens to it is the truth; its recorder
// writes what it sees of that into events, and its journal remembers boots.
type Machine struct {
	T    *testing.T
	Root string // of its file tree, with the record
	Now  time.Time

	timer     time.Time       // when the daily timer ran last
	Recording bool            // the recorder is installed and works
	Rotated   bool            // the journal has lost the starts of boots
	Written   []*record.Event // and not yet in the record
	All       []*record.Event
	known     map[string]time.Time // until when boots are on record
	Truth     []Truth
	number    int // of the newest event, boot, transaction

	Boot      *record.Boot // nil: it is off
	Pending   []*record.Boot
	Module    string // active
	Since     time.Time
	Installed []record.Package
	Initrds   map[string]string           // module, by kernel release
	Next      string                      // kernel release of the default boot entry
	Parts     map[record.PartName]setPart // what observations say beside
}

// Truth is how it was from a moment on.
type Truth struct {
	From      time.Time
	Boot      string // empty: it was off
	Kernel    string
	Module    string // active live patch; empty: none
	InInitrd  string // module in the initrd of the running kernel
	Next      string // kernel of the default boot entry
	Installed []string
	changing  bool // packages are being changed
}

// NewMachine is a machine that is installed, and off, without a recorder.
func NewMachine(t *testing.T, start string) *Machine {
	t.Helper()
	root := t.TempDir()
	Check(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	Check(t, os.WriteFile(filepath.Join(root, "etc/machine-id"), []byte("0123456789abcdef0123456789abcdef\n"), 0o644))
	m := &Machine{T: t, Root: root, Now: When(t, start), timer: When(t, start).Add(-5 * time.Hour), Initrds: map[string]string{}, known: map[string]time.Time{}, Parts: map[record.PartName]setPart{}}
	Says(m, record.Taint{Value: 32768, Flags: []record.TaintFlag{}})
	Says(m, record.Coverage{Date: "2026-03-31", File: "/var/lib/lifecycle/data/sle-module-live-patching.lifecycle", Line: 3, Name: "*", Version: "*"})
	Says(m, record.Locks{})
	Says(m, record.Entitlement{
		Products: []record.Product{{Name: "sle-module-live-patching", Version: "15.6", EndOfLife: "2031-12-31", File: "/etc/products.d/sle-module-live-patching.prod"}},
		Patterns: []string{"patterns-lp-lp_sles"}, Lifecycle: []string{"lifecycle-data-sle-module-live-patching"},
	})
	Says(m, record.HistoryComparison{File: "/var/log/zypp/history", Missing: []record.MissingChange{}, Lost: []record.LostHistory{}})
	return m
}

// setPart gives an observation a part.
type setPart func(*record.Observation) error

// Says has observations have a part from now on.
func Says[T record.PartType](m *Machine, v T) {
	m.Parts[record.PartNameOf[T]()] = func(o *record.Observation) error { return record.SetPart(o, v) }
}

func Check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func When(t *testing.T, text string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	t.Fatalf("time %q", text)
	return time.Time{}
}

// Until lets time pass, with an observation a day.
func (m *Machine) Until(text string) {
	m.T.Helper()
	m.Pass(When(m.T, text))
}

func (m *Machine) Pass(to time.Time) {
	for next := m.timer.Add(24 * time.Hour); next.Before(to); next = m.timer.Add(24 * time.Hour) {
		if m.timer = next; next.After(m.Now) {
			m.Now = next
			m.Observe(record.TriggerTimer)
		}
	}
	m.Now = to
}

func (m *Machine) Wait(d time.Duration) { m.Now = m.Now.Add(d) }

// Happened notes what is so from now on.
func (m *Machine) Happened() {
	now := Truth{From: m.Now, Module: m.Module, Next: m.Next, changing: m.changing()}
	if m.Boot != nil {
		now.Boot, now.Kernel, now.InInitrd = m.Boot.ID, m.Boot.KernelRelease, m.Initrds[m.Boot.KernelRelease]
	}
	for _, p := range m.Installed {
		now.Installed = append(now.Installed, p.Name+"-"+p.Version)
	}
	slices.Sort(now.Installed)
	m.Truth = append(m.Truth, now)
}

func (m *Machine) changing() bool { return len(m.Truth) > 0 && m.Truth[len(m.Truth)-1].changing }

// At is the truth about a moment.
func (m *Machine) At(moment time.Time) Truth {
	i, found := slices.BinarySearchFunc(m.Truth, moment, func(s Truth, at time.Time) int { return s.From.Compare(at) })
	if found { // of several things at a moment the last one counts
		for i+1 < len(m.Truth) && m.Truth[i+1].From.Equal(moment) {
			i++
		}
		return m.Truth[i]
	}
	if i == 0 {
		return Truth{}
	}
	return m.Truth[i-1]
}

func (m *Machine) Header(kind record.EventKind) record.Header {
	m.number++
	h := record.Header{
		V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", m.number), Time: m.stamp(), UTCOffset: "+01:00",
		Host:     record.Host{MachineID: "0123456789abcdef0123456789abcdef", Hostname: "db01"},
		Recorder: record.Program{Program: "klp-audit", Version: "1.0.0"},
	}
	if m.Boot != nil {
		h.BootID, h.BoottimeUS = m.Boot.ID, m.Now.Sub(m.Boot.First.Time).Microseconds()
	}
	return h
}

func (m *Machine) stamp() record.Timestamp { return record.At(m.Now) }

// Write has the recorder write an event.
func (m *Machine) Write(ev *record.Event) {
	if m.Recording {
		m.Written, m.All = append(m.Written, ev), append(m.All, ev)
	}
}

// Flush appends what was written to the record. The clock of the store is the machine's:
// what it adds of its own accord is from now.
func (m *Machine) Flush() {
	m.T.Helper()
	evs, now := m.Written, m.Now
	m.Written = nil
	synctest.Test(m.T, func(t *testing.T) {
		time.Sleep(time.Until(now))
		s, err := store.Open(t.Context(), m.Root, "1.0.0")
		Check(t, err)
		Check(t, s.Append(t.Context(), evs...))
		Check(t, s.Close())
	})
}

// OpenRecord opens what was recorded so far.
func (m *Machine) OpenRecord() *store.Store {
	m.T.Helper()
	m.Flush()
	s, err := store.OpenReadOnly(m.T.Context(), store.Path(m.Root))
	Check(m.T, err)
	m.T.Cleanup(func() { s.Close() })
	return s
}

// StartRecording installs the recorder.
func (m *Machine) StartRecording() {
	m.Flush()
	m.Recording = true
}

// Start boots a kernel; what its initrd holds is loaded.
func (m *Machine) Start(release string) {
	m.number++
	m.Boot = &record.Boot{ID: fmt.Sprintf("%032x", m.number), KernelRelease: release, First: m.stamp(), StartInJournal: true, Loads: []record.Load{}, Builds: []record.Build{}}
	m.Module = ""
	m.Happened()
	if module := m.Initrds[release]; module != "" {
		m.Wait(2 * time.Second)
		m.Load(module, "initrd", "R2")
	}
	m.Wait(30 * time.Second)
	m.Observe(record.TriggerBoot)
}

// Halt ends the boot; the journal's last entry is so much older.
func (m *Machine) Halt(lost time.Duration) {
	m.endJournal(m.Now.Add(-lost))
	m.Wait(time.Microsecond) // it still ran when it wrote that
	m.Boot, m.Module = nil, ""
	m.Happened()
}

// endJournal closes the journal of the boot at a moment; what came after it is lost.
func (m *Machine) endJournal(last time.Time) {
	b := m.Boot
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
	m.Pending = append(m.Pending, b)
}

// Reboot ends the boot in order, and starts the default entry.
func (m *Machine) Reboot() {
	m.Halt(0)
	m.Wait(90 * time.Second)
	m.Start(m.Next)
}

// Crash ends the boot; the last minutes of its journal never reached the disk.
func (m *Machine) Crash() {
	m.Halt(4 * time.Minute)
	m.Wait(5 * time.Minute)
	m.Start(m.Next)
}

// Load activates a live patch, which replaces the one before.
func (m *Machine) Load(module, phase, rule string) {
	loads := m.Boot.Loads
	for i := range loads {
		if loads[i].Patch == m.Module && loads[i].Disabled == nil {
			loads[i].Disabled, loads[i].Replaced = new(m.stamp()), module
		}
	}
	m.number++
	m.Boot.Loads = append(loads, record.Load{Patch: module, Phase: phase, Rule: rule, Result: "complete", Time: m.stamp(), Completed: new(m.stamp()), Cursor: "s=1;i=" + strconv.Itoa(m.number)})
	m.Module, m.Since = module, m.Now
	m.Happened()
}

// Disable takes the active live patch away by hand.
func (m *Machine) Disable() {
	for i := range m.Boot.Loads {
		if m.Boot.Loads[i].Patch == m.Module && m.Boot.Loads[i].Disabled == nil {
			m.Boot.Loads[i].Disabled = new(m.stamp())
		}
	}
	m.Module = ""
	m.Happened()
}

// build makes the initrd of a kernel anew, with the live patch that is installed for it.
func (m *Machine) build(release string) {
	m.Initrds[release] = ""
	b := record.Build{KernelRelease: release, Image: "/boot/initrd-" + release, Modules: []string{}, Success: true, Time: m.stamp(), Cursor: "s=2"}
	if p := m.PatchFor(release); p != nil {
		m.Initrds[release] = ModuleOf(*p)
		b.Modules = append(b.Modules, ModuleOf(*p)+".ko")
	}
	if m.Boot != nil {
		m.Boot.Builds = append(m.Boot.Builds, b)
	}
	m.Happened()
}

func (m *Machine) PatchFor(release string) *record.Package {
	for i, p := range m.Installed {
		if r, ok := livepatch.KernelFor(p.Name); ok && r == release {
			return &m.Installed[i]
		}
	}
	return nil
}

// KernelPackage and patchPackage are packages of the stories; patch n of a kernel.
func KernelPackage(version string) record.Package {
	return record.Package{Name: "kernel-default", Version: version, Arch: "x86_64", Kind: "kernel", Vendor: "SUSE LLC <https://www.suse.com/>", SignatureKey: "f74f09bc3fa1d6ce"}
}

func PatchPackage(release string, n int) record.Package {
	name, _ := livepatch.PackageFor(release)
	p := KernelPackage(fmt.Sprintf("%d-150600.13.%d.1", n, 3*n))
	p.Name, p.Kind = name, "livepatch"
	return p
}

func ModuleOf(p record.Package) string {
	version, release, _ := strings.Cut(p.Version, "-")
	return livepatch.Module(p.Name, version, release)
}

// ReleaseOf is the kernel release that a package is or is for.
func ReleaseOf(p record.Package) string {
	if release, ok := livepatch.KernelFor(p.Name); ok {
		return release
	}
	version, release, _ := strings.Cut(p.Version, "-")
	uname, _ := livepatch.KernelRelease(p.Name, version, release)
	return uname
}

// FixesOf are those of patch n of a kernel: two CVEs more than patch n-1, the initial patch none.
func FixesOf(p record.Package) (f record.Fixes) {
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

// FailScript lets a script of the newest change fail.
func (m *Machine) FailScript() {
	for _, ev := range slices.Backward(m.Written) {
		if ev.End != nil {
			ev.End.Changes[0].Scripts = []record.Script{{Script: "posttrans", Status: "exit status 4", Output: "no image"}}
			return
		}
	}
}

// Install is a commit that brings packages in, beside or instead of others, and ends well.
func (m *Machine) Install(pkgs ...record.Package) { m.Commit(record.OutcomeCompleted, pkgs, nil) }

// Remove is a commit that removes packages.
func (m *Machine) Remove(pkgs ...record.Package) { m.Commit(record.OutcomeCompleted, nil, pkgs) }

// Commit is one of zypper's: it takes ten seconds. One that does not end well changes
// nothing. Without an outcome it has no end on record.
func (m *Machine) Commit(outcome record.Outcome, in, out []record.Package) {
	begin := &record.Event{Header: m.Header(record.KindCommitBegin)}
	begin.Begin = &record.CommitBegin{
		Libzypp:   record.Process{PID: 1000 + m.number, StartTicks: 5000},
		Actor:     record.Actor{Login: "tux", LoginUID: "1000", EUID: "0", SudoUser: "tux", SudoUID: "1000", TTY: "pts/0", Session: "3", Exe: "/usr/bin/zypper"},
		Command:   []string{"zypper", "-n", "in"},
		UserData:  fmt.Sprintf("CHG-%d", m.number),
		Installed: slices.Clone(m.Installed), Fixes: map[string]record.Fixes{}, Announced: []record.Change{},
	}
	for _, p := range m.Installed {
		if _, ok := livepatch.KernelFor(p.Name); ok {
			begin.Begin.Fixes[p.Name+"-"+p.Version+"."+p.Arch] = FixesOf(p)
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
	m.Write(begin)
	m.Wait(time.Second)
	if m.work(outcome, in, out, end.End); outcome == "" {
		return
	}
	end.Header = m.Header(record.KindCommitEnd)
	m.Write(end)
	m.Wait(2 * time.Second)
	m.Observe(record.TriggerCommit)
}

// work is what happens between begin and end.
func (m *Machine) work(outcome record.Outcome, in, out []record.Package, end *record.CommitEnd) {
	done := outcome == record.OutcomeCompleted || outcome == ""
	if done {
		m.Apply(in, out)
	}
	for i := range end.Changes {
		c := &end.Changes[i]
		switch {
		case done:
			for _, p := range m.Installed {
				if p.Name == c.Package && p.Version == c.Version {
					c.InstallTime = new(record.At(time.Unix(p.InstallTime, 0)))
				}
			}
		case outcome == record.OutcomeStaged:
		default:
			c.Result, c.Stage, c.Added, c.Removed = record.ResultFailed, "err", record.Fixes{}, record.Fixes{}
		}
	}
	m.Wait(2 * time.Second)
	m.Settled()
}

// Settled says that packages change no more.
func (m *Machine) Settled() {
	m.Happened()
	m.Truth[len(m.Truth)-1].changing = false
}

// Apply changes what is installed, loads what is for the running kernel, and builds initrds.
func (m *Machine) Apply(in, out []record.Package) {
	gone := func(p record.Package) bool {
		return slices.ContainsFunc(out, func(o record.Package) bool { return o.Name == p.Name && o.Version == p.Version }) ||
			slices.ContainsFunc(in, func(i record.Package) bool { return i.Name == p.Name && p.Name != "kernel-default" })
	}
	m.Installed = slices.DeleteFunc(slices.Clone(m.Installed), gone)
	for _, p := range in {
		m.number++
		p.InstallTime, p.InstallTID, p.DBInstance, p.BuildTime = m.Now.Unix(), m.Now.Unix(), int64(m.number), built(m.Now).Unix()
		m.Installed = append(m.Installed, p)
		if p.Name == "kernel-default" {
			m.Next = ReleaseOf(p)
		}
	}
	m.Happened()
	m.Truth[len(m.Truth)-1].changing = true
	for _, p := range slices.Concat(in, out) {
		m.Wait(time.Second)
		release := ReleaseOf(p)
		if p.Name != "kernel-default" && m.Boot != nil && release == m.Boot.KernelRelease && slices.ContainsFunc(in, func(i record.Package) bool { return i.Name == p.Name }) {
			m.Load(ModuleOf(p), "system", "R3")
			m.Wait(time.Second)
		}
		m.build(release)
	}
}

// built is when the packages that are installed now were built.
func built(now time.Time) time.Time { return now.Truncate(24*time.Hour).AddDate(0, 0, -6) }

// changes are what libzypp would do to the packages that are installed.
func (m *Machine) changes(in, out []record.Package) (list []record.Change) {
	for _, p := range in {
		c := Change(p)
		c.Action, c.Step, c.Added = "install", "+", FixesOf(p)
		c.BuildTime = new(record.At(built(m.Now)))
		for _, old := range m.Installed {
			if old.Name != p.Name || p.Name == "kernel-default" {
				continue
			}
			c.Previous = old.Version
			c.Added, c.Removed = minus(FixesOf(p), FixesOf(old)), minus(FixesOf(old), FixesOf(p))
			c.Action = map[int]record.Action{-1: "downgrade", 0: "reinstall", 1: "upgrade"}[cmp.Compare(Number(p), Number(old))]
		}
		list = append(list, c)
	}
	for _, p := range out {
		c := Change(p)
		c.Action, c.Step, c.Removed = "remove", "-", FixesOf(p)
		list = append(list, c)
	}
	return list
}

func Number(p record.Package) int {
	text, _, _ := strings.Cut(p.Version, "-")
	n, _ := strconv.Atoi(text)
	return n
}

func minus(f, g record.Fixes) record.Fixes {
	return record.Fixes(livepatch.Fixes(f).Minus(livepatch.Fixes(g)))
}

// Change is what is known of a package whatever becomes of it.
func Change(p record.Package) record.Change {
	c := record.Change{
		Kind: record.PackageKind(livepatch.KindOf(p.Name)), Package: p.Name, Arch: p.Arch, Version: p.Version, Result: record.ResultOK, Stage: "ok",
		KernelRelease: ReleaseOf(p), Repo: "updates", Checksum: "0123abcd", SignatureKey: p.SignatureKey, Vendor: p.Vendor,
	}
	if _, ok := livepatch.KernelFor(p.Name); ok {
		c.Module, c.PatchNumber = ModuleOf(p), Number(p)
		c.Initial = c.PatchNumber == 1
	}
	return c
}

// Observe takes an observation, if there is a recorder and the machine runs.
func (m *Machine) Observe(trigger record.Trigger) {
	if !m.Recording || m.Boot == nil {
		return
	}
	o := &record.Observation{
		Trigger: trigger, Kernel: record.Kernel{Release: m.Boot.KernelRelease, Version: "#1 SMP PREEMPT_DYNAMIC", BootTime: m.Boot.First},
		Installed: slices.Clone(m.Installed), Patches: []record.LoadedPatch{}, Initrd: m.verdict(),
		NextBoot: &record.NextBoot{KernelRelease: m.Next, Image: "/boot/initrd-" + m.Next, Source: "/boot/grub2/grub.cfg"},
		Reboot:   &record.Reboot{Pending: m.pendingReboot(), NewestKernel: m.Next},
		Parts:    map[record.PartName]json.RawMessage{}, Unknown: map[string]string{},
	}
	if m.Module != "" {
		o.Patches = append(o.Patches, record.LoadedPatch{Module: m.Module, Enabled: true, Replace: new(true), StackOrder: new(1)})
		o.LivePatch = m.livePatch()
	}
	for _, set := range m.Parts {
		Check(m.T, set(o))
	}
	o.Boots = m.journal()
	m.Write(&record.Event{Header: m.Header(record.KindObservation), Observation: o})
}

func (m *Machine) pendingReboot() record.Pending {
	switch p := m.PatchFor(m.Boot.KernelRelease); {
	case m.Next == m.Boot.KernelRelease:
		return record.PendingNo
	case p != nil && ModuleOf(*p) == m.Module:
		return record.PendingLivePatched
	}
	return record.PendingYes
}

// livePatch describes the active live patch as an observation does.
func (m *Machine) livePatch() *record.LivePatch {
	lp := &record.LivePatch{Module: m.Module, Enabled: true, Forced: new(false), Since: new(record.At(m.Since))}
	if m.Rotated {
		lp.Since, lp.Forced = nil, nil
	}
	if p := m.PatchFor(m.Boot.KernelRelease); p != nil && ModuleOf(*p) == m.Module {
		fixes := FixesOf(*p)
		lp.Package, lp.Version, lp.PatchNumber, lp.Initial = &p.Name, &p.Version, new(Number(*p)), new(Number(*p) == 1)
		lp.CVEs, lp.Bugs = append([]string{}, fixes.CVEs...), append([]string{}, fixes.Bugs...)
	}
	return lp
}

// verdict is what the initrd of the running kernel proves.
func (m *Machine) verdict() record.Initrd {
	v := record.Initrd{KernelRelease: m.Boot.KernelRelease, Patch: m.Module, Evidence: []record.Evidence{}}
	switch {
	case m.Module == "":
		v.Verdict, v.Reason = record.VerdictUnknown, record.ReasonNoPatch
	case m.Rotated:
		v.Verdict, v.Reason = record.VerdictUnknown, record.ReasonBootStart
	default:
		v.Verdict, v.Basis = record.VerdictMissing, record.BasisBuild
		if m.Initrds[m.Boot.KernelRelease] == m.Module {
			v.Verdict = record.VerdictContained
		}
		v.Evidence = append(v.Evidence, record.Evidence{Says: "the newest build", Time: new(m.stamp()), BootID: m.Boot.ID, Cursor: "s=2", Message: "live patch packed"})
	}
	return v
}

// journal is what is new in it: boots that ended since the last observation, and this one.
func (m *Machine) journal() (boots []record.Boot) {
	b := *m.Boot
	b.Last = m.stamp()
	for _, b := range append(m.Pending, &b) {
		if !b.Last.After(m.known[b.ID]) {
			continue
		}
		c := *b
		m.known[c.ID] = c.Last.Time
		c.Loads, c.Builds = slices.Clone(b.Loads), slices.Clone(b.Builds)
		if m.Rotated {
			c.First, c.StartInJournal, c.Loads = c.Last, false, []record.Load{}
		}
		boots = append(boots, c)
	}
	m.Pending = nil
	return boots
}

// TwoYears is the story that the reports are tested with: a host from January 2025 to June
// 2026, with three kernels and what can go wrong with their live patches.
func TwoYears(t *testing.T) *Machine {
	t.Helper()
	m := NewMachine(t, "2025-01-01T08:00:00Z")
	m.Installed, m.Next = []record.Package{KernelPackage(KernelA)}, ReleaseA
	m.Start(ReleaseA)
	m.Until("2025-01-07T10:00:00Z")
	m.StartRecording()
	m.Observe(record.TriggerManual)
	m.kernelAOfStory()
	m.kernelBOfStory()
	m.kernelCOfStory()
	return m
}

func (m *Machine) kernelAOfStory() {
	for _, step := range []struct {
		date  string
		patch int
	}{{"2025-01-10T09:00:00Z", 1}, {"2025-02-04T09:00:00Z", 2}, {"2025-02-25T09:00:00Z", 3}} {
		m.Until(step.date)
		m.Install(PatchPackage(ReleaseA, step.patch))
	}
	m.Until("2025-03-11T20:00:00Z")
	m.Reboot()
	m.Until("2025-04-01T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 4))
	m.Until("2025-04-20T12:00:00Z")
	m.Initrds[ReleaseA] = ModuleOf(PatchPackage(ReleaseA, 3)) // an image of before is put back
	m.Happened()
	m.Until("2025-04-22T03:17:00Z")
	m.Crash()
	m.Until("2025-04-23T08:00:00Z")
	m.Install(PatchPackage(ReleaseA, 4))
	m.Until("2025-05-06T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 5))
	m.Until("2025-05-13T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 4)) // a downgrade, for five days
	m.Until("2025-05-18T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 5))
	m.Until("2025-06-03T09:00:00Z")
	m.Commit(record.OutcomeFailed, []record.Package{PatchPackage(ReleaseA, 6)}, nil)
	m.Until("2025-06-04T09:00:00Z")
	m.Install(PatchPackage(ReleaseA, 6))
}

func (m *Machine) kernelBOfStory() {
	m.Until("2025-07-01T09:00:00Z")
	m.Install(KernelPackage(KernelB), PatchPackage(ReleaseB, 1))
	m.Until("2025-07-08T20:00:00Z")
	m.Reboot()
	m.Until("2025-08-05T09:00:00Z")
	m.Install(PatchPackage(ReleaseB, 2))
	m.Until("2025-08-12T09:00:00Z")
	m.Recording = false // for a week nothing is written down
	m.Until("2025-08-14T09:00:00Z")
	m.Install(PatchPackage(ReleaseB, 3))
	m.Until("2025-08-15T20:00:00Z")
	m.Reboot()
	m.Until("2025-08-19T09:00:00Z")
	m.StartRecording()
	m.Observe(record.TriggerManual)
	m.Until("2025-09-09T09:00:00Z")
	m.Install(PatchPackage(ReleaseB, 4))
	m.Remove(KernelPackage(KernelA), PatchPackage(ReleaseA, 6))
	m.Until("2025-09-20T09:00:00Z")
	m.Flush()
	Check(m.T, os.Remove(store.KeyPath(m.Root)))
	m.Flush() // makes another key
	m.Until("2025-10-07T09:00:00Z")
	m.Commit(record.OutcomeStaged, []record.Package{PatchPackage(ReleaseB, 5)}, nil)
	m.Until("2025-10-08T20:00:00Z")
	m.Halt(0)
	m.Apply([]record.Package{PatchPackage(ReleaseB, 5)}, nil)
	m.Settled()
	m.Wait(time.Minute)
	m.Start(ReleaseB)
}

func (m *Machine) kernelCOfStory() {
	m.Until("2025-11-11T09:00:00Z")
	m.Install(KernelPackage(KernelC), PatchPackage(ReleaseC, 1))
	m.Until("2025-11-12T20:00:00Z")
	m.Reboot()
	m.Until("2026-01-13T09:00:00Z")
	m.Install(PatchPackage(ReleaseC, 2))
	m.Until("2026-06-29T09:00:00Z")
	m.Commit("", []record.Package{PatchPackage(ReleaseC, 3)}, nil) // zypper was killed
}

// Last is the newest observation that was written; what a test changes in it is recorded so.
func (m *Machine) Last() *record.Observation {
	m.T.Helper()
	for _, ev := range slices.Backward(m.Written) {
		if ev.Observation != nil {
			return ev.Observation
		}
	}
	m.T.Fatal("there is no observation")
	return nil
}

// Drop has the newest observation lack a part, for a reason.
func (m *Machine) Drop(name record.PartName, why string) {
	delete(m.Last().Parts, name)
	m.Last().Unknown[string(name)] = why
}

// SetPart gives a part of the newest observation another value.
func SetPart[T record.PartType](m *Machine, v T) { Check(m.T, record.SetPart(m.Last(), v)) }

// SetJSON gives a part of the newest observation another text, of whatever form.
func (m *Machine) SetJSON(name record.PartName, text string) { m.Last().Parts[name] = []byte(text) }
