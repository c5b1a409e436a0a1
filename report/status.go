package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/internal/selftest"
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
	State           *audit.State        `json:"state"`            // as the machine is seen now, else as it was observed last; null: it never was
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
	Open            *audit.Open         `json:"open"`       // what the vendor has released, and does not protect the machine; null: nothing is recorded yet, or it cannot be read
	Compliance      *Judgement          `json:"compliance"` // of the record, by the configured profile; null: likewise
	Program         string              `json:"version"`
	At              record.Timestamp    `json:"at"` // when all this was found out
}

// Judgement is a compliance summary in short.
type Judgement struct {
	Profile string                    `json:"profile"`
	Verdict compliance.Rating         `json:"verdict"`
	Results map[compliance.Rating]int `json:"results"` // how many checks came to each
	First   *compliance.CheckResult   `json:"first"`   // the weightiest that does not pass; null: none
	sum     string
}

// Judge fills in what the record comes to.
func (s *Status) Judge(c *compliance.Summary) {
	s.Open = c.Open
	s.Compliance = &Judgement{Profile: c.Profile, Verdict: c.Verdict, Results: map[compliance.Rating]int{}, sum: c.Sum()}
	for _, r := range compliance.Ratings() {
		s.Compliance.Results[r] = 0
	}
	for _, r := range c.Checks {
		s.Compliance.Results[r.Result]++
	}
	if list := c.Findings(); len(list) > 0 && isOpen(&list[0].CheckResult) {
		s.Compliance.First = &list[0].CheckResult
	}
}

func (s *Status) forms() []form { return []form{{"table", s.writeTable}, object(s)} }

// writeTable keeps to one screen of 24 lines of 80 columns, as far as nothing is wrong with the record.
func (s *Status) writeTable(w io.Writer, style table.Style) error {
	if s.Warning != nil {
		if err := writeWarning(w, *s.Warning, style); err != nil {
			return err
		}
	}
	var f table.Facts
	if s.Record != nil && s.Record.Events > 0 {
		f.Add("Host", "%s", hostName(s.Record.Host))
	}
	if s.State != nil {
		f = append(f, briefFacts(s.State, s.At.Time, s.At.Time)...)
		f = append(f, unknownNames(s.State.Unknown)...)
	}
	if s.Open != nil {
		f = append(f, openFacts(s.Open, s.At.Time, s.At.Time)...)
	}
	f = append(f, s.Compliance.facts()...)
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

// facts are the verdict, and what is wrong first.
func (j *Judgement) facts() (f table.Facts) {
	const few = 120 // characters: two lines of a terminal
	if j == nil {
		return nil
	}
	f.Add("Verdict", "%s, by profile %s: %s", j.Verdict, say.Clip(j.Profile, 40), j.sum)
	if j.First != nil {
		f.Add("First finding", "%s: %s", j.First.ID, say.Clip(j.First.Short(), few))
		f.Add("To do", "%s", say.Clip(record.OrEmpty(j.First.ToDo), few))
	}
	return f
}

// unknownNames are the parts that are not known.
func unknownNames(unknown map[string]string) (f table.Facts) {
	var names []string
	for name := range unknown {
		names = append(names, strings.ReplaceAll(name, "_", " "))
	}
	if slices.Sort(names); len(names) > 0 {
		f.Add("Not known", "%s; --format json has the reasons", strings.Join(names, ", "))
	}
	return f
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
	f.Add("Record", "%s", s.Path)
	r := s.Record
	if r == nil || r.Events == 0 {
		f.Add("Events", "none yet")
		return
	}
	f.Add("Events", "%d, from %s to %s", r.Events, day10(*r.First), seenText(*r.Last, s.At.Time, s.At.Time))
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
}

// SelfTestSchema names the form of a self-test in JSON.
const SelfTestSchema = "klp-audit/self-test/1"

// SelfTest is what is so on a machine of what klp-audit expects of SUSE's systems.
type SelfTest struct {
	Schema  string            `json:"schema"`
	At      record.Timestamp  `json:"at"`
	Program string            `json:"version"`
	System  string            `json:"system"` // as /etc/os-release calls it; empty: it does not
	Kernel  string            `json:"kernel"` // that runs; empty: not known
	Results []selftest.Result `json:"results"`
}

func (s *SelfTest) forms() []form { return []form{{"table", s.writeTable}, object(s)} }

func (s *SelfTest) writeTable(w io.Writer, style table.Style) error {
	style = style.Sized()
	count := map[selftest.Answer]int{}
	var cells [][]string
	for _, r := range s.Results {
		count[r.Answer]++
		text := r.Found
		switch r.Answer {
		case selftest.Differs:
			text += "; expected: " + r.Expected
		case selftest.NotKnown:
			text = strings.TrimPrefix(text+"; "+r.Reason, "; ")
		}
		cells = append(cells, []string{string(r.Answer), r.Name, strings.Join(table.Wrap(text, max(style.Width-len(selftest.AsExpected)-len("livepatch-changelog")-2*table.Gap, 20)), "\n")})
	}
	title := []string{
		fmt.Sprintf("klp-audit %s on %s, kernel %s, at %s:", s.Program, cmp.Or(say.Clip(s.System, 80), "an unknown system"), say.OrUnknown(s.Kernel), s.At.Short()),
		fmt.Sprintf("As expected: %d of %d. Differ: %d. Not known: %d.", count[selftest.AsExpected], len(s.Results), count[selftest.Differs], count[selftest.NotKnown]), "",
	}
	if err := table.WriteParagraphs(w, title, style); err != nil {
		return err
	}
	return table.Render(w, []string{"ANSWER", "NAME", "FOUND"}, cells, style)
}
