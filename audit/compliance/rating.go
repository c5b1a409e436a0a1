package compliance

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/klp-audit/klp-audit/audit"
)

// Rating is what a check came to.
type Rating string

// The ratings. In order of weight: fail, unknown, warn, pass; what is not applicable has none.
const (
	Pass          Rating = "pass"
	Warn          Rating = "warn"
	Fail          Rating = "fail"
	NotDetermined Rating = "unknown" // never passes
	NotApplicable Rating = "not-applicable"
)

// Ratings returns the closed set of ratings, the weightiest first.
func Ratings() []Rating { return []Rating{Fail, NotDetermined, Warn, Pass, NotApplicable} }

// weight orders the ratings, the weightiest first.
func (r Rating) weight() int { return slices.Index(Ratings(), r) }

// finding is what a check says.
type finding struct {
	rating   Rating
	detail   string
	evidence []string
	// acceptedBy are the exceptions for numbers that it leaves out.
	acceptedBy []audit.Exception
}

func found(r Rating, format string, args ...any) finding {
	return finding{rating: r, detail: fmt.Sprintf(format, args...)}
}

// by adds the events that say so.
func (f finding) by(events ...int64) finding {
	for _, n := range events {
		f.evidence = append(f.evidence, "event "+strconv.FormatInt(n, 10))
	}
	return f
}

func unique(list []string) (once []string) {
	for _, s := range list {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}

// OrNone returns a list that is not null in JSON.
func OrNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
