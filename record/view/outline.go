package view

import (
	"encoding/json"
	"iter"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Outline is what a record reads from an event: rows that follow from this event alone. It is
// immutable.
type Outline struct {
	Event    int64 // its number in the log
	Header   record.Header
	Snapshot bool // it says what was installed on the running system

	Identity    *record.Identity
	Commit      *Commit
	Changes     []Change
	Applied     []string // for an import: the advisories that its commit applied
	Advisory    *string  // for an import: the one that the only change of its commit applied; nil: none, or not known
	Observation *Observation
	Exception   *record.ExceptionChange
	Prune       *record.Prune
	Release     *record.Release

	Whole *record.Event // set if the event says more than rows hold
}

// Commit is a commit, as far as one event or a record describes it. Anything nil is not known.
type Commit struct {
	record.CommitRow
	Actor             record.RowActor
	Command, UserData *string
	StagedIn          int64 // btrfs snapshot that it changed; 0: the running system, or not known
	settled           int64 // event that showed what became of a staged commit; 0: none did
}

// Observation is an observation with everything that the views of boots, parts and staged commits
// are built from.
type Observation struct {
	record.Observed
	Boots     []record.Boot
	Parts     map[record.PartName]json.RawMessage
	Booted    int64            // btrfs snapshot of the root directory; 0: none, or not known
	Installed []record.Package // nil: not known
}

// outliners say what is read from the events of each kind.
var outliners = map[record.EventKind]func(o *Outline, ev *record.Event){
	record.KindRecorder:    func(o *Outline, ev *record.Event) { o.Identity = ev.Identity },
	record.KindCommitBegin: (*Outline).ofBegin,
	record.KindCommitEnd:   (*Outline).ofEnd,
	record.KindObservation: (*Outline).ofObservation,
	record.KindDrift:       func(*Outline, *record.Event) {}, // it has only changes
	record.KindImport:      (*Outline).ofImport,
	record.KindException:   func(o *Outline, ev *record.Event) { o.Exception = ev.Exception },
	record.KindPrune:       func(o *Outline, ev *record.Event) { o.Prune = ev.Prune },
	record.KindRelease:     func(o *Outline, ev *record.Event) { o.Release = ev.Release },
}

// Of returns the outline of event number seq. For a kind that only a newer program knows, it holds
// what every event says.
func Of(seq int64, ev *record.Event) *Outline {
	o := &Outline{Event: seq, Header: ev.Header, Snapshot: ev.Snapshot().Installed != nil, Changes: changes(seq, ev), Whole: ev}
	if of := outliners[ev.Kind]; of != nil {
		of(o, ev)
	}
	return o
}

// Outlines returns the outlines of events with their numbers.
func Outlines(events iter.Seq2[int64, *record.Event]) iter.Seq[*Outline] {
	return func(yield func(*Outline) bool) {
		for seq, ev := range events {
			if !yield(Of(seq, ev)) {
				return
			}
		}
	}
}

func (o *Outline) ofBegin(ev *record.Event) {
	b := ev.Begin
	o.Commit = &Commit{
		CommitRow: record.CommitRow{ID: ev.ID, BeginEvent: &o.Event, Begin: new(micro(ev.Time)), BootID: ev.BootID},
		Actor: record.RowActor{Login: &b.Actor.Login, SudoUser: record.OrNil(b.Actor.SudoUser), Exe: &b.Actor.Exe, TTY: &b.Actor.TTY,
			Session: &b.Actor.Session, Automation: record.OrNil(b.Actor.Automation)},
		Command: record.OrNil(commandLine(b.Command)), UserData: record.OrNil(b.UserData), StagedIn: b.Staging.Number(),
	}
}

func (o *Outline) ofEnd(ev *record.Event) {
	e := ev.End
	o.Commit = &Commit{CommitRow: record.CommitRow{ID: e.Commit, EndEvent: &o.Event, End: new(micro(ev.Time)), Outcome: &e.Outcome, BootID: ev.BootID}}
}

// ofImport reads what an import says about a commit. An import whose changes were all on record
// describes no commit, except for its outcome.
func (o *Outline) ofImport(ev *record.Event) {
	im := ev.Import
	o.Commit = &Commit{CommitRow: record.CommitRow{ID: im.Commit, Outcome: record.OrNil(im.Outcome)}}
	o.Applied = applied(&record.Change{Result: record.ResultOK}, im.Advisories)
	if im.Sole && len(o.Applied) == 1 && len(im.Changes) <= 1 {
		o.Advisory = &o.Applied[0]
	}
	if len(im.Changes) == 0 {
		return
	}
	last := im.Time
	for _, c := range im.Changes {
		if c.Time.After(last.Time) {
			last = c.Time
		}
	}
	o.Commit.EndEvent, o.Commit.Begin, o.Commit.End = &o.Event, new(micro(im.Time)), new(micro(last))
	o.Commit.Command, o.Commit.UserData = record.OrNil(im.Command), record.OrNil(im.UserData)
}

func (o *Outline) ofObservation(ev *record.Event) {
	of := ev.Observation
	row := record.Observed{
		Event: o.Event, Time: micro(ev.Time), BootID: ev.BootID, KernelRelease: of.Kernel.Release, BootTime: micro(of.Kernel.BootTime),
		Verdict: of.Initrd.Verdict, Basis: of.Initrd.Basis, Reason: of.Initrd.Reason, CoveredUntil: record.OrNil(of.CoveredUntil()),
	}
	if of.Patches != nil {
		row.Patched = new(of.LivePatch != nil)
	}
	if p := of.LivePatch; p != nil {
		row.Module, row.Package, row.Version, row.Transition, row.Since = &p.Module, p.Package, p.Version, &p.Transition, microOrNil(p.Since)
	}
	if of.NextBoot != nil {
		row.NextKernel = &of.NextBoot.KernelRelease
	}
	o.Observation = &Observation{Observed: row, Boots: rowsOf(of.Boots), Parts: of.Parts, Booted: record.SnapshotNumber(of.Subvolume), Installed: of.Installed}
}

// rowsOf returns boots reduced to what views hold of them.
func rowsOf(boots []record.Boot) (rows []record.Boot) {
	for _, b := range boots {
		loads, builds := b.Loads, b.Builds
		b.First, b.Last, b.Loads, b.Builds = micro(b.First), micro(b.Last), nil, nil
		for _, l := range loads {
			l.Time, l.Completed, l.Reverted, l.Disabled = micro(l.Time), microOrNil(l.Completed), microOrNil(l.Reverted), microOrNil(l.Disabled)
			b.Loads = append(b.Loads, l)
		}
		for _, img := range builds {
			img.Time, img.Modules = micro(img.Time), nil
			b.Builds = append(b.Builds, img)
		}
		rows = append(rows, b)
	}
	return rows
}

// micro returns a time as views hold it: to the microsecond.
func micro(t record.Timestamp) record.Timestamp { return record.At(time.UnixMicro(t.UnixMicro())) }

func microOrNil(t *record.Timestamp) *record.Timestamp {
	if t == nil {
		return nil
	}
	return new(micro(*t))
}
