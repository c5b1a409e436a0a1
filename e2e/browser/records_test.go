package browser

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// records are pages of whole records: of a usual host, of one on which nothing happened, and of one on which
// everything did.
func records(t *testing.T) map[string]string {
	t.Helper()
	empty := storetest.NewMachine(t, "2025-01-01T08:00:00Z")
	empty.StartRecording()
	all := map[string]string{}
	for name, m := range map[string]*storetest.Machine{"usual": storetest.TwoYears(t), "empty-record": empty, "messy": messy(t)} {
		all[name] = written(t, pageOf(t, m))
	}
	return all
}

// pageOf is the whole report of a machine as a page.
func pageOf(t *testing.T, m *storetest.Machine) string {
	t.Helper()
	s := m.OpenRecord()
	sum, err := s.Summarize(t.Context())
	check(t, err)
	p, err := compliance.LoadProfile(compliance.DefaultProfile, nil)
	check(t, err)
	h := report.NewHistory(record.HistoryFilter{}, "html", report.NewProvenance("report", "1.0.0", m.Now, sum))
	h.Rows = s.History(t.Context(), h.Filter)
	f, err := report.NewFull(t.Context(), s, p, m.Now, h)
	check(t, err)
	var b bytes.Buffer
	check(t, report.Write(&b, f, "html", table.Style{}))
	return b.String()
}

// people change packages on a host that is not kept in English alone.
var people = []struct{ login, sudo, ticket, command string }{
	{"root", "", "CHG-4711", "zypper --non-interactive patch --with-interactive"},
	{"tanaka", "田中太郎", "変更要求-4712 カーネルのライブパッチを本番環境で更新する", "zypper -n --userdata 変更要求-4712 in kernel-livepatch"},
	{"محمد", "", "طلب تغيير 4713 (عاجل!)", "zypper -n --userdata طلب-4713 patch"},
	{"sara", "שרה כהן", "בקשה 4714: עדכון הליבה, שלב 2/3", "zypper -n in --oldpackage \"שלום\""},
	{"unset", "", "", "/usr/bin/salt-minion --config-dir=/etc/salt " + strings.Repeat("--pillar=ops/kernels/production ", 3)},
	{"김철수", "", "<b>CHG</b>-4715 & \"more\"", "zypper -n --userdata 변경-4715 dup"},
}

// messy is a host with six kernels, 115 boots and 300 changes in 18 months, by people from
// everywhere, on which all that can go wrong did.
func messy(t *testing.T) *storetest.Machine {
	t.Helper()
	m := storetest.NewMachine(t, "2025-01-01T08:00:00Z")
	kernels := []string{"6.4.0-150600.23.42.2", "6.4.0-150600.23.47.2", "6.4.0-150600.23.53.1", "6.4.0-150600.23.60.5", "6.4.0-150600.23.73.1", "6.4.0-150600.23.87.1"}
	first := storetest.KernelPackage(kernels[0])
	m.Installed, m.Next = []record.Package{first}, storetest.ReleaseOf(first)
	m.StartRecording()
	m.Start(m.Next)
	for i, version := range kernels {
		if i > 0 {
			by(m, i, func() {
				k := storetest.KernelPackage(version)
				m.Install(k, storetest.PatchPackage(storetest.ReleaseOf(k), 1))
			})
			m.Pass(m.Now.Add(40 * time.Hour))
			m.Reboot()
		}
		messyKernel(m, i)
		if i > 1 {
			old := storetest.KernelPackage(kernels[i-2])
			by(m, i+1, func() { m.Remove(old, *m.PatchFor(storetest.ReleaseOf(old))) })
		}
	}
	return m
}

// messyKernel is what happens while one kernel is in use.
func messyKernel(m *storetest.Machine, i int) {
	release := m.Boot.KernelRelease
	for j := range 48 {
		m.Pass(m.Now.Add(time.Duration(30+i*7+j*13%50) * time.Hour))
		n := 2 + j/4
		switch {
		case j%9 == 4:
			n = max(n-2, 1)
		case j%11 == 7:
			by(m, i+j, func() { m.Commit(record.OutcomeFailed, []record.Package{storetest.PatchPackage(release, n+1)}, nil) })
			continue
		case j == 20 && i%2 == 1:
			storetest.Unrecorded(m, func() { m.Install(storetest.PatchPackage(release, n)); m.Pass(m.Now.Add(90 * time.Hour)) })
			continue
		}
		by(m, i+j, func() { m.Install(storetest.PatchPackage(release, n)) })
		switch {
		case j%15 == 13:
			m.Initrds[release] = storetest.ModuleOf(storetest.PatchPackage(release, 1))
			m.Happened()
			m.Crash()
		case j%11%3 == 1 || j%16 == 3:
			m.Pass(m.Now.Add(9 * time.Hour))
			m.Reboot()
		}
	}
}

// by has one of the people make what is recorded.
func by(m *storetest.Machine, n int, change func()) {
	before := len(m.All)
	change()
	p := people[n%len(people)]
	for _, ev := range m.All[before:] {
		if b := ev.Begin; b != nil {
			b.Actor.Login, b.Actor.SudoUser, b.UserData, b.Command = p.login, p.sudo, p.ticket, strings.Fields(p.command)
			if p.login == "unset" {
				b.Actor.Automation = "salt-minion"
			}
		}
	}
}

// The messy record is as messy as is said of it.
func TestMessyRecord(t *testing.T) {
	m := messy(t)
	changes, boots, kernels := 0, map[string]bool{}, map[string]bool{}
	for _, ev := range m.All {
		if ev.End != nil {
			changes += len(ev.End.Changes)
		}
		boots[ev.BootID] = true
		if ev.Observation != nil {
			kernels[ev.Observation.Kernel.Release] = true
		}
	}
	if changes < 300 || len(boots) < 115 || len(kernels) != 6 {
		t.Errorf("%d changes, %d boots, %d kernels", changes, len(boots), len(kernels))
	}
}
