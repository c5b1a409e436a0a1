package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// A generated host has an observation a day and a commit every other day: 1,000 events are a year,
// so a question about one year finds the same amount in a record of any size.
const (
	daysPerCommit = 2
	daysPerBoot   = 15
	perKernel     = 40 // commits until the next kernel
	batch         = 1000
	version       = "bench"
	machineID     = "0123456789abcdef0123456789abcdef"
)

// record returns the root of a file tree with a record of this many events, ending today.
func (b *bench) record(events int) string {
	today := time.Now().UTC().Truncate(24 * time.Hour)
	name := fmt.Sprintf("record-%d-releases-views%d-", events, store.Schema)
	if old, _ := filepath.Glob(filepath.Join(b.cache, name+"*")); len(old) > 0 && !strings.HasSuffix(old[0], today.Format("-"+time.DateOnly)) {
		for _, path := range old {
			b.check(os.RemoveAll(path)) // what is judged by age would be too old
		}
	}
	return b.kept(name+today.Format(time.DateOnly), func(root string) {
		started := time.Now()
		newRoot(b.T, root)
		h := newHost(today.AddDate(0, 0, -daysOf(events)))
		openAt(b.T, root, h.now)
		b.fill(root, h, events)
		fmt.Fprintf(b.out, "made a record of %s events in %v\n", thousands(events), time.Since(started).Round(time.Second))
	})
}

// daysOf is how many days a host takes to have this many events.
func daysOf(events int) (days int) {
	for n := 2; n < events; days++ {
		n++
		if days%daysPerCommit == 0 {
			n += 3
		}
		if days%daysPerRelease == 0 {
			n++
		}
		if (days+1)%daysPerBoot == 0 {
			n++
		}
	}
	return days
}

func newRoot(t *testing.T, root string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/machine-id"), []byte(machineID+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// openAt starts a record at a moment: its first event gets the time from the clock. If that moment
// is older than the clock can show, the record starts later than its events, but long before the
// years that reports look at.
func openAt(t *testing.T, root string, at time.Time) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(at))
		s, err := store.Open(t.Context(), root, version)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	})
}

// fill appends events until there are enough.
func (b *bench) fill(root string, h *host, events int) {
	b.Helper()
	s, err := store.Open(b.Context(), root, version)
	b.check(err)
	for done := 1; done < events; {
		for len(h.events) < batch {
			h.day()
		}
		n := min(len(h.events), batch, events-done)
		b.check(s.Append(b.Context(), h.events[:n]...))
		h.events = h.events[n:]
		done += n
	}
	b.check(s.Close())
}

// host is a made-up machine, with what its recorder writes.
type host struct {
	now       time.Time
	events    []*record.Event
	count     int // number of events
	commits   int
	days      int
	kernel    int // number of the newest one
	patch     int // number of its live patch
	running   int // number of the running kernel
	boot      record.Boot
	installed []record.Package
	released  released
}

func newHost(from time.Time) *host {
	h := &host{now: from, kernel: 1, patch: 1, running: 1}
	for _, name := range []string{"kernel-default", livePatch(1), "kernel-macros", "kernel-devel", "dracut", "suse-module-tools", "drbd-kmp-default", "kernel-livepatch-tools"} {
		h.installed = append(h.installed, record.Package{Name: name, Version: h.versionOf(name), Arch: "x86_64", Vendor: "SUSE LLC <https://www.suse.com/>",
			SignatureKey: "f74f09bc3fa1d6ce", InstallTime: from.Unix(), BuildTime: from.Unix(), SourceRPM: name + ".src.rpm"})
	}
	h.start()
	return h
}

// The kernels of a host are numbered.
func release(kernel int) string { return fmt.Sprintf("6.4.0-150600.%d.42-default", kernel) }
func livePatch(kernel int) string {
	return fmt.Sprintf("kernel-livepatch-6_4_0-150600_%d_42-default", kernel)
}
func module(kernel, n int) string         { return fmt.Sprintf("livepatch_%d_150600_%d_42", n, kernel) }
func moment(t time.Time) record.Timestamp { return record.At(t) }

