package report

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/klp-audit/klp-audit/store"
)

// patchVersion is one version of a live patch package on record.
type patchVersion struct {
	version   string
	fixes     map[string]bool
	seen      store.Timestamp  // by an observation or a change, first
	installed *store.Timestamp // by a commit on record, first; null: it was there before
	built     *store.Timestamp
	issued    *store.Timestamp // of its advisory
	advisory  *string
	severity  *string
	event     int64
}

// since is from when on the version is on record.
func (v *patchVersion) since() time.Time {
	if v.installed != nil {
		return v.installed.Time
	}
	return v.seen.Time
}

// fixRecord is what the record has about live patch packages and what they fix.
type fixRecord struct {
	ctx      context.Context
	store    *store.Store
	timeline *Timeline
	until    store.Moment
	packages map[string]*patchHistory // by name
	running  string                   // the last kernel that is known to run
	severity map[string]string        // of advisories, by id, as libzypp's history has it
}

// readFixes reads what is on record of live patch packages up to a moment. The timeline must
// begin before the first of them.
func readFixes(ctx context.Context, s *store.Store, t *Timeline, names []string, until store.Moment) (*fixRecord, error) {
	f := &fixRecord{ctx: ctx, store: s, timeline: t, until: until, packages: map[string]*patchHistory{}, severity: map[string]string{}}
	for _, name := range names {
		p := &patchHistory{name: name, versions: map[string]*patchVersion{}}
		if err := errors.Join(f.readSeen(p), f.readChanges(p)); err != nil {
			return nil, fmt.Errorf("reading fixes of %q: %w", name, err)
		}
		if len(p.versions) > 0 {
			f.packages[name] = p
		}
	}
	if err := f.readAdvisories(); err != nil {
		return nil, fmt.Errorf("reading advisories: %w", err)
	}
	f.assignSpans()
	return f, nil
}

func (p *patchHistory) version(kernel, version string, at store.Timestamp, event int64) *patchVersion {
	p.kernel = cmp.Or(p.kernel, kernel)
	v := p.versions[version]
	if v == nil {
		v = &patchVersion{version: version, seen: at, event: event}
		p.versions[version] = v
	}
	return v
}

// readSeen reads the versions that observations saw active.
func (f *fixRecord) readSeen(p *patchHistory) error {
	seen, err := f.store.PatchesSeen(f.ctx, p.name, f.until)
	if err != nil {
		return err
	}
	for _, s := range seen {
		ev, err := f.store.Event(f.ctx, s.Event)
		if err != nil {
			return err
		}
		v := p.version(s.KernelRelease, s.Version, ev.Time, s.Event)
		if lp := ev.Observation.LivePatch; lp != nil && lp.CVEs != nil {
			v.fixes = setOf(lp.CVEs)
		}
		for _, i := range ev.Observation.Installed {
			if i.Name == p.name && i.Version == s.Version && i.BuildTime > 0 {
				v.built = new(stamp(time.Unix(i.BuildTime, 0)))
			}
		}
	}
	return nil
}

