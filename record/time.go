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

// shown is the zone in which people see moments.
var shown = time.UTC

// ShowIn lets people see moments in a zone, UTC unless it is called. A program calls it once, before it prints
// anything. Exact, and with it JSON and CSV, stay UTC.
func ShowIn(zone *time.Location) { shown = zone }

// ShownIn is the zone in which people see moments.
func ShownIn() *time.Location { return shown }

// Shown is the moment in the zone in which people see moments, in a layout of time.Format.
func (t Timestamp) Shown(layout string) string { return t.In(shown).Format(layout) }

// Short is the moment for people, to the second: 2026-11-23T09:30:00Z, or 2026-11-23T10:30:00+01:00.
func (t Timestamp) Short() string { return t.Shown(time.RFC3339) }

// ShortDay is the date of the moment for people. Of the first moment of a day in UTC no more than the day is known,
// nearly always, as of the issue of an advisory: it is the same day in each zone.
func (t Timestamp) ShortDay() string {
	if t.Equal(t.UTC().Truncate(24 * time.Hour)) {
		return t.UTC().Format(time.DateOnly)
	}
	return t.Shown(time.DateOnly)
}

// ParseZone reads a time zone: a name such as Europe/Berlin, an offset such as +01:00, or UTC.
func ParseZone(name string) (*time.Location, error) {
	if t, err := time.Parse("-07:00", name); err == nil {
		_, offset := t.Zone()
		return time.FixedZone(name, offset), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, fmt.Errorf("time zone %.80q is not known: want a name such as Europe/Berlin, an offset such as +01:00, or UTC", name)
	}
	return zone, nil
}

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
