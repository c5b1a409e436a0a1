package compliance

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/klp-audit/klp-audit/internal/say"
)

// Rule is a check: what it judges, and what to do where it does not pass.
type Rule struct {
	ID, Title string   // the title names what is judged, and reads before and after any result
	settings  []string // that its criteria have beside enabled, severity and references
	state     bool     // it judges the newest observation
	anew      bool     // what it does not know, a new observation tells
	judge     func(*grounds, Criteria) finding
	mend      mend
}

// mend says what to do, by the result of a check.
type mend struct{ fail, warn, unknown string } // warn: empty, as fail; unknown: empty, lookAgain

const (
	// lookAgain finds out what an observation did not tell.
	lookAgain = "run `klp-audit observe` on that machine as root: it names what it cannot read, and why"
	// observeAgain is what an observation that is too old takes.
	observeAgain = "observe again: " + observeFirst
	observeFirst = "run `klp-audit observe` on that machine as root, and enable klp-audit-observe.timer, which does it daily"
	askVendor    = "run `zypper refresh`, then `klp-audit observe`, on that machine as root"
	verifyDaily  = "run `klp-audit verify`, and enable klp-audit-observe.timer, which has the record verified daily"
)

// of is what to do about a result, empty if nothing is.
func (m mend) of(r Rating) string {
	switch r {
	case Fail:
		return m.fail
	case Warn:
		return cmp.Or(m.warn, m.fail)
	case NotDetermined:
		return cmp.Or(m.unknown, lookAgain)
	}
	return ""
}

// IntegrityID is the check that fails wherever a record is not intact, asked for or not.
const IntegrityID = "integrity"

// recorderID is the check that fails where the newest observation is too old.
const recorderID = "recorder"

// Rules are all checks, in the order in which they are explained.
func Rules() []Rule { return slices.Concat(stateRules(), fixRules(), recordRules(), systemRules()) }

// stateRules judge kernel and live patch.
func stateRules() []Rule {
	return []Rule{
		{ID: "kernel-supported", Title: "Support of the running kernel", state: true, judge: kernelSupported,
			mend: mend{fail: "install its newest live patch with `zypper patch`, or reboot into the newest kernel"}},
		{ID: "patch-state", Title: "State of the live patch", settings: []string{"warn", "fail"}, state: true, judge: patchState,
			mend: mend{
				fail: "see `klp status` and `klp blocking`; reboot if a transition does not end",
				warn: "wait for the transition to end; `klp blocking` names the tasks that hold it up",
			}},
		{ID: "patch-loaded", Title: "Load of the installed live patch", settings: []string{"warn"}, state: true, judge: patchLoaded,
			mend: mend{
				fail: "see the journal for why it was not loaded; load it with `modprobe` and the name of its module, or reboot",
				warn: "see whether it gets loaded by itself; if not, load it with `modprobe` and the name of its module, or reboot",
			}},
		{ID: "patch-in-initrd", Title: "Live patch in the initrd", state: true, judge: patchInInitrd,
			mend: mend{
				fail:    "build the initrd with `dracut -f --kver RELEASE`; see `klp-audit initrd --explain`",
				unknown: "see why with `klp-audit initrd --explain`; the next build of the initrd will tell",
			}},
		{ID: "next-boot", Title: "Kernel of the next boot", state: true, judge: nextBoot,
			mend: mend{
				fail:    "set the default boot entry to the newest kernel",
				unknown: "find out what the boot loader starts by default, for example with `grub2-editenv list` or `bootctl list`",
			}},
		{ID: "coverage", Title: "Live patches for the kernel", settings: []string{"warn", "fail"}, state: true, judge: coverage,
			mend: mend{
				fail:    "update the kernel with `zypper patch`, and reboot into it",
				warn:    "plan an update of the kernel, and a reboot into it, before the coverage ends",
				unknown: "install the lifecycle data of live patching; `zypper lifecycle` shows what it says",
			}},
	}
}

