package observe

import (
	"fmt"
	"strings"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/store"
)

// reboot says whether the machine waits for a reboot: because libzypp says so, or because
// another kernel than the newest one runs.
func (t *taker) reboot() {
	asked, err := zypp.PendingReboot(t.Root)
	if err == nil && t.obs.Installed == nil {
		err = fmt.Errorf("which kernels are installed is not known: %s", t.obs.Unknown["installed"])
	}
	if t.failed("reboot", err) {
		return
	}
	r := &store.Reboot{Pending: store.PendingNo, NewestKernel: newestKernel(t.packages, t.obs.Kernel.Release), Asked: asked.Needed}
	t.obs.Reboot = r
	if !r.Asked && (r.NewestKernel == "" || r.NewestKernel == t.obs.Kernel.Release) {
		return
	}
	r.Pending = store.PendingYes
	if lp := t.obs.LivePatch; lp != nil && lp.Package != nil && lp.Initial != nil && !*lp.Initial && !lp.Transition {
		r.Pending = store.PendingLivePatched
	}
}

// newestKernel is the release of the newest installed kernel of a running kernel's flavour,
// empty if there is none.
func newestKernel(pkgs []rpm.Package, running string) (newest string) {
	flavour := running[strings.LastIndexByte(running, '-')+1:]
	var evr rpm.EVR
	for _, p := range pkgs {
		release, ok := livepatch.KernelRelease(p.Name, p.EVR.Version, p.EVR.Release)
		if ok && strings.HasSuffix(release, "-"+flavour) && (newest == "" || p.EVR.Compare(evr) > 0) {
			newest, evr = release, p.EVR
		}
	}
	return newest
}
