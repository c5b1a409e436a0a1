package audit

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Exception says that somebody accepts for a while the finding of a check, or that a number is open, or those that an
// advisory names.
type Exception struct {
	ID       string           `json:"id"`
	Check    string           `json:"check"` // empty: it is about something else, as the next two
	CVE      string           `json:"cve"`
	Advisory string           `json:"advisory"`
	Reason   string           `json:"reason"`
	Until    record.Timestamp `json:"until"`
	By       string           `json:"by"`
	Event    int64            `json:"event"`
	Expired  bool             `json:"expired"`

	Granted record.Timestamp `json:"-"`
}

// ExceptionAt returns an exception on record as it is at a moment.
func ExceptionAt(x record.Exception, at time.Time) Exception {
	return Exception{ID: x.ID, Check: x.Check, CVE: x.CVE, Advisory: x.Advisory, Reason: x.Reason, Until: x.Until, By: x.By.Name(), Event: x.Event,
		Expired: !at.Before(x.Until.Time), Granted: x.Time}
}

// About is what is accepted, in words.
func (x *Exception) About() string {
	if x.Advisory != "" {
		return "advisory " + x.Advisory
	}
	return cmp.Or(x.Check, x.CVE)
}

// ReadExceptions returns the exceptions that had been granted by a moment and not ended, oldest first: as they are at
// now, expired ones included.
func ReadExceptions(ctx context.Context, s Reader, at, now time.Time) (list []Exception, err error) {
	all, err := s.Exceptions(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("reading exceptions: %w", err)
	}
	for _, x := range all {
		if x.Ended == nil {
			list = append(list, ExceptionAt(x, now))
		}
	}
	return list, nil
}

// longer is the one of two exceptions that runs longer, the first if they are equal; nil is none.
func longer(a, b *Exception) *Exception {
	if a == nil || b != nil && b.Until.After(a.Until.Time) {
		return b
	}
	return a
}

// LongestFor is the exception for a check that runs longest; nil: there is none.
func LongestFor(check string, list []Exception) (best *Exception) {
	for i := range list {
		if list[i].Check == check {
			best = longer(best, &list[i])
		}
	}
	return best
}

// acceptances are the exceptions for numbers, that which runs longest of each.
type acceptances struct{ numbers, advisories map[string]*Exception }

// newAcceptances looks up which numbers exceptions are about: an advisory's are those that it names in any repository.
func newAcceptances(list []Exception, advisories []Offered) acceptances {
	a := acceptances{map[string]*Exception{}, map[string]*Exception{}}
	for i := range list {
		x := &list[i]
		if x.CVE != "" {
			a.numbers[x.CVE] = longer(a.numbers[x.CVE], x)
		}
		if x.Advisory != "" {
			a.advisories[x.Advisory] = longer(a.advisories[x.Advisory], x)
		}
	}
	for i := range advisories {
		x := a.advisories[advisories[i].ID]
		if x == nil {
			continue
		}
		for _, cve := range advisories[i].CVEs {
			a.numbers[cve] = longer(a.numbers[cve], x)
		}
	}
	return a
}

// of is the exception for a number that an advisory brought; nil: there is none.
func (a acceptances) of(cve string, advisory *string) *Exception {
	return longer(a.numbers[cve], a.advisories[record.OrEmpty(advisory)])
}
