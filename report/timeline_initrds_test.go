package report

import (
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// initrdSpans are the spans of a machine's whole timeline.
func initrdSpans(m *machine) []InitrdSpan {
	m.t.Helper()
	tl, err := WholeTimeline(m.t.Context(), m.record())
	check(m.t, err)
	return tl.Initrds
}

// What an image holds says nothing of when it was written: a build that nobody logged may have
// done that at any time.
func TestAnImageHoldsSinceItWasRead(t *testing.T) {
	m := patched(t, 2)
	m.wait(time.Hour)
	m.install(patchPackage(releaseA, 3))
	o := m.last()
	o.Initrd.Verdict, o.Initrd.Basis = record.VerdictContained, record.BasisImage
	read := m.written[len(m.written)-1].Time
	for _, s := range initrdSpans(m) {
		if s.Basis == record.BasisImage && s.From.Before(read.Time) {
			t.Errorf("from %s, %s; it was read at %s", s.From, s.Confidence, read)
		}
	}
}
