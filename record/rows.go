package record

import "time"

// RecordedFixes are the fixes of live patches that an event lists, by NEVRA, with the packages that
// were installed then.
type RecordedFixes struct {
	Recorder  Program // that read the changelogs
	Installed []Package
	Fixes     map[string]Fixes
}

// Exception is an exception on record. Its id is that of the event that added it.
type Exception struct {
	ID       string
	Event    int64 // that added it
	Time     Timestamp
	Check    string // one of these three says what it is about
	CVE      string
	Advisory string
	Reason   string
	Until    Timestamp
	By       RowActor
	Ended    *Timestamp // at the moment asked for; nil: not ended
	EndedBy  *RowActor
	EndedIn  int64 // event
}

// PatchSeen is a live patch that an observation saw active.
type PatchSeen struct {
	KernelRelease, Module, Version string
	Event                          int64 // the first one
	Time                           Timestamp
	Complete                       *Timestamp // first one after its load completed; nil: none
}

// PatchChange is a change of a live patch package that the rpm database shows, or that was
// announced, if its result is not known.
type PatchChange struct {
	Time                   Timestamp // for a staged change that was booted: the time of that boot
	Booted                 bool      // it was staged in a snapshot, and the snapshot was booted
	Event                  int64
	Begin                  int64 // event of the commit's begin; 0: none
	Action                 Action
	Version                string
	Previous               string // empty: none
	KernelRelease          string
	Result                 Result  // ok or unknown
	Outcome                Outcome // of the commit; empty: not known
	Source                 Source
	CVEsAdded, CVEsRemoved []string
}

// OpenCommit is a commit that has no end yet.
type OpenCommit struct {
	Event int64
	Begin *Event
}

// Summary describes a record as a whole.
type Summary struct {
	Events      int64      `json:"events"` // size of the tree
	Changes     int64      `json:"changes"`
	Commits     int64      `json:"commits"`
	Open        int64      `json:"open_commits"`
	First       *Timestamp `json:"first_time"` // of the event from which on the record is complete: none since was pruned
	Last        *Timestamp `json:"last_time"`
	Host        Host       `json:"host"` // of the newest event
	RootHash    string     `json:"root_hash"`
	Key         string     `json:"key"`        // verifier key of the newest checkpoint
	Checkpoint  string     `json:"checkpoint"` // the signed text
	RecordedBy  string     `json:"recorder_version"`
	LastOutcome *Outcome   `json:"last_outcome"` // of the newest ended commit
	LastCommit  *Timestamp `json:"last_commit"`
	Part        bool       `json:"-"` // these are only the first events of a longer log, and no checkpoint of that time was kept
}

// KnownChange is a change that was recorded when it was made, or found afterwards.
type KnownChange struct {
	Event                  int64
	Pos                    int
	Source                 Source // never import
	Package, Arch, Version string
	Removal                bool
	OK                     bool // it says what became of the change
	// From and To bound when the change was made: while the commit ran, or between the two looks
	// that found it. Zero if not known; To is also zero while the commit is open.
	From, To time.Time
	// UTCOffset is the UTC offset of local time for the program that wrote the event.
	UTCOffset string
	Command   []string // empty: not known
	UserData  string
}

// Attribution counts who made commits.
type Attribution struct {
	Commits int64
	Unknown int64   // those without any sign of a person or an automation
	Events  []int64 // the first of those
}

// OpenAt is a commit that had not ended at a moment.
type OpenAt struct {
	Event int64 // its begin
	Time  Timestamp
}

// Observed is an observation as reports that look at many of them read it. The whole observation is
// in its event.
type Observed struct {
	Event         int64
	Time          Timestamp
	BootID        string
	KernelRelease string
	BootTime      Timestamp
	Patched       *bool   // a live patch is active; nil: not known
	Module        *string // of the active live patch
	Package       *string
	Version       *string
	Transition    *bool
	Since         *Timestamp
	Verdict       Verdict
	Basis         Basis
	Reason        Reason
	NextKernel    *string
	CoveredUntil  *string // YYYY-MM-DD
}

// BootRow is a boot, combined from all observations that show it. Only the observations say what
// its builds packed.
type BootRow struct {
	Event int64 // the newest of them that could read everything
	Boot
	Loads []LoadRow
	Looks []Look // in the order of time; something may be missing between them
}

// Look is a stretch of a boot for which an observation had the complete journal.
type Look struct{ First, Last Timestamp }

// LoadRow is the loading of a live patch, in the order of the journal.
type LoadRow struct {
	Load
	Event int64     // the first that has it: it was loaded before then
	Until Timestamp // until then, the journal showed what became of it
	// Undated says that its times contradict each other or those of the next load: the clock was
	// set in between. The reader of the rows finds that out.
	Undated bool
}

// Sighting says that an event was written in a boot.
type Sighting struct {
	Event    int64
	Time     Timestamp
	BootID   string
	Boottime time.Duration // since the start of the boot
	Spooled  bool          // the event waited in the spool: its number does not tell the order
	Snapshot bool          // it says what was installed on the running system
}

// Began returns when the boot began, by the clock at the time of the event.
func (v Sighting) Began() time.Time { return v.Time.Add(-v.Boottime) }

// CommitRow is a commit with what its two events say. Anything nil is not on record.
type CommitRow struct {
	ID         string
	BeginEvent *int64
	EndEvent   *int64
	Begin      *Timestamp
	End        *Timestamp
	Outcome    *Outcome
	BootID     string
	Effective  *Timestamp // for a commit staged in a snapshot: when the snapshot was booted
}

// Begun returns when the commit began, or when it ended if its begin is not on record.
func (c CommitRow) Begun() Timestamp {
	if c.Begin != nil {
		return *c.Begin
	}
	return *c.End
}

// ReleaseRow is a release event.
type ReleaseRow struct {
	Event int64
	Time  Timestamp
	*Release
}

// RecorderRow is what a recorder event says.
type RecorderRow struct {
	Event int64
	Time  Timestamp
	Cause Cause
}
