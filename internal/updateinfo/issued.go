package updateinfo

import (
	"strconv"
	"strings"
	"time"
)

// issued reads a date: seconds since 1970, or a text in other formats. A text without a zone tells
// only the day; then its beginning is returned. nil means not stated, or a time that no advisory
// can have.
func issued(text string) (at *time.Time, dayOnly bool) {
	t, dayOnly, ok := parseIssued(strings.TrimSpace(text))
	if !ok || t.Year() < 2000 || t.Year() > 2100 {
		return nil, false
	}
	return &t, dayOnly
}

func parseIssued(text string) (t time.Time, dayOnly, ok bool) {
	if seconds, err := strconv.ParseInt(text, 10, 48); err == nil {
		return time.Unix(seconds, 0).UTC(), false, true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 UTC"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), false, true
		}
	}
	t, err := time.Parse(time.DateOnly, text[:min(len(text), len(time.DateOnly))])
	return t, true, err == nil
}
