package report

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

func TestParseTimeKeywords(t *testing.T) {
	monday, sunday := "2026-11-23T09:30:15Z", "2026-11-22T23:59:59Z"
	for _, test := range []struct{ text, now, want string }{
		{"now", monday, "2026-11-23T09:30:15Z"},
		{"now", "2026-11-23T00:30:15+01:00", "2026-11-22T23:30:15Z"},
		{"today", monday, "2026-11-23T00:00:00Z"},
		{"today", "2026-11-23T00:30:15+01:00", "2026-11-22T23:00:00Z"},
		{"yesterday", monday, "2026-11-22T00:00:00Z"},
		{"yesterday", "2027-01-01T08:00:00Z", "2026-12-31T00:00:00Z"},
		{"yesterday", "2028-03-01T08:00:00Z", "2028-02-29T00:00:00Z"},
		{"2026-Q3", "2026-11-23T08:00:00Z", "2026-07-01T00:00:00Z"},
		{"tomorrow", "2028-02-28T08:00:00Z", "2028-02-29T00:00:00Z"},
		{"this-week", monday, "2026-11-23T00:00:00Z"},
		{"this-week", sunday, "2026-11-16T00:00:00Z"},
		{"this-week", "2027-01-01T08:00:00Z", "2026-12-28T00:00:00Z"},
		{"week-ago", monday, "2026-11-16T09:30:15Z"},
		{"week-ago", "2027-01-03T08:00:00Z", "2026-12-27T08:00:00Z"},
		{"this-month", monday, "2026-11-01T00:00:00Z"},
		{"this-month", "2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"},
		{"this-month", "2026-11-01T00:30:00+01:00", "2026-10-31T23:00:00Z"},
		{"month-ago", monday, "2026-10-23T09:30:15Z"},
		{"month-ago", "2027-01-31T08:00:00Z", "2026-12-31T08:00:00Z"},
		{"month-ago", "2026-03-31T08:00:00Z", "2026-02-28T08:00:00Z"},
		{"month-ago", "2028-03-30T08:00:00Z", "2028-02-29T08:00:00Z"},
		{"month-ago", "2026-12-31T08:00:00Z", "2026-11-30T08:00:00Z"},
		{"this-year", "2028-12-31T23:59:59Z", "2028-01-01T00:00:00Z"},
		{"this-year", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"},
		{"boot", monday, "2026-11-20T05:00:00Z"},
		{"-7d", monday, "2026-11-16T09:30:15Z"},
		{"-36h", monday, "2026-11-21T21:30:15Z"},
		{"-2w", monday, "2026-11-09T09:30:15Z"},
		{"-1m", "2026-03-31T08:00:00Z", "2026-02-28T08:00:00Z"},
		{"-2y", "2028-02-29T08:00:00Z", "2026-02-28T08:00:00Z"},
		{"3 days ago", monday, "2026-11-20T09:30:15Z"},
		{"1 week ago", monday, "2026-11-16T09:30:15Z"},
		{"2 months ago", "2026-12-31T08:00:00Z", "2026-10-31T08:00:00Z"},
		{"1 hour ago", "2026-11-23T00:30:15+01:00", "2026-11-22T22:30:15Z"},
	} {
		checkTime(t, test.text, test.now, test.want)
	}
}

func TestParseTimeISO8601(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11":           "2026-11-01T00:00:00Z",
		"2026-11-23":        "2026-11-23T00:00:00Z",
		"2026-11-23T09:30Z": "2026-11-23T09:30:00Z", "2026-11-23T10:30+01:00": "2026-11-23T09:30:00Z",
		"2026-11-23T09:30":              "2026-11-23T09:30:00Z",
		"2026-11-23 09:30":              "2026-11-23T09:30:00Z",
		"2026-11-23T09:30:15":           "2026-11-23T09:30:15Z",
		"2026-11-23T09:30:15Z":          "2026-11-23T09:30:15Z",
		"2026-11-23T09:30:15.123456Z":   "2026-11-23T09:30:15.123456Z",
		"2026-11-23T00:30:00+01:00":     "2026-11-22T23:30:00Z",
		"2026-12-31T23:30:00-05:00":     "2027-01-01T04:30:00Z",
		"2026-11-23T00:30:00.5+05:45":   "2026-11-22T18:45:00.5Z",
		"2028-02-29":                    "2028-02-29T00:00:00Z",
		"2026-11-23T09:30:15.000000000": "2026-11-23T09:30:15Z",
	} {
		checkTime(t, text, "2026-11-23T09:30:15Z", want)
	}
}

// A time without a zone is one of the reader's.
func TestParseTimeInTheReadersZone(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11":              "2026-10-31T23:00:00Z",
		"2026-11-23":           "2026-11-22T23:00:00Z",
		"2026-11-23T09:30":     "2026-11-23T08:30:00Z",
		"2026-11-23T09:30:15Z": "2026-11-23T09:30:15Z",
	} {
		checkTime(t, text, "2026-11-23T09:30:15+01:00", want)
	}
}

func checkTime(t *testing.T, text, now, want string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseTime(text, at, time.Date(2026, 11, 20, 6, 0, 0, 0, time.FixedZone("", 3600)))
	if err != nil || got.Format(time.RFC3339Nano) != want {
		t.Errorf("ParseTime(%q) at %s is %s (%v), want %s", text, now, got.Format(time.RFC3339Nano), err, want)
	}
}

func TestParseTimeFarOff(t *testing.T) {
	for _, text := range []string{"0001-01-01", "0000-01-01T00:00:00+23:59", "1969-12-31", "9999-12-31T23:59:59-01:00"} {
		if _, err := ParseTime(text, testNow, testNow); err == nil || !strings.Contains(err.Error(), "1970") {
			t.Errorf("ParseTime(%q): %v, want an error that names the years", text, err)
		}
	}
}

func TestParseTimeErrors(t *testing.T) {
	for _, text := range []string{"", "someday", "Today", "2026", "2026-Q5", "2026-Q3-01", "Q3-2026", "2026-13-01", "2026-02-29", "23.11.2026", "2026-11-23T25:00", "-1x", "\x1b[2J\n", "boot"} {
		_, err := ParseTime(text, testNow, time.Time{})
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || !strings.Contains(err.Error(), "this-month") {
			t.Errorf("ParseTime(%q): %v, want an error that names the text and what is possible", text, err)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"now", "month-ago", "boot", "2026-11-23", "2026-11-23 09:30", "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59.9-23:59", "2026-11-23T09:30:15,5Z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTime(text, testNow, testNow)
		if err == nil && (got.Location() != time.UTC || got.Year() < 1970 || got.Year() > 9999) {
			t.Errorf("ParseTime(%q) is %s", text, got)
		}
	})
}

// Shells offer only what is understood.
func TestTimeWords(t *testing.T) {
	for _, word := range TimeWords {
		if _, err := ParseTime(word, testNow, testNow); err != nil {
			t.Errorf("ParseTime(%q): %v", word, err)
		}
	}
	for word := range whenKeywords {
		if !slices.Contains(TimeWords, word) {
			t.Errorf("no shell offers %q", word)
		}
	}
}

// What is seen later than now is in the future, not just now: a clock was wrong.
func TestSeenInTheFuture(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for ahead, want := range map[time.Duration]string{
		time.Minute: "2026-11-30 12:01 UTC, just now",
		time.Hour:   "2026-11-30 13:00 UTC, in the future",
	} {
		if got := seenText(record.At(now.Add(ahead)), now, now); got != want {
			t.Errorf("%s ahead: %q, not %q", ahead, got, want)
		}
	}
}
