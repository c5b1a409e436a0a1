package observe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

// reboot says whether the machine needs a reboot.
func (t *taker) reboot() {
	asked, err := zypp.PendingReboot(t.Root)
	if err == nil {
		t.obs.Reboot, err = Reboot(t.obs, t.sight.Packages, asked.Needed)
	}
	t.failed("reboot", err)
}

// Reboot says whether a machine with this observation and these packages needs a reboot: because
// libzypp asks for it, or because the running kernel is not the newest one.
func Reboot(o *record.Observation, pkgs []record.Package, asked bool) (*record.Reboot, error) {
	if o.Installed == nil {
		return nil, fmt.Errorf("which kernels are installed is not known: %s", o.Unknown["installed"])
	}
	newest, untold := newestKernel(pkgs, o.Kernel)
	r := &record.Reboot{Pending: record.PendingNo, NewestKernel: newest, Asked: asked}
	switch {
	case o.Kernel.Release == "":
		return nil, errors.New("which kernel runs is not known")
	case asked:
	case untold != "" && (newest == "" || newest == o.Kernel.Release):
		return nil, errors.New(untold)
	case newest == "":
		return nil, errors.New("no kernel of the running one's flavour is installed")
	}
	if untold != "" {
		r.NewestKernel, r.NewestUnknown = "", untold
	}
	if !asked && r.NewestKernel == o.Kernel.Release {
		return r, nil
	}
	r.Pending = record.PendingYes
	if o.Patches == nil {
		r.Pending = record.PendingUnknown
	}
	if lp := o.LivePatch; lp != nil && !lp.Transition && makesUpFor(pkgs, o.Kernel.Release, lp) {
		r.Pending = record.PendingLivePatched
	}
	return r, nil
}

// makesUpFor says whether a live patch fixes something and no newer one for that kernel is
// installed. If its package is gone, the number is taken from its module.
func makesUpFor(pkgs []record.Package, kernel string, lp *record.LivePatch) bool {
	number := lp.PatchNumber
	if lp.Package == nil {
		version, _, _ := livepatch.ParseModule(lp.Module)
		if n, ok := livepatch.PatchNumber(version); ok {
			number = &n
		}
	}
	return number != nil && *number > 1 && !slices.ContainsFunc(pkgs, func(p record.Package) bool {
		release, isPatch := livepatch.KernelFor(p.Name)
		n, ok := livepatch.PatchNumber(rpmversion.Of(p).Version)
		return isPatch && release == kernel && (!ok || n > *number)
	})
}

// newestKernel is the release of the newest installed kernel of the running flavour, empty if there
// is none. If it cannot be determined, unknown says why, and newest is one that is certainly
// installed: a kernel whose package does not tell its release may be newer, and one that was
// installed since the boot with the running release is not the build that runs.
func newestKernel(pkgs []record.Package, running record.Kernel) (newest, unknown string) {
	flavour := running.Release[strings.LastIndexByte(running.Release, '-')+1:]
	var told, untold record.Package
	for _, p := range pkgs {
		if livepatch.Flavour(p.Name) != flavour || p.Kind != "" && p.Kind != record.PackageKernel {
			continue
		}
		evr := rpmversion.Of(p)
		release, ok := livepatch.KernelRelease(p.Name, evr.Version, evr.Release)
		switch {
		case !ok && (untold.Name == "" || evr.Compare(rpmversion.Of(untold)) > 0):
			untold = p
		case ok && (newest == "" || evr.Compare(rpmversion.Of(told)) > 0):
			newest, told = release, p
		}
	}
	boot := running.BootTime.Time
	switch {
	case untold.Name != "" && (newest == "" || rpmversion.Of(untold).Compare(rpmversion.Of(told)) > 0):
		unknown = fmt.Sprintf("which installed kernel is the newest cannot be told: %s does not say which release it is", untold.NEVRA())
	case newest != "" && newest == running.Release && !boot.IsZero() && told.InstallTime > boot.Unix():
		unknown = fmt.Sprintf("whether the newest build of kernel %s runs cannot be told: %s was installed since the boot", newest, told.NEVRA())
	}
	return newest, unknown
}
