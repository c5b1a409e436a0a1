package report

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/page"
	"github.com/klp-audit/klp-audit/report/table"
)

// CVESchema names the form of the CVE section in JSON.
const CVESchema = "klp-audit/cve/2"

// CVEs is the section on fixes.
type CVEs struct {
	Exposures  []audit.Exposure `json:"exposures"`
	Latency    *audit.Latency   `json:"latency"`
	At         *audit.State     `json:"-"` // what an OpenVEX document is about
	Asked      []string         `json:"-"` // numbers; none: all
	Provenance *Provenance      `json:"-"`
}

// NewCVEs returns the section for ids, or for all fixes on record.
func NewCVEs(exposures []audit.Exposure, at *audit.State, p *Provenance) *CVEs {
	p.RowsShown = int64(len(exposures))
	return &CVEs{Exposures: exposures, Latency: audit.Summarize(exposures), At: at, Provenance: p}
}

func (c *CVEs) forms() []form {
	return []form{
		{"table", c.writeTable},
		object(struct {
			Schema     string      `json:"schema"`
			Warning    *string     `json:"warning"`
			Provenance *Provenance `json:"provenance"`
			*CVEs
		}{CVESchema, record.OrNil(c.Provenance.Warning()), c.Provenance, c}),
		{"csv", c.writeCSV},
		{"openvex", func(w io.Writer, _ table.Style) error { return writeVEX(w, c.At, c.Exposures, c.Asked, c.Provenance) }},
		alone(c.Provenance, "exposure", "Fixes", func(p *page.Page) error {
			exposuresOnPage(p, c.Latency, c.Exposures, fixesAlone)
			return nil
		}),
	}
}

// How many fixes a page shows: that of the whole report, and that of the section.
const (
	pageExposures = 200
	fixesAlone    = 5000
)

// exposuresOnPage are the fixes: numbers that came, went and came back at the same moments stand together.
func exposuresOnPage(p *page.Page, l *audit.Latency, all []audit.Exposure, limit int) {
	out := &p.Exposure
	out.Latency, out.Quarters = pageFacts(latencyFacts(l)), quartersBlock(l)
	shown, more := worthALook(all, limit)
	out.More = more
	for i := range shown {
		row, cve := fixesOnPage(p, &shown[i]), say.Clip(shown[i].CVE, 20)
		if n := len(out.Fixes); n > 0 {
			row.CVEs = out.Fixes[n-1].CVEs
			if reflect.DeepEqual(row, out.Fixes[n-1]) {
				out.Fixes[n-1].CVEs = append(row.CVEs, cve)
				continue
			}
		}
		row.CVEs = []string{cve}
		out.Fixes = append(out.Fixes, row)
	}
}

// fixesOnPage is the course of a fix.
func fixesOnPage(p *page.Page, e *audit.Exposure) page.Fixes {
	row := page.Fixes{
		Package: say.Clip(e.Package, maxText), Version: say.Clip(e.Version, maxText), Released: date(e.Released), ByBuild: e.Released != nil && e.ReleasedBy == "build-time",
		Installed: date(e.Installed), Active: date(e.Active), InInitrd: date(e.InInitrd), Latency: cmp.Or(latencyText(e), duration(nil)), Status: string(e.Status), Reason: say.Clip(strings.TrimSuffix(e.Reason, "."), maxText),
		By: installedText(e), Exception: grantOnPage(shownException(e), true),
	}
	for _, l := range e.Losses() {
		row.Lost = append(row.Lost, say.Clip(l.Text(date), maxText))
	}
	for _, n := range e.Events {
		row.Events = append(row.Events, p.History.Evidence(fmt.Sprintf("event %d", n)))
	}
	return row
}

// writeTable prints a line a fix where the width allows it, else some.
func (c *CVEs) writeTable(w io.Writer, style table.Style) error {
	style = style.Sized()
	if err := writeWarning(w, c.Provenance.Warning(), style); err != nil {
		return err
	}
	header := []string{"CVE", "STATUS", "KERNEL", "LIVE PATCH", "RELEASED", "INSTALLED", "BY", "ACTIVE", "IN INITRD", "LATENCY", "LOST", "EVENT"}
	var cells [][]string
	for i := range c.Exposures {
		cells = append(cells, exposureCells(&c.Exposures[i]))
	}
	excepted := slices.ContainsFunc(c.Exposures, func(e audit.Exposure) bool { return shownException(&e) != nil }) // that takes lines of its own
	if excepted || table.Cols(header, cells) > style.Width {
		header, cells = c.narrow(style.Width)
	}
	if len(cells) > 0 {
		if err := table.Render(w, header, cells, style); err != nil {
			return err
		}
	}
	return table.WriteParagraphs(w, c.footer(), style)
}

