// Package livepatch knows SUSE's kernels and kernel live patches: which packages matter, which
// kernel a live patch is for, what its module is called, which defects it fixes according to its
// changelog, and how long it is supported; and what the running kernel shows of it.
//
// The package must stay cheap: it is linked into a program that libzypp starts in every commit.
package livepatch

import (
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// KindOf returns the kind of the package called name, empty if it is not tracked. The name of each
// tracked package contains one of tracked.Words.
//
// A name with -kmp- in it is a kernel module package, whatever else it looks like. Debug
// information, developer files and meta packages of kernels and live patches are support: having
// them protects nothing.
func KindOf(name string) record.PackageKind {
	if strings.Contains(name, "-kmp-") {
		return record.PackageKMP
	}
	if _, ok := KernelFor(name); ok {
		return record.PackageLivepatch
	}
	if rest, ok := strings.CutPrefix(name, "kernel-"); ok {
		return kernelKind(rest)
	}
	if isSupport(name) {
		return record.PackageSupport
	}
	return ""
}

// kernelKind returns the kind of the package called "kernel-" + rest, which is not a live patch.
func kernelKind(rest string) record.PackageKind {
	switch {
	case rest == "doc", rest == "firmware",
		strings.HasPrefix(rest, "docs"), strings.HasPrefix(rest, "firmware-"):
		return ""
	case isFlavour(strings.TrimSuffix(rest, "-base")):
		return record.PackageKernel
	}
	return record.PackageSupport
}

// Certain reports whether the name alone determines the kind of package. If not, the package is a
// kernel if it provides one.
func Certain(name string) bool {
	flavour := Flavour(name)
	return flavour == "" || slices.Contains(flavours, flavour)
}

// ProvidesKernel reports whether a name that a package provides is that of a kernel.
func ProvidesKernel(name string) bool { return name == "kernel" || name == "kernel-uname-r" }

// flavours are the flavours of SUSE's kernels so far.
var flavours = []string{
	"default", "rt", "rt_debug", "azure", "azure_debug", "coco", "coco_debug", "64kb", "longterm", // supported products
	"debug", "kvmsmall", "pae", "vanilla", "preempt", "xen", "ec2", "trace", "desktop", "bigsmp", "lpae", "smp", "zfcpdump",
}

// isFlavour reports whether s may be a flavour of bootable kernels, including future ones. uname -r
// has the flavour after the last dash, so it contains none.
func isFlavour(s string) bool {
	if s == "" || slices.Contains(noFlavours, s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '+'
	})
}

// noFlavours are other endings of package names that begin like kernels.
var noFlavours = []string{
	"source", "syms", "devel", "macros", "headers", "tools", "utils", "livepatch",
	"base", "extra", "optional", "core", "modules", "abi", "man", "dtb", "dtbs",
	"debuginfo", "debugsource", "selftests", "testsuite", "bootsplash",
}

// isSupport reports whether a package not called kernel-* is tracked for its role for kernels
// and live patches.
func isSupport(name string) bool {
	if rest, ok := strings.CutPrefix(name, "lifecycle-data-"); ok {
		return strings.Contains(rest, "live-patching")
	}
	if rest, ok := strings.CutPrefix(name, "sle-"); ok {
		return strings.HasSuffix(rest, "live-patching-release")
	}
	if rest, ok := strings.CutPrefix(name, "patterns-"); ok && strings.HasSuffix(rest, "lp_sles") {
		return true
	}
	return name == "suse-module-tools" || strings.HasPrefix(name, "dracut") ||
		strings.HasSuffix(name, "kernel_livepatching")
}
