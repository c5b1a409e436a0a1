package record

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Window is a time of the week when changes are expected, such as a maintenance window.
type Window struct {
	text     string         // as it was written
	Days     []time.Weekday // on which it begins
	From, To int            // minutes since midnight; To is on the next day unless it is after From
	Zone     *time.Location
}

// WindowHelp describes what ParseWindow understands.
const WindowHelp = "days, hours and a time zone, such as 'Sat 02:00-06:00 Europe/Berlin', 'Mon-Fri 22:00-04:00' or 'daily 01:00-03:00 UTC'"

// ParseWindow reads a window. If it names no zone, its hours are in local.
func ParseWindow(text string, local *time.Location) (*Window, error) {
	wrong := func(what string) (*Window, error) {
		return nil, fmt.Errorf("window %.80q: %s: want %s", text, what, WindowHelp)
	}
	f := strings.Fields(text)
	if len(f) < 2 || len(f) > 3 {
		return wrong("it does not have two or three parts")
	}
	w := &Window{text: strings.Join(f, " "), Zone: local}
	var ok bool
	if w.Days, ok = parseDays(f[0]); !ok {
		return wrong(fmt.Sprintf("%.40q is not a list of days", f[0]))
	}
	from, to, _ := strings.Cut(f[1], "-")
	if w.From, ok = parseMinute(from); ok {
		w.To, ok = parseMinute(to)
	}
	if !ok {
		return wrong(fmt.Sprintf("%.40q is not a range of hours", f[1]))
	}
	if len(f) == 3 {
		zone, err := ParseZone(f[2])
		if err != nil {
			return wrong(fmt.Sprintf("time zone %.40q is not known", f[2]))
		}
		w.Zone = zone
	}
	return w, nil
}

// String returns the window as it was written; empty: there is none.
func (w *Window) String() string {
	if w == nil {
		return ""
	}
	return w.text
}

// parseDays reads Sat, Sat,Sun, Mon-Fri or daily.
func parseDays(text string) (days []time.Weekday, ok bool) {
	if strings.EqualFold(text, "daily") {
		text = "Sun-Sat"
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, several := strings.Cut(part, "-")
		from, known := parseDay(first)
		to := from
		if several && known {
			to, known = parseDay(last)
		}
		if !known {
			return nil, false
		}
		for days = append(days, from); from != to; days = append(days, from) {
			from = (from + 1) % 7
		}
	}
	return days, true
}

// parseDay reads a day by its English name or the first three letters of it.
func parseDay(text string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(text, d.String()) || strings.EqualFold(text, d.String()[:3]) {
			return d, true
		}
	}
	return 0, false
}

// parseMinute reads 02:00 as minutes since midnight; 24:00 is the end of the day.
func parseMinute(text string) (int, bool) {
	if text == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == len("15:04")
}

// Contains says whether a moment is in the window: from its first minute until its last.
func (w *Window) Contains(t time.Time) bool {
	t = t.In(w.Zone)
	minute, day := t.Hour()*60+t.Minute(), t.Weekday()
	if w.From < w.To {
		return slices.Contains(w.Days, day) && w.From <= minute && minute < w.To
	}
	before := (day + 6) % 7
	return slices.Contains(w.Days, day) && minute >= w.From || slices.Contains(w.Days, before) && minute < w.To
}
