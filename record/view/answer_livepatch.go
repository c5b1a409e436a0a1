package view

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// LivePatches returns the names of the live patch packages that changed, or that were seen active,
// from one moment to another, both included.
func (r *Record) LivePatches(_ context.Context, from, to time.Time) (names []string, err error) {
	i, j := between(r.changes, (*Change).when, from, to)
	for n := i; n < j; n++ {
		if c := r.changes[n]; c.Kind == record.PackageLivepatch && c.Result == record.ResultOK {
			names = append(names, c.Package)
		}
	}
	i, j = between(r.observed, (*Observation).when, from, to)
	for n := i; n < j; n++ {
		if o := r.observed[n]; o.Package != nil {
			names = append(names, *o.Package)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// LivePatchBegin returns when a live patch package first appears: by a change of it, by an
// observation that saw it active, or by the boot that loaded its module first. The time is zero if
// it never does.
func (r *Record) LivePatchBegin(_ context.Context, name string) (begin time.Time, err error) {
	known := false
	see := func(t record.Timestamp) {
		if !known || t.Before(begin) {
			begin, known = t.Time, true
		}
	}
	if of := r.changesOf[name]; len(of) > 0 {
		see(of[0].Time)
	}
	modules := map[patchKey]bool{}
	for _, o := range r.patchesOf[name] {
		see(o.Time)
		modules[patchKey{o.KernelRelease, *o.Module}] = true
	}
	for key := range modules {
		for _, b := range r.byFirst {
			if (b.KernelRelease == "" || b.KernelRelease == key.kernel) && b.loaded(key.module) {
				see(b.First)
				break
			}
		}
	}
	return begin, nil
}

func (of *Boot) loaded(module string) bool {
	return slices.ContainsFunc(of.Loads, func(l Placed[record.LoadRow]) bool { return l.Line.Patch == module })
}

// PatchChanges returns the changes of a live patch package up to a moment, in the order of time. A
// change staged in a btrfs snapshot counts as staged until the snapshot is booted or discarded.
func (r *Record) PatchChanges(_ context.Context, name string, until time.Time) (list []record.PatchChange, err error) {
	type place struct {
		record.PatchChange
		pos int64
	}
	var rows []place
	for _, c := range r.changesOf[name] {
		if c.Time.After(until) {
			break
		}
		of := cmp.Or(r.commitOf(c), &Commit{})
		isTold := c.Kind == record.PackageLivepatch && (c.Result == record.ResultOK || c.Result == record.ResultUnknown)
		if isTold && (of.EndEvent == nil || of.BeginEvent == nil || *of.BeginEvent != c.Event) {
			rows = append(rows, place{of.patchChange(c, until), c.Pos})
		}
	}
	slices.SortFunc(rows, func(a, b place) int {
		return cmp.Or(a.Time.Compare(b.Time.Time), cmp.Compare(a.Event, b.Event), cmp.Compare(a.pos, b.pos))
	})
	for _, row := range rows {
		list = append(list, row.PatchChange)
	}
	return list, nil
}

// patchChange returns a live patch's change in the commit, as known at a moment.
func (c *Commit) patchChange(row *Change, until time.Time) record.PatchChange {
	p := record.PatchChange{
		Time: row.Time, Event: row.Event, Action: row.Action, Version: row.Version, Previous: record.OrEmpty(row.Previous),
		KernelRelease: record.OrEmpty(row.KernelRelease), Result: row.Result, Outcome: record.Outcome(record.OrEmpty(c.Outcome)), Source: row.Source,
		CVEsAdded: slices.Clone(row.CVEsAdded), CVEsRemoved: slices.Clone(row.CVEsRemoved),
	}
	if c.BeginEvent != nil {
		p.Begin = *c.BeginEvent
	}
	switch {
	case c.Effective == nil:
	case c.Effective.After(until):
		p.Outcome = record.OutcomeStaged
	default:
		p.Booted, p.Time = true, *c.Effective
	}
	return p
}

// PatchesSeen returns the live patches of a package that observations saw active, and when each was
// seen first.
func (r *Record) PatchesSeen(_ context.Context, name string) (list []record.PatchSeen, err error) {
	type version struct {
		patchKey
		version string
		known   bool
	}
	places := map[version]int{}
	for _, o := range r.patchesOf[name] {
		key := version{patchKey{o.KernelRelease, *o.Module}, record.OrEmpty(o.Version), o.Version != nil}
		i, ok := places[key]
		if !ok {
			i = len(list)
			places[key], list = i, append(list, record.PatchSeen{
				KernelRelease: o.KernelRelease, Module: *o.Module, Version: key.version, Event: o.Event, Time: o.Time,
			})
		}
		p := &list[i]
		if o.Time.Before(p.Time.Time) {
			p.Time = o.Time
		}
		if !*o.Transition && (p.Complete == nil || o.Time.Before(p.Complete.Time)) {
			p.Complete = new(o.Time)
		}
	}
	return list, nil
}

// PatchPackage returns the name and version of the package that a live patch module of a kernel
// came from, according to the first observation that knew it; empty if none did.
func (r *Record) PatchPackage(_ context.Context, kernel, module string) (name, version string, err error) {
	if o := r.patches[patchKey{kernel, module}]; o != nil {
		return *o.Package, record.OrEmpty(o.Version), nil
	}
	return "", "", nil
}

// FirstSeen returns the number of the first observation that saw a live patch module of a
// kernel active and knew its package, 0 if there is none.
func (r *Record) FirstSeen(_ context.Context, kernel, module string) (event int64, err error) {
	if o := r.patches[patchKey{kernel, module}]; o != nil {
		return o.Event, nil
	}
	return 0, nil
}
