package report

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
)

// Dates stand at round distances, few enough to be read, however long the time is.
func TestTicks(t *testing.T) {
	from := time.Date(2025, 1, 31, 7, 45, 10, 0, time.UTC)
	for _, d := range []time.Duration{time.Microsecond, time.Minute, 90 * time.Minute, 5 * time.Hour, 30 * time.Hour, 100 * time.Hour, 20 * 24 * time.Hour,
		100 * 24 * time.Hour, 700 * 24 * time.Hour, 10 * 365 * 24 * time.Hour, 60 * 365 * 24 * time.Hour} {
		p := draw(&audit.Timeline{From: record.At(from), To: record.At(from.Add(d))}, nil, nil)
		if len(p.Ticks) > maxTicks || d > 2*time.Hour && len(p.Ticks) < 2 {
			t.Errorf("%s: %d dates", d, len(p.Ticks))
		}
		for i, tick := range p.Ticks {
			if i > 0 && tick.X-p.Ticks[i-1].X < 60 {
				t.Errorf("%s: %q and %q stand too close", d, p.Ticks[i-1].Label, tick.Label)
			}
		}
	}
}

// However many boots there are, the picture stays small, and within its frame.
func TestManyBoots(t *testing.T) {
	from := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	const boots = 20_000
	tl := &audit.Timeline{From: record.At(from), To: record.At(from.Add(boots * time.Hour))}
	for i := range boots {
		span := audit.Span{From: record.At(from.Add(time.Duration(i) * time.Hour)), To: record.At(from.Add(time.Duration(i)*time.Hour + 50*time.Minute)), Confidence: audit.Proven}
		tl.Kernels = append(tl.Kernels, audit.KernelSpan{Span: span, BootID: fmt.Sprint(i), KernelRelease: "k"})
		tl.Patches = append(tl.Patches, audit.PatchSpan{Span: span, Module: "m", PatchNumber: new(2)})
		tl.Initrds = append(tl.Initrds, audit.InitrdSpan{Span: span, Verdict: record.VerdictContained})
	}
	p := draw(tl, nil, nil)
	if n := len(p.Bars) + len(p.Boots); n > 1000 {
		t.Errorf("%d bars and signs", n)
	}
	for _, b := range p.Bars {
		if b.X < laneLeft || b.X+b.W > laneRight+0.1 || b.W < slender {
			t.Fatalf("a bar from %v, %v wide", b.X, b.W)
		}
	}
	if got := p.Boots[0].Title; got == "" || p.Boots[0].also == 0 {
		t.Errorf("the first sign of a boot says %q", got)
	}
}

