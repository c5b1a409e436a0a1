package report

import (
	"cmp"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/picture"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// storyReport is the whole report of the story of a host, out of its record.
func storyReport(t *testing.T, m *storetest.Machine, since, until, format string) *Full {
	t.Helper()
	s := m.OpenRecord()
	sum, err := s.Summarize(t.Context())
	storetest.Check(t, err)
	p, err := compliance.LoadProfile(compliance.DefaultProfile, nil)
	storetest.Check(t, err)
	var filter record.HistoryFilter
	if since != "" {
		filter.Since, filter.Until = storetest.When(t, since), storetest.When(t, until)
	}
	h := NewHistory(filter, format, NewProvenance("report", "1.0.0", m.Now, sum))
	h.Rows = s.History(t.Context(), h.Filter)
	f, err := NewFull(t.Context(), s, p, m.Now, h)
	storetest.Check(t, err)
	return f
}

// Out of a record, all formats tell the same story.
func TestFullStory(t *testing.T) {
	m := storetest.TwoYears(t)
	f := storyReport(t, m, "", "", "html")
	page := renderFull(t, f, "html", table.Style{})
	checkPage(t, "story", page)
	text := renderFull(t, storyReport(t, m, "", "", "table"), "table", table.Style{Width: 100})
	checkPlain(t, "story", text, 100)
	output := renderFull(t, storyReport(t, m, "", "", "json"), "json", table.Style{})
	checkAgainst(t, readSchemas(t), "report-2.json", output)
	var whole struct {
		Compliance struct{ Verdict compliance.Rating }
		CVE        struct{ Exposures []audit.Exposure }
		History    struct{ Rows []json.RawMessage }
		Timeline   audit.Timeline
	}
	storetest.Check(t, json.Unmarshal([]byte(output), &whole))
	title := verdictText(whole.Compliance.Verdict)
	if !strings.Contains(page, ">"+title+"</h1>") || !strings.HasPrefix(text, strings.ToUpper(title)+"\n") {
		t.Errorf("not every format says %q first", title)
	}
	if shown := strings.Count(page, "<tr><td>") + strings.Count(page, `<tr><td class="bad">`); shown != len(whole.History.Rows) {
		t.Errorf("%d rows in JSON, %d on the page", len(whole.History.Rows), shown)
	}
	checkTold(t, page, f)
	for _, e := range whole.CVE.Exposures {
		if !strings.Contains(page, e.CVE) {
			t.Errorf("%s is not on the page", e.CVE)
		}
	}
	if diff := gocmp.Diff([]string{"downgrade", "failed"}, kindsOf(f.Marks)); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
	if len(whole.Timeline.Gaps) == 0 || !strings.Contains(page, `class="gap"`) {
		t.Error("the week without a recorder is no gap")
	}
}

// told is a row of what a picture shows.
var told = regexp.MustCompile(`<th scope="row" class="time">(.*)</th><td class="time">(.*)</td><td class="name">(.*)</td><td>`)

// checkTold looks whether all that a picture draws stands in words on its page, with its moments.
func checkTold(t *testing.T, page string, f *Full) {
	t.Helper()
	rows := map[string]string{}
	for _, row := range told.FindAllStringSubmatch(page, -1) {
		rows[row[1]+" "+row[2]] += tag.ReplaceAllString(row[3], "") + "\n"
	}
	want := func(s audit.Span, what string) {
		to := s.To.Short()
		if s.Open {
			to = "goes on"
		}
		if got := rows[s.From.Short()+" "+to]; !strings.Contains(got, what) {
			t.Errorf("from %s to %s the page says %q, want %q", s.From.Short(), to, got, what)
		}
	}
	for _, k := range f.Timeline.Kernels {
		want(k.Span, cmp.Or(k.KernelRelease, "which kernel ran is not known"))
	}
	for _, p := range f.Timeline.Patches {
		want(p.Span, p.Module)
	}
	for _, i := range f.Timeline.Initrds {
		want(i.Span, cmp.Or(map[record.Verdict]string{record.VerdictContained: i.Module + " in the initrd: yes", record.VerdictMissing: i.Module + " in the initrd: no"}[i.Verdict], "is not known"))
	}
	losses := 0
	for _, e := range f.Exposures {
		for _, l := range e.Losses() {
			if losses++; l.Back != nil {
				want(audit.Span{From: *l.At, To: *l.Back}, "taken away again: ")
			}
		}
	}
	if losses == 0 {
		t.Error("no fix was lost")
	}
	for _, m := range f.Marks {
		want(audit.Span{From: m.Time, To: m.Time}, m.What)
	}
}

// A machine on which nothing happened yet has a report, too.
func TestFullOfNothing(t *testing.T) {
	m := storetest.NewMachine(t, "2025-01-01T08:00:00Z")
	m.StartRecording()
	for _, format := range Formats(&Full{}) {
		f := storyReport(t, m, "", "", format)
		if f.Compliance.Verdict != compliance.NotDetermined && f.Compliance.Verdict != compliance.Fail {
			t.Errorf("verdict %q", f.Compliance.Verdict)
		}
		if output := renderFull(t, f, format, table.Style{}); format == "html" {
			checkPage(t, "nothing", output)
		}
	}
}

// A part of the time is shown where a part was asked for.
func TestFullPart(t *testing.T) {
	f := storyReport(t, storetest.TwoYears(t), "2025-05-01", "2025-05-31", "json")
	if from, to := f.Timeline.From, f.Timeline.To; !from.Equal(ts("2025-05-01").Time) || !to.Equal(ts("2025-05-31").Time) {
		t.Errorf("the timeline goes from %s to %s", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	if diff := gocmp.Diff([]string{"downgrade"}, kindsOf(f.Marks)); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}

func kindsOf(marks []picture.Mark) (kinds []string) {
	for _, m := range marks {
		kinds = append(kinds, m.Kind)
	}
	return kinds
}
