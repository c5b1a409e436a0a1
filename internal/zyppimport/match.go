package zyppimport

import (
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

// near is how far apart the same change can be in two sources that count in seconds.
const near = 2 * time.Second

// matcher finds the change on record that a line of a history confirms: the first one if there are
// several, and each change for one line only.
type matcher struct {
	known   map[string][]record.KnownChange // by what they are about
	claimed map[[2]int64]bool               // by event and position
}

// newMatcher returns a matcher for changes on record, some of which may already have a line.
func newMatcher(changes []record.KnownChange, claimed func(record.KnownChange) bool) matcher {
	m := matcher{map[string][]record.KnownChange{}, map[[2]int64]bool{}}
	for _, k := range changes {
		about := subject(k.Package, k.Version, k.Arch, k.Removal)
		m.known[about] = append(m.known[about], k)
		if !k.OK { // a line without a version never confirms a success
			about = subject(k.Package, unknown, unknown, k.Removal)
			m.known[about] = append(m.known[about], k)
		}
		m.claimed[[2]int64{k.Event, int64(k.Pos)}] = claimed(k)
	}
	return m
}

func subject(name, version, arch string, removal bool) string {
	return fmt.Sprintf("%t %s %s %s", removal, name, version, arch)
}

// find looks for a change on record that must be this one: the same package, command and user data,
// at that time; the first one without another line.
func (m matcher) find(c *commit, h *change) (record.KnownChange, bool) {
	candidates := m.known[subject(h.Package, h.Version, h.Arch, h.removal)]
	for _, k := range candidates {
		place := [2]int64{k.Event, int64(k.Pos)}
		if !m.claimed[place] && isSame(c, h, k) {
			m.claimed[place] = true
			return k, true
		}
	}
	return record.KnownChange{}, false
}

func isSame(c *commit, h *change, k record.KnownChange) bool {
	if !isWithin(h.Time.Time, k) && (k.Source != record.SourcePlugin || !isWithin(byOffset(h, k.UTCOffset), k)) {
		return false
	}
	if k.Source != record.SourcePlugin || !c.known {
		return true // there is no command to compare
	}
	if k.UserData != "" && k.UserData != c.userData {
		return false // a missing one may just not have been recorded
	}
	return len(k.Command) == 0 || zypp.SameCommand(zypp.QuoteCommand(k.Command), c.command)
}

func isWithin(at time.Time, k record.KnownChange) bool {
	return !at.Before(k.From.Add(-near)) && (k.To.IsZero() || !at.After(k.To.Add(near)))
}

// byOffset is the moment of a line if its local time has a certain UTC offset: libzypp gets its
// zone from the environment, and so does the plugin.
func byOffset(h *change, offset string) time.Time {
	if t, err := time.Parse("-07:00", offset); err == nil {
		_, read := h.at.Zone()
		_, noted := t.Zone()
		return h.at.Add(time.Duration(read-noted) * time.Second)
	}
	return h.at
}
