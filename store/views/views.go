// Package views derives the views of a record from its events: tables that hold what the events
// say. One pure function says how an event changes them, so that they can be rebuilt row for row;
// Load rebuilds all of them.
package views

import (
	_ "embed"
	"strings"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

var (
	//go:embed views.sql
	tables string // with the indexes that applying events needs
	//go:embed indexes.sql
	indexes string
	//go:embed views-3.sql
	sql3 string // of 0.1.0
)

// byCommit is an index that is needed only by events that change rows of others.
const byCommit = "CREATE INDEX changes_commit ON changes (commit_id);\n"

// SQL creates the empty views of this version.
var SQL = tables + byCommit + indexes

// Tables are the names of the views of this version.
var Tables = []string{"recorders", "commits", "changes", "observations", "sightings", "boots", "boot_looks", "patch_loads", "image_builds", "exceptions", "snapshots", "releases", "totals"}

// Schema is the version of the views. An older one is rebuilt from the events, a newer one is refused.
const Schema = 6

// Digest is the digest of all objects of a record with these views, as package store computes it; a
// test compares it with the SQL. It spares writers from creating these objects for a comparison.
const Digest = "60259c1f5228c5f036baf4c49133899d55ca34438779674464ee9b6545ee8d7d"

// Layouts are the views of every version that a release wrote, as SQL, including this version: if
// one is missing, the records of that release look altered.
var Layouts = map[int]string{3: sql3, 6: SQL}

// Column is a column of the view changes: what it holds of a change, and where a history shows it.
// It may also be another column that a history shows; then it has no value here.
type Column struct {
	Name  string
	value func(*view.Change) any                  // set when the event is applied
	Show  func(*sqlite.Cells, *record.HistoryRow) // used when a history is read; nil: the history shows something else
}

// ChangeColumns are the columns of the view changes. Statements that write and read it are built
// from them.
var ChangeColumns = []Column{
	{"event", func(c *view.Change) any { return c.Event }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Event = c.Number() }},
	{"pos", func(c *view.Change) any { return c.Pos }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Pos = c.Number() }},
	{"commit_id", func(c *view.Change) any { return valueOf(c.Commit) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Commit = c.TextOrNil() }},
	{"time", func(c *view.Change) any { return c.Time.UnixMicro() }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Time = c.Moment() }},
	{"time_source", func(c *view.Change) any { return c.TimeSource }, func(c *sqlite.Cells, r *record.HistoryRow) { r.TimeSource = c.Text() }},
	{"utc_offset", func(c *view.Change) any { return c.UTCOffset }, func(c *sqlite.Cells, r *record.HistoryRow) { r.UTCOffset = c.Text() }},
	{"host", func(c *view.Change) any { return c.Host }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Host = c.Text() }},
	{"boot_id", func(c *view.Change) any { return c.BootID }, func(c *sqlite.Cells, r *record.HistoryRow) { r.BootID = c.Text() }},
	{"kind", func(c *view.Change) any { return string(c.Kind) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Kind = record.PackageKind(c.Text()) }},
	{"action", func(c *view.Change) any { return string(c.Action) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Action = record.Action(c.Text()) }},
	{"package", func(c *view.Change) any { return c.Package }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Package = c.Text() }},
	{"arch", func(c *view.Change) any { return c.Arch }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Arch = c.Text() }},
	{"version", func(c *view.Change) any { return c.Version }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Version = c.Text() }},
	{"previous", func(c *view.Change) any { return valueOf(c.Previous) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Previous = c.TextOrNil() }},
	{"kernel_release", func(c *view.Change) any { return valueOf(c.KernelRelease) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.KernelRelease = c.TextOrNil() }},
	{"patch_number", func(c *view.Change) any { return valueOf(c.PatchNumber) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.PatchNumber = c.IntOrNil() }},
	{"initial", func(c *view.Change) any { return valueOf(c.Initial) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Initial = c.YesOrNil() }},
	{"result", func(c *view.Change) any { return string(c.Result) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Result = record.Result(c.Text()) }},
	{"source", func(c *view.Change) any { return string(c.Source) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Source = record.Source(c.Text()) }},
	{"repo", func(c *view.Change) any { return valueOf(c.Repo) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Repo = c.TextOrNil() }},
	{"checksum", func(c *view.Change) any { return valueOf(c.Checksum) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Checksum = c.TextOrNil() }},
	{"signature_key", func(c *view.Change) any { return valueOf(c.SignatureKey) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.SignatureKey = c.TextOrNil() }},
	{"install_time", func(c *view.Change) any { return valueOf(c.InstallTime) }, nil},
	{"advisories", func(c *view.Change) any { return list(c.Advisories) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Advisories = c.Texts() }},
	{"advisory", func(c *view.Change) any { return valueOf(c.Advisory) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Advisory = c.TextOrNil() }},
	{"cves_added", func(c *view.Change) any { return list(c.CVEsAdded) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.CVEsAdded = c.Texts() }},
	{"cves_removed", func(c *view.Change) any { return list(c.CVEsRemoved) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.CVEsRemoved = c.Texts() }},
	{"bugs_added", func(c *view.Change) any { return list(c.BugsAdded) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.BugsAdded = c.Texts() }},
	{"bugs_removed", func(c *view.Change) any { return list(c.BugsRemoved) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.BugsRemoved = c.Texts() }},
	{"scripts", func(c *view.Change) any { return list(c.Scripts) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.Scripts = sqlite.Array[record.Script](c) }},
	{"recorded", func(c *view.Change) any { return micros(c.KnownSince) }, func(c *sqlite.Cells, r *record.HistoryRow) { r.KnownSince = c.MomentOrNil() }},
}

// valueOf turns an optional value into SQL's form.
func valueOf[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}

// Names returns the names of columns as a statement lists them.
func Names(columns []Column) string {
	var list []string
	for _, c := range columns {
		list = append(list, c.Name)
	}
	return strings.Join(list, ", ")
}
