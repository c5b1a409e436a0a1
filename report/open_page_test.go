package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// A page about a machine with 1,000 open numbers, half of them for a live patch and half for a newer kernel, stays below
// 2 MiB: it has the first of them, and says how many more there are.
func TestPageOfManyOpenNumbers(t *testing.T) {
	const most, each = 2 << 20, 500
	m := storetest.Patched(t, 2)
	m.Wait(time.Hour)
	patch, kernel := storetest.PatchPackage(storetest.ReleaseA, 3), storetest.KernelPackage(storetest.KernelB)
	var numbers []string
	for n, p := range []record.Package{patch, kernel} {
		var cves []string
		for i := range each {
			cves = append(cves, fmt.Sprintf("CVE-2025-%d", 50_000+each*n+i))
		}
		numbers = append(numbers, cves...)
		m.Releases(record.Released{Repo: "SLE-Module-Live-Patching15-SP6-Updates", ID: fmt.Sprintf("SUSE-SLE-Module-Live-Patching-15-SP6-2025-%d", n), Type: "security", Severity: "important", Status: "stable",
			Title: "Security update for the Linux Kernel (Live Patch 12 for SLE 15 SP6)", Issued: new(record.At(m.Now.AddDate(0, 0, -1)))}, []string{p.Name + " " + p.Version}, cves)
	}
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	page := renderFull(t, storyReport(t, m, "", "", "html"), "html", table.Style{})
	if len(page) >= most {
		t.Errorf("the page has %d bytes", len(page))
	}
	rows := 0
	for _, cve := range numbers {
		if strings.Contains(page, cve+"<") {
			rows++
		}
	}
	more := fmt.Sprintf("And %d more: klp-audit report cve has them all.", 2*each+len(storetest.FixesOf(storetest.PatchPackage(storetest.ReleaseA, 2)).CVEs)-pageExposures)
	if rows < pageExposures/2 || !strings.Contains(page, more) {
		t.Errorf("%d numbers, and not %q", rows, more)
	}
}
