// Package observe looks at the machine and its journal: which live patch is active, what the next
// boot runs, and what else checks need. It combines what the other internal packages read; package
// verdict judges the evidence about the initrd.
package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/internal/bootloader"
	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/releases"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/internal/verdict"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// Options say how an observation is taken.
type Options struct {
	Root    string // file tree of this machine
	Version string // of the program
	Trigger record.Trigger
	// Known are the boots on record, each with the time up to which it is known: only what is new
	// in the journal is read.
	Known map[string]time.Time
	// Installed is what is installed, if that is already known; if its packages are nil, rpm is
	// asked.
	Installed rpm.Snapshot
	// Fixes are the fixes of live patches that the record has: their changelogs are not read again.
	Fixes snapshot.Known
	// Verify verifies the record; nil: the observation says nothing about it.
	Verify func(context.Context) (*Verified, error)
	// Compare compares libzypp's history with the record; nil: the observation says nothing about
	// it.
	Compare func(context.Context) (*record.HistoryComparison, error)
	// Before is what is on record about repositories: only those that changed since are read.
	Before releases.Before
	// Offered receives what the repositories offer, if it is read; nil: nobody needs it.
	Offered func(*releases.Offer)
	// Redact and NoUserData say what is not recorded of a command line and of user data.
	Redact     func(string) string
	NoUserData bool
	Quiet      bool // do not copy the checkpoint to the journal
}

// Take takes an observation. It takes as long as reading the journal, rpm and at most one image
// file; whatever did not fit into ctx is unknown.
func Take(ctx context.Context, o Options) *record.Event {
	ev := &record.Event{Header: store.NewHeader(record.KindObservation, o.Root, o.Version)}
	ev.Observation = &record.Observation{Trigger: o.Trigger, Unknown: map[string]string{}}
	t := taker{ctx: ctx, Options: o, obs: ev.Observation, boot: ev.BootID}
	wait := t.readInstalled()
	t.kernel()
	t.subvolume()
	t.patches()
	t.journal()
	wait()
	t.livePatch()
	t.initrd()
	t.nextBoot()
	t.reboot()
	t.parts()
	return ev
}

// taker holds the state while an observation is taken.
type taker struct {
	ctx context.Context
	Options
	obs   *record.Observation
	boot  string // id of this one
	sight verdict.Sight
}

// failed notes why a part is unknown.
func (t *taker) failed(part string, err error) bool {
	if err != nil {
		t.obs.Unknown[part] = err.Error()
	}
	return err != nil
}

func (t *taker) kernel() {
	k := &t.obs.Kernel
	var errs [3]error
	k.Release, errs[0] = runningKernel(t.Root)
	k.Version, k.Marked, errs[1] = kernelVersion(t.Root)
	k.BootTime.Time, errs[2] = bootTime(t.Root)
	t.sight.Kernel = k.Release
	t.failed("kernel", errors.Join(errs[:]...))
}

// readInstalled lets rpm read its database, which takes a while, in parallel; wait waits for the
// answer.
func (t *taker) readInstalled() (wait func()) {
	installed := t.Installed
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		if installed.Packages == nil {
			installed, err = snapshot.Take(t.ctx, t.Root)
		}
	}()
	return func() {
		<-done
		if !t.failed("installed", err) {
			t.sight.Packages, t.obs.Installed = installed.Packages, installed.Packages
			t.obs.RPMDB = string(installed.Stamp)
		}
	}
}

func (t *taker) subvolume() {
	var err error
	t.obs.Subvolume, err = snapshot.Subvolume(t.Root)
	t.failed("root_subvolume", err)
}

func (t *taker) patches() {
	loaded, err := livepatch.Loaded(t.Root)
	if errors.Is(err, livepatch.ErrNoLivepatch) {
		err = nil // a kernel built without live patching has none
	}
	if t.failed("patches", err) {
		return
	}
	t.obs.Patches = append([]record.LoadedPatch{}, loaded...)
	t.sight.Patches = t.obs.Patches
}

// journal reads this boot, and those that are not on record yet. A commit has no time for the
// latter, and the observation at boot has read them.
func (t *taker) journal() {
	q := journal.Query{Skip: OnRecord(t.Known, t.boot)}
	switch {
	case t.boot == "":
		t.failed("journal", errBootID)
		return
	case t.Trigger == record.TriggerCommit:
		q = journal.Query{Boot: t.boot}
	}
	boots, err := journal.Boots(t.ctx, journalDir(t.Root), q)
	t.failed("journal", err)
	for _, b := range boots {
		t.obs.Boots = append(t.obs.Boots, b.Boot)
		if b.ID == t.boot {
			t.sight.Boots = []journal.Boot{b}
		}
	}
}

// OnRecord says whether a boot is completely on record; this boot still goes on. known is how long
// each boot is on record.
func OnRecord(known map[string]time.Time, this string) func(journal.Boot) bool {
	return func(b journal.Boot) bool {
		last, is := known[b.ID]
		return is && !b.Last.After(last) && b.ID != this
	}
}