func TestNothingToDraw(t *testing.T) {
	at := record.At(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	if p := draw(nil, nil, nil); p != nil {
		t.Error("a picture of no timeline")
	}
	if p := draw(&audit.Timeline{From: at, To: at}, nil, nil); p != nil {
		t.Error("a picture of a moment")
	}
}

// What is outside of the time that is drawn is not drawn; what reaches into it is cut.
func TestOutside(t *testing.T) {
	tl := &audit.Timeline{From: ts("2025-03-01"), To: ts("2025-04-01"), Kernels: []audit.KernelSpan{
		bootOf(1, "a", "2025-01-01", "2025-02-01"), bootOf(2, "b", "2025-02-01", "2025-03-10"), bootOf(3, "c", "2025-05-01", "2025-06-01"),
	}}
	p := draw(tl, []audit.Exposure{fixOf("CVE-2025-1000", "2025-01-01", "2025-01-02", "2025-01-03")}, []Mark{{Time: ts("2025-01-01"), Kind: "failed"}})
	if len(p.Bars) != 1 || p.Bars[0].X != laneLeft || len(p.Marks) != 0 {
		t.Errorf("bars %v, marks %v", p.Bars, p.Marks)
	}
}

// A live patch that is being loaded is drawn as what it is, where that can be seen.
func TestTransitions(t *testing.T) {
	span := func(from, to string) audit.Span {
		return audit.Span{From: ts(from), To: ts(to), Confidence: audit.Proven}
	}
	tl := &audit.Timeline{From: ts("2025-03-01"), To: ts("2025-04-01"), Patches: []audit.PatchSpan{
		{Span: span("2025-03-01", "2025-03-10"), BootID: "1", Module: "l2", PatchNumber: new(2)},
		{Span: span("2025-03-10", "2025-03-15"), BootID: "1", Module: "l3", PatchNumber: new(3), Transition: true, Replaces: new("l2")},
		{Span: span("2025-03-15", "2025-03-20"), BootID: "1", Module: "l3", PatchNumber: new(3)},
	}}
	p := draw(tl, nil, nil)
	var got []string
	for _, b := range p.Bars {
		got = append(got, b.Class+": "+b.Label+": "+b.Title)
	}
	want := []string{
		"patch: patch 2: Live patch l2, patch 2, from 2025-03-01T00:00:00Z to 2025-03-10T00:00:00Z",
		"patch loading: patch 3, loading: Live patch l3, patch 3, is being loaded over l2 and not complete, from 2025-03-10T00:00:00Z to 2025-03-15T00:00:00Z",
		"patch: patch 3: Live patch l3, patch 3, from 2025-03-15T00:00:00Z to 2025-03-20T00:00:00Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(p.Legend, func(e legendEntry) bool { return e.Class == "patch loading" }) {
		t.Errorf("legend %v", p.Legend)
	}
	tl.Patches[1].To, tl.Patches[2].From = record.At(tl.Patches[1].From.Add(time.Minute)), record.At(tl.Patches[1].From.Add(time.Minute))
	if p := draw(tl, nil, nil); len(p.Bars) != 2 {
		t.Errorf("a load of a minute is drawn: %v", p.Bars)
	}
}

// Fixes that are missing at the same time are one stretch; one that was taken away makes it
// another.
func TestExposed(t *testing.T) {
	late := fixOf("CVE-2025-1000", "2025-01-01", "2025-01-10", "2025-01-10")
	later := fixOf("CVE-2025-1001", "2025-01-05", "2025-01-20", "2025-01-20")
	open := fixOf("CVE-2025-1002", "2025-03-01", "2025-03-02", "")
	lost := fixOf("CVE-2025-1003", "2025-01-10", "2025-01-10", "2025-01-10")
	lose(&lost, "2025-01-15", audit.LostByBoot, "2025-01-17")
	gone := fixOf("CVE-2025-1004", "2025-01-10", "2025-01-10", "2025-01-10")
	lose(&gone, "2025-03-20", audit.LostByBoot, "")
	gone.Status = audit.StatusLost
	elsewhere := gone
	elsewhere.Status = audit.StatusOtherKernel // its kernel no longer runs
	unknown := audit.Exposure{CVE: "CVE-2025-1005", Status: audit.StatusNotInRecord}
	var got []string
	for _, s := range exposed([]audit.Exposure{open, late, later, lost, gone, elsewhere, unknown}, ts("2025-01-02").Time, ts("2025-04-01").Time) {
		got = append(got, fmt.Sprintf("%s %s %d %t", s.from.Format(time.DateOnly), s.to.Format(time.DateOnly), s.fixes, s.lost))
	}
	want := []string{
		"2025-01-02 2025-01-15 2 false", "2025-01-15 2025-01-17 2 true", "2025-01-17 2025-01-20 1 false",
		"2025-03-01 2025-03-20 1 false", "2025-03-20 2025-04-01 2 true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stretches (-want +got):\n%s", diff)
	}
}

func TestSummarize(t *testing.T) {
	lost, other := fixOf("CVE-2025-3", "2025-01-01", "2025-01-02", "2025-01-02"), fixOf("CVE-2025-4", "2025-01-01", "2025-01-05", "2025-01-05")
	lost.Status = audit.StatusLost
	got := audit.Summarize([]audit.Exposure{fixOf("CVE-2025-10000", "2025-01-01", "2025-01-02", ""), lost, other, {CVE: "CVE-2025-5", Status: audit.StatusNotInRecord}})
	want := &audit.Latency{Fixes: 3, Measured: 2, Median: new(int64(86400)), Worst: new(int64(4 * 86400)), WorstCVE: "CVE-2025-4", Open: 1, Lost: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&audit.Latency{}, audit.Summarize(nil)); diff != "" {
		t.Errorf("of nothing (-want +got):\n%s", diff)
	}
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
		{[]compliance.Rating{compliance.Fail, compliance.Pass, compliance.NotDetermined}, "Of 3 checks of profile p that apply, 1 fails, 1 cannot be determined and 1 passes."},
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

func TestDuration(t *testing.T) {
	for seconds, want := range map[int64]string{0: "0 s", 59: "59 s", 3599: "59 min", 3660: "1 h 1 min", 90000: "1 d 1 h", -5: "none: active before its release date"} {
		if got := duration(&seconds); got != want {
			t.Errorf("%d: got %q, want %q", seconds, got, want)
		}
	}
	if got := duration(nil); got != "not known" {
		t.Errorf("got %q", got)
	}
}

// The picture shows each loss of a fix, also of one that came back.
func TestPictureShowsEveryLoss(t *testing.T) {
	var e audit.Exposure
	for _, day := range []string{"2025-02-03", "2025-02-05", "2025-02-07"} {
		at := ts(day)
		from := record.At(at.AddDate(0, 0, -1))
		e.Intervals = append(e.Intervals, audit.Interval{From: from, To: &at, Lost: &at, LostBy: audit.LostByDowngrade, Confidence: audit.Proven})
	}
	e.Status = audit.StatusLost
	lost := 0
	for _, s := range exposed([]audit.Exposure{e}, ts("2025-01-01").Time, ts("2025-03-01").Time) {
		if s.lost {
			lost++
		}
	}
	if lost != 3 {
		t.Errorf("it shows %d", lost)
	}
}
