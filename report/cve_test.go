package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// fixesFor are the fixes on record, of some numbers; none: of all.
func fixesFor(t *testing.T, s *store.Store, ids ...string) []audit.Exposure {
	t.Helper()
	tl, err := audit.WholeTimeline(t.Context(), s)
	storetest.Check(t, err)
	list, err := audit.NewExposures(t.Context(), s, tl, record.Always(), ids)
	storetest.Check(t, err)
	storetest.Check(t, audit.ReadInstallations(t.Context(), s, list))
	return list
}

// section is the CVE section of a record as of its end.
func cveSection(t *testing.T, s *store.Store) *CVEs {
	t.Helper()
	last, err := s.LastObserved(t.Context())
	storetest.Check(t, err)
	st, err := audit.NewState(t.Context(), s, last.Time)
	storetest.Check(t, err)
	return NewCVEs(fixesFor(t, s), st, storyProvenance("cve"))
}

// storyProvenance is that of the story, without what is another one each time.
func storyProvenance(section string) *Provenance {
	first, last := record.At(time.Date(2025, 1, 7, 10, 0, 0, 0, time.UTC)), record.At(time.Date(2026, 6, 29, 9, 0, 0, 0, time.UTC))
	return NewProvenance(section, "1.0.0", testNow, &record.Summary{
		Events: 592, Changes: 44, First: &first, Last: &last, RootHash: "USiWmeVhpY/a+KRku1TQZjMkgkQPbTVA7+IwOKyTEz0=",
		Host: record.Host{MachineID: "0123456789abcdef0123456789abcdef", Hostname: "db01"},
	})
}

func written(t *testing.T, write func(b *bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	storetest.Check(t, write(&b))
	return b.String()
}

func TestCVEGolden(t *testing.T) {
	c := cveSection(t, storetest.TwoYears(t).OpenRecord())
	for ending, style := range map[string]table.Style{"table80": {}, "table120": {Width: 120}, "table200": {Width: 200}} {
		text := written(t, func(b *bytes.Buffer) error { return Write(b, c, "table", style) })
		checkPlain(t, "cve", text, max(style.Width, 80))
		compareGolden(t, "testdata/cve."+ending, text)
	}
	for _, format := range []string{"json", "csv", "openvex"} {
		compareGolden(t, "testdata/cve."+format, written(t, func(b *bytes.Buffer) error { return Write(b, c, format, table.Style{}) }))
	}
	checkAgainst(t, readSchemas(t), "cve-2.json", written(t, func(b *bytes.Buffer) error { return Write(b, c, "json", table.Style{}) }))
	if err := Write(&bytes.Buffer{}, c, "xml", table.Style{}); err == nil || !strings.Contains(err.Error(), "openvex") {
		t.Errorf("xml: %v", err)
	}
}

func TestStateGolden(t *testing.T) {
	s := storetest.TwoYears(t).OpenRecord()
	for name, at := range map[string]string{"state": "2025-05-15T00:00:00Z", "state-off": "2025-04-22T03:15:00Z", "state-exact": "2026-06-29T03:00:00Z", "state-future": "2030-01-01"} {
		st, err := audit.NewState(t.Context(), s, storetest.When(t, at))
		storetest.Check(t, err)
		section := StateSection{st, storyProvenance("state")}
		for ending, style := range map[string]table.Style{"table80": {}, "table120": {Width: 120}, "table200": {Width: 200}} {
			text := written(t, func(b *bytes.Buffer) error { return Write(b, &section, "table", style) })
			checkPlain(t, name, text, max(style.Width, 80))
			compareGolden(t, "testdata/"+name+"."+ending, text)
		}
		text := written(t, func(b *bytes.Buffer) error { return Write(b, &section, "json", table.Style{}) })
		compareGolden(t, "testdata/"+name+".json", text)
		checkAgainst(t, readSchemas(t), "state-1.json", text)
	}
}

// All formats hold the same fixes.
func TestCVEFormatsHoldTheSameRows(t *testing.T) {
	c := cveSection(t, storetest.TwoYears(t).OpenRecord())
	records, err := csv.NewReader(strings.NewReader(written(t, func(b *bytes.Buffer) error { return Write(b, c, "csv", table.Style{}) }))).ReadAll()
	storetest.Check(t, err)
	var whole struct{ Exposures []audit.Exposure }
	storetest.Check(t, json.Unmarshal([]byte(written(t, func(b *bytes.Buffer) error { return Write(b, c, "json", table.Style{}) })), &whole))
	if diff := cmp.Diff(c.Exposures, whole.Exposures); diff != "" {
		t.Error(diff)
	}
	text := written(t, func(b *bytes.Buffer) error { return Write(b, c, "table", table.Style{Width: 200}) })
	for i, e := range c.Exposures {
		if records[i+1][0] != e.CVE || records[i+1][14] != string(e.Status) || !strings.Contains(text, e.CVE+" ") {
			t.Errorf("%s: CSV has %q", e.CVE, records[i+1])
		}
	}
}

// The same record gives the same document; where the record does not say, there is none.
func TestOpenVEX(t *testing.T) {
	s := storetest.TwoYears(t).OpenRecord()
	write := func(at string) (string, error) {
		st, err := audit.NewState(t.Context(), s, storetest.When(t, at))
		storetest.Check(t, err)
		var b bytes.Buffer
		return b.String(), func() error { err := writeVEX(&b, st, nil, nil, storyProvenance("cve")); return err }()
	}
	for at, want := range map[string]string{
		"2025-01-20":           "no live patch with fixes was active", // the initial patch
		"2025-01-08":           "no live patch with fixes was active",
		"2025-04-22T03:15:00Z": "the live patch is not known: No boot is on record",
		"2030-01-01":           "the live patch is not known: The machine was not observed since",
		"2025-08-13":           "the package of the running kernel is not known: Packages changed",
	} {
		if _, err := write(at); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", at, err, want)
		}
	}
}

