package browser

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/report/table"
)

// crowd is the page of a machine with 500 boots and 10,000 changes.
func crowd(t *testing.T) string {
	t.Helper()
	start := time.Date(2025, 1, 1, 8, 0, 0, 0, time.UTC)
	at := func(hours int) record.Timestamp {
		return record.At(start.Add(time.Duration(hours) * time.Hour))
	}
	tl := &audit.Timeline{From: at(0), To: at(500 * 24)}
	var exposures []audit.Exposure
	for i := range 500 {
		span := audit.Span{From: at(i * 24), To: at(i*24 + 23), Confidence: audit.Proven}
		release, n := fmt.Sprintf("6.4.0-150600.23.%d-default", 42+i/50), 1+i%50/10
		tl.Kernels = append(tl.Kernels, audit.KernelSpan{Span: span, BootID: fmt.Sprintf("%032x", i+1), KernelRelease: release})
		tl.Patches = append(tl.Patches, audit.PatchSpan{Span: span, Module: fmt.Sprintf("livepatch_%d_150600_13_%d", n, 3*n), PatchNumber: &n, Initial: new(n == 1)})
		tl.Initrds = append(tl.Initrds, audit.InitrdSpan{Span: span, Verdict: []record.Verdict{record.VerdictContained, record.VerdictMissing}[i/40%2]})
		if i%100 == 7 {
			tl.Gaps = append(tl.Gaps, audit.Gap{Span: span, Kind: audit.GapSilence, Why: "The machine was not observed."})
		}
		if n > 1 && i%10 == 0 {
			exposures = append(exposures, audit.Exposure{
				CVE: fmt.Sprintf("CVE-2025-%d", 20000+i), Released: new(at(i*24 - 90)), Installed: new(at(i * 24)), Active: new(at(i * 24)), Status: audit.StatusFixed, Seconds: new(int64(90 * 3600)),
			})
		}
	}
	sum := &record.Summary{Events: 20_000, Changes: 10_000, Host: record.Host{Hostname: "db01"}, First: new(at(0)), Last: new(at(12000))}
	p := report.NewProvenance("report", "1.0.0", tl.To.Time, sum)
	full := &report.Full{
		Provenance: p, Timeline: tl, Exposures: exposures, Latency: audit.Summarize(exposures), Integrity: &report.Integrity{TreeSize: sum.Events},
		State:      &audit.State{At: tl.To, Confidence: audit.Unknown},
		Compliance: &compliance.Summary{Open: &audit.Open{}, Latency: audit.Summarize(nil), Profile: "default", Verdict: compliance.NotDetermined, At: tl.To, Since: tl.From},
		History:    &report.History{Provenance: p, Rows: changes(at)},
	}
	var b bytes.Buffer
	check(t, report.Write(&b, full, "html", table.Style{}))
	return written(t, b.String())
}

func changes(at func(int) record.Timestamp) func(func(*record.HistoryRow, error) bool) {
	return func(yield func(*record.HistoryRow, error) bool) {
		for i := 10_000; i > 0; i-- {
			row := &record.HistoryRow{
				Time: at(i), Event: int64(2 * i), Action: "upgrade", Package: "kernel-livepatch-6_4_0-150600_23_42-default", Version: fmt.Sprintf("%d-150600.13.3.1", i),
				Previous: new("1-150600.13.3.1"), Result: record.ResultOK, Outcome: new(record.OutcomeCompleted), Command: new("zypper --non-interactive patch"),
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}
