package compliance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
)

// seen is an observation of the machine that is judged.
type seen audit.Seen

// seenAt is the newest observation at a moment or before it, nil if there is none.
func seenAt(ctx context.Context, s audit.Reader, at time.Time) (*seen, error) {
	o, err := audit.SeenAt(ctx, s, at)
	return (*seen)(o), err
}

func (o *seen) events() []int64 {
	if o == nil {
		return nil
	}
	return []int64{o.Event}
}

// livePatches are the names of the installed live patch packages.
func (o *seen) livePatches() (names []string) {
	for _, p := range o.Installed {
		if isLivePatch(p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// isLivePatch says whether a package is one with a live patch, by its name: that of a kernel is
// in it.
func isLivePatch(name string) bool {
	return strings.HasPrefix(name, "kernel-livepatch-") && strings.Count(name, "_") > 1 || strings.HasPrefix(name, "kgraft-patch-")
}

// patched says whether a live patch is loaded or installed.
func (o *seen) patched() bool {
	return o.LivePatch != nil || o.Installed != nil && o.patchPackage() != nil
}

// unpatched says whether no live patch is loaded, and none installed.
func (o *seen) unpatched() bool {
	return o.Patches != nil && o.LivePatch == nil && o.Installed != nil && o.patchPackage() == nil
}

// patchPackage is the live patch that is installed for the running kernel, nil if none is.
// The package is called after the release, with underscores for its dots.
func (o *seen) patchPackage() *record.Package {
	suffix := "-" + strings.ReplaceAll(o.Kernel.Release, ".", "_")
	i := slices.IndexFunc(o.Installed, func(p record.Package) bool { return strings.HasSuffix(p.Name, suffix) })
	if i < 0 {
		return nil
	}
	return &o.Installed[i]
}

// kernelPackage is the installed package of a kernel, nil if none is known to be.
func (o *seen) kernelPackage(release string) *record.Package {
	n := slices.IndexFunc(o.Installed, func(p record.Package) bool { return audit.IsKernel(p, release) })
	if n < 0 {
		return nil
	}
	return &o.Installed[n]
}

// newestUnknown is why it is not known whether the newest kernel runs, empty if it is. Older
// programs did not note that a kernel was built anew with the same release.
func (o *seen) newestUnknown() string {
	running, boot := o.Kernel.Release, o.Kernel.BootTime.Time
	if o.Reboot.NewestUnknown != "" || o.Reboot.NewestKernel != running || boot.IsZero() {
		return o.Reboot.NewestUnknown
	}
	for _, p := range o.Installed {
		if audit.IsKernel(p, running) && p.InstallTime > boot.Unix() {
			return fmt.Sprintf("whether its newest build runs cannot be told: %s %s was installed since the boot", p.Name, p.Version)
		}
	}
	return ""
}