// lastState is the state that the last observation shows.
func lastState(t *testing.T, s *store.Store) *audit.State {
	t.Helper()
	last, err := s.LastObserved(t.Context())
	storetest.Check(t, err)
	st, err := audit.NewState(t.Context(), s, last.Time)
	storetest.Check(t, err)
	return st
}

// What is open is affected, with what to do; what the kernel itself fixes is fixed; what was asked for and is not known is
// under investigation; and what nothing names is left out.
func TestOpenVEXOfWhatIsOpen(t *testing.T) {
	m := storetest.Patched(t, 2)
	patch3, kernelB := storetest.PatchPackage(storetest.ReleaseA, 3), storetest.KernelPackage(storetest.KernelB)
	for i, p := range []record.Package{patch3, kernelB, storetest.KernelPackage(storetest.KernelA)} {
		m.Releases(record.Released{Repo: "SLE-Module-Live-Patching15-SP6-Updates", ID: fmt.Sprint(i)}, []string{p.Name + " " + p.Version}, []string{fmt.Sprint("CVE-2025-900", i)})
	}
	m.Releases(record.Released{Repo: "SLE-Module-Live-Patching15-SP6-Updates", ID: "R", Status: record.StatusRetracted}, []string{patch3.Name + " " + patch3.Version}, []string{"CVE-2025-9003"})
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	s := m.OpenRecord()
	st := lastState(t, s)
	asked := []string{"CVE-2025-9000", "CVE-2025-9001", "CVE-2025-9002", "CVE-2025-9003", "CVE-2025-9004"}
	c := NewCVEs(fixesFor(t, s, asked...), st, storyProvenance("cve"))
	c.Asked = asked
	var doc vexDocument
	storetest.Check(t, json.Unmarshal([]byte(written(t, func(b *bytes.Buffer) error { return Write(b, c, "openvex", table.Style{}) })), &doc))
	var got []string
	for _, s := range doc.Statements {
		got = append(got, s.Vulnerability.Name+" "+s.Status+" "+s.Action)
	}
	want := []string{
		"CVE-2025-9000 affected It is on offer: install it with `zypper patch`.",
		"CVE-2025-9001 affected No live patch for the running kernel brings it: install kernel-default " + kernelB.Version + ", and reboot into it.",
		"CVE-2025-9002 fixed ", "CVE-2025-9003 under_investigation ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// There is no statement of a load that is not complete, and none of a number that was not asked for.
func TestOpenVEXOfATransition(t *testing.T) {
	m := storetest.Patched(t, 2)
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	s := m.OpenRecord()
	st := lastState(t, s)
	c := NewCVEs(fixesFor(t, s, "CVE-2025-4221"), st, storyProvenance("cve"))
	c.Asked = []string{"CVE-2025-4221"}
	if text := written(t, func(b *bytes.Buffer) error { return Write(b, c, "openvex", table.Style{}) }); !strings.Contains(text, "CVE-2025-4221") || strings.Contains(text, "CVE-2025-4222") {
		t.Errorf("of one number: %s", text)
	}
	st.LivePatch.Transition = true
	if err := Write(&bytes.Buffer{}, c, "openvex", table.Style{}); err == nil || !strings.Contains(err.Error(), "not complete") {
		t.Errorf("in a transition: %v", err)
	}
}

func TestPURL(t *testing.T) {
	for want, p := range map[string]record.Package{
		"pkg:rpm/suse/kernel-default@6.4.0-150600.23.42.2?arch=x86_64":  {Name: "kernel-default", Version: "6.4.0-150600.23.42.2", Arch: "x86_64"},
		"pkg:rpm/suse/kernel-rt@6.4.0-1%2Bgit%5E1~2?arch=s390x&epoch=1": {Name: "kernel-rt", Version: "1:6.4.0-1+git^1~2", Arch: "s390x"},
		"pkg:rpm/suse/%2F%3F%23@%1B?arch=":                              {Name: "/?#", Version: "\x1b"},
	} {
		if got := purl("suse", p); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestSummarize(t *testing.T) {
	lost, other := fixOf("CVE-2025-3", "2025-01-01", "2025-01-02", "2025-01-02"), fixOf("CVE-2025-4", "2025-01-01", "2025-01-05", "2025-01-05")
	lost.Status = audit.StatusLost
	got := audit.Summarize([]audit.Exposure{fixOf("CVE-2025-10000", "2025-04-01", "2025-04-02", ""), lost, other, {CVE: "CVE-2025-5", Status: audit.StatusNotInRecord}})
	want := &audit.Latency{Fixes: 3, Measured: 2, Median: new(int64(86400)), P90: new(int64(4 * 86400)), Worst: new(int64(4 * 86400)), WorstCVE: "CVE-2025-4", Open: 1, Lost: 1,
		Quarters: []audit.QuarterLatency{{Quarter: "2025-Q2", Fixes: 1}, {Quarter: "2025-Q1", Fixes: 2, Measured: 2, Median: new(int64(86400)), P90: new(int64(4 * 86400))}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&audit.Latency{Quarters: []audit.QuarterLatency{}}, audit.Summarize(nil)); diff != "" {
		t.Errorf("of nothing (-want +got):\n%s", diff)
	}
}

// An advisory whose severity is not known is an advisory all the same.
func TestWorstText(t *testing.T) {
	w := audit.OpenFix{CVE: "CVE-2026-1", Advisory: "SUSE-1", Since: new(ts("2026-07-01"))}
	if got, want := worstText(&w), "CVE-2026-1 (advisory SUSE-1), open since 2026-07-01"; got != want {
		t.Errorf("got %q, want %q", got, want)
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
