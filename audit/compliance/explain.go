package compliance

import (
	"maps"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
)

// Explanation is a check in words: `klp-audit help` and docs/checks.md are made of it.
type Explanation struct {
	Asks    string            // a question
	Results map[Rating]string // what each result means that the check can have
	// Means are what its thresholds and lists in a profile mean, by their names there.
	Means map[string]string
}

// Explain returns the explanation of a check.
func (r Rule) Explain() Explanation {
	e := explanations[r.ID]
	if r.state {
		e.Results = maps.Clone(e.Results)
		e.Results[NotDetermined] = strings.TrimSpace(e.Results[NotDetermined] + " Or the newest observation is older than `max_age`, or there is none.")
	}
	return e
}

// Settings are the names of what a profile says of a check, in the order in which they are explained. All
// checks have enabled and references, too.
func (r Rule) Settings() []string { return append([]string{"severity"}, r.settings...) }

// Setting is the value of a setting as people read it.
func (c Criteria) Setting(name string) string {
	period := func(p Period) string {
		switch {
		case p == 0 && name == "warn":
			return "none"
		case p == 0:
			return "0 days"
		}
		return p.String()
	}
	list := func(words []string, none string) string {
		if len(words) == 0 {
			return none
		}
		return strings.Join(words, ", ")
	}
	switch name {
	case "severity":
		return string(c.Severity)
	case "warn":
		return period(c.Warn)
	case "fail":
		return period(c.Fail)
	case "fail_by":
		var parts []string
		for _, severity := range audit.Severities() {
			if limit, has := c.FailBy[severity]; has {
				parts = append(parts, severity+" "+limit.String())
			}
		}
		return list(parts, "none")
	case "severities":
		return list(c.Severities, "all")
	case "allowed":
		return list(c.Allowed, "none")
	case "keys":
		return list(c.Keys, "any")
	}
	return ""
}

const openFor = "A fix has been open for longer than this."

