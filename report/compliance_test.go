package report

import (
	"encoding/csv"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// troubled is a machine with something of everything: the golden files show it.
func troubled(t *testing.T) *compliance.Summary {
	t.Helper()
	m := storetest.Healthy(t)
	m.Commit(record.OutcomeFailed, []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
	m.Wait(time.Minute)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 1))
	storetest.SetPart(m, record.Coverage{Date: "2026-02-20", File: "/var/lib/lifecycle/data/sle-module-live-patching.lifecycle", Line: 3})
	m.Last().Initrd = record.Initrd{KernelRelease: storetest.ReleaseA, Patch: "livepatch_1_150600_13_3_1", Verdict: record.VerdictMissing, Basis: record.BasisImage,
		Evidence: []record.Evidence{{Says: "the image", Path: "/boot/initrd-" + storetest.ReleaseA, Cursor: ""}, {Says: "a build", Cursor: "s=1;i=2"}}}
	m.Drop("clock", "\x1b[2Jno | permission")
	storetest.Except("coverage", "2026-03-31T00:00:00Z")(m)
	storetest.Except("patch-in-initrd", "2026-02-09T00:00:00Z")(m)
	c := complianceOf(t, m)
	return c
}

func renderCompliance(t *testing.T, c *compliance.Summary, format string, style table.Style) string {
	t.Helper()
	p := NewProvenance("compliance", "1.0.0", testNow, &record.Summary{
		Events: 42, First: new(record.At(testNow)), Last: new(record.At(testNow)), Host: record.Host{MachineID: "0123456789abcdef0123456789abcdef", Hostname: "db01"}, RootHash: "abc=",
	})
	var b strings.Builder
	storetest.Check(t, Write(&b, &ComplianceSection{c, p}, format, style))
	return b.String()
}

func TestComplianceGolden(t *testing.T) {
	c := troubled(t)
	for ending, g := range map[string]struct {
		format string
		style  table.Style
	}{
		"table80": {"table", table.Style{}}, "table120": {"table", table.Style{Width: 120}}, "table200": {"table", table.Style{Width: 200}}, "table-color": {"table", table.Style{Width: 120, Color: true}},
		"csv": {"csv", table.Style{}}, "json": {"json", table.Style{}},
	} {
		got := renderCompliance(t, c, g.format, g.style)
		compareGolden(t, "testdata/compliance."+ending, got)
		if g.format == "table" && !g.style.Color {
			width := g.style.Width
			if width == 0 {
				width = 80
			}
			checkPlain(t, ending, got, width)
		}
	}
	var b strings.Builder
	storetest.Check(t, WriteCheck(&b, c, defaultProfile(t)))
	compareGolden(t, "testdata/compliance.nagios", b.String())
}

// forgotten is a machine that nobody has observed for long.
func forgotten(t *testing.T) *storetest.Machine {
	t.Helper()
	m := storetest.Healthy(t)
	storetest.SetPart(m, record.Coverage{Date: "2026-02-20", File: "/var/lib/lifecycle/data/sle-module-live-patching.lifecycle", Line: 3})
	storetest.Except("coverage", "2026-12-31T00:00:00Z")(m)
	m.Wait(182 * 24 * time.Hour)
	return m
}

