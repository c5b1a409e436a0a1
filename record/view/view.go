// Package view answers the questions of reports from the events of a record in memory. Its views
// and answers are those of package store, which keeps them in SQLite: the rules that merge rows of
// several events exist here in Go and there in SQL, and one test compares all answers.
//
// Each event gives an Outline, which depends on that event alone; the outlines of a log give a
// Record.
package view

import (
	"cmp"
	"iter"
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

// Log is what a record needs to know about a log besides its events.
type Log struct {
	Checkpoint string // the newest one, signed; empty: there is none
	Part       *Part  // nil: the log is whole
}

// Part says that some events are the first ones of a longer log.
type Part struct {
	Root   string        // hash over these events, in base64; empty: not known
	Pruned *record.Prune // newest prune of the longer log; nil: none
}

// Record is what the events of a log say. It implements audit.Reader, does not change, and several
// goroutines may use it. It shares the events' data instead of copying it, so do not change events
// either.
type Record struct {
	log      Log
	outlines []*Outline // in the order of the log, like all rows below unless they name another order

	commits    map[string]*Commit
	staged     []*Commit                 // those that went to a btrfs snapshot
	changes    []*Change                 // in the order of time
	changesOf  map[string][]*Change      // by package, in the order of time
	imported   map[string][]*Change      // by commit
	observed   []*Observation            // in the order of time
	patches    map[patchKey]*Observation // the first observation that knew the package
	patchesOf  map[string][]*Observation // by package
	boots      Boots
	exceptions []*record.Exception // in the order of time
	recorders  []*Outline
	releases   []record.ReleaseRow
	pruned     *record.Prune // the newest; nil: none

	byBegin  []*Commit // the commits in the order of time
	recorded []*Commit // those that the recorder saw
	byFirst  []*Boot   // the boots in the order of time
}

// patchKey names the live patch module of a kernel.
type patchKey struct{ kernel, module string }

// New builds a record from the outlines of a log, in its order. Some may be missing because they
// were pruned.
func New(outlines iter.Seq[*Outline], log Log) *Record {
	r := &Record{
		log: log, commits: map[string]*Commit{}, changesOf: map[string][]*Change{}, imported: map[string][]*Change{},
		patches: map[patchKey]*Observation{}, patchesOf: map[string][]*Observation{},
	}
	for o := range outlines {
		r.add(o)
	}
	r.sort()
	if log.Part != nil {
		r.pruned = log.Part.Pruned
	}
	return r
}

// add merges what an event says with what earlier events said.
func (r *Record) add(o *Outline) {
	r.outlines = append(r.outlines, o)
	if o.Commit != nil && !r.addCommit(o) {
		return
	}
	for _, c := range o.Changes {
		r.changes = append(r.changes, &c)
	}
	switch {
	case o.Header.Kind == record.KindImport:
		r.addAdvisories(o)
	case o.Identity != nil:
		r.recorders = append(r.recorders, o)
	case o.Release != nil:
		r.releases = append(r.releases, record.ReleaseRow{Event: o.Event, Time: micro(o.Header.Time), Release: o.Release})
	case o.Observation != nil:
		r.addObservation(o)
	case o.Exception != nil:
		r.addException(o)
	case o.Prune != nil && (r.pruned == nil || o.Prune.Through >= r.pruned.Through):
		r.pruned = o.Prune
	}
}

// sort puts what was added into the order of time.
func (r *Record) sort() {
	slices.SortFunc(r.changes, func(a, b *Change) int {
		return cmp.Or(a.Time.Compare(b.Time.Time), cmp.Compare(a.Event, b.Event), cmp.Compare(a.Pos, b.Pos))
	})
	for _, c := range r.changes {
		r.changesOf[c.Package] = append(r.changesOf[c.Package], c)
	}
	slices.SortStableFunc(r.observed, func(a, b *Observation) int { return a.Time.Compare(b.Time.Time) })
	slices.SortStableFunc(r.exceptions, func(a, b *record.Exception) int { return a.Time.Compare(b.Time.Time) })
	for _, c := range r.commits {
		r.byBegin = append(r.byBegin, c)
	}
	slices.SortFunc(r.byBegin, func(a, b *Commit) int { return cmp.Or(a.when().Compare(b.when().Time), cmp.Compare(a.ID, b.ID)) })
	for _, c := range r.byBegin {
		if c.BeginEvent != nil || c.BootID != "" {
			r.recorded = append(r.recorded, c)
		}
	}
	for _, b := range r.boots.All() {
		slices.SortStableFunc(b.Looks, func(p, q Look) int { return cmp.Compare(p.First, q.First) })
		r.byFirst = append(r.byFirst, b)
	}
	slices.SortFunc(r.byFirst, func(a, b *Boot) int { return cmp.Or(a.First.Compare(b.First.Time), cmp.Compare(a.ID, b.ID)) })
}

// at returns the outline of an event; nil: there is none.
func (r *Record) at(seq int64) *Outline {
	i, ok := slices.BinarySearchFunc(r.outlines, seq, func(o *Outline, seq int64) int { return cmp.Compare(o.Event, seq) })
	if !ok {
		return nil
	}
	return r.outlines[i]
}

// size returns how many events the log has.
func (r *Record) size() int64 {
	if len(r.outlines) == 0 {
		return 0
	}
	return r.outlines[len(r.outlines)-1].Event
}

// addException adds an exception, or ends one. Only the first end counts.
func (r *Record) addException(o *Outline) {
	x := o.Exception
	by := record.RowActor{Login: record.OrNil(x.Actor.Login), SudoUser: record.OrNil(x.Actor.SudoUser), Automation: record.OrNil(x.Actor.Automation)}
	switch {
	case x.Action == record.ExceptionAdd && x.Until != nil:
		r.exceptions = append(r.exceptions, &record.Exception{
			ID: o.Header.ID, Event: o.Event, Time: micro(o.Header.Time), Check: x.Check, CVE: x.CVE, Advisory: x.Advisory, Reason: x.Reason, Until: micro(*x.Until), By: by,
		})
	case x.Action == record.ExceptionEnd:
		for _, added := range r.exceptions {
			if added.ID == x.Exception && added.Ended == nil {
				added.Ended, added.EndedIn, added.EndedBy = new(micro(o.Header.Time)), o.Event, &by
			}
		}
	}
}
