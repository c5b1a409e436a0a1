package compliance

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// example is the published example of a part.
func example(t *testing.T, name record.PartName) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../record/testdata/parts", string(name)+".json"))
	storetest.Check(t, err)
	return string(text)
}

// Every check that reads a part finds in its example what there is to find.
func TestChecksOfTheExamples(t *testing.T) {
	reads := func(name record.PartName) func(*storetest.Machine) {
		return func(m *storetest.Machine) { m.SetJSON(name, example(m.T, name)) }
	}
	tests := []checkTest{
		{"taint", "example", reads(record.PartTaint), Warn, "The kernel is tainted, value 36865: bit 0 P (proprietary module was loaded)."},
		{"coverage", "example", reads(record.PartCoverage), Pass, "are made until 2026-03-31, for 49 days (/var/lib/lifecycle/data/sle-module-live-patching.lifecycle:3)."},
		{"patch-state", "example", func(m *storetest.Machine) {
			inTransition(30 * time.Minute)(m)
			reads(record.PartBlockers)(m)
		}, Warn, "was in transition for 30 minutes, held up by 2 tasks."},
		{"signatures", "example", reads(record.PartGPGCheck), Fail, "nothing is checked of repository lab."},
		{"entitlement", "example", reads(record.PartActivation), Warn, "Product sle-module-live-patching 15.6 ended on 2025-12-31."},
		{"clock", "example", reads(record.PartClock), Pass, "The clock is synchronised, as adjtimex says; last set at 2026-02-10T09:30:00Z (/var/lib/chrony/drift)."},
		{"journal", "example", reads(record.PartJournalStorage), Pass, "The journal is kept over reboots (Storage=persistent in /etc/systemd/journald.conf)."},
		{"permissions", "example", reads(record.PartFiles), Fail, "/usr/lib/zypp/plugins/commit/klp-audit belongs to user 1000."},
		{"recorder", "example", reads(record.PartFiles), Pass, "The commit plugin is in place"},
		{"downgrades", "example", func(m *storetest.Machine) {
			reads(record.PartWarnings)(m)
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 1))
		}, Warn, "after 3 kernel warnings, taint value 36864."},
		{"completeness", "example", reads(record.PartZyppHistory), Fail, "2 holes in the record: install of dracut 1-1 at 2026-02-09T10:00:00Z stands only in libzypp's history, line 7, by 'zypper' 'up'; 3 older lines"},
		{"integrity", "example", reads(record.PartVerify), Fail, "found the record altered: event 3: its hash is another one; see the event."},
	}
	runTests(t, tests)
}