// A record that nobody adds to is one finding, for people; JSON and CSV have every check.
func TestStaleGolden(t *testing.T) {
	m := forgotten(t)
	c := complianceOf(t, m)
	for ending, format := range map[string]string{"table80": "table", "csv": "csv", "json": "json"} {
		got := renderCompliance(t, c, format, table.Style{})
		compareGolden(t, "testdata/stale."+ending, got)
		if format != "csv" && format != "json" {
			checkPlain(t, ending, got, 80)
		}
	}
	checkAgainst(t, readSchemas(t), "compliance-1.json", renderCompliance(t, c, "json", table.Style{}))
	var b strings.Builder
	storetest.Check(t, WriteCheck(&b, c, defaultProfile(t)))
	compareGolden(t, "testdata/stale.nagios", b.String())
	page := renderFull(t, storyReport(t, m, "", "", "html"), "html", table.Style{})
	for _, text := range []string{b.String(), renderCompliance(t, c, "table", table.Style{Width: 200}), page} {
		if n := strings.Count(text, "observe again"); n != 1 {
			t.Errorf("it says %d times to observe again:\n%.2000s", n, text)
		}
		if strings.Contains(text, "dracut") {
			t.Errorf("it says to build an initrd, of which nothing is known:\n%.2000s", text)
		}
	}
	words := tag.ReplaceAllString(page, "")
	for _, want := range []string{"Observed2026-02-10 11:00 UTC, 182 days ago", "2026-02-20 (past)"} {
		if strings.Count(words, want) != 2 { // on the first page, and with the state
			t.Errorf("the page does not say %s", want)
		}
	}
}

func TestComplianceFollowsItsSchema(t *testing.T) {
	all := readSchemas(t)
	for _, c := range []*compliance.Summary{troubled(t), troubled(t).Only([]string{"clock"}, false)} {
		checkAgainst(t, all, "compliance-1.json", renderCompliance(t, c, "json", table.Style{}))
	}
	if got, want := all["compliance-1.json"].Defs["check"].Properties["result"].Enum, anys(words(compliance.Ratings())); cmp.Diff(want, got) != "" {
		t.Errorf("results are %v, want %v", got, want)
	}
	for _, list := range [][]record.Exception{nil, {
		{ID: "a", Event: 3, Check: "clock", Reason: "\x1b[2J", Time: record.At(testNow), Until: record.At(testNow)},
		{ID: "b", Event: 4, Time: record.At(testNow), Until: record.At(testNow.AddDate(1, 0, 0)), Ended: new(record.At(testNow)), EndedBy: &record.RowActor{}},
		{ID: "c", Event: 5, CVE: "CVE-2025-1000", Time: record.At(testNow), Until: record.At(testNow)},
		{ID: "d", Event: 6, Advisory: "\x1b[2J" + strings.Repeat("A", 120), Time: record.At(testNow), Until: record.At(testNow)},
	}} {
		var b, text strings.Builder
		storetest.Check(t, Write(&b, &Exceptions{List: list, At: testNow}, "json", table.Style{}))
		checkAgainst(t, all, "exceptions-1.json", b.String())
		storetest.Check(t, Write(&text, &Exceptions{List: list, At: testNow}, "table", table.Style{}))
		checkPlain(t, "exceptions", text.String(), 80)
	}
}

func words(ratings []compliance.Rating) (list []string) {
	for _, r := range ratings {
		list = append(list, string(r))
	}
	return list
}

// Every format has every check, with the same result.
func TestComplianceFormatsHoldTheSameChecks(t *testing.T) {
	c := troubled(t)
	var whole struct{ Checks []compliance.CheckResult }
	storetest.Check(t, json.Unmarshal([]byte(renderCompliance(t, c, "json", table.Style{})), &whole))
	records, err := csv.NewReader(strings.NewReader(renderCompliance(t, c, "csv", table.Style{}))).ReadAll()
	storetest.Check(t, err)
	text := renderCompliance(t, c, "table", table.Style{Width: 200})
	if len(whole.Checks) != len(compliance.Rules()) || len(records) != 1+len(compliance.Rules()) {
		t.Fatalf("%d checks in JSON, %d in CSV", len(whole.Checks), len(records)-1)
	}
	for i, r := range whole.Checks {
		if got := records[i+1]; got[0] != r.ID || got[2] != string(r.Result) {
			t.Errorf("CSV has %q, JSON %s %s", got, r.ID, r.Result)
		}
		if !regexp.MustCompile(`(?m)^` + string(r.Result) + ` +` + r.ID + ` `).MatchString(text) {
			t.Errorf("the table has no %s %s", r.Result, r.ID)
		}
	}
	if err := Write(&strings.Builder{}, &ComplianceSection{Summary: c}, "jsonl", table.Style{}); err == nil || !strings.Contains(err.Error(), "csv") {
		t.Errorf("jsonl: %v", err)
	}
}

