package record

import "fmt"

// Holder is a process that holds a record, so that it cannot be written.
type Holder struct {
	PID     int    // 0: which process it is, is not known
	Command string // its name as it calls itself, made printable; empty: not known
}

// String names the process for people.
func (h Holder) String() string {
	switch {
	case h.PID <= 0:
		return "another process"
	case h.Command == "":
		return fmt.Sprintf("process %d", h.PID)
	}
	return fmt.Sprintf("process %d (%s)", h.PID, h.Command)
}

// Spooled is what there is to see of the spool.
type Spooled struct {
	Unseen   string     // why it cannot be looked at; empty: it was
	Waiting  int        // events that wait to be taken in
	SetAside int        // files that could not be taken in and were set aside
	Since    *Timestamp // since when the first of the events waits; nil: none does
	Reason   string     // why it had to wait
	Holder   *Holder    // who holds the record now; nil: nobody, or nothing waits
}