// versionOf is the version that a package would have now.
func (h *host) versionOf(name string) string {
	switch {
	case strings.HasPrefix(name, "kernel-livepatch-6"):
		return fmt.Sprintf("%d-150600.13.%d.1", h.patch, 3*h.patch)
	case strings.HasPrefix(name, "kernel-"):
		return fmt.Sprintf("6.4.0-150600.%d.42.2", h.kernel)
	}
	return fmt.Sprintf("1.%d-150600.3", h.commits)
}

func (h *host) header(kind record.EventKind) record.Header {
	h.count++
	return record.Header{
		V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("%08x-%04x-7000-8000-%012x", h.now.UnixMilli()>>16&0xffffffff, h.now.UnixMilli()&0xffff, h.count),
		Time: moment(h.now), UTCOffset: "+01:00", BoottimeUS: h.now.Sub(h.boot.First.Time).Microseconds(),
		Host: record.Host{MachineID: machineID, Hostname: "db01"}, BootID: h.boot.ID, Recorder: record.Program{Program: "klp-audit", Version: version},
	}
}

// day is one day of the host: commits, an observation, and now and then a reboot.
func (h *host) day() {
	dawn := h.now
	if h.days%daysPerCommit == 0 {
		h.now = dawn.Add(9 * time.Hour)
		h.commit()
	}
	h.now = dawn.Add(21 * time.Hour)
	h.observe(record.TriggerTimer)
	if h.days%daysPerRelease == 0 {
		h.release()
	}
	if h.days++; h.days%daysPerBoot == 0 {
		h.now = dawn.Add(22 * time.Hour)
		h.start()
	}
	h.now = dawn.Add(24 * time.Hour)
}

// start boots the newest kernel, whose initrd contains its live patch.
func (h *host) start() {
	h.running = h.kernel
	h.boot = record.Boot{ID: fmt.Sprintf("%032x", 0xb007<<32+h.days), KernelRelease: release(h.kernel), First: moment(h.now), StartInJournal: true, Builds: []record.Build{}}
	h.now = h.now.Add(2 * time.Second)
	h.load("initrd", "R2")
	h.now = h.now.Add(30 * time.Second)
	h.observe(record.TriggerBoot)
}

func (h *host) load(phase record.Phase, rule string) {
	for i := range h.boot.Loads {
		if l := &h.boot.Loads[i]; l.Disabled == nil {
			l.Disabled, l.Replaced = new(moment(h.now)), module(h.running, h.patch)
		}
	}
	h.boot.Loads = append(h.boot.Loads, record.Load{Patch: module(h.running, h.patch), Phase: phase, Rule: rule, Result: "complete",
		Time: moment(h.now), Cursor: fmt.Sprintf("s=0123456789abcdef0123456789abcdef;i=%x;b=%s", h.count, h.boot.ID)})
}

