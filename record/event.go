// Package record has the events of a record, and the rows that reports show. Bodies of events are
// kept for ever: what one version wrote, all later versions read. The package does no input or output.
package record

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
}

// Snapshot returns what an event says of the packages on the running system. Installed is nil if the
// event says nothing of them, or if they were not compared with the record.
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
