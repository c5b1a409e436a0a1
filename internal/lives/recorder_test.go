package lives

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/internal/verdict"
	"github.com/klp-audit/klp-audit/record"
)

// recorder is what klp-audit sees of a world, and writes down.
type recorder struct {
	*world
	working  bool
	timer    time.Time // when the daily observation was taken last
	events   []*record.Event
	late     []*record.Event      // that wait in a spool
	known    map[string]time.Time // until when boots are on record
	last     []record.Package     // what is installed, as the record knows it; nil: nothing is known
	lastAt   record.Timestamp
	lastSeq  int64
	lastRoot int // number of the system
	missed   []record.Change
	alone    []alone          // verdicts of the journal alone
	open     *record.Event    // a begin whose end was cut off; nil: none
	before   []record.Package // what was installed then
	unread   map[string]bool  // parts that the next observation cannot read
	looks    []look

	how     logging
	earlier bool // 0.1.0 recorded, which did not note when an event came from the spool
	plain   bool // the kernel does not say the source versions of modules
	spooled bool // events go to the spool
}

func (r *recorder) stamp() record.Timestamp { return record.At(r.wall().UTC()) }

func (r *recorder) header(kind record.EventKind) record.Header {
	r.number++
	h := record.Header{
		V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", r.number), Time: r.stamp(), UTCOffset: "+01:00",
		Host:     record.Host{MachineID: machineID, Hostname: "host"},
		Recorder: record.Program{Program: "klp-audit", Version: "1.0.0"},
	}
	if r.boot != nil {
		h.BootID, h.BoottimeUS = r.boot.id, r.now.Sub(r.boot.base).Microseconds()
	}
	return h
}

const machineID = "0123456789abcdef0123456789abcdef"

// write puts an event on record, or into the spool.
func (r *recorder) write(ev *record.Event) {
	if r.spooled {
		ev.Spooled = "the record is locked"
		r.late = append(r.late, ev)
		return
	}
	r.events = append(r.events, ev)
}

// takeIn takes in what waited.
func (r *recorder) takeIn() {
	for _, ev := range r.late {
		if !r.earlier {
			ev.TakenIn = new(r.stamp())
		}
	}
	r.events, r.late, r.spooled = append(r.events, r.late...), nil, false
}

// knows notes what the record knows to be installed.
func (r *recorder) knows() {
	r.last, r.lastAt, r.lastSeq, r.lastRoot = slices.Clone(r.sys.pkgs), r.stamp(), int64(len(r.events))+1, r.sys.number
}

// compare writes down as drift what changed without a recorded commit.
func (r *recorder) compare() {
	if r.last == nil || slices.Equal(r.last, r.sys.pkgs) && r.lastRoot == r.sys.number {
		return
	}
	d := &record.Drift{Cause: record.DriftUnrecorded, Compared: r.lastSeq, Since: r.lastAt, Installed: slices.Clone(r.sys.pkgs), Fixes: fixesOfAll(r.sys.pkgs), Changes: difference(r.last, r.sys.pkgs)}
	if r.lastRoot != r.sys.number {
		d.Cause, d.Subvolume, d.Previous = record.DriftSnapshot, subvolume(r.sys.number), subvolume(r.lastRoot)
	}
	if len(d.Changes) == 0 {
		return
	}
	r.write(&record.Event{Header: r.header(record.KindDrift), Drift: d})
}

func subvolume(number int) string { return fmt.Sprintf("/@/.snapshots/%d/snapshot", number) }

func fixesOfAll(pkgs []record.Package) map[string]record.Fixes {
	all := map[string]record.Fixes{}
	for _, p := range pkgs {
		if isPatch(p) {
			all[p.NEVRA()] = fixesOf(releaseOf(p), level(p.Version))
		}
	}
	return all
}