// commit changes one to five packages; each kernel comes with its own live patch, and later live
// patches come in between.
func (h *host) commit() {
	var names []string
	switch h.commits++; {
	case h.commits%perKernel == 0:
		h.kernel, h.patch = h.kernel+1, 1
		names = []string{"kernel-default", livePatch(h.kernel)}
	case h.commits%4 == 0 && h.running == h.kernel:
		h.patch++
		names = []string{livePatch(h.kernel)}
	}
	for _, name := range []string{"dracut", "suse-module-tools", "drbd-kmp-default", "kernel-macros", "kernel-devel"}[:1+h.commits%5] {
		if len(names) < 5 {
			names = append(names, name)
		}
	}
	begin := &record.Event{Header: h.header(record.KindCommitBegin), Begin: &record.CommitBegin{
		Libzypp: record.Process{PID: 1000 + h.commits%30000, StartTicks: uint64(h.count)},
		Actor:   record.Actor{Login: "tux", LoginUID: "1000", EUID: "0", SudoUser: "tux", SudoUID: "1000", TTY: "pts/0", Session: "3", Exe: "/usr/bin/zypper"},
		Command: []string{"zypper", "-n", "patch", "--category", "security"}, UserData: fmt.Sprintf("CHG-%d", h.commits),
		Installed: append([]record.Package{}, h.installed...), Announced: []record.Change{},
		History: record.HistoryMark{Path: "/var/log/zypp/history", Inode: 4711, Offset: int64(h.count) * 200},
	}}
	var changes []record.Change
	for _, name := range names {
		changes = append(changes, h.change(name))
	}
	for _, c := range changes {
		c.Result, c.Stage, c.InstallTime = record.ResultUnknown, "", nil
		begin.Begin.Announced = append(begin.Begin.Announced, c)
	}
	h.now = h.now.Add(10 * time.Second)
	end := &record.Event{Header: h.header(record.KindCommitEnd), End: &record.CommitEnd{
		Commit: begin.ID, Outcome: record.OutcomeCompleted, Changes: changes, Installed: append([]record.Package{}, h.installed...),
		Advisories: []record.Advisory{{ID: fmt.Sprintf("SUSE-SLE-Live-Patching-15-SP6-2026-%d", h.commits), OldState: "needed", NewState: "applied"}},
	}}
	if names[0] == livePatch(h.running) {
		h.load("system", "R3")
	}
	h.events = append(h.events, begin, end)
	h.now = h.now.Add(3 * time.Second)
	h.observe(record.TriggerCommit)
}

// change installs a package in its present version.
func (h *host) change(name string) record.Change {
	c := record.Change{Kind: "support", Action: "install", Package: name, Arch: "x86_64", Version: h.versionOf(name), Result: record.ResultOK, Step: "+", Stage: "ok",
		InstallTime: new(moment(h.now)), Repo: "SLE-Module-Live-Patching15-SP6-Updates", Checksum: fmt.Sprintf("%064x", h.count), SignatureKey: "f74f09bc3fa1d6ce",
		Vendor: "SUSE LLC <https://www.suse.com/>", BuildTime: new(moment(h.now.AddDate(0, 0, -6)))}
	switch {
	case name == "kernel-default":
		c.Kind, c.Step, c.KernelRelease = "kernel", "M", release(h.kernel)
	case name == livePatch(h.kernel):
		c.Kind, c.KernelRelease, c.Module, c.PatchNumber, c.Initial = "livepatch", release(h.kernel), module(h.kernel, h.patch), h.patch, h.patch == 1
		c.Added = fixes(h.kernel, h.patch)
	case strings.Contains(name, "-kmp-"):
		c.Kind = "kmp"
	}
	p := record.Package{Name: name, Version: c.Version, Arch: c.Arch, InstallTime: h.now.Unix(), InstallTID: h.now.Unix(), DBInstance: int64(h.count),
		BuildTime: c.BuildTime.Unix(), Vendor: c.Vendor, SignatureKey: c.SignatureKey, SourceRPM: name + ".src.rpm"}
	for i, old := range h.installed {
		// The live patch of the previous kernel is removed when a new one comes.
		if old.Name == name || c.Kind == "livepatch" && strings.HasPrefix(old.Name, "kernel-livepatch-6") {
			if h.installed[i] = p; old.Name == name {
				c.Action, c.Previous = "upgrade", old.Version
			}
		}
	}
	return c
}

// fixes are what a live patch fixes.
func fixes(kernel, n int) (f record.Fixes) {
	for i := range 5 * min(n-1, 1) {
		f.CVEs = append(f.CVEs, fmt.Sprintf("CVE-2025-%d", 1000+kernel*100+n*5+i))
		f.Bugs = append(f.Bugs, fmt.Sprintf("bsc#%d", 1200000+kernel*100+n*5+i))
	}
	return f
}