// footer says what the table means.
func (c *CVEs) footer() []string {
	lines := []string{}
	if len(c.Exposures) > 0 {
		lines = append(lines, "")
	}
	rows := say.Plural(len(c.Exposures), "row")
	if c.Provenance != nil && asked(c.Provenance) != "" {
		rows += ", asked for: " + asked(c.Provenance)
	}
	lines = append(lines,
		fmt.Sprintf("%s; %s. Released is the advisory's date of issue or, marked *, the build time of the package, which is a lower bound; of a date without a zone the end of the day counts.", rows, timesAre()),
		"not-in-record is not the same as not fixed: nothing on record names it. klp-audit show EVENT prints an event.")
	if c.Provenance != nil {
		lines = append(lines, c.Provenance.lines()...)
	}
	return lines
}

// exposureCells are one fix in a line.
func exposureCells(e *audit.Exposure) []string {
	var lost []string
	for _, l := range e.Losses() {
		lost = append(lost, l.Text(date))
	}
	number := ""
	if n := audit.PatchNumberOf(e.Version); n > 0 {
		number = strconv.Itoa(n)
	}
	return []string{
		say.Printable(e.CVE), string(e.Status), say.Printable(e.KernelRelease), number, releasedText(e), date(e.Installed), installer(e), date(e.Active),
		date(e.InInitrd), latencyText(e), strings.Join(lost, "; "), numbers(e.Events),
	}
}

func releasedText(e *audit.Exposure) string {
	text := date(e.Released)
	if e.ReleasedBy == "build-time" {
		text += "*"
	}
	return text
}

// narrow is the layout with a fix on several lines.
func (c *CVEs) narrow(width int) (header []string, cells [][]string) {
	left := len("CVE-2025-1234567")
	right := max(width-left-table.Gap, 20)
	for i := range c.Exposures {
		e := &c.Exposures[i]
		texts := []string{say.Printable(e.Package + " " + e.Version)}
		if e.Package == "" {
			texts = []string{"no live patch on record for " + cmp.Or(say.Printable(e.KernelRelease), "any kernel") + " brings it"}
		}
		texts = append(texts, courseLines(e)...)
		var lines []string
		for _, text := range texts {
			lines = append(lines, table.Wrap(text, right)...)
		}
		cells = append(cells, []string{" \n" + strings.Join(table.Wrap(say.Printable(e.CVE), left), "\n") + "\n" + string(e.Status), " \n" + strings.Join(lines, "\n")})
	}
	return []string{"CVE\nSTATUS", "BROUGHT BY\nCOURSE"}, cells
}

// courseLines is what became of a fix, in phrases.
func courseLines(e *audit.Exposure) (lines []string) {
	var parts []string
	add := func(what string, at *record.Timestamp) {
		if at != nil {
			parts = append(parts, what+" "+minute(at))
		}
	}
	if e.Released != nil {
		parts = append(parts, "released "+releasedText(e))
	}
	add("installed", e.Installed)
	add("active", e.Active)
	add("in initrd", e.InInitrd)
	if e.Seconds != nil {
		parts = append(parts, "latency "+latencyText(e))
	}
	if len(e.Events) > 0 {
		parts = append(parts, eventsText(numbers(e.Events)))
	}
	if len(parts) > 0 {
		lines = append(lines, strings.Join(parts, ", "))
	}
	if by := installedText(e); by != "" {
		lines = append(lines, by)
	}
	for _, l := range e.Losses() {
		lines = append(lines, "lost "+l.Text(minute))
	}
	if e.Reason != "" {
		lines = append(lines, e.Reason)
	}
	if x := shownException(e); x != nil {
		lines = append(lines, say.Printable(numberGrantText(x)))
	}
	return lines
}

// installer is who installed a fix, in few columns.
func installer(e *audit.Exposure) string {
	if e.InstalledBy == nil {
		return ""
	}
	return say.Clip(e.InstalledBy.Actor.Name(), 40)
}

// installedText says who installed a fix, by what command, and which event shows it; empty: that is not on record.
func installedText(e *audit.Exposure) string {
	by := e.InstalledBy
	switch {
	case by == nil:
		return ""
	case by.Source == record.SourceDrift:
		return fmt.Sprintf("installed by whom is not on record: it was found as drift, event %d", by.Event)
	}
	text := "installed by " + say.Clip(by.Actor.Name(), maxText)
	if a := by.Actor; a.SudoUser != nil && a.Login != nil && *a.Login != *a.SudoUser {
		text += " (sudo; login " + say.Clip(*a.Login, maxText) + ")"
	}
	if by.Command != nil {
		text += " with " + say.Clip(*by.Command, maxText)
	}
	if by.UserData != nil {
		text += ", ticket " + say.Clip(*by.UserData, 60)
	}
	if by.Source == record.SourceImport {
		text += ", as libzypp's history says"
	}
	return text + fmt.Sprintf(", event %d", by.Event)
}

// shownException is the exception for a number that people should see beside it: not if the kernel that runs has the
// fix, or another one was meant; nil: there is none.
func shownException(e *audit.Exposure) *audit.Exception {
	if e.Status == audit.StatusFixed || e.Status == audit.StatusOtherKernel {
		return nil
	}
	return e.Exception
}

