package record

import "fmt"

// Holder is a process that holds the record open, so that nobody else can write it.
type Holder struct {
	PID     int    // 0: not known which process it is
	Command string // the name it gives itself, made printable; empty: not known
}

// String names the process in plain words.
func (h Holder) String() string {
	switch {
	case h.PID <= 0:
		return "another process"
	case h.Command == "":
		return fmt.Sprintf("process %d", h.PID)
	}
	return fmt.Sprintf("process %d (%s)", h.PID, h.Command)
}

// Spooled is what can be seen of the spool.
type Spooled struct {
	Unseen   string     // why the spool could not be read; empty: it was read
	Waiting  int        // events that have not entered the log yet
	SetAside int        // files that could not be read as events and were set aside
	Since    *Timestamp // how long the oldest event has waited; nil: none waits
	Reason   string     // why it had to wait
	Holder   *Holder    // who holds the record now; nil: nobody, or no event waits
}
