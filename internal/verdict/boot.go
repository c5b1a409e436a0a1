package verdict

import (
	"slices"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/record"
)

// JudgeBoot decides from a boot in the journal alone whether its initrd contained a patch at the
// end. Without a kernel it uses the one that ran, without a patch the one that was active then.
func JudgeBoot(boot journal.Boot, kernel, patch string) record.Initrd {
	if kernel == "" {
		kernel = boot.KernelRelease
	}
	if patch == "" {
		patch = activeAtEnd(boot)
	}
	v := Judge(Question{Kernel: kernel, Patch: patch, Boots: []journal.Boot{boot}})
	if patch == "" {
		v.Reason = unseen(boot)
	}
	return v
}

// unseen says why no patch is seen in a boot that may have had one.
func unseen(boot journal.Boot) record.Reason {
	switch {
	case len(boot.Unread) > 0:
		return record.ReasonJournalUnread
	case boot.MessagesLost:
		return record.ReasonMessagesLost
	case !boot.StartInJournal:
		return record.ReasonBootStart
	}
	return record.ReasonNoPatch
}

// activeAtEnd is the patch that was active when a boot ended: the newest one that was loaded
// completely and not disabled since. Patches are cumulative: one replaces another.
func activeAtEnd(boot journal.Boot) string {
	for _, l := range slices.Backward(boot.Loads) {
		if l.Result == record.LoadFailed || l.Result == record.LoadReverted {
			continue
		}
		if l.Disabled != nil {
			return ""
		}
		return l.Patch
	}
	return ""
}
