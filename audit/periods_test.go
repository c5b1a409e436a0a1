package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/store/storetest"
)

func periodsOf(m *storetest.Machine, since, until time.Time) *Periods {
	m.T.Helper()
	p, err := NewPeriods(m.T.Context(), m.OpenRecord(), since, until)
	storetest.Check(m.T, err)
	return p
}

// brief is a period in a line.
func brief(p Period) string {
	number := "-"
	if p.PatchNumber != nil {
		number = fmt.Sprint(*p.PatchNumber)
	}
	text := fmt.Sprintf("%s %s %s patch %s", p.From.Format("01-02 15:04"), p.To.Format("01-02 15:04"), p.Confidence, number)
	if len(p.Fixes) > 0 {
		text += " " + strings.Join(p.Fixes, " ")
	}
	return strings.TrimSpace(text + " " + p.Why)
}

func briefs(list []Period) (lines []string) {
	for _, p := range list {
		lines = append(lines, brief(p))
	}
	return lines
}

// In the story an image of before is put back, so that a boot runs an older live patch than the installed one.
func TestPeriodsOfTheStory(t *testing.T) {
	p := periodsOf(storetest.TwoYears(t), time.Time{}, time.Time{})
	for _, of := range []struct {
		name string
		got  []Period
		want []string
	}{
		{"not active", p.NotActive, []string{
			"04-22 03:22 04-23 08:00 proven patch 4 CVE-2025-4241 CVE-2025-4242 livepatch_3_150600_13_9_1 was active.",
		}},
		{"not in the initrd", p.NotInInitrd, []string{
			"04-21 03:00 04-22 03:13 inferred patch 4",
		}},
	} {
		if diff := cmp.Diff(of.want, briefs(of.got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", of.name, diff)
		}
	}
	if len(p.Boots) != 7 || len(p.Gaps) == 0 {
		t.Errorf("%d boots, %d gaps", len(p.Boots), len(p.Gaps))
	}
	for i, b := range p.Boots {
		if b.PatchNumber == nil || b.KernelRelease == "" {
			t.Errorf("boot %d: %s", i, brief(b))
		}
	}
	if got := briefs(p.Patches)[5]; got != "04-01 09:00 04-22 03:13 proven patch 4" {
		t.Errorf("active: %s", got)
	}
}

// What is asked for is cut, and nothing else becomes of it.
func TestPeriodsOfAStretch(t *testing.T) {
	m := storetest.TwoYears(t)
	p := periodsOf(m, storetest.When(t, "2025-04-22T12:00:00Z"), storetest.When(t, "2025-04-23T00:00:00Z"))
	want := []string{"04-22 12:00 04-23 00:00 proven patch 4 CVE-2025-4241 CVE-2025-4242 livepatch_3_150600_13_9_1 was active."}
	if diff := cmp.Diff(want, briefs(p.NotActive)); diff != "" {
		t.Error(diff)
	}
	if w := p.NotActive[0]; !w.Open || w.Seconds != 12*3600 {
		t.Errorf("open %t, %d s", w.Open, w.Seconds)
	}
	if n := len(p.Boots); n != 1 || !p.Boots[0].From.Equal(p.From.Time) {
		t.Errorf("%d boots, from %s", n, p.From)
	}
}

// Whatever happens to a machine: where a live patch is said to have been installed and not active, or active and not in
// the initrd, it was.
func TestPeriodsAgainstTheTruth(t *testing.T) {
	said := 0
	for seed := range uint64(storetest.Few(20, 400)) {
		m := storetest.RandomMachine(t, storetest.NewRand(seed))
		p := periodsOf(m, time.Time{}, time.Time{})
		for _, w := range p.NotActive {
			if w.Confidence == Unknown {
				continue
			}
			said++
			if truth := m.At(w.From.Add(w.To.Sub(w.From.Time) / 2)); !slices.Contains(truth.Installed, *w.Package+"-"+*w.Version) || truth.Module == w.Module && truth.Kernel == w.KernelRelease {
				t.Errorf("seed %d: %s; in truth %+v", seed, brief(w), truth)
			}
		}
		for _, w := range p.NotInInitrd {
			if truth := m.At(w.From.Add(w.To.Sub(w.From.Time) / 2)); truth.Module != w.Module || truth.InInitrd == w.Module {
				t.Errorf("seed %d: not in the initrd %s; in truth %+v", seed, brief(w), truth)
			}
		}
		for _, w := range p.Patches {
			if truth := m.At(w.From.Add(w.To.Sub(w.From.Time) / 2)); w.Confidence != Unknown && w.Why == "" && (truth.Module != w.Module || truth.Kernel != w.KernelRelease) {
				t.Errorf("seed %d: active %s; in truth %+v", seed, brief(w), truth)
			}
		}
	}
	if said == 0 {
		t.Error("nothing was said")
	}
}
