package compliance

import (
	"fmt"
	"slices"

	"github.com/klp-audit/klp-audit/internal/say"
)

// Rule is a check: what it asks, and what to do when the answer is no.
type Rule struct {
	ID, Title, hint string
	settings        []string // that its criteria have beside enabled, severity and references
	state           bool     // it judges the newest observation
	judge           func(*grounds, Criteria) finding
}

// IntegrityID is the check that fails wherever a record is not intact, asked for or not.
const IntegrityID = "integrity"

// Rules are all checks, in the order in which they are explained.
func Rules() []Rule {
	return []Rule{
		{"kernel-supported", "Running kernel is supported", "reboot into the newest kernel, or install its newest live patch", nil, true, kernelSupported},
		{"patch-state", "Live patch is in order", "see `klp status` and `klp blocking`; reboot if a transition does not end", []string{"warn", "fail"}, true, patchState},
		{"patch-loaded", "Installed live patch is active", "load it with `klp` or reboot; see the journal for why it was not loaded", []string{"warn"}, true, patchLoaded},
		{"patch-in-initrd", "Initrd holds the live patch", "build the initrd anew with `dracut -f`; see `klp-audit initrd --explain`", nil, true, patchInInitrd},
		{"next-boot", "Next boot runs the right kernel", "set the default boot entry to the newest kernel", nil, true, nextBoot},
		{"coverage", "Kernel still gets live patches", "update the kernel and reboot before the coverage ends", []string{"warn", "fail"}, true, coverage},
		{"latency", "Fixes were active in time", "install live patches sooner; see `klp-audit report cve`", []string{"warn", "fail", "severities"}, false, latency},
		{"updates", "Live patches on offer are installed", "install them with `zypper patch`; see `klp-audit report cve`", []string{"warn", "fail", "fail_by"}, false, updates},
		{"residual", "No fix waits for a newer kernel", "update the kernel with `zypper patch`, and reboot into it", []string{"warn", "fail", "fail_by"}, false, residual},
		{"metadata", "What is on offer is known", "refresh the repositories with `zypper refresh`; see `zypper repos`", []string{"warn", "fail"}, false, metadata},
		{"reboot-lag", "No reboot is overdue", "reboot into the newest kernel", []string{"warn", "fail"}, true, rebootLag},
		{"failed-commits", "No failed change is left", "install the packages again; see `klp-audit report history --result failed`", []string{"warn"}, false, failedCommits},
		{"downgrades", "Nothing was downgraded", "see `klp-audit report history --action downgrade`; reboot a machine whose kernel complained", nil, false, downgrades},
		{"signatures", "Packages are signed and checked", "set gpgcheck = 1 in zypp.conf and its repositories", []string{"keys"}, true, signatures},
		{"attribution", "Every change has an author", "log in as yourself and use sudo, so that pam_loginuid notes it", nil, false, attribution},
		{"clock", "Clock is in step", "see `chronyc tracking` or `timedatectl`", []string{"warn"}, true, clock},
		{"completeness", "Record holds every change", "find out who changed packages without zypper or without the plugin; see the recorder gaps; `klp-audit import` takes in what only libzypp's history has", nil, false, completeness},
		{IntegrityID, "Record is intact", "run `klp-audit verify`; enable klp-audit-observe.timer", []string{"warn", "fail"}, false, integrity},
		{"retention", "Record reaches back far enough", "restore older events from an export", []string{"fail"}, false, retention},
		{"permissions", "Record is protected", "run `rpm --setperms --setugids klp-audit`, and see who may write", nil, true, permissions},
		{"recorder", "Recorder is alive", "reinstall klp-audit; enable klp-audit-observe.timer", nil, false, recorder},
		{"entitlement", "System is set up for live patches", "activate the live patching module with SUSEConnect, and install its pattern and lifecycle data", nil, true, entitlement},
		{"exceptions", "No exception expired", "mend the finding, or renew the exception; then `klp-audit exception end ID`", []string{"warn"}, false, exceptions},
		{"taint", "Kernel is not tainted", "find out which module or warning tainted it; only a reboot clears it", []string{"allowed"}, true, taint},
		{"journal", "Journal is kept", "set Storage=persistent in journald.conf", nil, true, journalKept},
	}
}

// RuleOf returns the rule of a check, and whether there is one.
func RuleOf(id string) (Rule, bool) {
	all := Rules()
	if i := slices.IndexFunc(all, func(r Rule) bool { return r.ID == id }); i >= 0 {
		return all[i], true
	}
	return Rule{}, false
}

// CheckIDs returns the ids of all checks, in the order in which they are explained.
func CheckIDs() (ids []string) {
	for _, r := range Rules() {
		ids = append(ids, r.ID)
	}
	return ids
}

// Hint says what to do when a check does not pass.
func Hint(id string) string {
	r, _ := RuleOf(id)
	return r.hint
}

// BuildHint says how a kernel gets an initrd.
func BuildHint(kernel string) string {
	return fmt.Sprintf("build its initrd with `dracut -f --kver %s`", say.Printable(kernel))
}