// readChanges reads what was installed, upgraded and removed. What is staged in a snapshot
// of a transactional update is not installed yet.
func (f *fixRecord) readChanges(p *patchHistory) error {
	changes, err := f.store.PatchChanges(f.ctx, p.name, f.until)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.Outcome == store.OutcomeDiscarded {
			continue
		}
		v := p.version(c.KernelRelease, c.Version, c.Time, c.Event)
		if c.Action != "remove" && v.fixes == nil {
			v.fixes = p.fold(c)
		}
		if c.Outcome == store.OutcomeStaged {
			continue
		}
		if p.changes = append(p.changes, c); c.Action != "remove" && v.installed == nil {
			v.installed, v.event = &c.Time, c.Event
			if err := f.readChange(p, c, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// fold adds what a change brought to what the version before it fixed.
func (p *patchHistory) fold(c store.PatchChange) map[string]bool {
	fixes := map[string]bool{}
	if before := p.versions[c.Previous]; before != nil {
		maps.Copy(fixes, before.fixes)
	}
	for _, cve := range c.CVEsRemoved {
		delete(fixes, cve)
	}
	maps.Copy(fixes, setOf(c.CVEsAdded))
	return fixes
}

// readChange takes from the event what is in no view: when the package was built, and the
// severities of advisories.
func (f *fixRecord) readChange(p *patchHistory, c store.PatchChange, v *patchVersion) error {
	ev, err := f.store.Event(f.ctx, c.Event)
	if err != nil || ev.End == nil {
		return err
	}
	for _, change := range ev.End.Changes {
		if change.Package == p.name && change.Version == c.Version && change.BuildTime != nil {
			v.built = change.BuildTime
		}
	}
	for _, a := range ev.End.Advisories {
		f.severity[a.ID] = a.Severity
	}
	return nil
}

func setOf(list []string) map[string]bool {
	set := map[string]bool{}
	for _, s := range list {
		set[s] = true
	}
	return set
}

// issued is an advisory that brought a live patch, as the part "advisories" has it.
type issued struct {
	Package, Version, Advisory string
	Issued                     *store.Timestamp
}

// readAdvisories takes the dates of issue from the newest observation that read them: one
// does every day.
func (f *fixRecord) readAdvisories() error {
	to := f.timeline.To.Time
	part, err := f.store.NewestPart(f.ctx, "advisories", to.AddDate(0, -1, 0), to)
	if err != nil || part == nil {
		return err
	}
	var repos []struct {
		LivePatches []issued `json:"live_patches"`
	}
	if err := json.Unmarshal(part.JSON, &repos); err != nil {
		return nil // another program's: not known
	}
	for _, repo := range repos {
		for _, a := range repo.LivePatches {
			f.takeAdvisory(a)
		}
	}
	return nil
}

func (f *fixRecord) takeAdvisory(a issued) {
	p := f.packages[a.Package]
	if p == nil || p.versions[a.Version] == nil || a.Issued == nil {
		return
	}
	v := p.versions[a.Version]
	if v.issued != nil && !a.Issued.Before(v.issued.Time) {
		return
	}
	v.issued, v.advisory, v.severity = a.Issued, &a.Advisory, nil
	if severity := f.severity[a.Advisory]; severity != "" {
		v.severity = &severity
	}
}

// assignSpans gives each package what is known of live patches while its kernel ran. That
// none is active before the initrd loads one says nothing: it is so in every boot.
func (f *fixRecord) assignSpans() {
	release := map[string]string{} // by boot
	for _, k := range f.timeline.Kernels {
		release[k.BootID] = k.KernelRelease
		if k.KernelRelease != "" {
			f.running = k.KernelRelease
		}
	}
	byKernel := map[string][]PatchSpan{}
	for i, s := range f.timeline.Patches {
		starting := i+1 < len(f.timeline.Patches) && f.timeline.Patches[i+1].BootID == s.BootID && f.timeline.Patches[i+1].Phase == "initrd"
		if s.Confidence == Unknown || s.Module == "" && starting {
			continue
		}
		byKernel[release[s.BootID]] = append(byKernel[release[s.BootID]], s)
	}
	for _, p := range f.packages {
		p.spans = byKernel[p.kernel]
		p.inInitrds(f.timeline.Initrds)
	}
}

// inInitrds notes for each span when an initrd is first proven to hold its live patch: the
// initrd that loaded it, or one that an observation saw. Both lists are in the order of time.
func (p *patchHistory) inInitrds(initrds []InitrdSpan) {
	p.kept = make([]*store.Timestamp, len(p.spans))
	next := 0
	for i, s := range p.spans {
		if s.Phase == "initrd" && s.Module != "" {
			p.kept[i] = new(loaded(s))
		}
		for ; next < len(initrds) && initrds[next].From.Before(s.To.Time); next++ {
			v := initrds[next]
			if p.kept[i] == nil && v.Verdict == store.VerdictContained && v.Module == s.Module && !v.From.Before(s.From.Time) {
				p.kept[i] = &initrds[next].From
			}
		}
	}
}
