package picture

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
)

// Dates stand at round distances, few enough to be read, however long the time is.
func TestTicks(t *testing.T) {
	from := time.Date(2025, 1, 31, 7, 45, 10, 0, time.UTC)
	for _, d := range []time.Duration{time.Microsecond, time.Minute, 90 * time.Minute, 5 * time.Hour, 30 * time.Hour, 100 * time.Hour, 20 * 24 * time.Hour,
		100 * 24 * time.Hour, 700 * 24 * time.Hour, 10 * 365 * 24 * time.Hour, 60 * 365 * 24 * time.Hour} {
		p := Draw(&audit.Timeline{From: record.At(from), To: record.At(from.Add(d))}, nil, nil)
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
	p := Draw(tl, nil, nil)
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
	if p := Draw(nil, nil, nil); p != nil {
		t.Error("a picture of no timeline")
	}
	if p := Draw(&audit.Timeline{From: at, To: at}, nil, nil); p != nil {
		t.Error("a picture of a moment")
	}
}

// What is outside of the time that is drawn is not drawn; what reaches into it is cut.
func TestOutside(t *testing.T) {
	tl := &audit.Timeline{From: ts("2025-03-01"), To: ts("2025-04-01"), Kernels: []audit.KernelSpan{
		bootOf("1", "a", "2025-01-01", "2025-02-01"), bootOf("2", "b", "2025-02-01", "2025-03-10"), bootOf("3", "c", "2025-05-01", "2025-06-01"),
	}}
	p := Draw(tl, []audit.Exposure{fixOf("2025-01-01", "2025-01-02", "2025-01-03")}, []Mark{{Time: ts("2025-01-01"), Kind: "failed"}})
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
	p := Draw(tl, nil, nil)
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
	if p := Draw(tl, nil, nil); len(p.Bars) != 2 {
		t.Errorf("a load of a minute is drawn: %v", p.Bars)
	}
}

// Fixes that are missing at the same time are one stretch; one that was taken away makes it
// another.
func TestExposed(t *testing.T) {
	late := fixOf("2025-01-01", "2025-01-10", "2025-01-10")
	later := fixOf("2025-01-05", "2025-01-20", "2025-01-20")
	open := fixOf("2025-03-01", "2025-03-02", "")
	lost := fixOf("2025-01-10", "2025-01-10", "2025-01-10")
	lose(&lost, "2025-01-15", "2025-01-17")
	gone := fixOf("2025-01-10", "2025-01-10", "2025-01-10")
	lose(&gone, "2025-03-20", "")
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

// What is on offer counts since its release, or since the machine was without it; what only a newer kernel brings does not.
func TestExposedByWhatIsOnOffer(t *testing.T) {
	const pkg = "kernel-livepatch-6_4_0-150600_23_42-default"
	onOffer := audit.Exposure{Package: pkg, Released: new(ts("2025-01-01")), OnOffer: new("4-1.1"), Status: audit.StatusAvailable}
	since := onOffer
	since.OpenSince = new(ts("2025-02-01"))
	off := onOffer
	off.OnOffer, off.Status, off.NotOffered = nil, audit.StatusUnknown, audit.OfferOff
	kernel := audit.Exposure{Package: "kernel-default", Released: new(ts("2025-01-01")), Status: audit.StatusNeedsKernel}
	waits := kernel
	waits.Released, waits.Status = new(ts("2025-03-01")), audit.StatusInstalled
	var got []string
	for _, s := range exposed([]audit.Exposure{onOffer, since, off, kernel, waits}, ts("2025-01-01").Time, ts("2025-04-01").Time) {
		got = append(got, fmt.Sprintf("%s %s %d %t", s.from.Format(time.DateOnly), s.to.Format(time.DateOnly), s.fixes, s.lost))
	}
	if diff := cmp.Diff([]string{"2025-01-01 2025-04-01 3 false"}, got); diff != "" {
		t.Errorf("stretches (-want +got):\n%s", diff)
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

func ts(text string) record.Timestamp {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return record.At(t)
		}
	}
	panic(text)
}

func bootOf(id, release, from, to string) audit.KernelSpan {
	return audit.KernelSpan{Span: audit.Span{From: ts(from), To: ts(to), Confidence: audit.Proven}, BootID: id, KernelRelease: release}
}

// fixOf is a fix that was released, installed and active, or not.
func fixOf(released, installed, active string) audit.Exposure {
	e := audit.Exposure{Released: new(ts(released)), Installed: new(ts(installed)), Status: audit.StatusInstalled}
	if active != "" {
		e.Active, e.Status = new(ts(active)), audit.StatusFixed
		e.Intervals = []audit.Interval{{From: *e.Active, Confidence: audit.Proven}}
	}
	return e
}

// lose has a fix be taken away, and come back or not.
func lose(e *audit.Exposure, at, back string) {
	last := &e.Intervals[len(e.Intervals)-1]
	last.To, last.Lost, last.LostBy = new(ts(at)), new(ts(at)), audit.LostByBoot
	if e.Lost, e.LostBy = last.Lost, last.LostBy; back != "" {
		e.Back = new(ts(back))
		e.Intervals = append(e.Intervals, audit.Interval{From: *e.Back, Confidence: audit.Proven})
	}
}

// A picture also says what it shows, each span with its moments: also what is too thin to be told apart, and what
// is drawn as one bar. Names that are written from right to left turn nothing around them.
func TestTold(t *testing.T) {
	at := func(hour int) record.Timestamp {
		return record.At(time.Date(2025, 1, 1, hour, 0, 0, 0, time.UTC))
	}
	tl := &audit.Timeline{From: at(0), To: at(10_000)}
	for i := range 100 {
		span := audit.Span{From: at(i), To: at(i + 1), Confidence: audit.Proven}
		tl.Kernels = append(tl.Kernels, audit.KernelSpan{Span: span, BootID: "b", KernelRelease: "6.4.0"})
	}
	tl.Patches = []audit.PatchSpan{{Span: audit.Span{From: at(0), To: at(9), Confidence: audit.Inferred}, Module: "تصحيح"}}
	exposures := []audit.Exposure{
		{CVE: "CVE-2025-1", Released: new(at(1)), Active: new(at(5))}, {CVE: "CVE-2025-2", Released: new(at(2)), Active: new(at(4))},
	}
	p := Draw(tl, exposures, []Mark{{Time: at(3), Kind: "downgrade", What: "x 1-1", Event: 7}})
	got := map[string][]Row{}
	for _, table := range p.Tables {
		got[table.Name] = table.Rows
	}
	if rows := got["Boots and kernels"]; len(rows) != 100 || rows[0].From != at(99).Short() {
		t.Errorf("%d boots, the first %v", len(rows), rows[:min(1, len(rows))])
	}
	for name, want := range map[string]Row{
		"Live patches":                  {at(0).Short(), at(9).Short(), "Live patch \u2068تصحيح\u2069, patch ?", "inferred", nil, at(0)},
		"Fixes known and not active":    {at(1).Short(), at(5).Short(), "2 CVEs released, and not active: CVE-2025-1, CVE-2025-2", "", nil, at(1)},
		"Downgrades and failed changes": {at(3).Short(), at(3).Short(), "downgrade: x 1-1, event 7", "proven", nil, at(3)},
	} {
		if rows := got[name]; len(rows) != 1 || !reflect.DeepEqual(rows[0], want) {
			t.Errorf("%s: %+v, want %+v", name, rows, want)
		}
	}
}