func (h *host) observe(trigger record.Trigger) {
	active := module(h.running, h.patch)
	if n := len(h.boot.Loads); n > 0 {
		active = h.boot.Loads[n-1].Patch
	}
	pending := record.PendingLivePatched
	if h.running != h.kernel {
		pending = record.PendingYes
	}
	boot := h.boot
	boot.Last, boot.Loads = moment(h.now), append([]record.Load{}, h.boot.Loads...)
	since := boot.Loads[len(boot.Loads)-1].Time
	o := &record.Observation{
		Trigger: trigger, Kernel: record.Kernel{Release: release(h.running), Version: "#1 SMP PREEMPT_DYNAMIC", BootTime: h.boot.First, Marked: new(true)},
		Installed: append([]record.Package{}, h.installed...), Patches: []record.LoadedPatch{{Module: active, Enabled: true, Replace: new(true), StackOrder: new(1), SrcVersion: "0123456789ABCDEF0123456"}},
		LivePatch: &record.LivePatch{Module: active, Package: new(livePatch(h.running)), Version: new(h.versionOf(livePatch(h.running))), PatchNumber: new(h.patch), Initial: new(h.patch == 1),
			Enabled: true, Forced: new(false), Since: &since, CVEs: append([]string{}, fixes(h.kernel, h.patch).CVEs...), Bugs: append([]string{}, fixes(h.kernel, h.patch).Bugs...)},
		Initrd: record.Initrd{KernelRelease: release(h.running), Patch: active, Verdict: record.VerdictContained, Basis: record.BasisBoot,
			Evidence: []record.Evidence{{Says: "the initrd loaded it", Time: &since, BootID: h.boot.ID, Cursor: boot.Loads[0].Cursor, Message: "livepatch: enabling patch '" + active + "'"}}},
		NextBoot: &record.NextBoot{KernelRelease: release(h.kernel), Image: "/boot/initrd-" + release(h.kernel), Source: "/boot/grub2/grub.cfg"},
		Reboot:   &record.Reboot{Pending: pending, NewestKernel: release(h.kernel)},
		Boots:    []record.Boot{boot}, Unknown: map[string]string{},
	}
	if err := h.says(o); err != nil {
		panic(err)
	}
	h.events = append(h.events, &record.Event{Header: h.header(record.KindObservation), Observation: o})
}

// says adds the other parts to an observation.
func (h *host) says(o *record.Observation) error {
	return errors.Join(
		record.SetPart(o, record.Taint{Value: 36864, Flags: []record.TaintFlag{{Bit: 12, Letter: "O", Meaning: "module from outside"}, {Bit: 15, Letter: "K", Meaning: "live patched"}}}),
		record.SetPart(o, record.Coverage{Date: h.now.AddDate(0, 6, 0).Format(time.DateOnly), File: "/var/lib/lifecycle/data/sle-module-live-patching.lifecycle", Line: 3}),
		record.SetPart(o, record.Locks{}),
		record.SetPart(o, record.Blockers{}),
		record.SetPart(o, record.Signatures{GPGCheck: true, Repos: []record.RepoSignatures{{Alias: "updates", RepoGPGCheck: true, PkgGPGCheck: "unless-repo-signed"}}}),
		record.SetPart(o, record.Entitlement{Products: []record.Product{{Name: "sle-module-live-patching", Version: "15.6", EndOfLife: "2099-12-31"}},
			Patterns: []string{"patterns-lp_sles"}, Lifecycle: []string{"lifecycle-data-sle-module-live-patching"}}),
		record.SetPart(o, record.Clock{Synced: "yes", Source: "adjtimex"}),
		record.SetPart(o, record.JournalStorage{Setting: "auto", Kept: "persistent", Persistent: true}),
		record.SetPart(o, h.repositories()),
		record.SetPart(o, record.OwnFiles{{Path: "/usr/lib/zypp/plugins/commit/klp-audit", There: true, Type: "file", Mode: "0755"},
			{Path: "/var/lib/klp-audit", There: true, Type: "directory", Mode: "0750"}}),
		record.SetPart(o, record.Warnings{Messages: []record.Warning{}}),
		record.SetPart(o, record.Verified{Result: "intact", TreeSize: 7, Problems: []string{}}),
		record.SetPart(o, record.HistoryComparison{To: record.At(h.now), Missing: []record.MissingChange{}, Lost: []record.LostHistory{}}),
	)
}
