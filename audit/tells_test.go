package audit

import (
	"cmp"
	"fmt"
	"testing"

	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// tells is what the record says of a moment: boot, live patch, verdict on the initrd, and how sure boot and patch are.
func tells(tl *Timeline) string {
	k, p, i := tl.Kernels[0], tl.Patches[0], tl.Initrds[0]
	boot, module, verdict := "-", p.Module, ""
	if k.Confidence != Unknown {
		boot = fmt.Sprintf("%c", parseLetter(k.BootID))
	}
	switch {
	case p.Confidence == Unknown:
		module = "?"
	case module == "":
		module = "none"
	case p.Transition && p.Replaces == nil:
		module += " from ?"
	case p.Transition:
		module += " from " + cmp.Or(*p.Replaces, "none")
	}
	if i.Confidence != Unknown {
		verdict = " " + string(i.Verdict)
	}
	return fmt.Sprintf("%s %s, %s %s%s", boot, k.Confidence, module, p.Confidence, verdict)
}

func parseLetter(id string) (c int) {
	fmt.Sscanf(id, "%x", &c)
	return c
}

// told is what is said by the timeline of that very moment.
func told(t *testing.T, s *store.Store, at string) string {
	t.Helper()
	tl, err := NewTimeline(t.Context(), s, storetest.March(t, at), storetest.March(t, at).Add(instant))
	storetest.Check(t, err)
	return tells(tl)
}
