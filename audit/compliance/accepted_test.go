package compliance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// accepts returns a story in which somebody accepts open numbers until a moment.
func accepts(x record.ExceptionChange, until string) func(*storetest.Machine) {
	return func(m *storetest.Machine) {
		x.Action, x.Reason, x.Actor, x.Until = record.ExceptionAdd, "RISK-12", record.Actor{Login: "tux", SudoUser: "alice"}, new(record.At(storetest.When(m.T, until)))
		m.Write(&record.Event{Header: m.Header(record.KindException), Exception: &x})
	}
}

func number(cve string) record.ExceptionChange { return record.ExceptionChange{CVE: cve} }

func advisory(id string) record.ExceptionChange { return record.ExceptionChange{Advisory: id} }

// lives has a machine with live patch 2 of the first kernel live through what follows, until 2025-04-01.
func lives(t *testing.T, does ...func(*storetest.Machine)) *storetest.Machine {
	t.Helper()
	m := storetest.NewMachine(t, "2025-01-31T08:00:00Z")
	m.Installed, m.Next = []record.Package{storetest.KernelPackage(storetest.KernelA)}, storetest.ReleaseA
	m.StartRecording()
	m.Start(storetest.ReleaseA)
	m.Wait(time.Hour)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 2))
	m.Until("2025-04-01T09:00:00Z")
	for _, do := range does {
		do(m)
		m.Wait(time.Minute)
	}
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	return m
}

// What somebody accepts is left out of the checks that judge open numbers, for as long as that lasts; the rest is judged as
// before, and how much was left out is said.
func TestAcceptedNumbers(t *testing.T) {
	type does = []func(*storetest.Machine)
	patch := []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}
	kernel := []record.Package{storetest.KernelPackage(storetest.KernelB)}
	two := released(60, "important", "", patch, "CVE-2025-7001", "CVE-2025-7002")
	later := released(300, "important", "", kernel, "CVE-2025-7001")
	const june, march = "2025-06-01T00:00:00Z", "2025-04-01T09:30:00Z" // march is over when the machine is judged
	other := repository("2025-04-01", "2025-04-01")
	other.Alias = "other"
	for name, tt := range map[string]struct {
		check  string
		does   does
		want   Rating
		detail string
		by     []string // who is named beside the result
	}{
		"both by their advisory":     {"updates", does{two, accepts(advisory("SUSE-important"), june)}, Pass, "2 numbers can be fixed by a live patch that is on offer and not installed; 2 accepted by exceptions.", []string{"advisory SUSE-important"}},
		"both":                       {"updates", does{two, accepts(number("CVE-2025-7001"), june), accepts(number("CVE-2025-7002"), june)}, Pass, "; 2 accepted by exceptions.", []string{"CVE-2025-7001", "CVE-2025-7002"}},
		"one of two":                 {"updates", does{two, accepts(number("CVE-2025-7001"), june)}, Fail, "2 numbers can be fixed by a live patch that is on offer and not installed, 1 of them not accepted; the worst is CVE-2025-7002 (important advisory SUSE-important), open since 2025-01-31; 1 for longer than the profile allows; 1 accepted by exceptions.", []string{"CVE-2025-7001"}},
		"another one":                {"updates", does{two, accepts(number("CVE-2025-7003"), june)}, Fail, "2 numbers can be fixed by a live patch that is on offer and not installed; the worst is CVE-2025-7001", nil},
		"another advisory":           {"updates", does{two, accepts(advisory("SUSE-low"), june)}, Fail, "; 2 for longer than the profile allows.", nil},
		"expired":                    {"updates", does{two, accepts(advisory("SUSE-important"), march)}, Fail, "; 2 for longer than the profile allows.", nil},
		"expired, and one that runs": {"updates", does{two, accepts(advisory("SUSE-important"), june), accepts(advisory("SUSE-important"), march)}, Pass, "; 2 accepted by exceptions.", []string{"advisory SUSE-important"}},
		"ended": {"updates", does{two, func(m *storetest.Machine) {
			ev := &record.Event{Header: m.Header(record.KindException), Exception: &record.ExceptionChange{Action: record.ExceptionAdd, CVE: "CVE-2025-7001", Until: new(record.At(storetest.When(m.T, june)))}}
			m.Write(ev)
			m.Write(&record.Event{Header: m.Header(record.KindException), Exception: &record.ExceptionChange{Action: record.ExceptionEnd, Exception: ev.ID}})
		}}, Fail, "; 2 for longer than the profile allows.", nil},
		"before it was on offer":        {"updates", does{accepts(number("CVE-2025-7001"), june), released(60, "important", "", patch, "CVE-2025-7001")}, Pass, "1 number can be fixed by a live patch that is on offer and not installed; 1 accepted by exceptions.", []string{"CVE-2025-7001"}},
		"late":                          {"latency", does{two, accepts(advisory("SUSE-important"), june)}, Pass, "; 2 accepted by exceptions.", []string{"advisory SUSE-important"}},
		"late, one of two":              {"latency", does{two, accepts(number("CVE-2025-7001"), june)}, Fail, "the slowest is CVE-2025-7002", []string{"CVE-2025-7001"}},
		"late, expired":                 {"latency", does{two, accepts(advisory("SUSE-important"), march)}, Fail, "the slowest is CVE-2025-7001", nil},
		"only in a kernel":              {"residual", does{later, func(m *storetest.Machine) { m.Until("2025-12-01T09:00:00Z") }, accepts(number("CVE-2025-7001"), "2026-06-01T00:00:00Z")}, Pass, "1 number can be fixed only by a newer kernel; 1 accepted by exceptions.", []string{"CVE-2025-7001"}},
		"only in a kernel, not this":    {"residual", does{later, func(m *storetest.Machine) { m.Until("2025-12-01T09:00:00Z") }, accepts(number("CVE-2025-7009"), "2026-06-01T00:00:00Z")}, Warn, "; 1 for longer than the profile allows.", nil},
		"stale":                         {"updates", does{two, refreshed(repository("2025-01-10", "2025-01-10")), accepts(advisory("SUSE-important"), june)}, NotDetermined, "was refreshed last on 2025-01-10; 2 accepted by exceptions.", []string{"advisory SUSE-important"}},
		"of a repository that is off":   {"updates", does{released(60, "important", "", patch, "CVE-2025-7001"), refreshed(other), accepts(number("CVE-2025-7001"), june)}, Pass, "No live patch with a fix is on offer that is not installed; 1 accepted by exceptions.", []string{"CVE-2025-7001"}},
		"taken back, by number":         {"updates", does{released(10, "important", "retracted", []record.Package{storetest.PatchPackage(storetest.ReleaseA, 2)}, "CVE-2025-7001"), accepts(number("CVE-2025-7001"), june)}, Fail, "the vendor took back.", nil},
		"taken back, by advisory":       {"updates", does{released(10, "important", "retracted", []record.Package{storetest.PatchPackage(storetest.ReleaseA, 2)}, "CVE-2025-7001"), accepts(advisory("SUSE-importantretracted"), june)}, Fail, "the vendor took back.", nil},
		"the exception that ran out":    {"exceptions", does{two, accepts(number("CVE-2025-7001"), march), accepts(advisory("SUSE-important"), march)}, Fail, "2 exceptions expired: for CVE-2025-7001, until 2025-04-01T09:30:00Z; for advisory SUSE-important, until 2025-04-01T09:30:00Z.", nil},
		"the check, not the number":     {"updates", does{two, storetest.Except("updates", june)}, Fail, "; 2 for longer than the profile allows.", nil},
		"the number, in another's name": {"updates", does{two, accepts(record.ExceptionChange{Check: "CVE-2025-7001"}, june)}, Fail, "; 2 for longer than the profile allows.", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := judged(lives(t, tt.does...), profile(t, DefaultProfile)).of(t, tt.check)
			if r.Result != tt.want || !strings.Contains(r.Detail, tt.detail) {
				t.Errorf("%s: %s\nwant %s: %s", r.Result, r.Detail, tt.want, tt.detail)
			}
			var by []string
			for _, x := range r.Accepted {
				by = append(by, x.About())
				if x.By != "alice" || x.Reason != "RISK-12" || x.Expired || !slices.Contains(r.events(), x.Event) {
					t.Errorf("%+v, evidence %q", x, r.Evidence)
				}
			}
			if !slices.Equal(by, tt.by) {
				t.Errorf("accepted %q, want %q", by, tt.by)
			}
		})
	}
}

