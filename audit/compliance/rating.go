package compliance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
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
	brief    string // the detail with no more than the first of what it lists; empty: it is short
	todo     string // what mends it, where the check knows better than its rule
	hangs    bool   // on an observation that is too old
	evidence []string
	// acceptedBy are the exceptions for numbers that it leaves out.
	acceptedBy []audit.Exception
}

func found(r Rating, format string, args ...any) finding {
	return finding{rating: r, detail: fmt.Sprintf(format, args...)}
}

// listing is a finding that ends with a list.
func listing(r Rating, list []string, format string, args ...any) finding {
	f := found(r, format, slices.Concat(args, []any{strings.Join(list, "; ")})...)
	if brief := fmt.Sprintf(format, slices.Concat(args, []any{say.Some(list)})...); brief != f.detail {
		f.brief = brief
	}
	return f
}

// saying is a finding with the words and the rating of another one.
func (f finding) saying(other finding) finding {
	f.rating, f.detail, f.brief = other.rating, other.detail, other.brief
	return f
}

// toDo says what mends it.
func (f finding) toDo(format string, args ...any) finding {
	f.todo = fmt.Sprintf(format, args...)
	return f
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
