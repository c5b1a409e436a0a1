package zyppimport

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// Zone returns the rules by which the local times of a history are read: those of a zone
// ("Europe/Berlin", "UTC", "+01:00"), or with an empty name of the system at root.
func Zone(root, name string) (*time.Location, error) {
	if name == "" {
		return systemZone(root)
	}
	if t, err := time.Parse("-07:00", name); err == nil {
		_, offset := t.Zone()
		return time.FixedZone(name, offset), nil
	}
	if name == "Local" {
		return nil, fmt.Errorf("time zone %q: want a name like Europe/Berlin", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", name, err)
	}
	return zone, nil
}

// systemZone reads /etc/localtime; without it, a system is in UTC (localtime(5)). The
// environment of who imports says nothing of who installed.
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
	last time.Time // the moment read last
}

// moment is the moment of a local time, and whether that is a guess.
//
// In the hour that comes twice at the end of summer time, a local time is of the second
// pass if the record before it is later than it would be in the first; else of the first,
// which is a guess. In the hour that summer time leaves out no clock was right.
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

// candidates are the moments that a local time can be: by the offset from UTC of the day
// before, and by that of the day after. Where only one of them shows that time, it is both.
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
