package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

func timelineOf(t *testing.T, s *store.Store, since, until time.Time, lists ...string) *Timeline {
	t.Helper()
	tl, err := NewTimeline(t.Context(), s, since, until, lists, storyProvenance("timeline"))
	storetest.Check(t, err)
	return tl
}

func TestTimelineGolden(t *testing.T) {
	s := storetest.TwoYears(t).OpenRecord()
	for name, tl := range map[string]*Timeline{
		"timeline":       timelineOf(t, s, time.Time{}, time.Time{}),
		"timeline-april": timelineOf(t, s, storetest.When(t, "2025-04-01"), storetest.When(t, "2025-05-01"), "not-in-initrd", "not-active"),
		"timeline-later": timelineOf(t, s, storetest.When(t, "2030-01-01"), time.Time{}),
	} {
		for ending, style := range map[string]table.Style{"table80": {}, "table120": {Width: 120}, "table200": {Width: 200}} {
			text := written(t, func(b *bytes.Buffer) error { return Write(b, tl, "table", style) })
			checkPlain(t, name, text, max(style.Width, 80))
			compareGolden(t, "testdata/"+name+"."+ending, text)
		}
		output := written(t, func(b *bytes.Buffer) error { return Write(b, tl, "json", table.Style{}) })
		compareGolden(t, "testdata/"+name+".json", output)
		compareGolden(t, "testdata/"+name+".csv", written(t, func(b *bytes.Buffer) error { return Write(b, tl, "csv", table.Style{}) }))
		checkAgainst(t, readSchemas(t), "timeline-1.json", output)
	}
}

// All formats have the same rows, and each table the events that show them.
func TestTimelineFormatsAgree(t *testing.T) {
	tl := timelineOf(t, storetest.TwoYears(t).OpenRecord(), time.Time{}, time.Time{})
	records, err := csv.NewReader(strings.NewReader(written(t, func(b *bytes.Buffer) error { return Write(b, tl, "csv", table.Style{}) }))).ReadAll()
	storetest.Check(t, err)
	var whole audit.Periods
	storetest.Check(t, json.Unmarshal([]byte(written(t, func(b *bytes.Buffer) error { return Write(b, tl, "json", table.Style{}) })), &whole))
	rows := 0
	for _, l := range timelineLists {
		rows += len(*l.of(&whole))
	}
	if rows == 0 || rows != len(records)-1 || int64(rows) != tl.Provenance.RowsShown {
		t.Errorf("%d rows in JSON, %d in CSV, %d counted", rows, len(records)-1, tl.Provenance.RowsShown)
	}
	for _, width := range []int{40, 80, 120, 200} {
		text := written(t, func(b *bytes.Buffer) error { return Write(b, tl, "table", table.Style{Width: width}) })
		if n := strings.Count(text, "EVENT"); n < len(timelineLists) {
			t.Errorf("%d columns: %d tables name their events:\n%s", width, n, text)
		}
	}
}

// An empty record has no periods, and says so.
func TestTimelineOfAnEmptyRecord(t *testing.T) {
	s, err := store.Open(t.Context(), t.TempDir(), "1.0.0")
	storetest.Check(t, err)
	t.Cleanup(func() { s.Close() })
	tl := timelineOf(t, s, time.Time{}, time.Time{})
	text := written(t, func(b *bytes.Buffer) error { return Write(b, tl, "table", table.Style{}) })
	for _, want := range []string{"No boot is on record.", "No live patch is known to have been installed and not active."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	checkAgainst(t, readSchemas(t), "timeline-1.json", written(t, func(b *bytes.Buffer) error { return Write(b, tl, "json", table.Style{}) }))
}

// What a record says of names is harmless in each format.
func TestTimelineOfHostileNames(t *testing.T) {
	evil := "=cmd|'/c calc'!A0\x1b[31m\u202e"
	p := audit.Period{KernelRelease: evil, BootID: evil, Module: evil, Package: &evil, Version: &evil, Fixes: []string{evil}, Why: evil, Phase: "initrd"}
	p.Span = audit.Span{From: record.At(testNow), To: record.At(testNow.Add(time.Hour)), Confidence: audit.Proven, Events: []int64{1}}
	tl := &Timeline{Periods: &audit.Periods{From: p.From, To: p.To, Boots: []audit.Period{p}, Patches: []audit.Period{p}, NotActive: []audit.Period{p}, NotInInitrd: []audit.Period{p}, Gaps: []audit.Period{p}}, Provenance: storyProvenance("timeline")}
	for _, width := range []int{40, 80, 120, 400} {
		checkPlain(t, "hostile", written(t, func(b *bytes.Buffer) error { return Write(b, tl, "table", table.Style{Width: width}) }), 400)
	}
	for _, format := range []string{"csv", "json"} {
		text := written(t, func(b *bytes.Buffer) error { return Write(b, tl, format, table.Style{}) })
		if strings.ContainsAny(text, "\x1b\u202e") || format == "csv" && strings.Contains(text, ",=cmd") {
			t.Errorf("%s: %q", format, text)
		}
	}
}