// writeCSV writes the fixes with a header row, and nothing else but the warning.
func (c *CVEs) writeCSV(w io.Writer, _ table.Style) error {
	header := []string{
		"cve", "kernel_release", "package", "version", "released", "released_by", "advisory", "severity", "installed", "active",
		"in_initrd", "lost", "lost_by", "back", "status", "latency_seconds", "events", "intervals", "reason", "known_since", "title", "open_since", "inferred", "on_offer", "not_offered", "exception",
		"installed_by", "installed_command", "installed_userdata", "installed_source", "installed_event",
	}
	var rows [][]string
	for _, e := range c.Exposures {
		exception := ""
		if e.Exception != nil {
			exception = numberGrantText(e.Exception)
		}
		rows = append(rows, append([]string{
			e.CVE, e.KernelRelease, e.Package, e.Version, exactly(e.Released), e.ReleasedBy, record.OrEmpty(e.Advisory), record.OrEmpty(e.Severity), exactly(e.Installed),
			exactly(e.Active), exactly(e.InInitrd), exactly(e.Lost), e.LostBy, exactly(e.Back), string(e.Status), seconds(e.Seconds), numbers(e.Events),
			intervals(e.Intervals), e.Reason, exactly(e.KnownSince), record.OrEmpty(e.Title), exactly(e.OpenSince), strconv.FormatBool(e.Inferred), record.OrEmpty(e.OnOffer), string(e.NotOffered), exception,
		}, installationCells(e.InstalledBy)...))
	}
	return writeRecords(w, c.Provenance.Warning(), header, rows)
}

// installationCells are an installation in CSV, empty if none is on record.
func installationCells(by *audit.Installation) []string {
	if by == nil {
		return make([]string, 5)
	}
	return []string{by.Actor.Name(), record.OrEmpty(by.Command), record.OrEmpty(by.UserData), string(by.Source), strconv.FormatInt(by.Event, 10)}
}

// intervals are the times in which a fix was active, FROM/TO each as in ISO 8601, with what took
// it away.
func intervals(list []audit.Interval) string {
	var words []string
	for _, in := range list {
		word := exactly(&in.From) + "/" + cmp.Or(exactly(in.To), "..")
		if in.Confidence == audit.Inferred {
			word += " inferred"
		}
		if in.Lost != nil {
			word += " lost " + exactly(in.Lost) + " by " + in.LostBy
		}
		words = append(words, word)
	}
	return strings.Join(words, "; ")
}

// latencyFacts are what exposures sum up to.
func latencyFacts(l *audit.Latency) (out table.Facts) {
	out.Add("Fixes on record", "%d", l.Fixes)
	out.Add("Not active", "%d", l.Open)
	out.Add("On offer, not installed", "%d", l.OnOffer)
	out.Add("Only in a newer kernel", "%d", l.Residual)
	lost := strconv.Itoa(l.Lost)
	if l.Losses > l.Lost {
		lost += "; in all it happened " + times(l.Losses)
	}
	out.Add("Taken away again", "%s", lost)
	out.Add("Median", "%s", duration(l.Median))
	out.Add("90th percentile", "%s", duration(l.P90))
	worst := duration(l.Worst)
	if l.WorstCVE != "" {
		worst += " (" + l.WorstCVE + ")"
	}
	out.Add("Worst", "%s", worst)
	out.Add("Measured", "%d of %d", l.Measured, l.Fixes)
	return out
}

func times(n int) string { return say.Plural(n, "time") }

// duration is a time span as people say it, in its two largest units.
func duration(seconds *int64) string {
	if seconds == nil {
		return "not known"
	}
	s := *seconds
	switch {
	case s < 0:
		return "none: active before its release date"
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 24*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// latencyText is how long a fix took to be active, in days where no more than the day of its release is
// known; empty: that is not known.
func latencyText(e *audit.Exposure) string {
	switch {
	case e.Seconds == nil:
		return ""
	case e.ReleasedBy == audit.ReleasedOnDay && *e.Seconds >= 0:
		return fmt.Sprintf("%d d", *e.Seconds/86400)
	}
	return duration(e.Seconds)
}

// worthALook are the exposures that a page shows: what does not protect first, then the
// slowest; and how many there are beyond these.
func worthALook(all []audit.Exposure, limit int) (shown []audit.Exposure, more int) {
	weight := []audit.ExposureStatus{audit.StatusLost, audit.StatusAvailable, audit.StatusInstalled, audit.StatusNeedsKernel, audit.StatusUnknown, audit.StatusFixed, audit.StatusOtherKernel, audit.StatusNotInRecord}
	rank := func(e audit.Exposure) int { return slices.Index(weight, e.Status) }
	seconds := func(e audit.Exposure) int64 {
		if e.Seconds == nil {
			return -1
		}
		return *e.Seconds
	}
	shown = slices.Clone(all)
	slices.SortStableFunc(shown, func(a, b audit.Exposure) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(seconds(b), seconds(a)), cmp.Compare(a.CVE, b.CVE))
	})
	if len(shown) > limit {
		return shown[:limit], len(all) - limit
	}
	return shown, 0
}
