// Package record defines the events of a record, and the rows that reports show. Bodies of events
// are kept for ever: every later version reads what an earlier one wrote. The package does no input
// or output.
package record

import (
	"maps"
	"slices"
)

// Event is one line of the log: a header, and the one payload that its kind names.
type Event struct {
	Header
	Identity    *Identity        `json:"identity,omitempty"`
	Begin       *CommitBegin     `json:"begin,omitempty"`
	End         *CommitEnd       `json:"end,omitempty"`
	Observation *Observation     `json:"observation,omitempty"`
	Drift       *Drift           `json:"drift,omitempty"`
	Exception   *ExceptionChange `json:"exception,omitempty"`
	Import      *Import          `json:"import,omitempty"`
	Prune       *Prune           `json:"prune,omitempty"`
	Release     *Release         `json:"release,omitempty"`
}

// Snapshot returns which packages an event says the running system has. Installed is nil if the
// event does not say, or if the packages were not compared with the record.
func (ev *Event) Snapshot() Snapshot {
	s := Snapshot{Time: ev.Time, BootID: ev.BootID, Recorder: ev.Recorder}
	switch {
	case ev.End != nil && ev.End.Compared && ev.End.Outcome != OutcomeStaged:
		s.Installed, s.RPMDB = ev.End.Installed, ev.End.RPMDB
	case ev.Observation != nil && ev.Observation.Compared:
		s.Installed, s.RPMDB, s.Subvolume = ev.Observation.Installed, ev.Observation.RPMDB, ev.Observation.Subvolume
	case ev.Drift != nil:
		s.Installed, s.RPMDB, s.Subvolume = ev.Drift.Installed, ev.Drift.RPMDB, ev.Drift.Subvolume
	}
	return s
}

// Changes returns the package changes that an event reports, and which fixes it lists for live
// patches, by NEVRA.
func (ev *Event) Changes() (changes []Change, fixes map[string]Fixes) {
	switch {
	case ev.Begin != nil:
		return ev.Begin.Announced, ev.Begin.Fixes
	case ev.End != nil:
		return ev.End.Changes, ev.End.Fixes
	case ev.Drift != nil:
		return ev.Drift.Changes, ev.Drift.Fixes
	case ev.Import != nil:
		for _, c := range ev.Import.Changes {
			changes = append(changes, c.Change)
		}
	}
	return changes, nil
}

// The event kinds.
const (
	KindRecorder    EventKind = "recorder"     // the recorder itself: installed, upgraded, new identity
	KindCommitBegin EventKind = "commit-begin" // libzypp is about to change tracked packages
	KindCommitEnd   EventKind = "commit-end"   // what became of the commit
	KindObservation EventKind = "observation"  // what the machine showed at a moment
	KindDrift       EventKind = "drift"        // packages changed without a recorded commit
	KindImport      EventKind = "import"       // a commit that was imported later from libzypp's history
	KindException   EventKind = "exception"    // somebody accepts a finding or an open number for a while, or ends that
	KindPrune       EventKind = "prune"        // the bodies of old events were removed
	KindRelease     EventKind = "release"      // what the vendor has released
)

// payloadKeys holds the one key that an event of a kind has besides the header.
var payloadKeys = map[EventKind]string{
	KindRecorder: "identity", KindCommitBegin: "begin", KindCommitEnd: "end", KindObservation: "observation",
	KindDrift: "drift", KindException: "exception", KindImport: "import", KindPrune: "prune",
	KindRelease: "release",
}

// EventKinds returns the closed set of event kinds, in the order of their names.
func EventKinds() []EventKind { return slices.Sorted(maps.Keys(payloadKeys)) }
