package audit

import (
	"time"

	"github.com/klp-audit/klp-audit/record"
)

func ExceptionAt(x record.Exception, at time.Time) Exception {
	return Exception{ID: x.ID, Check: x.Check, Reason: x.Reason, Until: x.Until, By: x.By.Name(), Event: x.Event, Expired: !at.Before(x.Until.Time)}
}
