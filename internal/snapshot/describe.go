package snapshot

import (
	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/record"
)

// Describe fills in what follows from a package's name and version.
func Describe(name string, evr rpmversion.EVR, arch string) record.Change {
	c := record.Change{Kind: livepatch.KindOf(name), Package: name, Version: evr.String(), Arch: arch}
	switch c.Kind {
	case record.PackageKernel:
		c.KernelRelease, _ = livepatch.KernelRelease(name, evr.Version, evr.Release)
	case record.PackageLivepatch:
		c.KernelRelease, _ = livepatch.KernelFor(name)
		c.Module = livepatch.Module(name, evr.Version, evr.Release)
		c.PatchNumber, _ = livepatch.PatchNumber(evr.Version)
		c.Initial = c.PatchNumber == 1
	}
	return c
}
