package report_test

import (
	"io"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
)

// BenchmarkHistoryCSV reads a history of 20,000 rows and writes it.
func BenchmarkHistoryCSV(b *testing.B) {
	s, err := store.Open(b.Context(), b.TempDir(), "1.0.0")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ev := &record.Event{Header: store.NewHeader(record.KindCommitEnd, b.TempDir(), "1.0.0"), End: &record.CommitEnd{Commit: "c", Outcome: record.OutcomeCompleted}}
	for range 20_000 {
		ev.End.Changes = append(ev.End.Changes, record.Change{
			Kind: "livepatch", Action: "upgrade", Package: "kernel-livepatch-6_4_0-150600_23_42-default", Arch: "x86_64", Version: "4-150600.13.12.1",
			Previous: "3-150600.13.9.1", Result: record.ResultOK, KernelRelease: "6.4.0-150600.23.42-default", PatchNumber: 4, Repo: "updates",
			Added: record.Fixes{CVEs: []string{"CVE-2026-1", "CVE-2026-2"}, Bugs: []string{"1234567", "1234568"}},
		})
	}
	if err := s.Append(b.Context(), ev); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		h := report.NewHistory(record.HistoryFilter{}, "csv", report.NewProvenance("history", "1.0.0", time.Unix(0, 0), &record.Summary{}))
		h.Rows = s.History(b.Context(), record.HistoryFilter{})
		if err := report.Write(io.Discard, h, "csv", table.Style{}); err != nil {
			b.Fatal(err)
		}
	}
}
