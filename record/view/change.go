package view

import (
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Change is a package change as one event describes it: what a history shows, without what follows
// from its commit.
type Change struct {
	record.HistoryRow
	InstallTime *int64 // install time in the rpm database, in seconds since 1970; nil: not known
}

// changes returns the package changes that event number seq describes.
func changes(seq int64, ev *record.Event) (rows []Change) {
	add := func(commit string, c *record.Change, from origin, advisories []string) {
		rows = append(rows, row(seq, len(rows), ev, commit, c, from, advisories))
	}
	switch {
	case ev.Begin != nil:
		for _, c := range ev.Begin.Announced {
			add(ev.ID, &c, seen(ev, &c), nil)
		}
	case ev.End != nil:
		for _, c := range ev.End.Changes {
			add(ev.End.Commit, &c, seen(ev, &c), applied(&c, ev.End.Advisories))
		}
	case ev.Drift != nil:
		for _, c := range ev.Drift.Changes {
			add("", &c, found(ev, &c), nil)
		}
	case ev.Import != nil:
		for _, c := range ev.Import.Changes {
			add(ev.Import.Commit, &c.Change, origin{source: record.SourceImport, time: c.Moment(), timeSource: "history", utcOffset: c.UTCOffset}, nil)
		}
	}
	return rows
}

func row(seq int64, pos int, ev *record.Event, commit string, c *record.Change, from origin, advisories []string) Change {
	r := Change{HistoryRow: record.HistoryRowOf(c)}
	r.Event, r.Pos, r.Commit = seq, int64(pos), record.OrNil(commit)
	r.Time, r.TimeSource, r.UTCOffset, r.Source = micro(from.time), from.timeSource, from.utcOffset, from.source
	r.Host, r.BootID, r.KnownSince = ev.Host.Hostname, from.bootID, microOrNil(ev.Recorded())
	if advisories != nil {
		r.Advisories = advisories
	}
	if c.InstallTime != nil {
		r.InstallTime = new(c.InstallTime.Unix())
	}
	return r
}

// origin says how a change is known, and when it was made.
type origin struct {
	source     record.Source
	time       record.Timestamp
	timeSource string // commit, rpm, history, found
	utcOffset  string
	bootID     string // empty: not known
}

// seen returns the origin of a change in a commit that the plugin saw.
func seen(ev *record.Event, c *record.Change) origin {
	from := origin{source: record.SourcePlugin, time: ev.Time, timeSource: "commit", utcOffset: ev.UTCOffset, bootID: ev.BootID}
	if ev.End == nil || !ev.End.Late {
		return from
	}
	switch begun := ev.End.Begun; { // the event was written long after
	case c.InstallTime != nil:
		from.time, from.timeSource = *c.InstallTime, "rpm"
		if begun != nil {
			from.time = record.NotBefore(from.time, begun.Time)
		}
	case begun != nil:
		from.time = *begun
	}
	return from
}

// found returns the origin of a change in a drift. Nothing shows when a package was removed. Nor
// does the install time help if the package came with another snapshot, where it was installed
// earlier, or with an older rpm database. Then the time is when it was found out, perhaps in
// another boot.
func found(ev *record.Event, c *record.Change) origin {
	from := origin{source: record.SourceDrift, time: ev.Time, timeSource: "found", utcOffset: ev.UTCOffset}
	since := ev.Drift.Since.Time
	if t := c.InstallTime; t != nil && ev.Drift.Cause != record.DriftSnapshot && !t.Before(since.Truncate(time.Second)) && !t.After(ev.Time.Time) {
		from.time, from.timeSource, since = ev.Drift.InstalledAt(t, ev.Time), "rpm", t.Time
	}
	if booted := ev.Time.Add(-time.Duration(ev.BoottimeUS) * time.Microsecond); since.After(booted) {
		from.bootID = ev.BootID
	}
	return from
}

// applied returns the advisories that this commit applied, for a change that brought something in:
// libzypp does not say which package belongs to which advisory.
func applied(c *record.Change, advisories []record.Advisory) (ids []string) {
	if c.Result != record.ResultOK || !brought(c.Action) {
		return nil
	}
	for _, a := range advisories {
		if a.NewState == "applied" {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// brought says whether an action may bring in what an advisory offers.
func brought(a record.Action) bool { return a != record.ActionRemove && a != record.ActionDowngrade }