// livePatch describes the active patch and what it fixes.
func (t *taker) livePatch() {
	lp, p := t.sight.LivePatch()
	if t.obs.LivePatch = lp; p == nil {
		return
	}
	all, err := snapshot.Fixes(t.ctx, rpm.DB{Root: t.Root}, []record.Package{*p}, t.Fixes)
	if !t.failed("fixes", err) {
		fixes := all[p.NEVRA()]
		lp.CVEs, lp.Bugs = append([]string{}, fixes.CVEs...), append([]string{}, fixes.Bugs...)
	}
}

func (t *taker) initrd() {
	t.sight.Live = live(t.Root, t.obs.Kernel.Release)
	t.obs.Initrd = t.sight.Initrd(func(path string) (*initrd.Image, error) { return readImage(t.ctx, path) })
}

func (t *taker) nextBoot() {
	next, err := bootloader.Next(t.Root)
	if !t.failed("next_boot", err) {
		t.obs.NextBoot = &record.NextBoot{KernelRelease: next.KernelRelease, Image: next.Initrd, Source: next.Source}
	}
}

// parts reads what else checks need of the machine, each part independently.
func (t *taker) parts() {
	t.obs.Parts = map[record.PartName]json.RawMessage{}
	part(t, of(t.Root, livepatch.ReadTaint))
	part(t, t.coverage)
	part(t, t.blockers)
	part(t, of(t.Root, zypp.Locks))
	part(t, of(t.Root, zypp.GPGCheck))
	part(t, t.activation)
	part(t, of(t.Root, ClockSync))
	part(t, of(t.Root, JournalStorage))
	part(t, func() (record.OwnFiles, error) { return OwnFiles(t.Root, t.Trigger != record.TriggerCommit) })
	part(t, of(t.Root, System))
	if t.Trigger == record.TriggerCommit {
		return // the rest is slow
	}
	part(t, t.warnings)
	part(t, t.repositories)
	if t.Compare != nil {
		part(t, t.compared)
	}
	if t.Verify != nil {
		part(t, t.verified)
	}
}

// of reads a part that needs only the file tree.
func of[T record.PartType](root string, read func(root string) (T, error)) func() (T, error) {
	return func() (T, error) { return read(root) }
}

// part reads one part, if there is still time.
func part[T record.PartType](t *taker, read func() (T, error)) {
	name := string(record.PartNameOf[T]())
	if t.failed(name, t.ctx.Err()) {
		return
	}
	value, err := read()
	if !t.failed(name, err) {
		t.failed(name, record.SetPart(t.obs, value))
	}
}

func (t *taker) compared() (record.HistoryComparison, error) {
	c, err := t.Compare(t.ctx)
	if err != nil {
		return record.HistoryComparison{}, err
	}
	return *c, nil
}

func (t *taker) verified() (record.Verified, error) {
	v, err := t.Verify(t.ctx)
	if err != nil {
		return record.Verified{}, err
	}
	return v.part(), nil
}

// coverage is until when the running kernel is supported with live patches: for the active version
// if known, else for all versions.
func (t *taker) coverage() (record.Coverage, error) {
	if lp := t.obs.LivePatch; lp != nil && lp.Package != nil {
		return livepatch.CoverageEnd(t.Root, *lp.Package, *lp.Version)
	}
	pkg, ok := livepatch.PackageFor(t.obs.Kernel.Release)
	if !ok {
		return record.Coverage{}, fmt.Errorf("kernel %q: no live patch package can be for it", t.obs.Kernel.Release)
	}
	return livepatch.CoverageEnd(t.Root, pkg, "*")
}

func (t *taker) blockers() (record.Blockers, error) {
	if t.obs.Patches == nil {
		return nil, errors.New(t.obs.Unknown["patches"])
	}
	if !record.InTransition(t.obs.Patches) {
		return record.Blockers{}, nil
	}
	return livepatch.Blockers(t.Root)
}

func (t *taker) activation() (record.Entitlement, error) {
	if t.obs.Installed == nil {
		return record.Entitlement{}, errors.New(t.obs.Unknown["installed"])
	}
	names := make([]string, len(t.sight.Packages))
	for i, p := range t.sight.Packages {
		names[i] = p.Name
	}
	return Activation(t.Root, names)
}

// repositories is how recent libzypp's knowledge of the repositories is.
func (t *taker) repositories() (record.Repositories, error) {
	offer, err := releases.Read(t.ctx, t.Root, t.sight.Packages, t.Before)
	if err != nil {
		return nil, err
	}
	if t.Offered != nil {
		t.Offered(offer)
	}
	return offer.Repositories, nil
}

// warnings are what the kernel warned of in this boot.
func (t *taker) warnings() (record.Warnings, error) {
	return journal.KernelWarnings(t.ctx, journalDir(t.Root), t.boot)
}
