package report

import (
	"fmt"
	"io"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// StatusSchema names the form of a status in JSON.
const StatusSchema = "klp-audit/status/1"

// Status is what is known now: the machine, and its record.
type Status struct {
	Schema          string              `json:"schema"`
	Warning         *string             `json:"warning"`          // what is wrong with the record; null: nothing is known to be
	Machine         *record.Observation `json:"machine"`          // as it is seen now; null: of a copy, or of another machine's files
	Path            string              `json:"path"`             // of the record
	Record          *record.Summary     `json:"record"`           // null: nothing is recorded yet, or it cannot be read
	Waiting         *int                `json:"spooled_events"`   // that wait to be taken in; null: not known, as of a copy
	WaitingReason   string              `json:"spooled_reason"`   // why the first of them had to wait
	SetAside        *int                `json:"set_aside_events"` // files of the spool that hold no event that can be taken in
	SpoolUnseen     string              `json:"spool_unseen"`     // why the spool could not be looked at
	HeldBy          string              `json:"held_by"`          // who holds the record while events wait, or may wait
	PluginInstalled *bool               `json:"plugin_installed"` // the commit plugin; null: not known of a copy
	Kernel          *record.HistoryRow  `json:"last_kernel_change"`
	LivePatch       *record.HistoryRow  `json:"last_livepatch_change"`
	Open            *audit.Open         `json:"open"` // what the vendor has released, and does not protect the machine; null: nothing is recorded yet, or it cannot be read
	Program         string              `json:"version"`
}

func (s *Status) forms() []form { return []form{{"table", s.writeTable}, object(s)} }

func (s *Status) writeTable(w io.Writer, style table.Style) error {
	if s.Warning != nil {
		if err := writeWarning(w, *s.Warning, style); err != nil {
			return err
		}
	}
	var f table.Facts
	if s.Machine != nil {
		f = machineFacts(s.Machine)
	}
	if s.Open != nil {
		f = append(f, openFacts(s.Open)...)
	}
	f.Add("Record", "%s", s.Path)
	s.addRecord(&f)
	if text := s.spool(); text != "" {
		f.Add("Spool", "%s", text)
	}
	if s.SetAside != nil && *s.SetAside > 0 {
		f.Add("Set aside", "%s of the spool could not be taken in, with names that end in .unreadable", say.Plural(*s.SetAside, "file"))
	}
	if s.PluginInstalled != nil {
		f.Add("Plugin", "%s", map[bool]string{true: "installed", false: "NOT INSTALLED: nothing is recorded"}[*s.PluginInstalled])
	}
	f.Add("Program", "klp-audit %s", s.Program)
	return f.Write(w, style)
}

// SeeSpool fills in what there is to see of the spool.
func (s *Status) SeeSpool(sp record.Spooled) {
	if s.SpoolUnseen = sp.Unseen; sp.Unseen == "" {
		s.Waiting, s.SetAside, s.WaitingReason = &sp.Waiting, &sp.SetAside, sp.Reason
	}
	if sp.Holder != nil {
		s.HeldBy = sp.Holder.String()
	}
}

// spool is the spool in words, empty if there is nothing to say.
func (s *Status) spool() (text string) {
	switch {
	case s.SpoolUnseen != "":
		text = "unknown: " + s.SpoolUnseen
	case s.Waiting == nil || *s.Waiting == 0:
		return ""
	default:
		text = compliance.Waiting(*s.Waiting) + " to be taken into the record"
		if s.WaitingReason != "" {
			text += "; the first one for: " + s.WaitingReason
		}
	}
	if s.HeldBy != "" {
		text += "; " + s.HeldBy + " holds the record now"
	}
	return text
}

func (s *Status) addRecord(f *table.Facts) {
	r := s.Record
	if r == nil || r.Events == 0 {
		f.Add("Events", "none yet")
		return
	}
	f.Add("Events", "%d, from %s to %s", r.Events, (*r.First).Short(), (*r.Last).Short())
	f.Add("Root hash", "%s", r.RootHash)
	f.Add("Host", "%s", hostName(r.Host))
	commits := fmt.Sprintf("%d", r.Commits)
	if r.LastCommit != nil {
		how := "with an outcome that is not known" // an import has none
		if r.LastOutcome != nil {
			how = string(*r.LastOutcome)
		}
		commits += fmt.Sprintf(", the last one %s at %s", how, (*r.LastCommit).Short())
	}
	if r.Open > 0 {
		commits += fmt.Sprintf("; %d without an end", r.Open)
	}
	f.Add("Commits", "%s", commits)
	f.Add("Changes", "%d", r.Changes)
	for _, last := range []struct {
		name string
		row  *record.HistoryRow
	}{{"Last kernel", s.Kernel}, {"Last live patch", s.LivePatch}} {
		if last.row != nil {
			f.Add(last.name, "%s of %s at %s", last.row.Action, last.row.Named(), last.row.Time.Short())
		}
	}
}