// difference is what leads from one set of packages to another.
func difference(before, after []record.Package) (changes []record.Change) {
	has := func(list []record.Package, p record.Package) bool {
		return slices.ContainsFunc(list, func(q record.Package) bool {
			return p.Name == q.Name && p.Version == q.Version && p.InstallTime == q.InstallTime
		})
	}
	var gone, come []record.Package
	for _, p := range before {
		if !has(after, p) {
			gone = append(gone, p)
		}
	}
	for _, p := range after {
		if !has(before, p) {
			come = append(come, p)
		}
	}
	for _, p := range come {
		c := changeOf(p)
		c.Action, c.Added = "install", fixesOfPackage(p).Minus(record.Fixes{})
		c.InstallTime = new(record.At(time.Unix(p.InstallTime, 0).UTC()))
		if i := slices.IndexFunc(gone, func(q record.Package) bool { return q.Name == p.Name && (isPatch(p) || q.Version == p.Version) }); i >= 0 {
			old := gone[i]
			gone = slices.Delete(gone, i, i+1)
			c.Previous, c.Added, c.Removed = old.Version, fixesOfPackage(p).Minus(fixesOfPackage(old)), fixesOfPackage(old).Minus(fixesOfPackage(p))
			if c.Action = "reinstall"; p.Version != old.Version {
				c.Action = map[int]record.Action{-1: "downgrade", 1: "upgrade"}[cmp.Compare(level(p.Version), level(old.Version))]
			}
		}
		changes = append(changes, c)
	}
	for _, p := range gone {
		c := changeOf(p)
		c.Action, c.Removed = "remove", fixesOfPackage(p)
		changes = append(changes, c)
	}
	return changes
}

func fixesOfPackage(p record.Package) record.Fixes {
	if !isPatch(p) {
		return record.Fixes{}
	}
	return fixesOf(releaseOf(p), level(p.Version))
}

func changeOf(p record.Package) record.Change {
	c := record.Change{
		Kind: p.Kind, Package: p.Name, Arch: p.Arch, Version: p.Version, Result: record.ResultOK, KernelRelease: releaseOf(p),
		SignatureKey: p.SignatureKey, Vendor: p.Vendor,
	}
	if isPatch(p) {
		c.Module, c.PatchNumber, c.Initial = moduleOf(p), level(p.Version), level(p.Version) == 1
	}
	return c
}

// begin and end write down a commit. What it changes is known between them: of the system that it
// changes, and compared if that is the one that runs.
func (r *recorder) begin(s *system, in, out []record.Package) *record.Event {
	if s == r.sys {
		r.compare()
	}
	ev := &record.Event{Header: r.header(record.KindCommitBegin), Begin: &record.CommitBegin{
		Libzypp: record.Process{PID: 1000 + r.number, StartTicks: 5000}, Actor: record.Actor{Login: "tux", LoginUID: "1000", EUID: "0", TTY: "pts/0", Session: "3", Exe: "/usr/bin/zypper"},
		Command: []string{"zypper", "-n", "in"}, Announced: []record.Change{}, Installed: slices.Clone(s.pkgs), Fixes: fixesOfAll(s.pkgs), Compared: s == r.sys,
	}}
	for _, c := range difference(s.pkgs, after(s.pkgs, in, out)) {
		c.Result, c.InstallTime, c.Added, c.Removed = record.ResultUnknown, nil, record.Fixes{}, record.Fixes{}
		ev.Begin.Announced = append(ev.Begin.Announced, c)
	}
	if s != r.sys {
		ev.Begin.Staging = &record.Staging{Snapshot: fmt.Sprint(s.number), Root: "/tmp/transactional-update"}
	}
	r.write(ev)
	if s == r.sys {
		r.knows()
	}
	return ev
}

func (r *recorder) end(begin *record.Event, s *system, before []record.Package) {
	e := &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted, Changes: difference(before, s.pkgs), Installed: slices.Clone(s.pkgs), Fixes: fixesOfAll(s.pkgs), Compared: true}
	staged := begin.Begin.Staging != nil
	if staged {
		e.Outcome, e.Installed, e.Compared = record.OutcomeStaged, nil, false
	}
	if failed := r.failed(begin.Begin, e.Changes); len(failed) > 0 {
		e.Outcome, e.Changes = record.OutcomeFailed, append(e.Changes, failed...)
	}
	r.write(&record.Event{Header: r.header(record.KindCommitEnd), End: e})
	if !staged {
		r.knows()
	}
}

// failed are the steps that were announced, and that the rpm database does not show: the first one failed, those
// after it were not tried.
func (r *recorder) failed(b *record.CommitBegin, done []record.Change) (failed []record.Change) {
	for _, c := range b.Announced {
		if slices.ContainsFunc(done, func(d record.Change) bool { return d.Package == c.Package && d.Version == c.Version }) {
			continue
		}
		if c.Result, c.Stage = record.ResultNotDone, ""; len(failed) == 0 {
			c.Result, c.Stage = record.ResultFailed, "err"
		}
		failed = append(failed, c)
	}
	return failed
}