// fixRules judge what the vendor has released.
func fixRules() []Rule {
	return []Rule{
		{ID: "latency", Title: "Time from release to protection", settings: []string{"warn", "fail", "severities"}, judge: latency,
			mend: mend{
				fail:    "install live patches sooner; `klp-audit report cve` shows which fixes took long",
				unknown: "see `klp-audit report cve` for the fixes whose release or activation is not on record",
			}},
		{ID: "updates", Title: "Live patches on offer", settings: []string{"warn", "fail", "fail_by"}, anew: true, judge: updates,
			mend: mend{fail: "install them with `zypper patch`; see `klp-audit report cve`", unknown: askVendor}},
		{ID: "residual", Title: "Fixes that need a newer kernel", settings: []string{"warn", "fail", "fail_by"}, anew: true, judge: residual,
			mend: mend{fail: "update the kernel with `zypper patch`, and reboot into it", unknown: askVendor}},
		{ID: "metadata", Title: "Metadata of the repositories", settings: []string{"warn", "fail"}, anew: true, judge: metadata,
			mend: mend{
				fail:    "refresh the repositories with `zypper refresh`; see `zypper repos`",
				warn:    "see `zypper repos` for a repository that is not enabled, or whose mirror is no longer updated",
				unknown: askVendor,
			}},
		{ID: "reboot-lag", Title: "Wait for a reboot", settings: []string{"warn", "fail"}, state: true, judge: rebootLag,
			mend: mend{fail: "reboot into the newest kernel"}},
	}
}

// recordRules judge changes, and the record of them.
func recordRules() []Rule {
	return []Rule{
		{ID: "failed-commits", Title: "Failed changes", settings: []string{"warn"}, judge: failedCommits,
			mend: mend{
				fail:    "install the packages again; see `klp-audit report history --result failed`",
				warn:    "wait for the commit to end; see `klp-audit report history --limit 5`",
				unknown: "compare with `rpm -q PACKAGE`; see `klp-audit report history --result unknown`",
			}},
		{ID: "downgrades", Title: "Downgrades", judge: downgrades,
			mend: mend{fail: "see `klp-audit report history --action downgrade`; reboot the machine if its kernel logged warnings"}},
		{ID: "signatures", Title: "Signatures of packages", settings: []string{"keys"}, state: true, judge: signatures,
			mend: mend{fail: "set gpgcheck = 1 in zypp.conf and its repositories; reinstall unsigned packages from a signed repository"}},
		{ID: "attribution", Title: "Authors of changes", judge: attribution,
			mend: mend{fail: "log in as yourself and use sudo, so that pam_loginuid notes it"}},
		{ID: "clock", Title: "Clock", settings: []string{"warn"}, state: true, judge: clock,
			mend: mend{fail: "have the clock synchronised; see `chronyc tracking` or `timedatectl`", unknown: "see `chronyc tracking` or `timedatectl`"}},
		{ID: "completeness", Title: "Completeness of the record", anew: true, judge: completeness,
			mend: mend{fail: "find out who changed packages without zypper or without the plugin; see the recorder gaps; `klp-audit import` takes in what only libzypp's history has"}},
		{ID: IntegrityID, Title: "Integrity of the record", settings: []string{"warn", "fail"}, judge: integrity,
			mend: mend{
				fail:    "run `klp-audit verify`, which names what is wrong; enable klp-audit-observe.timer",
				warn:    verifyDaily,
				unknown: verifyDaily,
			}},
		{ID: "retention", Title: "Reach of the record", settings: []string{"fail"}, judge: retention,
			mend: mend{fail: "restore older events from an export"}},
		{ID: "permissions", Title: "Protection of the record", state: true, judge: permissions,
			mend: mend{fail: "run `rpm --setperms --setugids klp-audit`, and see who may write"}},
	}
}

// systemRules judge how the machine is set up.
func systemRules() []Rule {
	return []Rule{
		{ID: recorderID, Title: "Recorder", judge: recorder,
			mend: mend{fail: "reinstall klp-audit; enable klp-audit-observe.timer"}},
		{ID: "entitlement", Title: "Setup for live patches", state: true, judge: entitlement,
			mend: mend{fail: "activate the live patching module with SUSEConnect, and install its pattern and lifecycle data"}},
		{ID: "exceptions", Title: "Exceptions", settings: []string{"warn"}, judge: exceptions,
			mend: mend{
				fail: "mend the finding, or renew the exception; then `klp-audit exception end ID`",
				warn: "mend the finding, or renew the exception, before it expires",
			}},
		{ID: "taint", Title: "Taint of the kernel", settings: []string{"allowed"}, state: true, judge: taint,
			mend: mend{fail: "find out which module or warning tainted it; only a reboot clears it"}},
		{ID: "journal", Title: "Storage of the journal", state: true, judge: journalKept,
			mend: mend{fail: "set Storage=persistent in journald.conf"}},
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

// ToDo says what to do about a result of a check, empty if nothing is.
func ToDo(id string, result Rating) string {
	r, _ := RuleOf(id)
	return r.mend.of(result)
}

// BuildHint says how a kernel gets an initrd.
func BuildHint(kernel string) string {
	return fmt.Sprintf("build its initrd with `dracut -f --kver %s`", say.Printable(kernel))
}
