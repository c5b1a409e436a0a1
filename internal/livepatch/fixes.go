package livepatch

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// ParseFixes returns what a live patch package fixes according to its changelog, as rpm -q
// --changelog prints it, in numerical order: CVEs as CVE-2024-26923, bugs as bsc#1233678.
// Changelogs are cumulative: that of patch N has the fixes of all patches up to N.
//
// A changelog is made from commits, each ended by a line "- commit HASH". A commit with a fix says
// so in lines "KLP: CVE-...", or, if it has none, in its title "Fix for CVE-..."; its bugs are in
// its References lines. Numbers anywhere else are prose, and references of other commits concern
// the building of the package. The tracker's older name bnc# is read as bsc#.
func ParseFixes(changelog string) record.Fixes {
	cves, bugs := map[string]bool{}, map[string]bool{}
	var c commit
	for line := range strings.Lines(changelog) {
		if endsCommit(line) {
			c.addTo(cves, bugs)
			c = commit{}
		}
		c.read(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "- ")))
	}
	c.addTo(cves, bugs)
	return record.Fixes{CVEs: sorted(cves), Bugs: sorted(bugs)}
}

// commit is what one commit in a changelog says it fixes.
type commit struct {
	tagged []string // in its KLP lines
	titled []string // in its "Fix for" lines
	bugs   []string
}

// endsCommit reports whether a commit ends at this line: at its own last line, or where an entry of
// another author or day begins.
func endsCommit(line string) bool {
	return strings.HasPrefix(line, "* ") || strings.HasPrefix(strings.TrimSpace(line), "- commit ")
}

// read reads one line, without its indentation and bullet.
func (c *commit) read(line string) {
	if rest, ok := strings.CutPrefix(line, "KLP:"); ok {
		c.tagged = append(c.tagged, collect(rest, CVE)...)
	} else if rest, ok := strings.CutPrefix(line, "References:"); ok {
		c.bugs = append(c.bugs, collect(rest, bug)...)
	} else if rest, ok := strings.CutPrefix(line, "Fix for "); ok {
		// The title of the upstream commit follows the parenthesis.
		rest, _, _ = strings.Cut(rest, "(")
		c.titled = append(c.titled, collect(rest, CVE)...)
	}
}

// addTo adds what the commit fixes, if anything.
func (c *commit) addTo(cves, bugs map[string]bool) {
	fixed := c.tagged
	if len(fixed) == 0 {
		fixed = c.titled
	}
	if len(fixed) == 0 {
		return
	}
	for _, s := range fixed {
		cves[s] = true
	}
	for _, s := range c.bugs {
		bugs[s] = true
	}
}

// collect returns the words of text that canonical accepts, in its spelling.
func collect(text string, canonical func(word string) (string, bool)) []string {
	var found []string
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,;:()[]/", r) }) {
		if s, ok := canonical(strings.TrimRight(word, ".")); ok {
			found = append(found, s)
		}
	}
	return found
}

// maxDigits bounds the numbers of CVEs and bugs, which so far have at most seven digits: longer
// ones are damage.
const maxDigits = 10

// CVE returns the CVE number in word, in capitals.
func CVE(word string) (string, bool) {
	parts := strings.Split(word, "-")
	if len(parts) != 3 || !strings.EqualFold(parts[0], "CVE") {
		return "", false
	}
	year, number := parts[1], parts[2]
	if len(year) != 4 || len(number) > maxDigits || !isDigits(year) || !isDigits(number) {
		return "", false
	}
	return "CVE-" + year + "-" + number, true
}

// bug returns the bug number in word, as bsc#NUMBER.
func bug(word string) (string, bool) {
	tracker, number, _ := strings.Cut(word, "#")
	if tracker = strings.ToLower(tracker); tracker != "bsc" && tracker != "bnc" {
		return "", false
	}
	if !isDigits(number) || number[0] == '0' || len(number) > maxDigits {
		return "", false
	}
	return "bsc#" + number, true
}

// sorted returns the set's elements in numerical order, nil if there are none.
func sorted(set map[string]bool) []string {
	return slices.SortedFunc(maps.Keys(set), func(a, b string) int {
		return cmp.Or(
			cmp.Compare(year(a), year(b)),
			cmp.Compare(len(number(a)), len(number(b))), cmp.Compare(number(a), number(b)),
			cmp.Compare(a, b))
	})
}

// year returns the part before the number in a CVE or bug number.
func year(s string) string {
	return s[:strings.LastIndexAny(s, "-#")]
}

// number returns the number in a CVE or bug number, without the zeros that pad the oldest ones.
func number(s string) string {
	return strings.TrimLeft(s[strings.LastIndexAny(s, "-#")+1:], "0")
}