// endLate closes a commit whose end was cut off.
func (r *recorder) endLate() {
	if r.open != nil && r.lastRoot == r.sys.number {
		r.write(&record.Event{Header: r.header(record.KindCommitEnd), End: &record.CommitEnd{
			Commit: r.open.ID, Outcome: record.OutcomeInterrupted, Late: true, Begun: &r.open.Time, Changes: difference(r.before, r.sys.pkgs), Installed: slices.Clone(r.sys.pkgs), Fixes: fixesOfAll(r.sys.pkgs), Compared: true,
		}})
		r.knows()
	}
	r.open = nil
}

// fromHistory takes in from libzypp's history what was not recorded.
func (r *recorder) fromHistory() {
	for _, c := range r.missed {
		if c.InstallTime == nil {
			c.InstallTime = new(record.At(r.wall().UTC().Truncate(time.Second)))
		}
		r.number++
		line := record.HistoryLine{File: "/var/log/zypp/history", Number: r.number, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(fmt.Sprint(r.number))))}
		at := *c.InstallTime
		c.InstallTime, c.Added, c.Removed = nil, record.Fixes{}, record.Fixes{}
		r.write(&record.Event{Header: r.header(record.KindImport), Import: &record.Import{
			Commit: fmt.Sprintf("019ca8d5-0000-8000-8000-%012d", r.number), Time: at, Zone: "UTC", User: "root@host", Command: "zypper in",
			Changes: []record.ImportedChange{{Change: c, Time: at, UTCOffset: "+00:00", Line: line}}, Lines: []record.HistoryLine{line},
		}})
	}
	r.missed = nil
}

// observe takes an observation, if somebody can.
func (r *recorder) observe(trigger record.Trigger) {
	if !r.working || r.boot == nil {
		return
	}
	o := &record.Observation{
		Trigger: trigger, Kernel: record.Kernel{Release: r.boot.release, Version: "#1 SMP", BootTime: record.At(r.wall().Add(-r.now.Sub(r.boot.base)).Truncate(time.Second))},
		Installed: slices.Clone(r.sys.pkgs), Compared: true, Subvolume: subvolume(r.sys.number), Unknown: map[string]string{},
		NextBoot: &record.NextBoot{KernelRelease: r.sys.next, Image: "/boot/initrd-" + r.sys.next, Source: "/boot/grub2/grub.cfg"},
	}
	r.see("installed", o, func() { o.Installed, o.Compared = nil, false })
	if o.Installed != nil {
		r.endLate()
		r.compare()
	}
	r.log(map[string]string{"_TRANSPORT": "journal", "SYSLOG_IDENTIFIER": "systemd", "_UID": "0", "PRIORITY": "6", "MESSAGE": "Starting klp-audit observation."})
	r.patches(o)
	r.judge(o, r.journal(o))
	for _, s := range r.laterSnapshots() {
		if s.next != r.sys.next {
			o.NextBoot, o.Unknown["next_boot"] = nil, "another snapshot may be booted next, with another kernel: "+tree(s)
		}
	}
	r.see("next_boot", o, func() { o.NextBoot = nil })
	r.reboot(o)
	says(o, record.Coverage{Date: covered(r.boot.release), File: "/var/lib/lifecycle/data/x.lifecycle", Line: 3, Name: "*", Version: "*"})
	says(o, record.Taint{Value: 32768, Flags: []record.TaintFlag{}})
	says(o, record.Locks{})
	says(o, record.Blockers{})
	r.see("coverage", o, func() { delete(o.Parts, record.PartCoverage) })
	news := r.news(o)
	ev := &record.Event{Header: r.header(record.KindObservation), Observation: o}
	r.write(ev)
	if o.Installed != nil {
		r.knows()
	}
	r.looked(ev, news)
	r.unread = map[string]bool{}
}

// says adds a part to an observation.
func says[T record.PartType](o *record.Observation, v T) {
	if err := record.SetPart(o, v); err != nil {
		panic(err)
	}
}

// covered is until when a kernel gets live patches.
// covered is the last day on which a kernel gets live patches: of the first one it comes in some lives.
func covered(release string) string {
	if n := kernelNumber(release); n > 0 {
		return fmt.Sprintf("2027-%02d-28", n+1)
	}
	return "2026-03-10"
}

