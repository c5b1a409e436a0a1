package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// fixRecord is what the record has about live patch packages and what they fix: as the machine
// was at a moment, by all that is on record.
type fixRecord struct {
	setting
	ctx      context.Context
	store    Reader
	timeline *Timeline
	offers   *Offers
	at       time.Time
	packages map[string]*patchHistory // by name
	running  string                   // the kernel of the newest boot; empty: not known
	severity map[string]string        // of advisories, by id, as libzypp's history has it
}

// readFixes reads what is on record of live patch packages as they were up to the moment of some offers. The
// timeline must begin before the first of them, and end there.
func readFixes(ctx context.Context, s Reader, t *Timeline, names []string, offers *Offers) (*fixRecord, error) {
	f := &fixRecord{ctx: ctx, store: s, timeline: t, offers: offers, at: offers.at, packages: map[string]*patchHistory{}, severity: map[string]string{}}
	if err := f.readRoot(); err != nil {
		return nil, fmt.Errorf("looking for the root directory: %w", err)
	}
	for _, name := range names {
		p := newPatchHistory(name, &f.setting)
		if err := f.readPackage(p); err != nil {
			return nil, fmt.Errorf("reading fixes of %q: %w", name, err)
		}
		if p.present() {
			f.packages[name] = p
		}
	}
	if err := errors.Join(f.readAdvisories(), f.readInstalled()); err != nil {
		return nil, fmt.Errorf("reading advisories and installed packages: %w", err)
	}
	f.assignSpans()
	return f, nil
}

// readPackage reads the versions of a package, and what they fix. What a version fixes is so
// whenever it was learned.
func (f *fixRecord) readPackage(p *patchHistory) error {
	changes, err := f.store.PatchChanges(f.ctx, p.name, record.Always())
	if err != nil {
		return err
	}
	if err := errors.Join(f.readSeen(p), f.readLists(p, changes)); err != nil {
		return err
	}
	for news := true; news; {
		news = false
		for _, c := range changes {
			before, after := p.sides(c)
			news = learn(before, after, c.CVEsAdded, c.CVEsRemoved) || news
		}
	}
	for module, version := range p.moduleNames() {
		p.modules[module] = version
	}
	return f.readChanges(p)
}

func (p *patchHistory) moduleNames() map[string]string {
	names := map[string]string{}
	for version := range p.versions {
		if module := moduleOfPackage(p.name, version); module != "" && p.modules[module] == "" {
			names[module] = version
		}
	}
	return names
}

// completed is when the load of the live patch that an observation saw was complete; nil: its journal does not say.
func completed(ev *record.Event) *record.Timestamp {
	p := ev.Observation.LivePatch
	if p == nil || p.Since == nil {
		return nil
	}
	for _, b := range ev.Observation.Boots {
		for _, l := range b.Loads {
			if b.ID == ev.BootID && l.Patch == p.Module && l.Time.Equal(p.Since.Time) && !contradicts(&l) {
				return l.Completed
			}
		}
	}
	return nil
}

// readSeen reads the versions that observations saw active.
func (f *fixRecord) readSeen(p *patchHistory) error {
	seen, err := f.store.PatchesSeen(f.ctx, p.name)
	if err != nil {
		return err
	}
	for _, s := range seen {
		ev, err := f.store.Event(f.ctx, s.Event)
		if err != nil {
			return err
		}
		v := p.version(s.Version)
		p.kernel, p.modules[s.Module] = cmp.Or(p.kernel, s.KernelRelease), s.Version
		if !s.Time.After(f.at) {
			v.saw(s.Time, s.Event)
		}
		lp := ev.Observation.LivePatch
		if lp != nil && lp.CVEs != nil {
			v.list(lp.CVEs)
		}
		if s.Complete != nil && !s.Complete.After(f.at) {
			v.active = s.Complete
			if done := completed(ev); done != nil && s.Complete.Equal(s.Time.Time) {
				v.active = new(earlier(*done, *v.active))
			}
		}
		for _, i := range ev.Observation.Installed {
			if i.Name == p.name && i.Version == s.Version && i.BuildTime > 0 {
				v.built = new(record.At(time.Unix(i.BuildTime, 0)))
			}
		}
	}
	return nil
}

