package audit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

// What is open is parted by severity and remedy, the gravest first; of another kernel, and of what protects, nothing counts.
func TestNewOpen(t *testing.T) {
	day := func(n int) *record.Timestamp { return new(record.At(time.Date(2026, 7, n, 0, 0, 0, 0, time.UTC))) }
	const kernel, patch = "kernel-default", "kernel-livepatch-6_4_0-150600_23_42-default"
	row := func(cve, severity, brings string, s ExposureStatus, since *record.Timestamp) Exposure {
		e := Exposure{CVE: cve, KernelRelease: "running", Package: brings, Severity: record.OrNil(severity), Status: s, OpenSince: since}
		if s == StatusAvailable {
			e.OnOffer = new("3-1.1")
		}
		return e
	}
	lost := row("CVE-2026-4", "moderate", patch, StatusLost, day(3))
	again := lost
	again.CVE, again.OnOffer = "CVE-2026-5", new("3-1.1")
	off := row("CVE-2026-9", "critical", patch, StatusUnknown, nil)
	off.OnOffer, off.NotOffered = new("3-1.1"), OfferOff
	other := row("CVE-2026-8", "critical", patch, StatusInstalled, day(1))
	other.KernelRelease = "other"
	o := &Offers{rows: []record.ReleaseRow{{}}, Looked: &record.Part[record.Repositories]{}}
	taken := row("CVE-2026-11", "critical", kernel, StatusInstalled, day(1))
	taken.OpenSince, taken.Exception = day(8), &Exception{}
	got := NewOpen([]Exposure{
		taken,
		lost, again, off, other,
		row("CVE-2026-1", "", patch, StatusInstalled, nil), row("CVE-2026-2", "important", kernel, StatusNeedsKernel, day(2)), row("CVE-2026-10", "important", patch, StatusAvailable, day(9)),
		row("CVE-2026-3", "important", patch, StatusAvailable, day(9)), row("CVE-2026-6", "critical", kernel, StatusInstalled, day(8)), row("CVE-2026-7", "critical", patch, StatusFixed, nil),
	}, "running", o)
	want := []OpenGroup{
		{"critical", RemedyReboot, 2}, {"important", RemedyPatch, 2}, {"important", RemedyKernel, 1}, {"", RemedyLoad, 1}, {"moderate", RemedyPatch, 1}, {"moderate", RemedyLoad, 1},
	}
	if diff := cmp.Diff(want, got.Groups); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var order []string
	for _, w := range got.Worst {
		order = append(order, w.CVE)
	}
	if diff := cmp.Diff([]string{"CVE-2026-6", "CVE-2026-3", "CVE-2026-10", "CVE-2026-2", "CVE-2026-1", "CVE-2026-5", "CVE-2026-4", "CVE-2026-11"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if got.Numbers != 8 || got.Accepted != 1 || got.Since == nil || !got.Since.Equal(day(2).Time) || got.Unknown != "" {
		t.Errorf("%+v", got)
	}
}

// That nothing is open is said only where it is known what was released, and which kernel runs.
func TestOpenIsUnknown(t *testing.T) {
	for running, o := range map[string]*Offers{"": {rows: []record.ReleaseRow{{}}}, "6.4.0-1-default": {}} {
		if got := NewOpen(nil, running, o); got.Unknown == "" || got.Numbers != 0 {
			t.Errorf("kernel %q: %+v", running, got)
		}
	}
}
