package audit

import (
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// initrdSpans are the spans of a machine's whole timeline.
func initrdSpans(m *storetest.Machine) []InitrdSpan {
	m.T.Helper()
	tl, err := WholeTimeline(m.T.Context(), m.OpenRecord())
	storetest.Check(m.T, err)
	return tl.Initrds
}

// What an image holds says nothing of when it was written: a build that nobody logged may have
// done that at any time.
func TestAnImageHoldsSinceItWasRead(t *testing.T) {
	m := storetest.Patched(t, 2)
	m.Wait(time.Hour)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
	o := m.Last()
	o.Initrd.Verdict, o.Initrd.Basis = record.VerdictContained, record.BasisImage
	read := m.Written[len(m.Written)-1].Time
	for _, s := range initrdSpans(m) {
		if s.Basis == record.BasisImage && s.From.Before(read.Time) {
			t.Errorf("from %s, %s; it was read at %s", s.From, s.Confidence, read)
		}
	}
}
