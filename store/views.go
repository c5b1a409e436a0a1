package store

import (
	_ "embed"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

var (
	//go:embed schema.sql
	logSchema string
	//go:embed views.sql
	viewSchema string
	//go:embed views-3.sql
	viewSchema3 string // of 0.1.0
	views       = []string{"recorders", "commits", "changes", "observations", "sightings", "boots", "boot_looks", "patch_loads", "image_builds", "exceptions", "snapshots", "totals"}
)

// Schema is the version of the views. An older one is rebuilt from the events, a newer one is refused.
const Schema = 4

// ApplicationID is what a SQLite database has in its header if it is a record: "KLPA".
const ApplicationID = 0x4b4c5041

// layouts are the views of every version that a release wrote, as SQL, this one's included: where
// one is missing, the records of that release look altered.
var layouts = map[int]string{3: viewSchema3, 4: viewSchema}

// digest is that of all objects of a record of this version (see layout.digest); a test holds it
// to the SQL. It spares writers to make these objects anew for a comparison.
const digest = "2eedf50e238f16486e0625639bd9feba76c8dcab1067eeb1d21cc56f0e335cec"

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
	{"kind", func(c *changed) any { return string(c.Kind) }, func(c *cells, r *record.HistoryRow) { r.Kind = record.PackageKind(c.text()) }},
	{"action", func(c *changed) any { return string(c.Action) }, func(c *cells, r *record.HistoryRow) { r.Action = record.Action(c.text()) }},
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

func names(columns []column) string {
	var list []string
	for _, c := range columns {
		list = append(list, c.name)
	}
	return strings.Join(list, ", ")
}