// see leaves out of an observation what cannot be read.
func (r *recorder) see(part string, o *record.Observation, without func()) {
	if r.unread[part] {
		o.Unknown[part] = "It cannot be read."
		without()
	}
}

// patches is what /sys/kernel/livepatch shows.
func (r *recorder) patches(o *record.Observation) {
	o.Patches = []record.LoadedPatch{}
	p := r.patch
	source := func(module string) string {
		if r.plain {
			return ""
		}
		return srcVersion(module)
	}
	if !p.done && p.under != "" {
		o.Patches = append(o.Patches, record.LoadedPatch{Module: p.under, Enabled: true, Replace: new(true), SrcVersion: source(p.under)})
	}
	if p.module != "" {
		o.Patches = append(o.Patches, record.LoadedPatch{Module: p.module, Enabled: !p.undoing, Transition: !p.done, Replace: new(true), SrcVersion: source(p.module)})
	}
	r.see("patches", o, func() { o.Patches = nil })
}

// journal reads the boots of the journal, and returns the current one.
func (r *recorder) journal(o *record.Observation) (current []journal.Boot) {
	o.Boots = []record.Boot{}
	onRecord := observe.OnRecord(r.known, r.boot.id)
	for _, b := range r.boots {
		if len(b.lines) == 0 || b != r.boot && o.Trigger == record.TriggerCommit {
			continue
		}
		read, err := journal.ReadLines(b.id, b.lines)
		if err != nil {
			panic(err)
		}
		if b.unread {
			read.Unread, read.Incomplete = []journal.Unread{{Path: "/var/log/journal/x.journal", Err: fmt.Errorf("it is damaged")}}, true
		}
		if b == r.boot {
			current = []journal.Boot{read}
		} else if onRecord(read) {
			continue
		}
		r.known[b.id] = read.Last.Time
		o.Boots = append(o.Boots, read.Boot)
	}
	return current
}

// judge asks the product what it makes of the live patch and its initrd.
func (r *recorder) judge(o *record.Observation, current []journal.Boot) {
	img, path := r.sys.images[r.boot.release], "/boot/initrd-"+r.boot.release
	sight := verdict.Sight{Kernel: r.boot.release, Patches: o.Patches, Boots: current, Packages: snapshot.Installed(o.Installed), Live: &verdict.Live{
		Image: path, Names: []string{path}, ImageTime: img.written, ModTime: img.modTime(), Size: img.size, BootTime: o.Kernel.BootTime.Time,
	}}
	for _, s := range r.laterSnapshots() {
		sight.Live.Others = append(sight.Live.Others, tree(s)+path)
	}
	lp, pkg := sight.LivePatch()
	if o.LivePatch = lp; pkg != nil {
		f := fixesOf(r.boot.release, *lp.PatchNumber)
		lp.CVEs, lp.Bugs = append([]string{}, f.CVEs...), append([]string{}, f.Bugs...)
	}
	o.Initrd = sight.Initrd(r.image)
	r.judgeAlone(current, r.boot.release, o.LivePatch)
}

// laterSnapshots are those that may be booted next instead of the one that runs, by their numbers.
func (r *recorder) laterSnapshots() (list []*system) {
	for _, s := range append(slices.Clone(r.left), r.next) {
		if s.number > r.sys.number {
			list = append(list, s)
		}
	}
	return list
}

// image is what is found in an image of the running kernel.
func (r *recorder) image(path string) (*initrd.Image, error) {
	if r.unread["image"] {
		return nil, fmt.Errorf("it cannot be read")
	}
	img := r.sys.images[r.boot.release]
	for _, s := range r.laterSnapshots() {
		if strings.HasPrefix(path, tree(s)) {
			img = s.images[r.boot.release]
		}
	}
	read := &initrd.Image{Path: path, ModTime: img.modTime()}
	for _, module := range []string{img.module, img.beside} {
		if module != "" {
			read.Modules = append(read.Modules, initrd.Module{
				Path: module + ".ko", File: module + ".ko", KernelRelease: r.boot.release, Name: module, SrcVersion: srcVersion(module), LivePatch: true,
			})
		}
	}
	return read, nil
}

// reboot asks the product whether one is pending.
func (r *recorder) reboot(o *record.Observation) {
	pending, err := observe.Reboot(o, snapshot.Installed(o.Installed), false)
	if o.Reboot = pending; err != nil {
		o.Unknown["reboot"] = err.Error()
	}
}