// explanations are those of all checks, by id.
var explanations = map[string]Explanation{
	"kernel-supported": {
		Asks: "Does the newest installed kernel run, or is the newest live patch that is installed for the running kernel active?",
		Results: map[Rating]string{
			Pass:          "Yes, one of the two. An initial live patch does not count: it fixes nothing.",
			Fail:          "A newer kernel is installed, and the newest live patch for the running kernel is not active.",
			NotDetermined: "The record does not show which installed kernel is the newest, whether the newest build of it runs, or which live patch is active.",
		},
	},
	"patch-state": {
		Asks: "Is exactly one live patch enabled, its transition complete, and no task forced over to it?",
		Results: map[Rating]string{
			Pass:          "Yes; or a transition has been going on for no longer than `warn`.",
			Warn:          "A transition has been going on for longer than `warn`. Some tasks still run the old code.",
			Fail:          "A transition has been going on for longer than `fail`; a live patch is loaded but not enabled; several are enabled; the enabled one belongs to no installed package; the only one is being disabled; or tasks were forced over.",
			NotDetermined: "The kernel's live patches could not be read, or the record does not show since when a transition has been going on or whether tasks were forced over.",
			NotApplicable: "No live patch is loaded.",
		},
		Means: map[string]string{
			"warn": "A transition may take this long.",
			"fail": "A transition that takes longer than this fails.",
		},
	},
	"patch-loaded": {
		Asks: "Is the live patch that is installed for the running kernel also active?",
		Results: map[Rating]string{
			Pass:          "Yes.",
			Warn:          "Not yet: the package was installed less than `warn` before the observation, and may still be about to load.",
			Fail:          "No: another live patch is active, or none, or the load is not complete. The fixes of the installed one do not protect the machine.",
			NotDetermined: "The installed packages or the kernel's live patches could not be read.",
			NotApplicable: "No live patch is installed for the running kernel.",
		},
		Means: map[string]string{"warn": "A package that was installed less than this before the observation warns instead of failing."},
	},
	"patch-in-initrd": {
		Asks: "Does the initrd hold the active live patch, so that an unexpected reboot keeps its fixes?",
		Results: map[Rating]string{
			Pass:          "Yes, this is proven. The detail names the basis: a build, a boot, or the image itself.",
			Fail:          "No, this is proven: after a reboot the machine runs without these fixes until the live patch is loaded again. Or the kernel has no initrd at all, and does not boot. If that kernel boots next, build its initrd with `dracut -f --kver RELEASE`.",
			NotDetermined: "Neither can be proven. The detail gives the reason, and `klp-audit initrd --explain` lists the evidence.",
			NotApplicable: "No live patch is active.",
		},
	},
	"next-boot": {
		Asks: "Does the default boot entry start the newest installed kernel?",
		Results: map[Rating]string{
			Pass:          "Yes.",
			Warn:          "It starts the running kernel again, although a newer one is installed.",
			Fail:          "It starts a kernel that is neither the running nor the newest one, or one that has no initrd and does not boot.",
			NotDetermined: "The record does not show what the next boot runs, or which installed kernel is the newest.",
		},
	},
	"coverage": {
		Asks: "Does SUSE still make live patches for the running kernel?",
		Results: map[Rating]string{
			Pass:          "Yes, and the last day is not near.",
			Warn:          "Yes, but for less time than `warn`.",
			Fail:          "No, the last day has passed; or less time than `fail` is left.",
			NotDetermined: "The lifecycle data on this machine could not be read, or has no date for this kernel.",
			NotApplicable: "No live patch is loaded or installed.",
		},
		Means: map[string]string{
			"warn": "Less than this is left until the last day.",
			"fail": "Less than this is left; 0d: the last day has passed.",
		},
	},
	"latency": {
		Asks: "Did the fixes in live patches become active soon enough after their release?",
		Results: map[Rating]string{
			Pass:          "All fixes that became active within `look_back` did so in time.",
			Warn:          "A fix took longer than `warn`, or has been released and is not active yet, with time left.",
			Fail:          "A fix took longer than `fail`, or is still not active after that long.",
			NotDetermined: "None was late, but the record does not show when some fix was released or became active.",
			NotApplicable: "No fix of a live patch came in within `look_back`.",
		},
		Means: map[string]string{
			"warn":       "The longest time from release to activation without a warning.",
			"fail":       "The longest time from release to activation.",
			"severities": "Only fixes of advisories with these severities count. A fix of unknown severity always counts.",
		},
	},
	"updates": {
		Asks: "Is a live patch on offer that would fix more in the running kernel, or did SUSE take back the installed one?",
		Results: map[Rating]string{
			Pass:          "No; or its fixes have been open for no longer than `warn`.",
			Warn:          "A fix on offer has been open for longer than `warn`, or nobody knows for how long.",
			Fail:          "A fix on offer has been open for longer than `fail` or `fail_by` allow; or the installed or active live patch was retracted.",
			NotDetermined: "The record does not show which kernel runs, what the vendor has released, or whether a fix is active or still on offer. The metadata may also be too old: see the check metadata.",
		},
		Means: map[string]string{
			"warn":    openFor,
			"fail":    openFor,
			"fail_by": "The same as fail, for advisories of this severity.",
		},
	},
	"residual": {
		Asks: "Has a fix been waiting too long for a newer kernel? Live patches cover CVSS 7 and above, so most machines have some fixes that only a newer kernel brings.",
		Results: map[Rating]string{
			Pass:          "No fix needs a newer kernel, or none has been waiting for longer than `warn`.",
			Warn:          "One has been waiting for longer than `warn`, or nobody knows for how long.",
			Fail:          "One has been waiting for longer than `fail` or `fail_by` allow.",
			NotDetermined: "The record does not show which kernel runs or what the vendor has released. The metadata may also be too old: see the check metadata.",
		},
		Means: map[string]string{
			"warn":    openFor,
			"fail":    openFor,
			"fail_by": "The same as fail, for advisories of this severity.",
		},
	},
	"metadata": {
		Asks: "Were the repositories that offer kernels and live patches refreshed lately, so that the record shows what is on offer?",
		Results: map[Rating]string{
			Pass:          "Yes, all of them.",
			Warn:          "The newest advisory of a repository is older than `warn`, as if its channel were frozen; or a repository that had advisories for this machine is disabled or gone.",
			Fail:          "A repository was never refreshed, not within `fail`, or cannot be read; or the machine has a product for live patching, and no enabled repository offers kernels or live patches.",
			NotDetermined: "No observation has looked at the repositories' metadata.",
			NotApplicable: "No enabled repository offers kernels or live patches, and no product for live patching is installed.",
		},
		Means: map[string]string{
			"warn": "The newest advisory of a repository is older than this.",
			"fail": "A repository was refreshed longer ago than this.",
		},
	},
	"reboot-lag": {
		Asks: "Has a newer installed kernel been waiting too long for a reboot?",
		Results: map[Rating]string{
			Pass:          "The newest installed kernel runs, or the newer one was installed no longer than `warn` ago.",
			Warn:          "A newer kernel was installed longer than `warn` ago.",
			Fail:          "A newer kernel was installed longer than `fail` ago.",
			NotDetermined: "The record does not show which installed kernel is the newest, or when it was installed.",
		},
		Means: map[string]string{
			"warn": "The newer kernel was installed longer ago than this.",
			"fail": "The newer kernel was installed longer ago than this.",
		},
	},
	"failed-commits": {
		Asks: "Was every failed change of a tracked package repaired by a later one?",
		Results: map[Rating]string{
			Pass:          "No change failed within `look_back`, or the same package was changed successfully since.",
			Warn:          "A commit is going on.",
			Fail:          "A change failed, or a script of a package did, and nothing has changed that package since; or a commit has no end and began longer than `warn` ago.",
			NotDetermined: "The record does not show what became of a change.",
		},
		Means: map[string]string{"warn": "A commit may take this long."},
	},
	"downgrades": {
		Asks: "Was a kernel or live patch downgraded, or a live patch removed while its kernel stayed?",
		Results: map[Rating]string{
			Pass: "No, not within `look_back`.",
			Fail: "Yes. The detail names who did it, and the kernel warnings before it.",
		},
	},
	"signatures": {
		Asks: "Does libzypp check signatures, and are all installed kernels and live patches signed?",
		Results: map[Rating]string{
			Pass:          "Yes.",
			Fail:          "gpgcheck is off; a repository is not checked at all; or an installed package has no signature, or one of a key that the profile does not list.",
			NotDetermined: "The settings or the installed packages could not be read.",
		},
		Means: map[string]string{"keys": "The ids of the keys to trust, 16 hex digits each. Without any, every signature will do."},
	},
	"attribution": {
		Asks: "Does every commit name the person or the automation that made it?",
		Results: map[Rating]string{
			Pass:          "Yes, all within `look_back`.",
			Fail:          "The author of at least one commit is unknown.",
			NotApplicable: "No commit is on record within `look_back`.",
		},
	},
	"clock": {
		Asks: "Is the clock synchronised, so that the times on record can be relied on?",
		Results: map[Rating]string{
			Pass:          "Yes.",
			Warn:          "It counts as synchronised, but was last set longer than `warn` before the observation.",
			Fail:          "No.",
			NotDetermined: "The system does not say.",
		},
		Means: map[string]string{"warn": "The last synchronisation may be this old."},
	},
	"completeness": {
		Asks: "Does the record hold everything that changed?",
		Results: map[Rating]string{
			Pass:          "Yes: the installed packages are those that the record leads to, libzypp's history shows no other change, and the record has no gap within `look_back`.",
			Fail:          "Packages changed without a commit on record (drift), libzypp's history has a line that the record does not explain, or the record has a gap.",
			NotDetermined: "There is nothing to compare with: no recent observation, no earlier state of the packages, or no readable history of libzypp.",
		},
	},
	"integrity": {
		Asks: "Is the record as it was signed, and did the last full verification find it intact?",
		Results: map[Rating]string{
			Pass:          "Yes, and the verification is no older than `warn`.",
			Warn:          "The verification is older than `warn` or could not read all checkpoints in the journal; or events wait in the spool because a program holds the record.",
			Fail:          "The record was altered, cut off or replaced; its key was replaced; the last full verification found a fault or is older than `fail`; or an event has been waiting in the spool for more than a day. A report that begins with ALTERED or TRUNCATED always fails here, whatever the profile says.",
			NotDetermined: "The record is empty, or holds no readable full verification of the last 31 days.",
		},
		Means: map[string]string{
			"warn": "The last full verification is older than this.",
			"fail": "The last full verification is older than this.",
		},
	},
	"retention": {
		Asks: "Does the record reach back far enough?",
		Results: map[Rating]string{
			Pass:          "It reaches back as far as `fail` asks, or to the installation of the recorder.",
			Fail:          "It begins later than that.",
			NotDetermined: "The record is empty.",
		},
		Means: map[string]string{"fail": "The record must reach back this far."},
	},
	"permissions": {
		Asks: "Can only root change klp-audit's files, and is the record kept from other users?",
		Results: map[Rating]string{
			Pass:          "Yes: all files belong to root, with modes that keep others out.",
			Fail:          "A file belongs to another user, or its mode allows too much. The detail names it, and the mode that is right.",
			NotDetermined: "The files could not be read, or the observation saw none.",
		},
	},
	"recorder": {
		Asks: "Is the recorder in place, and does it still report?",
		Results: map[Rating]string{
			Pass:          "The commit plugin can run, and the newest observation is no older than `max_age`.",
			Warn:          "Something other than the package's file is in the place of the commit plugin, such as a link.",
			Fail:          "The commit plugin or the recorder is missing or cannot run, or the newest observation is older than `max_age`.",
			NotDetermined: "The newest observation does not show the plugin.",
		},
	},
	"entitlement": {
		Asks: "Is the system set up to get live patches: product, pattern and lifecycle data?",
		Results: map[Rating]string{
			Pass:          "Yes, or the product has live patches in its own repositories.",
			Warn:          "The live patching product is installed, but its pattern or its lifecycle data is not.",
			Fail:          "The live patching product is not installed, or the support of a product has ended.",
			NotDetermined: "The installed products could not be read.",
			NotApplicable: "No part of live patching is installed.",
		},
	},
	"exceptions": {
		Asks: "Has an exception expired?",
		Results: map[Rating]string{
			Pass:          "No, all are valid for longer than `warn`.",
			Warn:          "No, but one expires within `warn`.",
			Fail:          "Yes, and nobody has ended it.",
			NotApplicable: "There is no exception.",
		},
		Means: map[string]string{"warn": "An exception that expires within this time warns."},
	},
	"taint": {
		Asks: "Is the kernel tainted by anything other than live patches?",
		Results: map[Rating]string{
			Pass:          "No: it has no flags, or only allowed ones.",
			Fail:          "Yes. The detail names the flags and their meaning.",
			NotDetermined: "The taint value could not be read.",
		},
		Means: map[string]string{"allowed": "The letters of the flags that are no finding."},
	},
	"journal": {
		Asks: "Is the journal kept over reboots? The verdicts on the initrd rest on it.",
		Results: map[Rating]string{
			Pass:          "Yes.",
			Fail:          "It is lost with a reboot, or this machine has no journal in /var/log/journal.",
			NotDetermined: "The settings or the journal itself could not be read.",
		},
	},
}
