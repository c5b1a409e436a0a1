package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report/page"
	"github.com/klp-audit/klp-audit/report/picture"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// scenes are whole reports as values, each with what a page must cope with.
func scenes() map[string]*Full {
	return map[string]*Full{"years": years(), "fresh": fresh(), "empty": nothing(), "hostile": hostile(), "altered": altered()}
}

func ts(text string) record.Timestamp {
	t, err := ParseTime(text, testNow.UTC(), time.Time{})
	if err != nil {
		panic(err)
	}
	return record.At(t)
}

func between(from, to string) audit.Span {
	return audit.Span{From: ts(from), To: ts(to), Confidence: audit.Proven, Events: []int64{1}}
}

func bootOf(n int, release, from, to string) audit.KernelSpan {
	return audit.KernelSpan{Span: between(from, to), BootID: fmt.Sprintf("%032x", n*7919), KernelRelease: release}
}

func patchOf(kernel string, n int, from, to string) audit.PatchSpan {
	name, version := "kernel-livepatch-6_4_0-150600_"+kernel+"-default", fmt.Sprintf("%d-150600.13.%d.1", n, 3*n)
	return audit.PatchSpan{
		Span: between(from, to), BootID: fmt.Sprintf("%032x", 7919), Module: fmt.Sprintf("livepatch_%d_150600_13_%d", n, 3*n),
		Package: &name, Version: &version, PatchNumber: &n, Initial: new(n == 1), Phase: "system", Since: new(ts(from)),
	}
}

func initrdOf(v record.Verdict, from, to string) audit.InitrdSpan {
	return audit.InitrdSpan{Span: between(from, to), Module: "livepatch_3_150600_13_9", Verdict: v, Basis: record.BasisBuild}
}

// lose has a fix be taken away, and come back or not.
func lose(e *audit.Exposure, at string, by audit.LossCause, back string) {
	last := &e.Intervals[len(e.Intervals)-1]
	last.To, last.Lost, last.LostBy = new(ts(at)), new(ts(at)), by
	if e.Lost, e.LostBy, e.Back = last.Lost, by, nil; back != "" {
		e.Back = new(ts(back))
		e.Intervals = append(e.Intervals, audit.Interval{From: *e.Back, Confidence: audit.Proven})
	}
}

func fixOf(cve, released, installed, active string) audit.Exposure {
	e := audit.Exposure{
		CVE: cve, KernelRelease: storetest.ReleaseA, Package: "kernel-livepatch-6_4_0-150600_23_42-default", Version: "3-150600.13.9.1", ReleasedBy: "build-time",
		Advisory: new("SUSE-SLE-Module-Live-Patching-15-SP6-2025-" + cve[9:]), Severity: new("important"), Status: audit.StatusInstalled, Events: []int64{4},
	}
	for _, m := range []struct {
		text string
		into **record.Timestamp
	}{{released, &e.Released}, {installed, &e.Installed}, {active, &e.Active}} {
		if m.text != "" {
			*m.into = new(ts(m.text))
		}
	}
	e.Intervals = []audit.Interval{}
	if e.Active != nil {
		e.Intervals = append(e.Intervals, audit.Interval{From: *e.Active, Confidence: audit.Proven})
	}
	if e.Active != nil {
		e.Status, e.InInitrd = audit.StatusFixed, e.Active
		e.Seconds = new(int64(e.Active.Sub(e.Released.Time).Seconds()))
	}
	return e
}

func change1(event int64, at, action, version, previous string) *record.HistoryRow {
	completed := record.OutcomeCompleted
	r := &record.HistoryRow{
		Time: ts(at), TimeSource: "commit", UTCOffset: "+01:00", Commit: new(fmt.Sprintf("019ab0f2-0000-7000-8000-%012d", event)), Event: event, Host: "db01",
		BootID: fmt.Sprintf("%032x", 7919), Kind: "livepatch", Action: record.Action(action), Package: "kernel-livepatch-6_4_0-150600_23_42-default", Arch: "x86_64",
		Version: version, KernelRelease: new(storetest.ReleaseA), Result: record.ResultOK, Outcome: &completed, Source: "plugin",
		Actor:   record.RowActor{Login: new("root"), SudoUser: new("tux"), Exe: new("/usr/bin/zypper"), TTY: new("pts/0"), Session: new("3")},
		Command: new("zypper --non-interactive patch --with-interactive"), UserData: new("CHG-4711"),
		Advisories: []string{}, CVEsAdded: []string{}, CVEsRemoved: []string{}, BugsAdded: []string{}, BugsRemoved: []string{}, Scripts: []record.Script{},
	}
	if previous != "" {
		r.Previous = &previous
	}
	return r
}

