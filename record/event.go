// Package record holds the events of a record as they are kept for ever, how their bodies are read, and
// the rows that reports show of them. It knows no database and reads no file.
package record

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Snapshot returns what an event says of the packages on the running system. Installed is nil
// if it says nothing of them, or what was not compared with the record.
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

// EventVersion is the version of the event bodies that this program writes. Bodies of
// every version are read for ever.
const EventVersion = 1

// EventKind says what an event is about.
type EventKind string

// The event kinds.
const (
	KindRecorder    EventKind = "recorder"     // the recorder itself: installed, upgraded, new identity
	KindCommitBegin EventKind = "commit-begin" // libzypp is about to change tracked packages
	KindCommitEnd   EventKind = "commit-end"   // what became of it
	KindObservation EventKind = "observation"  // what the machine showed at a moment
	KindDrift       EventKind = "drift"        // packages changed without a recorded commit
	KindImport      EventKind = "import"       // taken in from libzypp's history afterwards
	KindException   EventKind = "exception"    // somebody accepts a finding for a while, or takes that back
	KindPrune       EventKind = "prune"        // the bodies of old events have gone
)

// EventKinds returns the closed set of event kinds.
func EventKinds() []EventKind {
	return []EventKind{KindRecorder, KindCommitBegin, KindCommitEnd, KindObservation, KindDrift, KindImport, KindException, KindPrune}
}

// Timestamp is a moment in UTC with microseconds, in JSON as RFC 3339 with six digits.
type Timestamp struct{ time.Time }

// TimeLayout is how an event writes a time.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// At is a moment as a timestamp.
func At(t time.Time) Timestamp { return Timestamp{t.UTC()} }

// MarshalJSON writes the moment in UTC.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"` + TimeLayout + `"`)), nil
}

// UnmarshalJSON reads any RFC 3339 time that is one in UTC, too.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	v, err := time.Parse(time.RFC3339, strings.Trim(string(b), `"`))
	t.Time = v.UTC()
	if year := t.Year(); err == nil && (year < 0 || year > 9999) {
		return fmt.Errorf("time %s is out of range", b)
	}
	return err
}

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

// Header is what every event carries.
type Header struct {
	V          int       `json:"v"`
	Kind       EventKind `json:"kind"`
	ID         string    `json:"id"` // UUIDv7
	Time       Timestamp `json:"time"`
	UTCOffset  string    `json:"utc_offset"`  // of the host's local time, "+01:00"
	BoottimeUS int64     `json:"boottime_us"` // CLOCK_BOOTTIME: orders the events of one boot although the clock was set
	Host       Host      `json:"host"`
	BootID     string    `json:"boot_id"` // 32 hex digits; empty where /proc does not say
	Recorder   Program   `json:"recorder"`
	Spooled    string    `json:"spooled,omitempty"` // why the event waited in the spool before it came into the log
	// TakenIn is when it came from there. 0.1.0 did not note that.
	TakenIn *Timestamp `json:"taken_in,omitempty"`
}

// Recorded is when an event came into the log, nil if that is not known.
func (h *Header) Recorded() *Timestamp {
	if h.TakenIn == nil && h.Spooled == "" {
		return &h.Time
	}
	return h.TakenIn
}

// Host names the machine that an event is about.
type Host struct {
	MachineID string `json:"machine_id"` // 32 hex digits of /etc/machine-id, empty if it has none
	Hostname  string `json:"hostname"`
}

// Program is what wrote an event.
type Program struct {
	Program string `json:"program"`
	Version string `json:"version"`
}

// Identity is the payload of a recorder event.
type Identity struct {
	Cause    Cause  `json:"cause"`
	Schema   int    `json:"schema"`             // view schema of the program that wrote the event
	Key      string `json:"key"`                // verifier key of the checkpoints from here on (sumdb/note)
	Previous string `json:"previous,omitempty"` // program version before an upgrade
	// Of a broken proof: what was found, and the checkpoint that the log did not fit.
	Problem    string `json:"problem,omitempty"`
	Checkpoint string `json:"checkpoint,omitempty"`
}

// Cause says why a recorder event was written.
type Cause string

// The causes of recorder events.
const (
	CauseInstalled       Cause = "installed"        // first event of a log
	CauseUpgraded        Cause = "upgraded"         // another program version writes from here on
	CauseIdentityChanged Cause = "identity-changed" // the machine id is another one: cloned or restored
	CauseKeyReplaced     Cause = "key-replaced"     // the checkpoint key was lost or replaced
	CauseRecordLost      Cause = "record-lost"      // first event of a log, but there is a key of an earlier one
	CauseProofBroken     Cause = "proof-broken"     // the log was not the one that was signed last
)

// read reads what SQLite reads, too, by the text: no other spelling will do.
func (h *Header) read(body []byte, at []span) error {
	of := func(key string) []byte { return at[eventShape().index[key]].of(body) }
	id, kind, moment := of("id"), of("kind"), of("time")
	switch {
	case !isWord(id, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"):
		return fmt.Errorf("id %.80s", orMissing(id))
	case !isWord(kind, "-abcdefghijklmnopqrstuvwxyz"):
		return fmt.Errorf("kind %.80s", orMissing(kind))
	case len(moment) == 0 || h.Time.UnmarshalJSON(moment) != nil || h.Time.Format(`"`+TimeLayout+`"`) != string(moment):
		return fmt.Errorf("time %.80s is not written as %s", orMissing(moment), TimeLayout)
	}
	h.ID, h.Kind = string(id[1:len(id)-1]), EventKind(kind[1:len(kind)-1])
	v, err := strconv.Atoi(string(of("v")))
	if h.V = v; err != nil || v < 1 || v > EventVersion {
		return fmt.Errorf("version %.80s", orMissing(of("v")))
	}
	return nil
}
