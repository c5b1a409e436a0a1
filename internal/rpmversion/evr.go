// Package rpmversion compares package versions as rpm does.
package rpmversion

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/klp-audit/klp-audit/record"
)

// EVR is the version of a package: epoch, version and release.
type EVR struct {
	Epoch   int // 0: none
	Version string
	Release string
}

// Parse parses [epoch:]version-release.
func Parse(s string) (EVR, error) {
	var e EVR
	rest := s
	if epoch, after, ok := strings.Cut(s, ":"); ok {
		n, err := strconv.ParseUint(epoch, 10, 63)
		if err != nil {
			return EVR{}, fmt.Errorf("parsing package version %q: epoch %q is not a number", s, epoch)
		}
		e.Epoch, rest = int(n), after
	}
	var ok bool
	if e.Version, e.Release, ok = strings.Cut(rest, "-"); !ok {
		return EVR{}, fmt.Errorf("parsing package version %q: no release", s)
	}
	if err := e.Check(); err != nil {
		return EVR{}, fmt.Errorf("parsing package version %q: %w", s, err)
	}
	return e, nil
}

// Check reports why version or release cannot be printed and read back.
func (e EVR) Check() error {
	for _, part := range [...]string{e.Version, e.Release} {
		if part == "" {
			return fmt.Errorf("version or release is empty")
		}
		if i := strings.IndexFunc(part, IsForeign); i >= 0 {
			return fmt.Errorf("%q contains a character that is not allowed", part)
		}
	}
	return nil
}

// IsForeign reports whether rpm never accepts r in a version or release.
func IsForeign(r rune) bool {
	return r == '-' || r == ':' || r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r)
}

// Of returns the version of a package, zero if it cannot be parsed: rpm lists no such package.
func Of(p record.Package) EVR {
	e, _ := Parse(p.Version)
	return e
}

// String returns [epoch:]version-release.
func (e EVR) String() string {
	s := e.Version + "-" + e.Release
	if e.Epoch != 0 {
		s = strconv.Itoa(e.Epoch) + ":" + s
	}
	return s
}

// Compare returns -1, 0 or 1 if a is older than b, as old, or newer, in rpm's own order.
func (a EVR) Compare(b EVR) int {
	return cmp.Or(
		cmp.Compare(a.Epoch, b.Epoch),
		compareVersions(a.Version, b.Version),
		compareVersions(a.Release, b.Release))
}

// compareVersions is rpm's rpmvercmp. It compares segment by segment, where a segment is all digits
// or all letters, and ignores separators: 1.05 equals 1_5. A tilde sorts before anything, even the
// end (1.0~rc1 < 1.0); a caret after the end, but before anything else (1.0 < 1.0^git1 < 1.0.1).
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		a, b = skipSeparators(a), skipSeparators(b)
		if order, special := compareMarks(a, b); order != 0 {
			return order
		} else if special {
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			break
		}
		isSegment := isLetter
		if isDigit(a[0]) {
			isSegment = isDigit
		}
		n, m := spanLen(a, isSegment), spanLen(b, isSegment)
		if order := compareSegments(a[:n], b[:m]); order != 0 {
			return order
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Compare(min(len(a), 1), min(len(b), 1))
}

// compareMarks decides by a tilde or caret at the start of a or b. If the order is 0, special says
// that both have the same one.
func compareMarks(a, b string) (order int, special bool) {
	rank := func(s string) int {
		switch {
		case strings.HasPrefix(s, "~"):
			return 0
		case s == "":
			return 1
		case s[0] == '^':
			return 2
		}
		return 3
	}
	ra, rb := rank(a), rank(b)
	if ra%2 == 1 && rb%2 == 1 {
		return 0, false
	}
	return cmp.Compare(ra, rb), true
}

// compareSegments compares two segments; b is empty if it is of the other kind. Numbers are newer
// than letters.
func compareSegments(a, b string) int {
	number := isDigit(a[0])
	if b == "" && number {
		return 1
	}
	if b == "" {
		return -1
	}
	if number {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}
	return cmp.Compare(a, b)
}

// skipSeparators returns s from its first letter, digit, tilde or caret on.
func skipSeparators(s string) string {
	return s[spanLen(s, func(c byte) bool { return !isDigit(c) && !isLetter(c) && c != '~' && c != '^' }):]
}

// spanLen returns the length of the part of s before the first byte that is
// not in the set.
func spanLen(s string, in func(byte) bool) int {
	for i := range len(s) {
		if !in(s[i]) {
			return i
		}
	}
	return len(s)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
