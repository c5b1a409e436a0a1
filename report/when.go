package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// whenKeywords are the words that ParseTime knows, each relative to now.
var whenKeywords = map[string]func(now time.Time) time.Time{
	"now":        func(t time.Time) time.Time { return t },
	"today":      audit.Day,
	"yesterday":  func(t time.Time) time.Time { return audit.Day(t).AddDate(0, 0, -1) },
	"tomorrow":   func(t time.Time) time.Time { return audit.Day(t).AddDate(0, 0, 1) },
	"this-week":  func(t time.Time) time.Time { return audit.Day(t).AddDate(0, 0, -(int(t.Weekday())+6)%7) },
	"week-ago":   func(t time.Time) time.Time { return t.AddDate(0, 0, -7) },
	"this-month": func(t time.Time) time.Time { return audit.Day(t).AddDate(0, 0, 1-t.Day()) },
	"month-ago":  monthAgo,
	"this-year":  func(t time.Time) time.Time { return audit.Day(t).AddDate(0, 0, 1-t.YearDay()) },
}

// TimeWords are words that ParseTime knows, for shells that complete them.
var TimeWords = []string{"now", "today", "yesterday", "tomorrow", "this-week", "week-ago", "this-month", "month-ago", "this-year", "boot", "-24h", "-7d", "-30d"}

// TimeHelp names the times that ParseTime understands, for help texts and errors.
const TimeHelp = "an ISO 8601 time such as 2026-11-23 or 2026-11-23T09:30:00+01:00, a quarter such as 2026-Q3, or one of " +
	"now, today, yesterday, tomorrow, this-week, week-ago, this-month, month-ago, this-year, boot, or how long ago: -7d, '3 days ago'"

// quarters are those of a year, by their first month.
var quarters = strings.NewReplacer("-Q1", "-01", "-Q2", "-04", "-Q3", "-07", "-Q4", "-10")

// ParseTime reads a moment: ISO 8601 or a quarter such as 2026-Q3, where a time without a zone is one in now's, the
// reader's, and a date is its first moment, or a keyword relative to now. Weeks begin on
// Monday. boot is the time of the last boot, zero if it is not known.
func ParseTime(text string, now, boot time.Time) (time.Time, error) {
	if f, ok := whenKeywords[text]; ok {
		return f(now).UTC(), nil
	}
	if text == "boot" {
		if boot.IsZero() {
			return time.Time{}, fmt.Errorf("time %q: when that machine was booted is not known; want %s", text, TimeHelp)
		}
		return boot.UTC(), nil
	}
	if t, ok := parseAgo(text, now); ok {
		return t.UTC(), nil
	}
	iso := strings.Replace(text, " ", "T", 1)
	if len(text) == len("2026-Q3") {
		iso = quarters.Replace(text)
	}
	for _, layout := range []string{time.RFC3339, minuteLayout, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02", "2006-01"} {
		t, err := time.ParseInLocation(layout, iso, now.Location())
		if err != nil {
			continue
		}
		if t = t.UTC(); t.Year() < 1970 || t.Year() > 9999 {
			return time.Time{}, fmt.Errorf("time %q: want a year from 1970 to 9999", text)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("time %q: want %s", text, TimeHelp)
}

// ago goes back from a moment by so many of a unit.
var ago = map[string]func(t time.Time, n int) time.Time{
	"h": func(t time.Time, n int) time.Time { return t.Add(-time.Duration(n) * time.Hour) },
	"d": func(t time.Time, n int) time.Time { return t.AddDate(0, 0, -n) },
	"w": func(t time.Time, n int) time.Time { return t.AddDate(0, 0, -7*n) },
	"m": monthsAgo,
	"y": func(t time.Time, n int) time.Time { return monthsAgo(t, 12*n) },
}

// unitsAgo are the units of ago as people write them.
var unitsAgo = map[string]string{"hour": "h", "day": "d", "week": "w", "month": "m", "year": "y"}

// parseAgo reads how long ago something was: -7d, 7 days ago. Letters are h, d, w, m for months and y.
func parseAgo(text string, now time.Time) (t time.Time, ok bool) {
	number, unit, isWords := strings.Cut(text, " ")
	if isWords {
		unit, ok = strings.CutSuffix(unit, " ago")
		unit = unitsAgo[strings.TrimSuffix(unit, "s")]
	} else if number, ok = strings.CutPrefix(text, "-"); ok && number != "" {
		number, unit = number[:len(number)-1], number[len(number)-1:]
	}
	n, err := strconv.ParseUint(number, 10, 16)
	back := ago[unit]
	if !ok || err != nil || back == nil {
		return t, false
	}
	t = back(now, int(n))
	return t, t.Year() >= 1970
}

// zone names the time zone of a moment: "UTC", "Europe/Berlin" or, of the system's, "CET +01:00".
func zone(t time.Time) string {
	if name := t.Location().String(); strings.Contains(name, "/") {
		return name
	}
	name, seconds := t.Zone()
	if seconds == 0 {
		return "UTC"
	}
	return strings.TrimSpace(strings.TrimLeft(name, "+-0123456789") + " " + t.Format("-07:00"))
}

// monthAgo is the same day of the month before, or that month's last one.
func monthAgo(t time.Time) time.Time { return monthsAgo(t, 1) }

// monthsAgo is the same day so many months before, or that month's last one: AddDate would make
// 3 March of 31 February.
func monthsAgo(t time.Time, n int) time.Time {
	ago := t.AddDate(0, -n, 0)
	if ago.Day() == t.Day() {
		return ago
	}
	return ago.AddDate(0, 0, -ago.Day())
}

// day10 is the date of a moment in ten characters.
func day10(t record.Timestamp) string { return t.ShortDay() }

// timesAre says in which zone a report shows moments.
func timesAre() string {
	switch zone := record.ShownIn(); zone {
	case time.UTC:
		return "times are UTC"
	case time.Local:
		return "times are local"
	default:
		return "times are those of " + zone.String()
	}
}

func date(t *record.Timestamp) string {
	if t == nil {
		return ""
	}
	return day10(*t)
}

// minuteLayout is that of a moment without its seconds.
const minuteLayout = "2006-01-02T15:04Z07:00"

// minute is a moment without its seconds.
func minute(t *record.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.Shown(minuteLayout)
}

func exactly(t *record.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.Exact()
}

// seenText says when something was seen, and how long before a moment that was: before now, if a report is made of then.
func seenText(seen record.Timestamp, at, made time.Time) string {
	const making = 10 * time.Minute // a report may take so long
	text, now := seen.Shown("2006-01-02 15:04 MST"), made.Sub(at) < making
	switch age := at.Sub(seen.Time); {
	case age < -making && now: // the clock was ahead then, or is behind now
		return text + ", in the future"
	case age < time.Minute && now:
		return text + ", just now"
	case age < time.Minute:
		return text
	case now:
		return text + ", " + say.Duration(age) + " ago"
	default:
		return text + ", " + say.Duration(age) + " before"
	}
}

// untilText is a day until when something is so, and whether it is past at a moment.
func untilText(day string, at time.Time) string {
	if end, err := time.Parse(time.DateOnly, day); err == nil && end.Before(audit.Day(at.UTC())) {
		return day + " (past)"
	}
	return day
}

// asOf is a moment that was asked for, for JSON.
func asOf(t record.Timestamp) string { return t.UTC().Format(time.RFC3339Nano) }
