package store

import (
	"strings"

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
	source     string // plugin, drift, import
	time       record.Timestamp
	timeSource string // commit, rpm, history, found
	utcOffset  string
	bootID     string // empty: not known
}

// column is a column of the view changes: what it holds of a change, and where a history shows it.
type column struct {
	name  string
	value func(*changed) any               // when the event is applied
	show  func(*cells, *record.HistoryRow) // when a history is read; nil: it shows something else
}

// changeColumns are the columns of the view changes. Statements that write and read it are made of them.
var changeColumns = []column{
	{"event", func(c *changed) any { return c.seq }, func(c *cells, r *record.HistoryRow) { r.Event = c.number() }},
	{"pos", func(c *changed) any { return c.pos }, func(c *cells, r *record.HistoryRow) { r.Pos = c.number() }},
	{"commit_id", func(c *changed) any { return orNull(c.commit) }, func(c *cells, r *record.HistoryRow) { r.Commit = c.textOrNil() }},
	{"time", func(c *changed) any { return c.origin.time.UnixMicro() }, func(c *cells, r *record.HistoryRow) { r.Time = c.moment() }},
	{"time_source", func(c *changed) any { return c.origin.timeSource }, func(c *cells, r *record.HistoryRow) { r.TimeSource = c.text() }},
	{"utc_offset", func(c *changed) any { return c.origin.utcOffset }, func(c *cells, r *record.HistoryRow) { r.UTCOffset = c.text() }},
	{"host", func(c *changed) any { return c.ev.Host.Hostname }, func(c *cells, r *record.HistoryRow) { r.Host = c.text() }},
	{"boot_id", func(c *changed) any { return c.origin.bootID }, func(c *cells, r *record.HistoryRow) { r.BootID = c.text() }},
	{"kind", func(c *changed) any { return c.Kind }, func(c *cells, r *record.HistoryRow) { r.Kind = c.text() }},
	{"action", func(c *changed) any { return c.Action }, func(c *cells, r *record.HistoryRow) { r.Action = c.text() }},
	{"package", func(c *changed) any { return c.Package }, func(c *cells, r *record.HistoryRow) { r.Package = c.text() }},
	{"arch", func(c *changed) any { return c.Arch }, func(c *cells, r *record.HistoryRow) { r.Arch = c.text() }},
	{"version", func(c *changed) any { return c.Version }, func(c *cells, r *record.HistoryRow) { r.Version = c.text() }},
	{"previous", func(c *changed) any { return orNull(c.Previous) }, func(c *cells, r *record.HistoryRow) { r.Previous = c.textOrNil() }},
	{"kernel_release", func(c *changed) any { return orNull(c.KernelRelease) }, func(c *cells, r *record.HistoryRow) { r.KernelRelease = c.textOrNil() }},
	{"patch_number", patchNumber, func(c *cells, r *record.HistoryRow) { r.PatchNumber = orNil(c, (*cells).int) }},
	{"initial", initial, func(c *cells, r *record.HistoryRow) { r.Initial = c.yesOrNil() }},
	{"result", func(c *changed) any { return string(c.Result) }, func(c *cells, r *record.HistoryRow) { r.Result = record.Result(c.text()) }},
	{"source", func(c *changed) any { return c.origin.source }, func(c *cells, r *record.HistoryRow) { r.Source = c.text() }},
	{"repo", func(c *changed) any { return orNull(c.Repo) }, func(c *cells, r *record.HistoryRow) { r.Repo = c.textOrNil() }},
	{"checksum", func(c *changed) any { return orNull(c.Checksum) }, func(c *cells, r *record.HistoryRow) { r.Checksum = c.textOrNil() }},
	{"signature_key", func(c *changed) any { return orNull(c.SignatureKey) }, func(c *cells, r *record.HistoryRow) { r.SignatureKey = c.textOrNil() }},
	{"install_time", installTime, nil},
	{"advisories", func(c *changed) any { return list(c.advisories) }, func(c *cells, r *record.HistoryRow) { r.Advisories = c.list() }},
	{"cves_added", func(c *changed) any { return list(c.Added.CVEs) }, func(c *cells, r *record.HistoryRow) { r.CVEsAdded = c.list() }},
	{"cves_removed", func(c *changed) any { return list(c.Removed.CVEs) }, func(c *cells, r *record.HistoryRow) { r.CVEsRemoved = c.list() }},
	{"bugs_added", func(c *changed) any { return list(c.Added.Bugs) }, func(c *cells, r *record.HistoryRow) { r.BugsAdded = c.list() }},
	{"bugs_removed", func(c *changed) any { return list(c.Removed.Bugs) }, func(c *cells, r *record.HistoryRow) { r.BugsRemoved = c.list() }},
	{"scripts", func(c *changed) any { return list(c.Scripts) }, func(c *cells, r *record.HistoryRow) { r.Scripts = c.scripts() }},
	{"recorded", func(c *changed) any { return micros(c.ev.Recorded()) }, func(c *cells, r *record.HistoryRow) { r.KnownSince = c.momentOrNil() }},
}

func patchNumber(c *changed) any {
	if c.PatchNumber <= 0 {
		return nil
	}
	return c.PatchNumber
}

func initial(c *changed) any {
	if c.PatchNumber <= 0 {
		return nil
	}
	return c.Initial
}

func installTime(c *changed) any {
	if c.InstallTime == nil {
		return nil
	}
	return c.InstallTime.Unix()
}

// changeRow are the values of a row of the view changes, and insertChanges the statement that writes one.
var (
	changeRow     = "(?" + strings.Repeat(", ?", len(changeColumns)-1) + ")"
	insertChanges = "INSERT INTO changes (" + names(changeColumns) + ") VALUES " + changeRow
)

func names(columns []column) string {
	var list []string
	for _, c := range columns {
		list = append(list, c.name)
	}
	return strings.Join(list, ", ")
}

func (c *changed) insert() mutation {
	m := mutation{query: insertChanges, row: changeRow}
	for _, column := range changeColumns {
		m.args = append(m.args, column.value(c))
	}
	return m
}

// applyChange writes a change of a commit that the plugin saw into the views.
func applyChange(seq int64, pos int, ev *record.Event, commit string, c *record.Change, advisories []record.Advisory) mutation {
	from := origin{source: "plugin", time: ev.Time, timeSource: "commit", utcOffset: ev.UTCOffset, bootID: ev.BootID}
	if ev.End != nil && ev.End.Late { // the event was written long after
		switch {
		case c.InstallTime != nil:
			from.time, from.timeSource = *c.InstallTime, "rpm"
			if ev.End.Begun != nil {
				from.time = record.NotBefore(from.time, ev.End.Begun.Time)
			}
		case ev.End.Begun != nil:
			from.time = *ev.End.Begun
		}
	}
	return (&changed{c, seq, pos, ev, commit, from, applied(c, advisories)}).insert()
}

// applied are the advisories that this commit applied, for a change that brought
// something in: libzypp does not say which package belongs to which advisory.
func applied(c *record.Change, advisories []record.Advisory) (ids []string) {
	if c.Result != record.ResultOK || c.Action == "remove" || c.Action == "downgrade" {
		return nil
	}
	for _, a := range advisories {
		if a.NewState == "applied" {
			ids = append(ids, a.ID)
		}
	}
	return ids
}
