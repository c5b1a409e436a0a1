package observe

import (
	"errors"
	"fmt"
	"slices"
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
	r := &store.Reboot{Pending: store.PendingNo, NewestKernel: newestKernel(t.packages, t.obs.Kernel.Release), Asked: asked.Needed}
	switch {
	case err != nil:
	case t.obs.Kernel.Release == "":
		err = errors.New("which kernel runs is not known")
	case r.NewestKernel == "" && !r.Asked:
		err = errors.New("no kernel of the running one's flavour is installed")
	}
	if t.failed("reboot", err) {
		return
	}
	t.obs.Reboot = r
	if !r.Asked && r.NewestKernel == t.obs.Kernel.Release {
		return
	}
	r.Pending = store.PendingYes
	if lp := t.obs.LivePatch; lp != nil && lp.Initial != nil && !*lp.Initial && !lp.Transition && t.newest(lp) {
		r.Pending = store.PendingLivePatched
	}
}

// newest says whether no newer version of a live patch is installed.
func (t *taker) newest(lp *store.LivePatch) bool {
	return !slices.ContainsFunc(t.packages, func(p rpm.Package) bool {
		n, ok := livepatch.PatchNumber(p.EVR.Version)
		return p.Name == *lp.Package && (!ok || n > *lp.PatchNumber)
	})
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
