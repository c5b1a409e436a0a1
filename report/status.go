package report

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/klp-audit/klp-audit/store"
)

// StatusSchema names the form of a status in JSON.
const StatusSchema = "klp-audit/status/1"

// Status is what is known so far.
type Status struct {
	Schema          string            `json:"schema"`
	Path            string            `json:"path"`             // of the record
	Record          *store.Summary    `json:"record"`           // null: nothing is recorded yet
	Waiting         *int              `json:"spooled_events"`   // that wait to be taken in; null: not known of a copy
	WaitingReason   string            `json:"spooled_reason"`   // why the first of them had to wait
	SetAside        *int              `json:"set_aside_events"` // files of the spool that hold no event that can be taken in
	PluginInstalled *bool             `json:"plugin_installed"` // the commit plugin; null: not known of a copy
	Kernel          *store.HistoryRow `json:"last_kernel_change"`
	LivePatch       *store.HistoryRow `json:"last_livepatch_change"`
	Program         string            `json:"version"`
}

// StatusFormats returns the formats of a status, the first being the default.
func StatusFormats() []string { return []string{"table", "json"} }

// Write renders the status.
func (s *Status) Write(w io.Writer, format string) error {
	if format == "json" {
		return WriteObject(w, s)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, Printable(fmt.Sprintf(format, args...)))
	}
	line("Record", "%s", s.Path)
	s.writeRecord(line)
	if s.Waiting != nil && *s.Waiting > 0 {
		text := fmt.Sprintf("%d events wait to be taken into the record", *s.Waiting)
		if s.WaitingReason != "" {
			text += "; the first one for: " + s.WaitingReason
		}
		line("Spool", "%s", text)
	}
	if s.SetAside != nil && *s.SetAside > 0 {
		line("Set aside", "%d files of the spool could not be taken in; they end in .unreadable", *s.SetAside)
	}
	if s.PluginInstalled != nil {
		line("Plugin", "%s", map[bool]string{true: "installed", false: "NOT INSTALLED: nothing is recorded"}[*s.PluginInstalled])
	}
	line("Program", "klp-audit %s", s.Program)
	return t.Flush()
}

func (s *Status) writeRecord(line func(name, format string, args ...any)) {
	r := s.Record
	if r == nil || r.Events == 0 {
		line("Events", "none yet")
		return
	}
	line("Events", "%d, from %s to %s", r.Events, shortTime(*r.First), shortTime(*r.Last))
	line("Root hash", "%s", r.RootHash)
	line("Host", "%s", hostName(r.Host))
	commits := fmt.Sprintf("%d", r.Commits)
	if r.LastCommit != nil {
		commits += fmt.Sprintf(", the last one %s at %s", *r.LastOutcome, shortTime(*r.LastCommit))
	}
	if r.Open > 0 {
		commits += fmt.Sprintf("; %d without an end", r.Open)
	}
	line("Commits", "%s", commits)
	line("Changes", "%d", r.Changes)
	for _, last := range []struct {
		name string
		row  *store.HistoryRow
	}{{"Kernel", s.Kernel}, {"Live patch", s.LivePatch}} {
		if last.row != nil {
			line(last.name, "%s of %s %s at %s", last.row.Action, last.row.Package, last.row.Version, shortTime(last.row.Time))
		}
	}
}
