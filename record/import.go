package record

import "time"

// Import is the payload of an import event: what libzypp's history says of one commit, or of the part
// of it that no earlier import had seen. libzypp claims it; nobody looked at the rpm database.
type Import struct {
	// Commit is derived from the commit's first line (UUIDv8): a later import of the rest of the commit
	// derives the same.
	Commit   string    `json:"commit"`
	Time     Timestamp `json:"time"`               // of the commit's first record
	Zone     string    `json:"zone"`               // whose rules local times were read by
	User     string    `json:"user,omitempty"`     // user@host: the effective user, so root whoever became root
	Command  string    `json:"command,omitempty"`  // as the history quotes it, secrets in URLs redacted; empty: not known
	UserData string    `json:"userdata,omitempty"` // as zypper --userdata
	Outcome  Outcome   `json:"outcome,omitempty"`  // failed or aborted, if the history says so; it never says that all went well

	Changes    []ImportedChange `json:"changes"`              // that were not on record
	Recorded   []RecordedChange `json:"recorded,omitempty"`   // that were: the history is further evidence for them
	Advisories []Advisory       `json:"advisories,omitempty"` // all of the commit that are known by now
	Sole       bool             `json:"sole,omitempty"`       // it did nothing but to install one package, also of those that are not tracked
	Lines      []HistoryLine    `json:"lines,omitempty"`      // the command's, and new ones of advisories
}

// ImportedChange is a change that libzypp's history claims. Its result is ok if libzypp
// wrote it down as done.
type ImportedChange struct {
	Change
	Time      Timestamp   `json:"time"`                 // in seconds
	NotBefore *Timestamp  `json:"not_before,omitempty"` // end of the recorded commit whose lines come before it, in the same second
	UTCOffset string      `json:"utc_offset"`
	Ambiguous bool        `json:"ambiguous,omitempty"` // the local time may stand for another moment, too, or stands for none
	Requested string      `json:"requested_by,omitempty"`
	Line      HistoryLine `json:"line"`
}

// Moment returns when the change was made: after what the history has before it.
func (c *ImportedChange) Moment() Timestamp {
	if c.NotBefore == nil {
		return c.Time
	}
	return NotBefore(c.Time, c.NotBefore.Add(time.Microsecond))
}

// RecordedChange is a change on record that a line of libzypp's history confirms.
type RecordedChange struct {
	Event int64       `json:"event"`
	Pos   int         `json:"pos"` // in that event
	Line  HistoryLine `json:"line"`
}

// HistoryLine is a line of libzypp's history.
type HistoryLine struct {
	File   string `json:"file"`
	Number int    `json:"line"`
	SHA256 string `json:"sha256"` // of its bytes without the newline, 64 hex digits
	// Copy numbers the lines of a file that have the same bytes, from 1 on; it is left out of the first.
	Copy int `json:"copy,omitempty"`
}
