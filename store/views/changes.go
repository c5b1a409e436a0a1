package views

import (
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// changed is a change as an event tells of it.
type changed struct {
	*record.Change
	seq        int64 // of the event
	pos        int   // among the changes of the event
	ev         *record.Event
	commit     string // empty: of none
	origin     origin
	advisories []string
}

// origin says who knows of a change, and when it was.
type origin struct {
	source     record.Source
	time       record.Timestamp
	timeSource string // commit, rpm, history, found
	utcOffset  string
	bootID     string // empty: not known
}

// changeRow are the values of a row of the view changes, and insertChanges the statement that writes one.
var (
	changeRow     = "(?" + strings.Repeat(", ?", len(ChangeColumns)-1) + ")"
	insertChanges = "INSERT INTO changes (" + Names(ChangeColumns) + ") VALUES " + changeRow
)

// insert writes the change into the view.
func (c *changed) insert() mutation {
	m := mutation{query: insertChanges, row: changeRow, args: make([]any, 0, len(ChangeColumns))}
	for _, column := range ChangeColumns {
		m.args = append(m.args, column.value(c))
	}
	return m
}

// seen is the origin of a change of a commit that the plugin saw.
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

// applied are the advisories that this commit applied, for a change that brought
// something in: libzypp does not say which package belongs to which advisory.
func applied(c *record.Change, advisories []record.Advisory) (ids []string) {
	if c.Result != record.ResultOK || c.Action == record.ActionRemove || c.Action == record.ActionDowngrade {
		return nil
	}
	for _, a := range advisories {
		if a.NewState == "applied" {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// applyDrift writes the changes of a drift into the views. When a package was removed nothing
// says, and neither does the install time of one that came with another snapshot, where it was
// installed before, or an older rpm database: then it is the time of finding it out, and maybe
// another boot.
func applyDrift(seq int64, ev *record.Event) (m []mutation) {
	for i, c := range ev.Drift.Changes {
		from := origin{source: record.SourceDrift, time: ev.Time, timeSource: "found", utcOffset: ev.UTCOffset}
		since := ev.Drift.Since.Time
		if t := c.InstallTime; t != nil && ev.Drift.Cause != record.DriftSnapshot && !t.Before(since.Truncate(time.Second)) && !t.After(ev.Time.Time) {
			from.time, from.timeSource, since = ev.Drift.InstalledAt(t, ev.Time), "rpm", t.Time
		}
		if booted := ev.Time.Add(-time.Duration(ev.BoottimeUS) * time.Microsecond); since.After(booted) {
			from.bootID = ev.BootID
		}
		m = append(m, (&changed{Change: &c, seq: seq, pos: i, ev: ev, origin: from}).insert())
	}
	return m
}
