package record

// ExceptionChange is the payload of an exception event.
type ExceptionChange struct {
	Action ExceptionAction `json:"action"`
	Actor  Actor           `json:"actor"`
	// For an addition; one of the first three says what it is about:
	Check    string     `json:"check,omitempty"`    // id of the check whose finding is accepted
	CVE      string     `json:"cve,omitempty"`      // number that may be open
	Advisory string     `json:"advisory,omitempty"` // id of the advisory whose numbers may be open
	Reason   string     `json:"reason,omitempty"`
	Until    *Timestamp `json:"until,omitempty"`
	// For an end:
	Exception string `json:"exception,omitempty"` // id of the event that added it
}

// ExceptionAction says what became of an exception.
type ExceptionAction string

// The actions on exceptions.
const (
	ExceptionAdd ExceptionAction = "add"
	ExceptionEnd ExceptionAction = "end"
)
