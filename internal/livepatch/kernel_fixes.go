package livepatch

import (
	"slices"
	"strings"
	"time"
)

// KernelChangelog is what the changelog of a kernel package says.
type KernelChangelog struct {
	CVEs   []string   // those whose fix it adds, in order
	Oldest *time.Time // its oldest entry, since it may have been cut; nil: it has none
}

// ParseKernelChangelog reads the changelog of a kernel as rpm prints it: "* Tue Nov 05 2024 author"
// followed by items such as "- net: fix something (bsc#1231234 CVE-2024-50001)." Only an item that
// adds a fix counts. Numbers also appear in items that add a number to an old fix ("Update
// patches.suse/…"), say that a fix is not needed ("blacklist.conf: …"), or remove one ("Revert …",
// "Delete patches.suse/…"): there they prove nothing. If a fix was added and later removed, the
// newest item counts, which is the first one.
func ParseKernelChangelog(changelog string) (c KernelChangelog) {
	added, reverted := map[string]bool{}, map[string]int{}
	for entry := range items(changelog) {
		if rest, ok := strings.CutPrefix(entry, "* "); ok {
			if at, ok := entryDate(rest); ok && (c.Oldest == nil || at.Before(*c.Oldest)) {
				c.Oldest = &at
			}
			continue
		}
		adds, takes := kindOfItem(entry)
		if title, ok := revertedTitle(entry); ok {
			reverted[title]++
			continue
		}
		if adds && reverted[titleOf(entry)] > 0 { // the newest items come first
			reverted[titleOf(entry)]--
			continue
		}
		for _, number := range collect(entry, CVE) {
			if _, newer := added[number]; !newer && (adds || takes) {
				added[number] = adds
			}
		}
	}
	for number, is := range added {
		if !is {
			delete(added, number)
		}
	}
	c.CVEs = sorted(added)
	return c
}

// titleOf is an item without its references, "net: fix something" for "net: fix something
// (CVE-2024-1)."
func titleOf(item string) string {
	title, _, _ := strings.Cut(item, " (")
	return strings.TrimSpace(title)
}

// revertedTitle is the title of what an item reverts: Revert "net: fix something" (bsc#1231234).
// Its references may name the fix that is removed, or a fix that the revert itself is: only the
// title decides.
func revertedTitle(item string) (title string, ok bool) {
	rest, ok := strings.CutPrefix(item, `Revert "`)
	if !ok {
		return "", false
	}
	title, _, ok = strings.Cut(rest, `"`)
	return titleOf(title), ok
}

// items yields the entries of a changelog, "* …", and their items, each without its "- " and in one
// line.
func items(changelog string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var item []string
		for line := range strings.Lines(changelog) {
			text := strings.TrimSpace(line)
			begins := strings.HasPrefix(line, "* ") || strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "  * ")
			if begins && len(item) > 0 {
				if !yield(strings.Join(item, " ")) {
					return
				}
				item = nil
			}
			if text != "" {
				item = append(item, strings.TrimPrefix(text, "- "))
			}
		}
		if len(item) > 0 {
			yield(strings.Join(item, " "))
		}
	}
}

// entryDate reads the date of an entry, such as "Tue Nov 05 2024 - tiwai@suse.de", perhaps with a
// time and a zone.
func entryDate(text string) (time.Time, bool) {
	words := strings.Fields(text)
	for n, layout := range map[int]string{4: "Mon Jan 2 2006", 6: "Mon Jan 2 15:04:05 MST 2006"} {
		if len(words) < n {
			continue
		}
		if at, err := time.Parse(layout, strings.Join(words[:n], " ")); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// Beginnings of items that add no fix; and those of them that remove one.
var (
	notAdding = []string{"update", "refresh", "blacklist", "blacklist.conf:", "move", "rename", "sort", "add references", "add missing references", "add missing tags", "add cve",
		"fix references", "patches.suse/", "series.conf:", "supported.conf:", "config.conf:", "config:", "rpm/", "scripts/", "kabi", "kabi:", "commit"}
	takingAway = []string{"revert \"", "delete patches.", "drop patches.", "remove patches.", "disable patches."}
)

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' }

// kindOfItem says whether an item adds a fix or removes one; it may do neither.
func kindOfItem(item string) (adds, takes bool) {
	text := strings.ToLower(item)
	begins := func(word string) bool {
		rest, ok := strings.CutPrefix(text, word)
		return ok && (rest == "" || rest[0] == ' ' || !isLetter(word[len(word)-1]))
	}
	takes = slices.ContainsFunc(takingAway, begins)
	return !takes && !slices.ContainsFunc(notAdding, begins), takes
}
