package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// A live patch is of no installed package only where the packages could be read.
func TestPackageOfALivePatch(t *testing.T) {
	m := storetest.Healthy(t)
	o := m.Last()
	o.LivePatch.Package = nil
	if text := written(t, func(b *bytes.Buffer) error { return Write(b, &Machine{Observation: o}, "table", table.Style{}) }); !strings.Contains(text, " of no installed package") {
		t.Errorf("the packages are known: %s", text)
	}
	o.Installed, o.Unknown["installed"] = nil, "rpm failed"
	if text := written(t, func(b *bytes.Buffer) error { return Write(b, &Machine{Observation: o}, "table", table.Style{}) }); strings.Contains(text, "no installed package") || !strings.Contains(text, " of a package that is not known") {
		t.Errorf("the packages are not known: %s", text)
	}
}

// A kernel without an initrd does not boot: that is said first, and what to do.
func TestTextsOfAMissingImage(t *testing.T) {
	o := storetest.Healthy(t).Last()
	o.LivePatch = nil
	o.Initrd = record.Initrd{KernelRelease: storetest.ReleaseA, Verdict: record.VerdictMissing, Basis: record.BasisImage, Reason: record.ReasonNoImage, Evidence: []record.Evidence{}}
	if text := initrdText(&audit.State{Initrd: &o.Initrd}); text != "no initrd, proven: this kernel does not boot" {
		t.Errorf("the state says %q", text)
	}
	text := written(t, func(b *bytes.Buffer) error { return Write(b, &Machine{Observation: o}, "table", table.Style{}) })
	if !strings.Contains(text, "no initrd: this kernel does not boot") || !strings.Contains(text, "dracut -f") {
		t.Errorf("the observation says\n%s", text)
	}
}

// A coverage that is over is called past.
func TestCoverageOfTheObserverIsDated(t *testing.T) {
	m := storetest.Healthy(t)
	for at, want := range map[time.Time]string{m.Now: "until 2026-08-31, by ", m.Now.AddDate(1, 0, 0): "until 2026-08-31 (past), by "} {
		text := written(t, func(b *bytes.Buffer) error { return Write(b, &Machine{m.Last(), at}, "table", table.Style{}) })
		if !strings.Contains(text, want) {
			t.Errorf("at %s it says\n%s", at, text)
		}
	}
}

// A live patch whose load may not be complete fixes nothing for sure, and an initial one nothing at all.
func TestWhatALivePatchFixes(t *testing.T) {
	number, initial := 3, false
	s := &audit.State{LivePatch: &record.LivePatch{Module: "m", PatchNumber: &number, Initial: &initial, Enabled: true, CVEs: []string{"CVE-2025-1"}}, Unknown: map[string]string{}}
	says := func(want string) {
		t.Helper()
		if got := activeText(s); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	says("patch 3 (m), 1 CVE fixed")
	s.LivePatch.Transition = true
	says("patch 3 (m), 1 CVE in it, not fixed yet, its transition not complete")
	s.LivePatch.Transition, s.Unknown["cves"] = false, "Whether its load was complete is not known."
	says("patch 3 (m), 1 CVE in it, not known to be fixed")

	initial = true
	s.Initrd = &record.Initrd{Verdict: record.VerdictContained}
	if got := initrdText(s); got != "yes, proven: a reboot keeps the live patch, which fixes nothing" {
		t.Error(got)
	}
}
