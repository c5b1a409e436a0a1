package report

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
)

// TimelineSchema names the form of the timeline in JSON.
const TimelineSchema = "klp-audit/timeline/1"

// Timeline is the section with what the picture of a report shows: boots, live patches, and when what was amiss.
type Timeline struct {
	*audit.Periods
	Lists      []string // which of the lists; none: all
	Provenance *Provenance
}

// NewTimeline reads the lists of a stretch of time; a zero moment is the beginning, or the end, of the record.
func NewTimeline(ctx context.Context, s *store.Store, since, until time.Time, lists []string, p *Provenance) (*Timeline, error) {
	periods, err := audit.NewPeriods(ctx, s, since, until)
	if err != nil {
		return nil, err
	}
	p.ask(record.HistoryFilter{Since: since, Until: until})
	p.Order = "oldest first"
	if len(lists) > 0 {
		p.Filters["lists"] = strings.Join(lists, " ")
	}
	t := &Timeline{periods, lists, p}
	for _, l := range t.asked() {
		p.RowsShown += int64(len(*l.of(periods)))
	}
	return t, nil
}

// timelineList is one of the lists of a timeline.
type timelineList struct {
	name, title, none string
	without           []string // columns that say nothing here
	of                func(*audit.Periods) *[]audit.Period
}

var timelineLists = []timelineList{
	{"boots", "Boots", "No boot is on record.", nil, func(p *audit.Periods) *[]audit.Period { return &p.Boots }},
	{"patches", "Active live patches", "Nothing is on record of live patches.", nil, func(p *audit.Periods) *[]audit.Period { return &p.Patches }},
	{"not-active", "Installed, and not active", "No live patch is known to have been installed and not active.", nil, func(p *audit.Periods) *[]audit.Period { return &p.NotActive }},
	{"not-in-initrd", "Active, and not in the initrd", "No live patch is known to have been active and not in the initrd.", nil, func(p *audit.Periods) *[]audit.Period { return &p.NotInInitrd }},
	{"gaps", "Not recorded", "No gap is known.", []string{"LIVE PATCH", "BASIS"}, func(p *audit.Periods) *[]audit.Period { return &p.Gaps }},
}

// TimelineLists are the names of the lists.
func TimelineLists() (names []string) {
	for _, l := range timelineLists {
		names = append(names, l.name)
	}
	return names
}

// asked are the lists that were asked for, in their own order.
func (t *Timeline) asked() (lists []timelineList) {
	for _, l := range timelineLists {
		if len(t.Lists) == 0 || slices.Contains(t.Lists, l.name) {
			lists = append(lists, l)
		}
	}
	return lists
}

func (t *Timeline) forms() []form {
	return []form{{"table", t.writeTable}, {"json", t.writeObject}, {"csv", t.writeCSV}}
}

// writeObject writes the lists under their names; null is one that was not asked for.
func (t *Timeline) writeObject(w io.Writer, _ table.Style) error {
	shown := audit.Periods{From: t.From, To: t.To, InitrdUnknown: t.InitrdUnknown}
	for _, l := range t.asked() {
		*l.of(&shown) = append([]audit.Period{}, *l.of(t.Periods)...)
	}
	return WriteObject(w, struct {
		Schema     string      `json:"schema"`
		Warning    *string     `json:"warning"`
		Provenance *Provenance `json:"provenance"`
		audit.Periods
	}{TimelineSchema, record.OrNil(t.Provenance.Warning()), t.Provenance, shown})
}

func (t *Timeline) writeCSV(w io.Writer, _ table.Style) error {
	header := []string{
		"list", "from", "to", "open", "seconds", "kernel_release", "module", "package", "version", "patch_number", "phase", "confidence", "fixes", "why", "boot_id", "events",
	}
	var rows [][]string
	for _, l := range t.asked() {
		for _, p := range *l.of(t.Periods) {
			number := ""
			if p.PatchNumber != nil {
				number = strconv.Itoa(*p.PatchNumber)
			}
			rows = append(rows, []string{
				l.name, exactly(&p.From), exactly(&p.To), strconv.FormatBool(p.Open), strconv.FormatInt(p.Seconds, 10), p.KernelRelease, p.Module, record.OrEmpty(p.Package), record.OrEmpty(p.Version),
				number, string(p.Phase), string(p.Confidence), strings.Join(p.Fixes, " "), p.Why, p.BootID, numbers(p.Events),
			})
		}
	}
	return writeRecords(w, t.Provenance.Warning(), header, rows)
}