// readLists takes from the events of changes what is in no view: all that the live patches fix
// that were installed before and after, when they were built, and the severities of advisories.
func (f *fixRecord) readLists(p *patchHistory, changes []record.PatchChange) error {
	read := map[int64]bool{0: true}
	for _, c := range changes {
		for _, seq := range []int64{c.Begin, c.Event} {
			if read[seq] {
				continue
			}
			read[seq] = true
			ev, err := f.store.Event(f.ctx, seq)
			if err != nil {
				return err
			}
			f.take(p, ev)
		}
	}
	return nil
}

func (f *fixRecord) take(p *patchHistory, ev *record.Event) {
	if ev.End != nil {
		for _, a := range ev.End.Advisories {
			f.severity[a.ID] = a.Severity
		}
	}
	changes, fixes := ev.Changes()
	for nevra, list := range fixes {
		if rest, ok := strings.CutPrefix(nevra, p.name+"-"); ok {
			p.version(rest[:max(0, strings.LastIndexByte(rest, '.'))]).list(list.CVEs)
		}
	}
	for _, c := range changes {
		if c.Package == p.name && c.Action != record.ActionRemove && p.version(c.Version).built == nil {
			p.version(c.Version).built = c.BuildTime
		}
	}
}

// readChanges reads what was installed, upgraded and removed up to the moment. What is staged in
// a snapshot of a transactional update is not installed yet.
func (f *fixRecord) readChanges(p *patchHistory) error {
	changes, err := f.store.PatchChanges(f.ctx, p.name, f.at)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.Outcome == record.OutcomeDiscarded {
			continue
		}
		elsewhere := f.snapshots && c.Source == record.SourceImport // libzypp's history does not say
		before, after := p.sides(c)
		p.kernel = cmp.Or(p.kernel, c.KernelRelease)
		for _, v := range []*patchVersion{before, after} {
			if v != nil && c.Result == record.ResultOK {
				v.saw(c.Time, c.Event)
			}
		}
		if c.Outcome == record.OutcomeStaged {
			continue
		}
		p.changes = append(p.changes, patchChange{c, elsewhere})
		if c.Result == record.ResultOK && after != nil && after.installed == nil && !elsewhere {
			after.installed, after.event = new(c.Time), c.Event
		}
	}
	return nil
}

// readInstalled reads which versions are installed: as the state of the moment has it or, where
// nobody looked since, as it was seen last.
func (f *fixRecord) readInstalled() error {
	last, err := f.store.LastObserved(f.ctx)
	if err != nil {
		return fmt.Errorf("looking for the last observation: %w", err)
	}
	if last == nil || !last.After(f.at) {
		return f.readLooked()
	}
	w, err := f.timeline.rows.witness(f.ctx, f.store, f.at)
	if err != nil {
		return err
	}
	w.state = &State{Unknown: map[string]string{}}
	f.goesOn, f.state = true, w.state
	return w.installed()
}

// mostReads is how many observations one question reads, at most, until one tells: each is an event to read.
const mostReads = 50

// lookBack goes through the observations up to a moment, the newest first, until one tells what is wanted.
func (f *fixRecord) lookBack(at time.Time, tells func(*Seen) bool) error {
	for range mostReads {
		o, err := SeenAt(f.ctx, f.store, at)
		if err != nil || o == nil || tells(o) {
			return err
		}
		at = o.At.Add(-instant)
	}
	return nil
}

// readRoot reads whether the root directory may be in a btrfs snapshot, from the newest observation that knows
// where it is.
func (f *fixRecord) readRoot() error {
	f.snapshots = true
	return f.lookBack(record.Always(), func(o *Seen) bool {
		if o.Subvolume != "" {
			f.snapshots = record.SnapshotNumber(o.Subvolume) > 0
		}
		return o.Subvolume != ""
	})
}

// readLooked reads which versions were installed when the machine was looked at last.
func (f *fixRecord) readLooked() error {
	return f.lookBack(f.at, func(o *Seen) bool {
		if o.Installed != nil {
			f.looked = o
		} else {
			f.unread = cmp.Or(f.unread, o)
		}
		return o.Installed != nil
	})
}