// whole puts a report together from its rows.
func whole(f *Full, rows ...*record.HistoryRow) *Full {
	sum := &record.Summary{Events: 412, Changes: int64(len(rows)), Commits: int64(len(rows)), Host: record.Host{MachineID: "0123456789abcdef0123456789abcdef", Hostname: "db01"},
		RootHash: "3u8C0s5d+q1yQ7mFw/0T6gH2jK9lZx4vB8nM1aS5dFg="}
	if len(rows) > 0 {
		sum.First, sum.Last = &rows[len(rows)-1].Time, &rows[0].Time
	} else {
		sum.Events, sum.RootHash = 0, ""
	}
	f.Provenance = NewProvenance("report", "1.0.0", testNow, sum)
	f.Integrity = &Integrity{TreeSize: sum.Events, RootHash: sum.RootHash}
	if len(rows) > 0 {
		f.Integrity.Key = "klp-audit/33650f8b6cc19751+b7c0686a+AWAsDYiKubPw+L9Hq9qhbMSJbPHoeNahXNb/sqoTtZ6F"
		f.Integrity.Checkpoint = "klp-audit/33650f8b6cc19751\n412\n3u8C0s5d+q1yQ7mFw/0T6gH2jK9lZx4vB8nM1aS5dFg=\n\n— klp-audit/33650f8b6cc19751 t8Boaq0N2tY8tQ9yD5b1m3u7Vx0Zs1Kc4Lr6Jp2Hf8Ge9Wd5Xa7Qv3Un1Mk0=\n"
		f.Integrity.Verified, f.Integrity.Result = new(ts("2026-11-23T02:10:00Z")), "intact"
	}
	f.History = &History{Rows: listed(rows), Provenance: f.Provenance}
	return f
}

// A change that nobody recorded while it was made does not look like one that was recorded.
func TestSourceIsShown(t *testing.T) {
	rows := func() (list []*record.HistoryRow) {
		for i, source := range record.Sources() {
			row := change1(int64(i+1), "2026-05-13T09:00:00Z", "install", "1-1", "")
			row.Source = source
			list = append(list, row)
		}
		return list
	}
	names := regexp.MustCompile(`\b(drift|import)\b`)
	for _, width := range []int{60, 80, 120, 200} {
		var text bytes.Buffer
		h := &History{Rows: listed(rows()), Provenance: whole(&Full{}, rows()...).Provenance}
		storetest.Check(t, Write(&text, h, "table", table.Style{Width: width}))
		changes, legend, _ := strings.Cut(text.String(), "changes shown")
		if got := names.FindAllString(changes, -1); strings.Join(got, " ") != "drift import" {
			t.Errorf("%d columns: %q\n%s", width, got, text.String())
		}
		if !strings.Contains(legend, "drift") || !strings.Contains(legend, "import") {
			t.Errorf("%d columns: what they mean is not said:\n%s", width, legend)
		}
	}
	var p page.Page
	storetest.Check(t, (&History{Rows: listed(rows()), Provenance: whole(&Full{}, rows()...).Provenance}).onPage(&p))
	for i, want := range []string{"", "found as drift", "imported"} {
		if got := p.History.Commits[i].Source; got != want {
			t.Errorf("on the page: %q, want %q", got, want)
		}
	}
}

