package zyppimport

import (
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/record"
)

// inventory is what must be installed according to the history so far: libzypp writes no line for a
// package that an update replaced.
type inventory map[string][]version

// version is one version of a package.
type version struct {
	rpmversion.EVR
	arch string
}

// install says what installing a package does, and applies it if it succeeded.
func (inv inventory) install(c *record.Change, evr rpmversion.EVR, ok bool) {
	have := inv[c.Package]
	i := inv.replaced(c, evr)
	switch {
	case i < 0:
		c.Action = record.ActionInstall
	case evr == have[i].EVR:
		c.Action = record.ActionReinstall
	case evr.Compare(have[i].EVR) >= 0:
		c.Action = record.ActionUpgrade
	default:
		c.Action = record.ActionDowngrade
	}
	if i >= 0 {
		c.Previous = have[i].EVR.String()
	}
	if !ok {
		return
	}
	if i >= 0 {
		have = slices.Delete(slices.Clone(have), i, i+1)
	}
	inv[c.Package] = append(have, version{evr, c.Arch})
}

// replaced is the installed package that a new one replaces: the same version again, or any other
// of its name, preferably of its own architecture. Packages with parallel versions replace only the
// same version.
func (inv inventory) replaced(c *record.Change, evr rpmversion.EVR) int {
	have := inv[c.Package]
	rules := []func(version) bool{
		func(v version) bool { return v == version{evr, c.Arch} },
		func(v version) bool { return v.arch == c.Arch },
		func(v version) bool { return true },
	}
	if parallel(c.Package) {
		rules = rules[:1]
	}
	for _, rule := range rules {
		if i := slices.IndexFunc(have, rule); i >= 0 {
			return i
		}
	}
	return -1
}

func (inv inventory) remove(c *record.Change, evr rpmversion.EVR) {
	inv[c.Package] = slices.DeleteFunc(inv[c.Package], func(v version) bool { return v == version{evr, c.Arch} })
}

// parallel says whether versions of a package are installed next to each other because they provide
// multiversion(kernel) (zypp.conf: multiversion): kernels, their modules, sources and subpackages,
// but neither live patches nor tools.
func parallel(name string) bool {
	switch livepatch.KindOf(name) {
	case record.PackageKernel, record.PackageKMP:
		return true
	case record.PackageSupport:
		rest, ok := strings.CutPrefix(name, "kernel-")
		return ok && !strings.HasPrefix(rest, "livepatch-") && rest != "macros" && rest != "install-tools"
	}
	return false
}
