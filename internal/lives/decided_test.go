package lives

import (
	"cmp"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// decided are the statements about a moment that the events of a host decide, whose clock was always right. They
// are a lower bound of what a report should know, and must be true as what it infers must. What was seen on both
// sides of a moment was so at the moment if it is alike, and nothing on record in between changes it. A boot
// sees, too: which kernel was the next to be booted, and what its initrd held.
func decided(evs []*record.Event, at time.Time) *answers {
	e := &evidence{at: at, boots: map[string]*seenBoot{}, covered: map[string]bool{}}
	e.read(evs)
	a := &answers{at: at}
	e.installed(a)
	e.nextBoot(a)
	b := e.running()
	if b == nil {
		return a
	}
	a.decide("kernel", b.release, isKernel(b.release, b.id))
	if e.covered[b.release] {
		a.decide("covered", covered(b.release), func(m moment) bool { return m.kernel == b.release })
	}
	if module, ok := b.patchAt(at, e.commits); ok {
		a.decide("patch", module, isPatched(module))
		if v, ok := e.initrd(b, module); ok && module != "" {
			a.decide("initrd", string(v)+" "+module, isVerdict(b.release, module, v))
		}
	}
	return a
}

func (a *answers) decide(part, says string, isTrue func(moment) bool) {
	a.add("decided", part, says, true, isTrue)
}

// evidence is what events have of a host.
type evidence struct {
	at       time.Time
	boots    map[string]*seenBoot
	packages []seenPackages
	nexts    []sight
	covered  map[string]bool // kernels whose end of support is on record
	commits  []seenCommit
}

// sight is something that was seen.
type sight struct {
	at   time.Time
	what string
}

// seenPackages are kernels and live patches that were installed.
type seenPackages struct {
	at   time.Time
	boot *seenBoot
	pkgs []record.Package
}

// seenCommit is a commit; one that has not ended on record may have gone on to the last event.
type seenCommit struct {
	id         string
	begin, end time.Time
	ended      bool
	staged     bool // in another snapshot
	kernels    bool // it brought or took some
}

// seenBoot is what events have of a boot.
type seenBoot struct {
	id, release, root string
	first, last       time.Time // that it ran, by any of them
	rows              []record.Boot
	loads             []record.Load // each as the last look has it that knew what became of it
	builds            []time.Time
	patches           []sight // module
	initrds           []seenImage
}

// seenImage is a live patch that an initrd held, or did not.
type seenImage struct {
	at      time.Time
	module  string
	verdict record.Verdict
	read    bool // the image was, which says nothing of when it was written
}

func (e *evidence) boot(id string) *seenBoot {
	if e.boots[id] == nil {
		e.boots[id] = &seenBoot{id: id}
	}
	return e.boots[id]
}

func (b *seenBoot) ran(at time.Time) {
	if b.first.IsZero() || at.Before(b.first) {
		b.first = at
	}
	if at.After(b.last) {
		b.last = at
	}
}

func (e *evidence) read(evs []*record.Event) {
	for _, ev := range evs {
		if ev.Begin != nil {
			e.commits = append(e.commits, seenCommit{ev.ID, ev.Time.Time, evs[len(evs)-1].Time.Time, false, ev.Begin.Staging != nil, ofKernels(ev.Begin.Announced)})
		}
	}
	for _, ev := range evs {
		if ev.BootID != "" {
			e.boot(ev.BootID).ran(ev.Time.Time)
		}
		switch {
		case ev.Observation != nil:
			e.observation(ev, ev.Observation)
		case ev.Begin != nil && ev.Begin.Staging == nil:
			e.snapshot(ev, ev.Begin.Installed)
		case ev.End != nil:
			e.end(ev, ev.End)
		case ev.Drift != nil:
			e.snapshot(ev, ev.Drift.Installed)
		}
	}
	for _, b := range e.boots {
		if b.started() {
			e.nexts = append(e.nexts, sight{b.first, b.release})
		}
		for _, l := range b.loads {
			if l.Phase == "initrd" {
				b.initrds = append(b.initrds, seenImage{at: l.Time.Time, module: l.Patch, verdict: record.VerdictContained})
			}
		}
	}
}

func ofKernels(changes []record.Change) bool {
	return slices.ContainsFunc(changes, func(c record.Change) bool { return c.Kind == "kernel" })
}

func (e *evidence) end(ev *record.Event, end *record.CommitEnd) {
	staged := false
	for i := range e.commits {
		if c := &e.commits[i]; c.id == end.Commit {
			c.end, c.ended, c.kernels, staged = ev.Time.Time, true, ofKernels(end.Changes), c.staged
		}
	}
	if !staged && !end.Late {
		e.snapshot(ev, end.Installed)
	}
}

func (e *evidence) snapshot(ev *record.Event, pkgs []record.Package) {
	if pkgs != nil {
		e.packages = append(e.packages, seenPackages{ev.Time.Time, e.boot(ev.BootID), pkgs})
	}
}

func (e *evidence) observation(ev *record.Event, o *record.Observation) {
	b, at := e.boot(ev.BootID), ev.Time.Time
	b.release, b.root = o.Kernel.Release, cmp.Or(b.root, o.Subvolume)
	e.snapshot(ev, o.Installed)
	if o.NextBoot != nil {
		e.nexts = append(e.nexts, sight{at, o.NextBoot.KernelRelease})
	}
	if o.Parts[record.PartCoverage] != nil {
		e.covered[b.release] = true
	}
	switch lp := o.LivePatch; {
	case o.Patches == nil:
	case lp == nil && !record.InTransition(o.Patches):
		b.patches = append(b.patches, sight{at, ""})
	case lp != nil && !lp.Transition:
		b.patches = append(b.patches, sight{at, lp.Module})
	}
	if o.Initrd.Verdict != record.VerdictUnknown {
		b.initrds = append(b.initrds, seenImage{at, o.Initrd.Patch, o.Initrd.Verdict, o.Initrd.Basis == record.BasisImage})
	}
	for _, row := range o.Boots {
		e.boot(row.ID).look(row)
	}
}

// look is the journal of a boot being read.
func (b *seenBoot) look(row record.Boot) {
	b.ran(row.First.Time)
	b.ran(row.Last.Time)
	b.rows, b.release = append(b.rows, row), cmp.Or(b.release, row.KernelRelease)
	for _, l := range row.Loads {
		switch i := slices.IndexFunc(b.loads, func(o record.Load) bool { return o.Cursor == l.Cursor }); {
		case i < 0:
			b.loads = append(b.loads, l)
		case l.Result != "unknown":
			b.loads[i] = l
		}
	}
	for _, x := range row.Builds {
		b.builds = append(b.builds, x.Time.Time)
	}
}

func (b *seenBoot) started() bool {
	return slices.ContainsFunc(b.rows, func(r record.Boot) bool { return r.StartInJournal })
}

// running is the boot that ran.
func (e *evidence) running() *seenBoot {
	for _, b := range e.boots {
		if b.release != "" && !e.at.Before(b.first) && !e.at.After(b.last) {
			return b
		}
	}
	return nil
}

// around are the last of some sights up to a moment, and the first from it on; nil: there is none.
func around[T any](list []T, when func(*T) time.Time, at time.Time) (before, after *T) {
	for i := range list {
		s := &list[i]
		if t := when(s); !t.After(at) && (before == nil || t.After(when(before))) {
			before = s
		}
		if t := when(s); !t.Before(at) && (after == nil || t.Before(when(after))) {
			after = s
		}
	}
	return before, after
}

func (s *sight) when() time.Time        { return s.at }
func (s *seenPackages) when() time.Time { return s.at }
func (s *seenImage) when() time.Time    { return s.at }

// within says whether one of some moments is between two.
func within(list []time.Time, from, to time.Time) bool {
	return slices.ContainsFunc(list, func(t time.Time) bool { return t.After(from) && t.Before(to) })
}

// waits says whether an update was made in another snapshot, and may not have been booted yet.
func (e *evidence) waits(kernels bool) bool {
	return slices.ContainsFunc(e.commits, func(c seenCommit) bool {
		booted := false
		for _, b := range e.boots {
			booted = booted || b.first.After(c.end) && !b.first.After(e.at)
		}
		return c.staged && (c.kernels || !kernels) && !c.begin.After(e.at) && !booted
	})
}

// installed: the same packages were there before and after, installed at the same times; or those that came, have
// come before the moment; or a commit has not brought them yet.
func (e *evidence) installed(a *answers) {
	before, after := around(e.packages, (*seenPackages).when, e.at)
	if before == nil || after == nil || before.boot != after.boot && (before.boot.root == "" || before.boot.root != after.boot.root) {
		return
	}
	came, went := lacking(after.pkgs, before.pkgs), lacking(before.pkgs, after.pkgs)
	all := func(ok func(p record.Package) bool) bool {
		return !slices.ContainsFunc(came, func(p record.Package) bool { return !ok(p) })
	}
	replaced := !slices.ContainsFunc(went, func(p record.Package) bool {
		return !isPatch(p) || !slices.ContainsFunc(came, func(q record.Package) bool { return q.Name == p.Name })
	})
	commit := slices.ContainsFunc(e.commits, func(c seenCommit) bool { return c.ended && c.begin.Equal(before.at) && !after.at.After(c.end) })
	pkgs := after.pkgs
	switch {
	case len(came)+len(went) == 0, replaced && all(func(p record.Package) bool { return !e.at.Before(time.Unix(p.InstallTime, 0).Add(time.Minute)) }):
	case replaced && (commit || len(went) == 0 && !slices.ContainsFunc(came, isPatch)) && all(func(p record.Package) bool { return e.at.Before(time.Unix(p.InstallTime, 0)) }):
		pkgs = before.pkgs
	default:
		return
	}
	says := identity(pkgs)
	a.decide("installed", says, func(m moment) bool { return m.changing || m.installed == says })
}

// lacking are the packages of one list that another one does not have.
func lacking(list, from []record.Package) (more []record.Package) {
	for _, p := range list {
		if !slices.ContainsFunc(from, func(q record.Package) bool {
			return p.Name == q.Name && p.Version == q.Version && p.InstallTime == q.InstallTime
		}) {
			more = append(more, p)
		}
	}
	return more
}

// nextBoot: the same kernel was to be booted, or was booted, before and after, and kernels neither came nor went.
func (e *evidence) nextBoot(a *answers) {
	before, after := around(e.nexts, (*sight).when, e.at)
	if before == nil || after == nil || before.what != after.what || e.waits(true) {
		return
	}
	if slices.ContainsFunc(e.commits, func(c seenCommit) bool { return c.kernels && c.end.After(before.at) && c.begin.Before(after.at) }) {
		return
	}
	a.decide("next boot", before.what, func(m moment) bool { return m.changing || m.next == before.what })
}

// patchAt is the live patch of a boot at a moment: the journal has all of it from the boot's start on, or from an observation
// before it, or until one after it, or two observations agree, a day apart, and nothing is on record between them.
func (b *seenBoot) patchAt(at time.Time, commits []seenCommit) (module string, ok bool) {
	before, after := around(b.patches, (*sight).when, at)
	switch {
	case b.started() && at.After(b.first) && b.whole(b.first, at):
		module, ok = b.replay("", b.first, at)
		return module, ok && b.has(module, at)
	case before != nil && b.has(before.what, at) && b.whole(before.at, at):
		module, ok = b.replay(before.what, before.at, at)
		return module, ok && b.has(module, at)
	case after != nil && after.what != "" && b.whole(at, after.at) && !within(b.steps(), at, after.at):
		return after.what, true
	case before != nil && after != nil && before.what == after.what && after.at.Sub(before.at) < 36*time.Hour && !within(b.steps(), before.at, after.at):
		return before.what, !slices.ContainsFunc(commits, func(c seenCommit) bool { return c.begin.Before(after.at) && c.end.After(before.at) })
	}
	return "", false
}

// has says whether a look until a moment has the load of a live patch: then it would say that it was disabled, too.
func (b *seenBoot) has(module string, until time.Time) bool {
	return module == "" || slices.ContainsFunc(b.rows, func(r record.Boot) bool {
		return !r.Last.Before(until) && slices.ContainsFunc(r.Loads, func(l record.Load) bool { return l.Patch == module })
	})
}

// whole says whether looks at the journal of a boot have everything between two moments.
func (b *seenBoot) whole(from, to time.Time) bool {
	for until := from; until.Before(to); {
		next := until
		for _, r := range b.rows {
			if !r.Incomplete && !r.MessagesLost && !r.First.After(until) && r.Last.After(next) {
				next = r.Last.Time
			}
		}
		if next.Equal(until) {
			return false
		}
		until = next
	}
	return true
}

// steps are when something is on record of live patches.
func (b *seenBoot) steps() (list []time.Time) {
	for _, l := range b.loads {
		list = append(list, l.Time.Time)
		for _, t := range []*record.Timestamp{l.Completed, l.Reverted, l.Disabled} {
			if t != nil {
				list = append(list, t.Time)
			}
		}
	}
	return list
}

// replay is the live patch after the loads of a stretch of time. What was disabled, turned back, or has no end on record
// decides nothing.
func (b *seenBoot) replay(module string, from, to time.Time) (string, bool) {
	for _, l := range b.loads {
		switch {
		case l.Result == "failed" || l.Time.After(to):
			continue
		case l.Result != "complete" || l.Completed == nil || l.Completed.After(to) || l.Disabled != nil && !l.Disabled.After(to):
			return "", false
		case l.Time.After(from):
			module = l.Patch
		}
	}
	return module, true
}

// initrd: what was seen before and after is alike, and no image was built between them; or what was seen before is so until the
// next build, or what is seen soon after one since then.
func (e *evidence) initrd(b *seenBoot, module string) (record.Verdict, bool) {
	before, after := around(b.initrds, (*seenImage).when, e.at)
	if e.waits(false) {
		return "", false
	}
	var last, next time.Time // builds around the moment
	for _, t := range b.builds {
		if !t.After(e.at) && t.After(last) {
			last = t
		}
		if t.After(e.at) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	old := before != nil && !last.After(before.at)
	holds := old && after != nil && before.module == after.module && before.verdict == after.verdict && !within(b.builds, before.at, after.at)
	until := old && next.Sub(e.at) > 10*time.Second && (after == nil || next.Before(after.at)) && b.whole(before.at, next) // a build says later that it ended
	switch {
	case (holds || until) && before.module == module:
		return before.verdict, true
	case after != nil && after.module == module && !after.read && !last.IsZero() && !within(b.builds, last, after.at) && (before == nil || before.at.Before(last)) &&
		after.at.Sub(last) < time.Hour && b.whole(last, after.at):
		return after.verdict, true
	}
	return "", false
}
