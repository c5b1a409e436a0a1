package livepatch

import (
	"slices"
	"strings"
	"time"
)

// KernelChangelog is what the changelog of a kernel package says.
type KernelChangelog struct {
	CVEs   []string   // whose fix it adds, in order
	Oldest *time.Time // its oldest entry: it may have been cut; nil: it has none
}

// ParseKernelChangelog reads the changelog of a kernel as rpm prints it: "* Tue Nov 05 2024 author" and then items, as
// "- net: fix something (bsc#1231234 CVE-2024-50001)." Only an item that adds a fix counts. Numbers are also in those
// that add a number to the fix of long ago ("Update patches.suse/…"), say that a fix is not needed ("blacklist.conf:
// …"), or take one away ("Revert …", "Delete patches.suse/…"): there the number says nothing. Of a fix that was added
// and later taken away, the newest item counts; the newest is the first.
func ParseKernelChangelog(changelog string) (c KernelChangelog) {
	added := map[string]bool{}
	for entry := range items(changelog) {
		if rest, ok := strings.CutPrefix(entry, "* "); ok {
			if at, ok := entryDate(rest); ok && (c.Oldest == nil || at.Before(*c.Oldest)) {
				c.Oldest = &at
			}
			continue
		}
		adds, takes := kindOfItem(entry)
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

// items are the entries of a changelog, "* …", and their items, each without its "- " and in one line.
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

// entryDate reads the date of an entry, as in "Tue Nov 05 2024 - tiwai@suse.de", or with a time and a zone.
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

// What items begin with that add no fix; and of those, what takes one away.
var (
	notAdding = []string{"update", "refresh", "blacklist", "blacklist.conf:", "move", "rename", "sort", "add references", "add missing", "add cve",
		"fix references", "patches.suse/", "series.conf:", "supported.conf:", "config.conf:", "config:", "rpm/", "scripts/", "kabi", "kabi:", "commit"}
	takingAway = []string{"revert", "delete", "drop", "remove", "disable"}
)

// kindOfItem says whether an item adds a fix, or takes one away; it may do neither.
func kindOfItem(item string) (adds, takes bool) {
	text := strings.ToLower(item)
	begins := func(word string) bool {
		rest, ok := strings.CutPrefix(text, word)
		return ok && (rest == "" || rest[0] == ' ' || strings.HasSuffix(word, "/"))
	}
	takes = slices.ContainsFunc(takingAway, begins)
	return !takes && !slices.ContainsFunc(notAdding, begins), takes
}
