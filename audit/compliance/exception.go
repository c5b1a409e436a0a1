package compliance

import (
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Exception says that somebody accepts a finding for a while.
type Exception struct {
	ID      string           `json:"id"`
	Check   string           `json:"check"`
	Reason  string           `json:"reason"`
	Until   record.Timestamp `json:"until"`
	By      string           `json:"by"`
	Event   int64            `json:"event"`
	Expired bool             `json:"expired"`
}

// ExceptionAt returns an exception on record as it is at a moment.
func ExceptionAt(x record.Exception, at time.Time) Exception {
	return Exception{ID: x.ID, Check: x.Check, Reason: x.Reason, Until: x.Until, By: x.By.Name(), Event: x.Event, Expired: !at.Before(x.Until.Time)}
}
