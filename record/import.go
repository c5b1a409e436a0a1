package record

import "time"

// Import is the payload of an import event: what libzypp's history says about one commit, or about
// the part of it that no earlier import had seen. It is libzypp's claim; nobody looked at the rpm
// database.
type Import struct {
	// Commit is derived from the commit's first line (UUIDv8), so a later import of the rest of the
	// commit gets the same id.
	Commit   string    `json:"commit"`
	Time     Timestamp `json:"time"`               // of the commit's first record
	Zone     string    `json:"zone"`               // the time zone in which local times were read
	User     string    `json:"user,omitempty"`     // user@host: the effective user, so root even after su or sudo
	Command  string    `json:"command,omitempty"`  // as the history quotes it, with secrets in URLs redacted; empty: not known
	UserData string    `json:"userdata,omitempty"` // from zypper --userdata
	Outcome  Outcome   `json:"outcome,omitempty"`  // failed or aborted, if the history says so; it never says that everything succeeded

	Changes    []ImportedChange `json:"changes"`              // those that were not on record
	Recorded   []RecordedChange `json:"recorded,omitempty"`   // those that were: the history is further evidence for them
	Advisories []Advisory       `json:"advisories,omitempty"` // all that are known so far for the commit
	Sole       bool             `json:"sole,omitempty"`       // it did nothing but install one package, counting untracked packages, too
	Lines      []HistoryLine    `json:"lines,omitempty"`      // the line of the command, and new lines of advisories
}

// ImportedChange is a change that libzypp's history claims. Its result is ok if libzypp
// wrote it down as done.
type ImportedChange struct {
	Change
	Time      Timestamp   `json:"time"`                 // to the second
	NotBefore *Timestamp  `json:"not_before,omitempty"` // end of the recorded commit whose lines precede it in the same second
	UTCOffset string      `json:"utc_offset"`
	Ambiguous bool        `json:"ambiguous,omitempty"` // the local time occurs twice, or not at all
	Requested string      `json:"requested_by,omitempty"`
	Line      HistoryLine `json:"line"`
}

// Moment returns when the change was made: no earlier than what precedes it in the history.
func (c *ImportedChange) Moment() Timestamp {
	if c.NotBefore == nil {
		return c.Time
	}
	return NotBefore(c.Time, c.NotBefore.Add(time.Microsecond))
}

// RecordedChange is a change on record that a line of libzypp's history confirms.
type RecordedChange struct {
	Event int64       `json:"event"`
	Pos   int         `json:"pos"` // position in that event
	Line  HistoryLine `json:"line"`
}

// HistoryLine is a line of libzypp's history.
type HistoryLine struct {
	File   string `json:"file"`
	Number int    `json:"line"`
	SHA256 string `json:"sha256"` // of its bytes without the newline, 64 hex digits
	// Copy counts lines of a file that have the same bytes, from 1; it is absent for the first.
	Copy int `json:"copy,omitempty"`
}
