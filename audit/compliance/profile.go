package compliance

import (
	"fmt"
	"strconv"
	"time"

	"github.com/klp-audit/klp-audit/internal/say"
)

// Profile is what a record is judged by.
type Profile struct {
	Name        string
	Title       string
	Description string
	LookBack    Period // how far back commits and fixes are looked at
	MaxAge      Period // how old an observation may be that shows the state of the machine
	Criteria    map[string]Criteria
}

// Criteria are what one check is judged by. Explanation says what the thresholds mean for each check.
type Criteria struct {
	Enabled    bool     `toml:"enabled"`
	Severity   Rating   `toml:"severity"` // the most that a finding can weigh: fail or warn
	Warn       Period   `toml:"warn"`     // zero: no such threshold, as the next
	Fail       Period   `toml:"fail"`
	Severities []string `toml:"severities"` // of the advisories that count; none: all
	// FailBy is the threshold Fail of advisories of a severity; Fail is that of the others.
	FailBy     map[string]Period `toml:"fail_by"`
	Allowed    []string          `toml:"allowed"` // taint flags, by letter
	Keys       []string          `toml:"keys"`    // of vendors that are trusted, 16 hex digits; none: any
	References []string          `toml:"references"`
}

// Period is a stretch of time, in a profile as "14d", "48h" or "90m".
type Period time.Duration

// UnmarshalText reads a number of days, hours or minutes.
func (p *Period) UnmarshalText(text []byte) error {
	last := max(len(text)-1, 0)
	n, err := strconv.ParseUint(string(text[:last]), 10, 14)
	unit := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute}[string(text[last:])]
	if err != nil || unit == 0 || n > 9999 {
		return fmt.Errorf("%.20q is no period: want a number of days, hours or minutes, as 14d, 48h, 90m", text)
	}
	*p = Period(time.Duration(n) * unit)
	return nil
}

// String returns the period as say.Exactly puts it.
func (p Period) String() string { return say.Exactly(time.Duration(p)) }

// of are the criteria for advisories of a severity; nil: it is not known, and any may be meant.
func (c Criteria) of(severity *string) Criteria {
	if severity != nil {
		if limit, has := c.FailBy[*severity]; has {
			c.Fail = limit
		}
		return c
	}
	for _, limit := range c.FailBy {
		c.Fail = min(c.Fail, limit)
	}
	return c
}

// longer rates a time that should be short.
func (c Criteria) longer(d time.Duration) Rating {
	switch {
	case c.Fail > 0 && d > time.Duration(c.Fail):
		return Fail
	case c.Warn > 0 && d > time.Duration(c.Warn):
		return Warn
	}
	return Pass
}