// An exception that was granted after a late fix was active does not make up for it; one that was granted before does, as
// long as it runs.
func TestExceptionComesBeforeTheFix(t *testing.T) {
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	offer := released(60, "important", "", []record.Package{patch3}, storetest.FixesOf(patch3).CVEs...)
	install := func(m *storetest.Machine) { m.Install(patch3) }
	accept := accepts(advisory("SUSE-important"), "2025-06-01T00:00:00Z")
	for name, tt := range map[string]struct {
		does []func(*storetest.Machine)
		want Rating
	}{
		"before": {[]func(*storetest.Machine){offer, accept, install}, Pass},
		"after":  {[]func(*storetest.Machine){offer, install, accept}, Fail},
		"never":  {[]func(*storetest.Machine){offer, install}, Fail},
	} {
		if r := judged(lives(t, tt.does...), profile(t, DefaultProfile)).of(t, "latency"); r.Result != tt.want {
			t.Errorf("%s: %s: %s", name, r.Result, r.Detail)
		}
	}
}

// A report as it was known at a moment knows of no exception that came later, and one as of a moment of none that was
// granted later.
func TestExceptionThatCameLater(t *testing.T) {
	m := lives(t, released(60, "important", "", []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, "CVE-2025-7001"))
	before := m.Now
	m.Wait(time.Hour)
	accepts(number("CVE-2025-7001"), "2025-06-01T00:00:00Z")(m)
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	s := m.OpenRecord()
	known, err := s.KnownAt(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	defer known.Close()
	p := profile(t, DefaultProfile)
	for name, tt := range map[string]struct {
		from audit.Reader
		at   time.Time
		want Rating
	}{
		"known then":  {known, m.Now, Fail},
		"as of then":  {s, before, Fail},
		"known today": {s, m.Now, Pass},
		"when it ran": {s, storetest.When(t, "2025-05-31T23:59:59Z"), NotDetermined}, // the repositories are stale then
		"after it":    {s, storetest.When(t, "2025-06-01T00:00:00Z"), Fail},
	} {
		sum, err := Judge(t.Context(), tt.from, p, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(sum.Checks, func(r CheckResult) bool { return r.ID == "updates" })
		if r := sum.Checks[i]; r.Result != tt.want {
			t.Errorf("%s: %s: %s", name, r.Result, r.Detail)
		}
	}
}