func (t *Timeline) writeTable(w io.Writer, style table.Style) error {
	style = style.Sized()
	p := printer{w: w, style: style, err: writeWarning(w, t.Provenance.Warning(), style)}
	if p.err == nil && !t.From.Before(t.To.Time) {
		return table.WriteParagraphs(w, append([]string{"Nothing is on record of the time that was asked for.", ""}, t.Provenance.lines()...), style)
	}
	var left []string
	for i, l := range t.asked() {
		if i > 0 {
			p.line("")
		}
		p.line(style.Paint(strings.ToUpper(l.title), table.Bold))
		p.line("")
		list := *l.of(t.Periods)
		if len(list) == 0 {
			p.line(l.none)
			continue
		}
		header, cells, gone := fitted(&l, list, style.Width)
		for _, name := range gone {
			if !slices.Contains(left, name) {
				left = append(left, name)
			}
		}
		if p.err == nil {
			p.err = table.Render(w, header, cells, style)
		}
	}
	if p.err != nil {
		return p.err
	}
	return table.WriteParagraphs(w, append(append([]string{""}, t.notes(left)...), t.Provenance.lines()...), style)
}

// notes say what the tables mean, and which columns had no room.
func (t *Timeline) notes(left []string) []string {
	notes := []string{
		fmt.Sprintf("From %s to %s: what began before, or lasted longer, is cut; %s, to the minute.", t.From.Short(), t.To.Short(), timesAre()),
		"inferred: it follows from what is known before and after. EVENT: the first and the last event that say so; klp-audit show EVENT prints one.",
	}
	if is := func(l timelineList) bool { return l.name == "not-in-initrd" }; t.InitrdUnknown > 0 && slices.ContainsFunc(t.asked(), is) {
		notes = append(notes, fmt.Sprintf("Whether the initrd held the live patch is not known for %s of this time, in which the machine may have been off.", duration(&t.InitrdUnknown)))
	}
	if len(left) > 0 {
		notes = append(notes, "Left out for want of room: "+strings.ToLower(say.Join(left))+". A wider terminal has them, and so have --format csv and --format json.")
	}
	return notes
}

// periodColumn is a column of a table of periods.
type periodColumn struct {
	name string
	rank int // where there is no room, the highest rank goes first; 0: it stays
	text func(p *audit.Period) string
}

// The last one is on as many lines as it needs.
var periodColumns = []periodColumn{
	{"FROM", 0, func(p *audit.Period) string { return minute(&p.From) }},
	{"TO", 0, func(p *audit.Period) string {
		if p.Open {
			return "goes on"
		}
		return minute(&p.To)
	}},
	{"LASTED", 3, func(p *audit.Period) string { return duration(&p.Seconds) }},
	{"LIVE PATCH", 0, patchName},
	{"KERNEL", 4, func(p *audit.Period) string { return say.Printable(p.KernelRelease) }},
	{"LOADED", 5, func(p *audit.Period) string {
		return map[record.Phase]string{record.PhaseInitrd: "initrd", record.PhaseSystem: "later"}[p.Phase]
	}},
	{"FIXES", 1, func(p *audit.Period) string {
		if len(p.Fixes) == 0 {
			return ""
		}
		return say.Plural(len(p.Fixes), "CVE")
	}},
	{"BASIS", 0, func(p *audit.Period) string { return string(p.Confidence) }},
	{"BOOT", 6, func(p *audit.Period) string { return say.ID(p.BootID) }},
	{"EVENT", 0, func(p *audit.Period) string { return numbers(p.Events) }},
	{"WHY", 2, func(p *audit.Period) string { return say.Clip(p.Why, maxText) }},
}

// whyWidth is how many columns a reason has at least.
const whyWidth = 30

// patchName is a live patch in few columns.
func patchName(p *audit.Period) string {
	switch {
	case p.PatchNumber != nil:
		return fmt.Sprintf("patch %d", *p.PatchNumber)
	case p.Module != "":
		return say.Clip(p.Module, 80)
	case p.Confidence == audit.Unknown:
		return "not known"
	}
	return "none"
}

// fitted are the cells of a list in the columns that have something to say and fit, and the names of those that do
// not fit.
func fitted(l *timelineList, list []audit.Period, width int) (header []string, cells [][]string, left []string) {
	columns := slices.DeleteFunc(slices.Clone(periodColumns), func(c periodColumn) bool {
		return slices.Contains(l.without, c.name) || !slices.ContainsFunc(list, func(p audit.Period) bool { return c.text(&p) != "" })
	})
	for {
		header, cells = nil, make([][]string, len(list))
		last, room := 0, width // the column that would go next
		for i, c := range columns {
			header = append(header, c.name)
			for row := range list {
				cells[row] = append(cells[row], c.text(&list[row]))
			}
			if c.rank > columns[last].rank {
				last = i
			}
		}
		if end := len(columns) - 1; columns[end].name == "WHY" {
			room -= table.Gap + whyWidth
			if fixed := columnsOf(cells, end); table.Cols(header[:end], fixed) <= room {
				return header, table.Fit(cells, table.Style{Width: width}), left
			}
		} else if table.Cols(header, cells) <= room {
			return header, cells, left
		}
		if columns[last].rank == 0 {
			return header, cells, left
		}
		left = append(left, columns[last].name)
		columns = slices.Delete(columns, last, last+1)
	}
}

func columnsOf(cells [][]string, n int) (list [][]string) {
	for _, row := range cells {
		list = append(list, row[:n])
	}
	return list
}
