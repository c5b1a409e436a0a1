// Package say puts numbers, durations and outside text into words for people.
package say

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ID is the beginning of a boot id, enough to tell boots apart and to ask for one.
func ID(id string) string { return Printable(id[:min(12, len(id))]) }

// Duration is a duration for people: whole days, hours or minutes.
func Duration(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return Plural(int(d.Hours()/24), "day")
	case d >= 2*time.Hour:
		return Plural(int(d.Hours()), "hour")
	}
	return Plural(int(d.Minutes()), "minute")
}

// Exactly is a duration of whole minutes, without rounding: in days if there are at least two and
// nothing is left over, else in hours or minutes.
func Exactly(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0 && d > 24*time.Hour:
		return Plural(int(d.Hours()/24), "day")
	case d%time.Hour == 0:
		return Plural(int(d.Hours()), "hour")
	}
	return Plural(int(d.Minutes()), "minute")
}

// Some returns the first few of a list, and how many more there are.
func Some(list []string) string {
	const few = 5
	if len(list) <= few {
		return strings.Join(list, "; ")
	}
	return strings.Join(list[:few], "; ") + fmt.Sprintf("; and %d more", len(list)-few)
}

// Plural is a number with what it counts.
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Printable replaces what a terminal would not print but obey: control characters, marks that
// change the direction of text or the width of the preceding character, and bytes that are not
// UTF-8.
func Printable(s string) string {
	if isPlainASCII(s) {
		return s // nearly every text is printable, and a history has many
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) || unicode.Is(unicode.Variation_Selector, r) {
			return '?'
		}
		return r
	}, s)
}

func isPlainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Clip makes outside text harmless, and short enough for its place.
func Clip(s string, n int) string {
	count := 0
	for i := range s {
		if count++; count > n {
			return Printable(s[:i]) + "…"
		}
	}
	return Printable(s)
}

// Join strings words together: "a, b and c".
func Join(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}

// OrUnknown is outside text, clipped, or "not known" if it is empty.
func OrUnknown(s string) string {
	if s == "" {
		return "not known"
	}
	return Clip(s, 200)
}