func listed(rows []*record.HistoryRow) iter.Seq2[*record.HistoryRow, error] {
	return func(yield func(*record.HistoryRow, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// years is a host over two years: what can go wrong did, once.
func years() *Full {
	off := between("2025-08-12", "2025-08-19")
	off.Confidence, off.Events = audit.Unknown, []int64{}
	f := &Full{
		Timeline: &audit.Timeline{
			From: ts("2025-01-06"), To: ts("2026-11-23T08:30:00Z"),
			Kernels: []audit.KernelSpan{
				bootOf(1, storetest.ReleaseA, "2025-01-06", "2025-03-11T20:00:00Z"), bootOf(2, storetest.ReleaseA, "2025-03-11T20:02:00Z", "2025-04-22T03:17:00Z"),
				bootOf(3, storetest.ReleaseA, "2025-04-22T03:22:00Z", "2025-07-08T20:00:00Z"), bootOf(4, storetest.ReleaseB, "2025-07-08T20:02:00Z", "2025-08-12"),
				{Span: off},
				bootOf(5, storetest.ReleaseB, "2025-08-19", "2025-10-08T20:00:00Z"), bootOf(6, storetest.ReleaseB, "2025-10-08T20:02:00Z", "2025-12-12T20:00:00Z"),
				bootOf(7, storetest.ReleaseC, "2025-12-12T20:02:00Z", "2026-11-23T08:30:00Z"),
			},
			Patches: []audit.PatchSpan{
				{Span: between("2025-01-06", "2025-01-10T09:00:00Z")},
				patchOf("23_42", 1, "2025-01-10T09:00:00Z", "2025-02-04T09:00:00Z"), patchOf("23_42", 2, "2025-02-04T09:00:00Z", "2025-02-25T09:00:00Z"),
				patchOf("23_42", 3, "2025-02-25T09:00:00Z", "2025-04-01T09:00:00Z"), patchOf("23_42", 4, "2025-04-01T09:00:00Z", "2025-04-22T03:17:00Z"),
				patchOf("23_42", 3, "2025-04-22T03:22:00Z", "2025-04-29T09:00:00Z"), patchOf("23_42", 5, "2025-04-29T09:00:00Z", "2025-05-13T09:00:00Z"),
				patchOf("23_42", 4, "2025-05-13T09:00:00Z", "2025-05-25T09:00:00Z"), patchOf("23_42", 5, "2025-05-25T09:00:00Z", "2025-07-08T20:00:00Z"),
				patchOf("23_47", 1, "2025-07-08T20:02:00Z", "2025-08-05"), patchOf("23_47", 2, "2025-08-05", "2025-08-12"),
				{Span: off},
				patchOf("23_47", 3, "2025-08-19", "2025-09-30"), patchOf("23_47", 4, "2025-09-30", "2025-12-12T20:00:00Z"),
				patchOf("23_53", 1, "2025-12-12T20:02:00Z", "2026-01-20"), patchOf("23_53", 2, "2026-01-20", "2026-03-30"),
				patchOf("23_53", 4, "2026-03-30", "2026-06-08"), patchOf("23_53", 6, "2026-06-08", "2026-09-14"),
				patchOf("23_53", 7, "2026-09-14", "2026-11-23T08:30:00Z"),
			},
			Initrds: []audit.InitrdSpan{
				initrdOf(record.VerdictContained, "2025-01-10T09:00:00Z", "2025-04-01T09:00:00Z"), initrdOf(record.VerdictMissing, "2025-04-01T09:00:00Z", "2025-04-29T09:00:00Z"),
				initrdOf(record.VerdictContained, "2025-04-29T09:00:00Z", "2025-08-12"), {Span: off},
				initrdOf(record.VerdictContained, "2025-08-19", "2026-10-20"), initrdOf(record.VerdictMissing, "2026-10-20", "2026-11-23T08:30:00Z"),
			},
			Gaps: []audit.Gap{{Span: off, Kind: audit.GapSilence, Why: "The machine ran, and was not observed: the recorder did not work."}},
		},
		Exposures: []audit.Exposure{
			fixOf("CVE-2025-1021", "2025-01-29", "2025-02-04T09:00:00Z", "2025-02-04T09:00:12Z"), fixOf("CVE-2025-1031", "2025-02-18", "2025-02-25T09:00:00Z", "2025-02-25T09:00:09Z"),
			fixOf("CVE-2025-1041", "2025-03-20", "2025-04-01T09:00:00Z", "2025-04-01T09:00:11Z"), fixOf("CVE-2025-1051", "2025-04-20", "2025-04-29T09:00:00Z", "2025-04-29T09:00:08Z"),
			fixOf("CVE-2025-2021", "2025-07-20", "2025-08-05", "2025-08-05T09:00:00Z"), fixOf("CVE-2025-2041", "2025-09-10", "2025-09-30", "2025-09-30T09:00:00Z"),
			fixOf("CVE-2026-3021", "2026-01-08", "2026-01-20", "2026-01-20T09:00:00Z"), fixOf("CVE-2026-3041", "2026-02-12", "2026-03-30", "2026-03-30T09:00:00Z"),
			fixOf("CVE-2026-3061", "2026-05-28", "2026-06-08", "2026-06-08T09:00:00Z"), fixOf("CVE-2026-3071", "2026-09-01", "2026-09-14", "2026-09-14T09:00:00Z"),
			fixOf("CVE-2026-3081", "2026-11-09", "2026-11-17T10:00:00Z", ""), fixOf("CVE-2026-3082", "2026-11-09", "2026-11-17T10:00:00Z", ""),
		},
		Marks: []picture.Mark{
			{Time: ts("2025-05-13T09:00:00Z"), Kind: "downgrade", What: "kernel-livepatch-6_4_0-150600_23_42-default 4-150600.13.12.1", Event: 91},
			{Time: ts("2025-06-03T09:00:00Z"), Kind: "failed", What: "kernel-livepatch-6_4_0-150600_23_42-default 6-150600.13.18.1", Event: 104},
			{Time: ts("2026-11-17T10:00:00Z"), Kind: "failed", What: "kernel-livepatch-6_4_0-150600_23_53-default 8-150600.13.24.1", Event: 398},
		},
	}
	f.Exposures[10].Exception = new(riskTaken())
	for i := range f.Exposures[:2] {
		e := &f.Exposures[2+i]
		lose(e, "2025-04-22T03:22:00Z", audit.LostByBoot, "2025-04-29T09:00:00Z")
		if i == 1 {
			lose(e, "2025-05-13T09:00:00Z", audit.LostByDowngrade, "2025-05-25T09:00:00Z")
		}
	}
	f.Latency = audit.Summarize(f.Exposures)
	f.State = yearsState()
	f.Compliance = yearsCompliance()
	failed := change1(398, "2026-11-17T10:00:00Z", "upgrade", "8-150600.13.24.1", "7-150600.13.21.1")
	failed.Result, failed.Outcome = record.ResultFailed, new(record.OutcomeFailed)
	down := change1(91, "2025-05-13T09:00:00Z", "downgrade", "4-150600.13.12.1", "5-150600.13.15.1")
	down.CVEsRemoved = []string{"CVE-2025-1051"}
	up := change1(88, "2025-04-29T09:00:00Z", "upgrade", "5-150600.13.15.1", "3-150600.13.9.1")
	up.CVEsAdded = []string{"CVE-2025-1041", "CVE-2025-1051"}
	kernel := change1(140, "2025-07-01T09:00:00Z", "install", storetest.KernelB, "")
	kernel.Package, kernel.Kind = "kernel-default", "kernel"
	salt := change1(380, "2026-09-14T03:00:00Z", "upgrade", "7-150600.13.21.1", "6-150600.13.18.1")
	salt.Actor = record.RowActor{Login: new("unset"), Automation: new("salt-minion")}
	salt.UserData, salt.CVEsAdded = nil, []string{"CVE-2026-3071"}
	return whole(f, failed, salt, kernel, down, up, change1(4, "2025-01-10T09:00:00Z", "install", "1-150600.13.3.1", ""))
}

func yearsState() *audit.State {
	s := &audit.State{
		At: ts("2026-11-23T08:30:00Z"), KernelRelease: new(storetest.ReleaseC), BootID: new(fmt.Sprintf("%032x", 7*7919)), CoveredUntil: new("2026-12-31"), PendingReboot: new("no"),
		Confidence: audit.Proven, Unknown: map[string]string{}, Events: []int64{411}, ObservedAt: new(ts("2026-11-23T03:00:00Z")),
		LivePatch: &record.LivePatch{
			Module: "livepatch_7_150600_13_21", Package: new("kernel-livepatch-6_4_0-150600_23_53-default"), Version: new("7-150600.13.21.1"),
			PatchNumber: new(7), Initial: new(false), Enabled: true, Since: new(ts("2026-09-14T09:00:00Z")),
		},
		Initrd:   &record.Initrd{KernelRelease: storetest.ReleaseC, Patch: "livepatch_7_150600_13_21", Verdict: record.VerdictMissing, Basis: record.BasisBuild, Evidence: []record.Evidence{}},
		NextBoot: &audit.NextBoot{KernelRelease: storetest.ReleaseC},
		Installed: []record.Package{
			{Name: "kernel-default", Version: storetest.KernelB, Arch: "x86_64"}, {Name: "kernel-default", Version: storetest.KernelC, Arch: "x86_64"},
			{Name: "kernel-livepatch-6_4_0-150600_23_53-default", Version: "7-150600.13.21.1", Arch: "x86_64"},
		},
	}
	for i := range 43 {
		s.CVEs = append(s.CVEs, fmt.Sprintf("CVE-2026-%d", 23000+137*i))
	}
	s.LivePatch.CVEs = s.CVEs
	return s
}

// yearsOpen are open fixes of every remedy; of one it is not known since when.
func yearsOpen() *audit.Open {
	fix := func(cve, severity string, since string, remedy audit.Remedy) audit.OpenFix {
		w := audit.OpenFix{CVE: cve, Severity: severity, Advisory: "SUSE-SU-2026:" + cve[9:] + "-1", Title: "Security update for the Linux Kernel", Remedy: remedy, Inferred: remedy == audit.RemedyKernel, Events: []int64{7, 9}}
		if since != "" {
			w.Since = new(ts(since))
		}
		return w
	}
	return &audit.Open{
		Numbers: 14, Since: new(ts("2026-09-29")),
		Groups: []audit.OpenGroup{{Severity: "critical", Remedy: audit.RemedyPatch, Numbers: 1}, {Severity: "important", Remedy: audit.RemedyPatch, Numbers: 2}, {Severity: "important", Remedy: audit.RemedyLoad, Numbers: 2}, {Severity: "", Remedy: audit.RemedyReboot, Numbers: 1}, {Severity: "moderate", Remedy: audit.RemedyKernel, Numbers: 8}},
		Worst: []audit.OpenFix{
			fix("CVE-2026-3101", "critical", "2026-11-19", audit.RemedyPatch), fix("CVE-2026-3091", "important", "2026-11-12", audit.RemedyPatch), fix("CVE-2026-3092", "important", "2026-11-12", audit.RemedyPatch),
			fix("CVE-2026-3081", "important", "2026-11-09", audit.RemedyLoad), fix("CVE-2026-3082", "important", "2026-11-09", audit.RemedyLoad), fix("CVE-2026-3085", "", "", audit.RemedyReboot),
			fix("CVE-2026-2001", "moderate", "2026-09-29", audit.RemedyKernel), fix("CVE-2026-2002", "moderate", "2026-09-29", audit.RemedyKernel), fix("CVE-2026-2003", "moderate", "2026-09-29", audit.RemedyKernel), fix("CVE-2026-2004", "moderate", "2026-10-06", audit.RemedyKernel),
		},
		Unknown: "Repository sle-module-basesystem was refreshed last on 2026-11-02.", LookedAt: new(ts("2026-11-23T03:00:00Z")),
	}
}

// riskTaken is an exception for a number.
func riskTaken() audit.Exception {
	return audit.Exception{ID: "x", CVE: "CVE-2026-3081", Reason: "RISK-12: the module is not loaded.", Until: ts("2027-03-31"), By: "tux", Event: 399}
}

func yearsCompliance() *compliance.Summary {
	c := &compliance.Summary{Open: yearsOpen(), Latency: audit.Summarize(nil), Profile: "pci-dss-4.0.1", Verdict: compliance.Fail, At: ts("2026-11-23T08:30:00Z"), ObservedAt: new(ts("2026-11-23T03:00:00Z")), Since: ts("2025-11-23T08:30:00Z")}
	add := func(result compliance.Rating, id, title, detail string, evidence ...string) {
		c.Checks = append(c.Checks, compliance.CheckResult{ID: id, Title: title, Result: result, Detail: detail, ToDo: record.OrNil(compliance.ToDo(id, result)), Evidence: compliance.OrNone(evidence), References: []string{}, Accepted: []audit.Exception{}})
	}
	add(compliance.Fail, "patch-in-initrd", "Live patch in the initrd", "The initrd of 6.4.0-150600.23.53-default lacks livepatch_7_150600_13_21: the newest build packed livepatch_6_150600_13_18.", "event 411", "event 380")
	add(compliance.Fail, "failed-commits", "Failed changes", "The upgrade of kernel-livepatch-6_4_0-150600_23_53-default to 8-150600.13.24.1 failed, and nothing made it good since.", "event 398")
	add(compliance.NotDetermined, "clock", "Clock", "No observation says when the clock was synchronised last.", "event 411")
	add(compliance.Warn, "downgrades", "Downgrades", "One live patch was downgraded; the kernel had not warned before.", "event 91")
	add(compliance.Warn, "latency", "Time from release to protection", "CVE-2026-3041 took 46 days from its release to being active, longer than 30 days.", "event 350")
	c.Checks[4].References = []string{"PCI DSS v4.0.1 6.3.3"}
	c.Checks[4].Exception = &audit.Exception{Reason: "Freeze for the year's end closing, agreed with the owner of the service.", Until: ts("2026-12-31"), By: "tux", Event: 360}
	c.Checks[3].Exception = &audit.Exception{Reason: "Regression with the storage driver.", Until: ts("2025-09-30"), By: "root", Event: 93, Expired: true}
	c.Checks[4].Accepted = []audit.Exception{riskTaken()}
	for _, id := range []string{"kernel-supported", "patch-state", "patch-loaded", "coverage", "reboot-lag", "signatures", "attribution", "completeness", "integrity", "retention", "permissions", "recorder", "entitlement", "taint", "journal"} {
		r, _ := compliance.RuleOf(id)
		add(compliance.Pass, id, r.Title, "Nothing speaks against it.", "event 411")
	}
	add(compliance.NotApplicable, "next-boot", "Next boot runs the right kernel", "The profile leaves it out.")
	return c
}

// fresh is a host on its first day: all is well.
func fresh() *Full {
	f := &Full{
		Timeline: &audit.Timeline{
			From: ts("2026-11-23T06:00:00Z"), To: ts("2026-11-23T08:30:00Z"), Kernels: []audit.KernelSpan{bootOf(1, storetest.ReleaseA, "2026-11-23T06:00:00Z", "2026-11-23T08:30:00Z")},
			Patches: []audit.PatchSpan{patchOf("23_42", 3, "2026-11-23T06:00:02Z", "2026-11-23T08:30:00Z")},
			Initrds: []audit.InitrdSpan{initrdOf(record.VerdictContained, "2026-11-23T06:00:02Z", "2026-11-23T08:30:00Z")}, Gaps: []audit.Gap{},
		},
		Exposures: []audit.Exposure{}, Latency: audit.Summarize(nil), State: yearsState(),
		Compliance: &compliance.Summary{Open: &audit.Open{Groups: []audit.OpenGroup{}, Worst: []audit.OpenFix{}}, Latency: audit.Summarize(nil), Profile: "default", Verdict: compliance.Pass, At: ts("2026-11-23T08:30:00Z"), Since: ts("2026-11-23T06:00:00Z")},
	}
	f.State.KernelRelease, f.State.Initrd.Verdict = new(storetest.ReleaseA), record.VerdictContained
	for _, r := range compliance.Rules() {
		f.Compliance.Checks = append(f.Compliance.Checks, compliance.CheckResult{ID: r.ID, Title: r.Title, Result: compliance.Pass, Detail: "Nothing speaks against it.", Evidence: []string{"event 1"}, References: []string{}, Accepted: []audit.Exception{}})
	}
	return whole(f, change1(1, "2026-11-23T06:10:00Z", "install", "3-150600.13.9.1", ""))
}

// altered is a report on an export that was altered, of a host where all else is well.
func altered() *Full {
	f := fresh()
	f.Provenance.Input = &audit.Input{File: "record.jsonl", Result: proof.Altered, Problems: []string{"event 3: its hash is another one", "the root hash is another one"}}
	f.Compliance.Distrust(f.Provenance.Input)
	f.Integrity.foundFor(f.Provenance)
	return f
}

// nothing is a record without events.
func nothing() *Full {
	return whole(&Full{
		Timeline: &audit.Timeline{From: ts("2026-11-23"), To: ts("2026-11-23"), Kernels: []audit.KernelSpan{}, Patches: []audit.PatchSpan{}, Initrds: []audit.InitrdSpan{}, Gaps: []audit.Gap{}},
		State:    &audit.State{At: ts("2026-11-23"), Confidence: audit.Unknown, Unknown: map[string]string{"live_patch": "nothing is recorded yet"}, Events: []int64{}}, Exposures: []audit.Exposure{},
		Latency: audit.Summarize(nil), Compliance: &compliance.Summary{Open: &audit.Open{Groups: []audit.OpenGroup{}, Worst: []audit.OpenFix{}, Unknown: "Which kernel runs is not known."}, Latency: audit.Summarize(nil), Profile: "default", Verdict: compliance.NotDetermined, Checks: []compliance.CheckResult{}, At: ts("2026-11-23"), Since: ts("2026-11-23")},
	})
}

// evil is a text that would like to be obeyed.
const evil = "<script>alert(1)</script>\x1b[2J\x00\u202e=cmd|' /C calc'!A0\xff\xfe\"'--></style></svg>\n{{.}}"

// hostile is a report whose every text from outside is evil.
func hostile() *Full {
	f := years()
	long := evil + strings.Repeat("A", 1<<20)
	f.Provenance.Host.Hostname = evil
	f.Provenance.Filters["user"] = evil
	s := f.State
	s.KernelRelease, s.BootID, s.CoveredUntil, s.PendingReboot = new(evil), new(evil), new(evil), new(evil)
	s.LivePatch.Module, s.LivePatch.Package, s.CVEs = long, new(evil), []string{evil, long}
	s.Installed[0] = record.Package{Name: long, Version: evil, Arch: evil}
	s.Unknown[evil], s.NextBoot.KernelRelease, s.NextBoot.LivePatch = long, evil, new(evil)
	for i := range f.Compliance.Checks {
		c := &f.Compliance.Checks[i]
		c.Detail, c.Evidence, c.References = long, []string{evil, "event 1\n"}, []string{evil}
		c.Exception = &audit.Exception{Reason: long, By: evil}
		for range 9 {
			c.Accepted = append(c.Accepted, audit.Exception{Advisory: long, Reason: evil, By: evil})
		}
	}
	f.Compliance.Profile = evil
	for i := range f.Exposures {
		e := &f.Exposures[i]
		e.CVE, e.Package, e.Version, e.ReleasedBy, e.Reason = evil, long, evil, evil, long
		e.Intervals = []audit.Interval{{Lost: &record.Timestamp{}, LostBy: evil}}
		e.Status, e.Exception = audit.StatusAvailable, &audit.Exception{CVE: evil, Reason: long, By: evil}
	}
	f.Latency.WorstCVE = evil
	for i := range f.Timeline.Kernels {
		f.Timeline.Kernels[i].BootID, f.Timeline.Kernels[i].KernelRelease = evil, long
	}
	for i := range f.Timeline.Patches {
		f.Timeline.Patches[i].Module = long
	}
	f.Timeline.Gaps[0].Why, f.Marks[0].What = long, evil
	f.Integrity.Checkpoint, f.Integrity.Key, f.Integrity.Result = evil+"\n"+long, evil, evil
	row := change1(7, "2026-01-01", "upgrade", long, evil)
	row.Package, row.Command, row.UserData, row.Actor.SudoUser = evil, &long, new(evil), new(evil)
	row.Advisory = &long
	f.History.Rows = listed([]*record.HistoryRow{row})
	return f
}

// Golden files exist of the scenes that people look at. Of the hostile one the page is
// kept, for the browser.
func TestFullGolden(t *testing.T) {
	compareGolden(t, "testdata/full-hostile.html", withoutCSS(t, renderFull(t, hostile(), "html", table.Style{})))
	for _, name := range []string{"years", "fresh", "empty", "altered"} {
		for ending, g := range map[string]struct {
			format string
			style  table.Style
		}{"table80": {"table", table.Style{}}, "table120": {"table", table.Style{Width: 120}}, "table200": {"table", table.Style{Width: 200}}, "json": {"json", table.Style{}}, "html": {"html", table.Style{}}} {
			t.Run(name+"."+ending, func(t *testing.T) {
				compareGolden(t, "testdata/full-"+name+"."+ending, withoutCSS(t, renderFull(t, scenes()[name], g.format, g.style)))
			})
		}
	}
}

// A section alone is a page, too: with its title, and what it was made from.
func TestAloneGolden(t *testing.T) {
	for name, page := range alonePages(t) {
		compareGolden(t, "testdata/full-"+name+"-alone.html", withoutCSS(t, page))
		checkPage(t, name, page)
		if !strings.Contains(page, "root hash") && !strings.Contains(page, "Root hash") || strings.Count(page, "<h1") != 1 {
			t.Errorf("%s: no provenance, or not one title", name)
		}
	}
}

// alonePages are the sections of a report, each as a page of its own.
func alonePages(t *testing.T) map[string]string {
	t.Helper()
	f, pages := years(), map[string]string{}
	by, err := Summarize(years().History, "by-user")
	storetest.Check(t, err)
	for name, s := range map[string]Section{
		"history": f.History, "compliance": &ComplianceSection{Summary: f.Compliance, Provenance: f.Provenance}, "state": &StateSection{State: f.State, Provenance: f.Provenance},
		"cve": NewCVEs(f.Exposures, f.State, f.Provenance), "summary": by,
	} {
		f.Provenance.Section, f.Provenance.RowsShown = name, 0
		var b bytes.Buffer
		storetest.Check(t, Write(&b, s, "html", table.Style{}))
		pages[name] = b.String()
	}
	return pages
}

// withoutCSS has the name of the style sheet where a page has its text.
func withoutCSS(t *testing.T, page string) string {
	t.Helper()
	css, err := os.ReadFile("page/report.css")
	storetest.Check(t, err)
	return strings.Replace(page, string(css), "/* report.css */", 1)
}

func renderFull(t *testing.T, f *Full, format string, style table.Style) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, f, format, style); err != nil {
		t.Fatalf("rendering as %s: %v", format, err)
	}
	return b.String()
}

func TestFullTableFitsAndIsPlain(t *testing.T) {
	for name := range scenes() {
		for _, width := range []int{72, 80, 132, 200} {
			checkPlain(t, name, renderFull(t, scenes()[name], "table", table.Style{Width: width}), width)
		}
	}
}

func TestFullFollowsItsSchema(t *testing.T) {
	all := readSchemas(t)
	for _, name := range []string{"years", "fresh", "empty", "altered"} {
		t.Run(name, func(t *testing.T) {
			checkAgainst(t, all, "report-2.json", renderFull(t, scenes()[name], "json", table.Style{}))
		})
	}
}

// An error while rows are read or written is an error of the report.
func TestFullErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, format := range Formats(&Full{}) {
		f := years()
		f.History.Rows = func(yield func(*record.HistoryRow, error) bool) { yield(nil, broken) }
		if err := Write(io.Discard, f, format, table.Style{}); !errors.Is(err, broken) {
			t.Errorf("%s: %v, want the error of reading", format, err)
		}
		if err := Write(failing{broken}, years(), format, table.Style{}); !errors.Is(err, broken) {
			t.Errorf("%s: %v, want the error of writing", format, err)
		}
	}
	if err := Write(io.Discard, years(), "csv", table.Style{}); err == nil || !strings.Contains(err.Error(), "html") {
		t.Errorf("csv: %v, want an error that names the formats", err)
	}
}

// Colours change nothing but colours.
func TestFullColor(t *testing.T) {
	sgr := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	plain := renderFull(t, years(), "table", table.Style{Width: 100})
	if got := sgr.ReplaceAllString(renderFull(t, years(), "table", table.Style{Width: 100, Color: true}), ""); got != plain {
		t.Errorf("coloured:\n%s\nplain:\n%s", got, plain)
	}
}

func TestTakenAwayIsSaidOnce(t *testing.T) {
	for want, l := range map[string]audit.Latency{"0": {}, "2": {Lost: 2, Losses: 2}, "1; in all it happened 3 times": {Lost: 1, Losses: 3}} {
		for _, f := range latencyFacts(&l) {
			if f.Name == "Taken away again" && f.Text != want {
				t.Errorf("%+v: %q, want %q", l, f.Text, want)
			}
		}
	}
}
