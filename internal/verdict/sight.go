package verdict

import (
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/record"
)

// Sight is what an observation saw of the machine, as far as it determines the active live patch
// and the verdict on its initrd.
type Sight struct {
	Kernel   string               // release of the running kernel
	Patches  []record.LoadedPatch // in the kernel; nil: not known
	Boots    []journal.Boot       // this boot, as far as the journal has it; nil: not known
	Packages []record.Package     // installed tracked packages; nil: not known
	Live     *Live
}

// LivePatch describes the active live patch, except for its fixes, and finds the package that it
// came from. Each is nil if there is none, or none is known.
func (s *Sight) LivePatch() (*record.LivePatch, *record.Package) {
	active := livepatch.Active(s.Patches)
	if active == nil {
		return nil, nil
	}
	lp := &record.LivePatch{Module: active.Module, Enabled: active.Enabled, Transition: active.Transition}
	if len(s.Boots) > 0 {
		if load := lastLoad(s.Boots[0], lp.Module); load != nil {
			lp.Since = record.AtOrNil(load.Time.Time)
			if load.Forced || load.Result == record.LoadComplete && !s.Boots[0].MessagesLost && len(s.Boots[0].Unread) == 0 {
				lp.Forced = &load.Forced
			}
		}
	}
	p := PackageOf(s.Packages, s.Kernel, lp.Module)
	if p == nil {
		return lp, nil
	}
	lp.Package, lp.Version = &p.Name, &p.Version
	if n, ok := livepatch.PatchNumber(rpmversion.Of(*p).Version); ok {
		lp.PatchNumber, lp.Initial = &n, new(n == 1)
	}
	return lp, p
}

// Initrd is the verdict on the initrd of the running kernel: by the journal, or else by the image,
// which read reads.
func (s *Sight) Initrd(read func(path string) (*initrd.Image, error)) record.Initrd {
	q := Question{Kernel: s.Kernel, Boots: RunBy(s.Kernel, s.Boots), Live: s.Live}
	if active := livepatch.Active(s.Patches); active != nil {
		live := *s.Live
		live.SrcVersion = active.SrcVersion
		q.Patch, q.Live = active.Module, &live
		if p := PackageOf(s.Packages, q.Kernel, q.Patch); p != nil {
			q.Installed = time.Unix(p.InstallTime, 0)
		}
	}
	v := Judge(q)
	if v.Reason == record.ReasonNoPatch && s.Patches == nil {
		v.Reason = record.ReasonPatchesUnknown
	}
	return JudgeImages(v, q, "", read)
}

// RunBy returns the boots, with the given kernel filled in where the journal lost their start.
func RunBy(kernel string, boots []journal.Boot) []journal.Boot {
	boots = slices.Clone(boots)
	for i := range boots {
		if boots[i].KernelRelease == "" {
			boots[i].KernelRelease = kernel
		}
	}
	return boots
}

// PackageOf is the installed package that contains a module for a kernel, nil if none does.
func PackageOf(pkgs []record.Package, kernel, module string) *record.Package {
	for i, p := range pkgs {
		release, ok := livepatch.KernelFor(p.Name)
		if evr := rpmversion.Of(p); ok && release == kernel && livepatch.Module(p.Name, evr.Version, evr.Release) == module {
			return &pkgs[i]
		}
	}
	return nil
}