// The verdict is the worst result; unknown weighs more than a warning.
func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		results []compliance.Rating
		want    compliance.Rating
		nagios  int
	}{
		{[]compliance.Rating{compliance.Pass, compliance.NotApplicable}, compliance.Pass, 0},
		{[]compliance.Rating{compliance.Pass, compliance.Warn}, compliance.Warn, 1},
		{[]compliance.Rating{compliance.Warn, compliance.NotDetermined}, compliance.NotDetermined, 3},
		{[]compliance.Rating{compliance.NotDetermined, compliance.Fail, compliance.Warn}, compliance.Fail, 2},
		{[]compliance.Rating{compliance.NotApplicable}, compliance.NotDetermined, 3},
		{nil, compliance.NotDetermined, 3},
	} {
		var c compliance.Summary
		for _, r := range tt.results {
			c.Checks = append(c.Checks, compliance.CheckResult{Result: r})
		}
		if _, status := Nagios(c.Worst()); c.Worst() != tt.want || status != tt.nagios {
			t.Errorf("%v: %s, %d", tt.results, c.Worst(), status)
		}
	}
}

// complianceOf judges a machine by the default profile.
func complianceOf(t *testing.T, m *storetest.Machine) *compliance.Summary {
	t.Helper()
	c, err := compliance.Judge(t.Context(), m.OpenRecord(), defaultProfile(t), m.Now)
	storetest.Check(t, err)
	return c
}

func defaultProfile(t *testing.T) *compliance.Profile {
	t.Helper()
	p, err := compliance.LoadProfile(compliance.DefaultProfile, nil)
	storetest.Check(t, err)
	return p
}

func TestVerdictReason(t *testing.T) {
	for _, test := range []struct {
		ratings []compliance.Rating
		want    string
	}{
		{nil, "No check of profile p applies."},
		{[]compliance.Rating{compliance.NotApplicable}, "No check of profile p applies."},
		{[]compliance.Rating{compliance.Pass}, "Of 1 check of profile p that applies, 1 passes."},
		{[]compliance.Rating{compliance.Pass, compliance.Pass, compliance.NotApplicable}, "All 2 checks of profile p that apply pass."},
		{[]compliance.Rating{compliance.Fail, compliance.Pass, compliance.NotDetermined}, "Of 3 checks of profile p that apply, 1 fails, 1 is unknown and 1 passes."},
	} {
		c := &compliance.Summary{Profile: "p"}
		for _, r := range test.ratings {
			c.Checks = append(c.Checks, compliance.CheckResult{Result: r})
		}
		if got := verdictReason(c); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// Programs get details whole; people the first of what there is, and how many more.
func TestDetailsForProgramsAreWhole(t *testing.T) {
	m := storetest.Healthy(t)
	odd := record.Taint{Value: 1}
	for bit := range 8 {
		odd.Flags = append(odd.Flags, record.TaintFlag{Bit: bit, Letter: "X", Meaning: "odd"})
	}
	storetest.SetPart(m, odd)
	c := complianceOf(t, m)
	const last, more = "bit 7 X (odd)", "and 3 more"
	for format, whole := range map[string]bool{"json": true, "csv": true, "table": false} {
		text := renderCompliance(t, c, format, table.Style{Width: 200})
		if strings.Contains(text, last) != whole || strings.Contains(text, more) == whole {
			t.Errorf("%s: %.3000s", format, text)
		}
	}
	var b strings.Builder
	storetest.Check(t, WriteCheck(&b, c, defaultProfile(t)))
	if strings.Contains(b.String(), last) || !strings.Contains(b.String(), more) {
		t.Errorf("check: %s", b.String())
	}
}
