package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Events wait because somebody holds the record. Users who may see the spool are told how many and
// why; others are told that they may not, never that nothing waits. After a day it is a finding.
func TestSpoolThatWaits(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	m.mustAudit("observe", "--trigger", "timer") // verifies the record
	reader := m.hold("BEGIN; SELECT count(*) FROM events;")
	holder := fmt.Sprintf("process %d (sqlite3)", reader.pid)
	m.says(result{stderr: m.commit("held", around{})}, 0, recordPath, "held by "+holder, "goes to the spool")
	if reason := m.spooled(stateDir)[1].Spooled; !strings.Contains(reason, holder) {
		t.Errorf("the second event says %q, want who held the record", reason)
	}

	m.says(m.audit("status"), 0, "2 events wait", holder+" holds the record now")
	m.says(m.audit("check", "--only", "integrity"), 1, "WARNING", "2 events wait", holder)
	m.says(m.auditAs(auditor, "status"), 0, "unknown: only root may look")
	m.says(m.auditAs(auditor, "status", "--format", "json"), 0, `"spooled_events":null`, `"set_aside_events":null`, `"spool_unseen":"only root may look"`)
	m.says(m.auditAs(auditor, "check", "--only", "integrity"), 0, "OK")
	m.says(m.auditAs(auditor, "report", "compliance", "--format", "csv"), 0, "Whether events wait in the spool is not known: only root may look")

	yesterday := time.Now().Add(-25 * time.Hour)
	paths, err := filepath.Glob(m.root + stateDir + "/spool/*.event")
	m.check(err)
	for _, path := range paths {
		m.check(os.Chtimes(path, yesterday, yesterday))
	}
	m.says(m.audit("check", "--only", "integrity"), 2, "CRITICAL", "2 events wait", holder, "klp-audit status")
	m.says(m.audit("report", "compliance", "--format", "csv"), 0, "2 events wait", holder)
	reader.release()
	m.says(m.audit("check", "--only", "integrity"), 0, "OK")
	m.settle("first", "held")
}
