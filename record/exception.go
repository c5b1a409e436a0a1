package record

// ExceptionChange is the payload of an exception event.
type ExceptionChange struct {
	Action ExceptionAction `json:"action"`
	Actor  Actor           `json:"actor"`
	// Of an addition:
	Check  string     `json:"check,omitempty"` // id of the check whose finding is accepted
	Reason string     `json:"reason,omitempty"`
	Until  *Timestamp `json:"until,omitempty"`
	// Of an end:
	Exception string `json:"exception,omitempty"` // id of the event that added it
}

// ExceptionAction says what became of an exception.
type ExceptionAction string

// The actions on exceptions.
const (
	ExceptionAdd ExceptionAction = "add"
	ExceptionEnd ExceptionAction = "end"
)
