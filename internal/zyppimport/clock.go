package zyppimport

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// Zone returns the time zone in which the local times of a history are read: the named one
// ("Europe/Berlin", "UTC", "+01:00"), or, without a name, that of the system at root.
func Zone(root, name string) (*time.Location, error) {
	if name == "" {
		return systemZone(root)
	}
	return record.ParseZone(name)
}

// systemZone reads /etc/localtime; a system without it is in UTC (localtime(5)). The importer's
// environment says nothing about who installed.
func systemZone(root string) (*time.Location, error) {
	const name = "/etc/localtime"
	data, err := rooted.ReadFile(root, name)
	if os.IsNotExist(err) {
		return time.UTC, nil
	}
	if err != nil {
		return nil, fmt.Errorf("time zone of the system: %w", err)
	}
	label := name
	if target, err := os.Readlink(filepath.Join(root, name)); err == nil {
		if _, zone, ok := strings.Cut(target, "/zoneinfo/"); ok {
			label = zone
		}
	}
	zone, err := time.LoadLocationFromTZData(label, []byte(data))
	if err != nil {
		return nil, fmt.Errorf("time zone of the system, %q: %w", name, err)
	}
	return zone, nil
}

// clock reads local times in the order of a file.
type clock struct {
	zone *time.Location
	last time.Time // the last moment that was read
}

// moment returns the moment of a local time, and whether that is a guess.
//
// In the hour that occurs twice at the end of summer time, a local time belongs to the second pass
// if the previous record is later than it would be in the first; otherwise to the first, which is a
// guess. In the hour that summer time skips, no clock was right.
func (c *clock) moment(wall time.Time) (at time.Time, guess bool) {
	first, second := c.candidates(wall)
	at, guess = first, !first.Equal(second)
	if guess && c.last.After(first) && !c.last.After(second) {
		at, guess = second, false
	}
	if local := at.In(c.zone); local.Hour() != wall.Hour() || local.Minute() != wall.Minute() {
		guess = true
	}
	c.last = at
	return at.In(c.zone), guess
}

// candidates returns the moments that a local time can be: by the UTC offset of the day before, and
// by that of the day after. If only one of them shows that time, both results are that one.
func (c *clock) candidates(wall time.Time) (first, second time.Time) {
	const day = 24 * time.Hour
	by := func(from time.Duration) time.Time {
		_, offset := wall.Add(from).In(c.zone).Zone()
		return wall.Add(-time.Duration(offset) * time.Second)
	}
	shows := func(t time.Time) bool {
		_, offset := t.In(c.zone).Zone()
		return t.Add(time.Duration(offset) * time.Second).Equal(wall)
	}
	first, second = by(-day), by(day)
	switch {
	case shows(first) && !shows(second):
		second = first
	case shows(second) && !shows(first), !shows(first):
		first = second
	}
	if second.Before(first) {
		first, second = second, first
	}
	return first, second
}