// readAdvisories takes the dates of issue from release events.
func (f *fixRecord) readAdvisories() error {
	if err := f.readOldAdvisories(); err != nil {
		return err
	}
	known := f.offers.all
	for _, row := range f.offers.rows {
		for _, a := range row.Advisories { // also of those that were withdrawn since
			if last, is := known.Advisories[a.Key()]; a.Issued == nil || a.Status == record.StatusRetracted || is && last.Status == record.StatusRetracted {
				continue
			}
			f.severity[a.ID] = cmp.Or(f.severity[a.ID], a.Severity)
			packages, _ := known.List(a.Packages)
			for _, p := range packages {
				name, version, _ := strings.Cut(p, " ")
				f.takeAdvisory(record.LivePatchAdvisory{Package: name, Version: version, Advisory: a.ID, Issued: &a.Issued.Time, DayOnly: a.DayOnly})
			}
		}
	}
	return nil
}

// readOldAdvisories takes them from the newest observation of 0.1.0 that read them: one did every day.
func (f *fixRecord) readOldAdvisories() error {
	to := f.timeline.To.Time
	part, err := NewestPart[record.Advisories](f.ctx, f.store, to.AddDate(0, -1, 0), to)
	if err != nil || part == nil {
		return err
	}
	repos, err := part.Value()
	if err != nil {
		return nil // another program's: not known
	}
	for _, repo := range repos {
		for _, a := range repo.LivePatches {
			f.takeAdvisory(a)
		}
	}
	return nil
}

func (f *fixRecord) takeAdvisory(a record.LivePatchAdvisory) {
	p := f.packages[a.Package]
	if p == nil || p.versions[a.Version] == nil || a.Issued == nil {
		return
	}
	v := p.versions[a.Version]
	if v.issued != nil && !a.Issued.Before(v.issued.Time) {
		return
	}
	v.issued, v.onDay, v.advisory, v.severity = new(record.At(*a.Issued)), a.DayOnly, &a.Advisory, nil
	if severity := f.severity[a.Advisory]; severity != "" {
		v.severity = &severity
	}
}

// assignSpans gives each package what is known of live patches, and while which kernel ran.
func (f *fixRecord) assignSpans() {
	t := f.timeline.whole()
	var last *KernelSpan
	for i, k := range t.Kernels {
		if k.BootID != "" {
			last = &t.Kernels[i]
		}
	}
	if last != nil && last.Confidence != Unknown {
		f.running = last.KernelRelease
	}
	spans := ranSpans(t)
	f.spans, f.from, f.newest = spans, f.timeline.From, f.newestBoot(t, last)
	if f.newest != nil {
		f.stepped, f.blind = f.timeline.rows.lastStep(f.newest.BootID, f.at), f.timeline.rows.lastBlind(f.at)
	}
	for _, p := range f.packages {
		p.sawActive()
		p.inInitrds(t.Initrds)
	}
}

// ranSpans are the spans of live patches with their boots. A boot whose clock was set has several spans.
func ranSpans(t *Timeline) []ranSpan {
	boots := map[string][]KernelSpan{}
	for _, k := range t.Kernels {
		if k.BootID != "" {
			boots[k.BootID] = append(boots[k.BootID], k)
		}
	}
	spans := make([]ranSpan, 0, len(t.Patches))
	for _, s := range t.Patches {
		spans = append(spans, inBoot(s, boots[s.BootID]))
	}
	return spans
}

// inBoot is a span with its boot, of which there are several spans: it lasted from the first to the last, and is as sure as the
// one in which the span begins.
func inBoot(s PatchSpan, boot []KernelSpan) ranSpan {
	r := ranSpan{PatchSpan: s, known: s.From}
	if len(boot) == 0 {
		return r
	}
	begins := max(0, slices.IndexFunc(boot, func(k KernelSpan) bool { return k.To.After(s.From.Time) }))
	r.boot = boot[begins]
	r.boot.From, r.boot.To = boot[0].From, boot[len(boot)-1].To
	if begins == 0 && len(boot) > 1 && boot[0].Confidence == Inferred && !s.From.After(boot[0].From.Time) {
		r.known = boot[1].From // by the clock as it was set later, the boot may have begun at another time
	}
	return r
}

// newestBoot is the last boot of a timeline or, where it is not known to be the newest, an unknown one.
func (f *fixRecord) newestBoot(t *Timeline, last *KernelSpan) *KernelSpan {
	end := len(t.Kernels) - 1
	switch {
	case f.goesOn && end >= 0 && t.Kernels[end].BootID == "":
		return &t.Kernels[end] // what runs is not known
	case !f.goesOn && last != nil && !f.timeline.rows.isNewest(last.BootID, f.at):
		return &KernelSpan{Span: Span{From: last.To, To: t.To, Confidence: Unknown}} // nor when the newest boot ran
	}
	return last
}
