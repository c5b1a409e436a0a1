package report

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/selftest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// statusOf is what status says of a machine's record.
func statusOf(t *testing.T, m *storetest.Machine) *Status {
	t.Helper()
	s := m.OpenRecord()
	st := &Status{Schema: StatusSchema, Path: "/var/lib/klp-audit/klp-audit.db", Program: "1.0.0", At: record.At(m.Now), PluginInstalled: new(true)}
	sum, err := s.Summarize(t.Context())
	storetest.Check(t, err)
	st.Record = sum
	last, err := s.LastObserved(t.Context())
	storetest.Check(t, err)
	st.State, err = audit.NewState(t.Context(), s, last.Time)
	storetest.Check(t, err)
	c, err := compliance.Judge(t.Context(), s, defaultProfile(t), m.Now)
	storetest.Check(t, err)
	st.Judge(c)
	return st
}

// Status fits on one screen, also where there is much to say.
func TestStatusGolden(t *testing.T) {
	troubled := storetest.Healthy(t)
	troubled.Commit(record.OutcomeFailed, []record.Package{storetest.PatchPackage(storetest.ReleaseA, 3)}, nil)
	troubled.Last().Initrd.Verdict = record.VerdictMissing
	troubled.Last().NextBoot.KernelRelease = storetest.ReleaseB
	for _, part := range []record.PartName{record.PartTaint, record.PartLocks, record.PartCoverage} {
		troubled.Drop(part, "permission denied")
	}
	away := storetest.Healthy(t)
	away.Install(storetest.PatchPackage(storetest.ReleaseA, 1))
	away.Wait(time.Minute)
	for name, m := range map[string]*storetest.Machine{"healthy": storetest.Healthy(t), "stale": forgotten(t), "troubled": troubled, "downgraded": away} {
		st := statusOf(t, m)
		var b strings.Builder
		storetest.Check(t, Write(&b, st, "table", table.Style{Width: 80}))
		compareGolden(t, "testdata/status-"+name+".table80", b.String())
		checkPlain(t, name, b.String(), 80)
		if n := strings.Count(b.String(), "\n"); n > 24 {
			t.Errorf("%s: %d lines:\n%s", name, n, b.String())
		}
		checkAgainst(t, readSchemas(t), "status-1.json", writtenObject(t, st))
	}
}

// A self-test says in three words how what was found compares, and fits a bug report.
func TestSelfTestGolden(t *testing.T) {
	st := &SelfTest{Schema: SelfTestSchema, At: record.At(testNow), Program: "1.0.0", System: "SUSE Linux Enterprise Server 15 SP6", Kernel: storetest.ReleaseA, Results: []selftest.Result{
		{Name: "plugin", Found: "/usr/lib/zypp/plugins/commit/klp-audit, mode 0755", Answer: selftest.AsExpected},
		{Name: "rpm-database", Found: "/var/lib/rpm, sqlite", Answer: selftest.Differs, Expected: "/usr/lib/sysimage/rpm, ndb"},
		{Name: "dracut-entries", Found: "no build of an initrd in this boot", Answer: selftest.NotKnown, Reason: "none was built since it began, or dracut and its module log nothing"},
		{Name: "boot-loader", Answer: selftest.NotKnown, Reason: "no configuration of a boot loader is there"},
	}}
	var b strings.Builder
	storetest.Check(t, Write(&b, st, "table", table.Style{}))
	compareGolden(t, "testdata/self-test.table80", b.String())
	checkPlain(t, "self-test", b.String(), 80)
	all := readSchemas(t)
	checkAgainst(t, all, "self-test-1.json", writtenObject(t, st))
	var want []any
	for _, a := range selftest.Answers() {
		want = append(want, string(a))
	}
	if got := all["self-test-1.json"].Properties["results"].Items.Properties["answer"].Enum; cmp.Diff(want, got) != "" {
		t.Errorf("answers are %v, want %v", got, want)
	}
}
