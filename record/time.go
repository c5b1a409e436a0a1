package record

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Timestamp is a moment in UTC with microseconds, written in JSON as RFC 3339 with six digits.
type Timestamp struct{ time.Time }

// TimeLayout is the form of a timestamp in an event, for time.Format.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// At returns a moment as a timestamp.
func At(t time.Time) Timestamp { return Timestamp{t.UTC()} }

// AtOrNil returns the timestamp of t, or nil for the zero time, which stands for an unknown one.
func AtOrNil(t time.Time) *Timestamp {
	if t.IsZero() {
		return nil
	}
	return new(At(t))
}

// Short is the moment for people, to the second: 2026-11-23T09:30:00Z.
func (t Timestamp) Short() string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// Exact is the moment as JSON has it, to the microsecond.
func (t Timestamp) Exact() string { return t.UTC().Format(TimeLayout) }

// MarshalJSON writes the moment in UTC.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"` + TimeLayout + `"`)), nil
}

// UnmarshalJSON reads any RFC 3339 time whose year in UTC has four digits.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	if t.parse(b) == nil {
		return nil
	}
	// Only for an error of this type does encoding/json add the key.
	return &json.UnmarshalTypeError{Value: fmt.Sprintf("%.80s", b), Type: reflect.TypeFor[Timestamp]()}
}

func (t *Timestamp) parse(b []byte) error {
	v, err := time.Parse(time.RFC3339, strings.Trim(string(b), `"`))
	t.Time = v.UTC()
	if year := t.Year(); err == nil && (year < 0 || year > 9999) {
		return fmt.Errorf("time %s is out of range", b)
	}
	return err
}

// NotBefore returns the moment that a time in whole seconds stands for, if it cannot have been
// before bound. Within one second only the order is known.
func NotBefore(second Timestamp, bound time.Time) Timestamp {
	if bound.After(second.Time) && bound.Sub(second.Time) < time.Second {
		return Timestamp{bound.UTC()}
	}
	return second
}
