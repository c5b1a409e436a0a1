package livepatch

import (
	"slices"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

const (
	livepatchPrefix = "kernel-livepatch-"
	kgraftPrefix    = "kgraft-patch-" // SUSE Linux Enterprise 12
)

// Prefixes returns the prefixes of the names of live patch packages.
func Prefixes() []string { return []string{livepatchPrefix, kgraftPrefix} }

// KernelFor returns the release of the kernel, as uname -r prints it, that the live patch package
// pkg is for: kernel-livepatch-6_4_0-150600_23_42-default is for 6.4.0-150600.23.42-default. ok is
// false if pkg is not a live patch, like kernel-livepatch-tools.
//
// A staging package (..._stage_N) keeps the underscore before "stage".
func KernelFor(pkg string) (release string, ok bool) {
	rest, ok := strings.CutPrefix(pkg, livepatchPrefix)
	if !ok {
		rest, ok = strings.CutPrefix(pkg, kgraftPrefix)
	}
	if !ok || strings.Contains(rest, ".") {
		return "", false
	}
	release = strings.ReplaceAll(strings.ReplaceAll(rest, "_", "."), ".stage.", "_stage.")
	if !isPatchable(release) {
		return "", false
	}
	return release, true
}

// PackageFor returns the name of the live patch package for the kernel that uname -r calls release;
// it is the inverse of KernelFor. ok is false if SUSE has no live patches for kernels with such
// names.
//
// Live patches are called kgraft-patch-* in SUSE Linux Enterprise 12. Its kernels are 3.12, 4.4 and
// 4.12.14; the last one was also used by SUSE Linux Enterprise 15 and 15 SP1, so the first number
// of the release decides: 94, 95 (12 SP4), 120 and 122 (12 SP5) are those of 12.
func PackageFor(release string) (pkg string, ok bool) {
	if !isPatchable(release) {
		return "", false
	}
	prefix := livepatchPrefix
	if isSLE12(release) {
		prefix = kgraftPrefix
	}
	return prefix + strings.ReplaceAll(release, ".", "_"), true
}

// isPatchable reports whether release is the name of a kernel that can have a live patch:
// X.Y.Z-R[.R[.R]]-flavour, or X.Y.Z-R_stage.N-flavour.
func isPatchable(release string) bool {
	parts := strings.Split(release, "-")
	if len(parts) != 3 {
		return false
	}
	version := strings.Split(parts[0], ".")
	numbers := strings.Split(strings.Replace(parts[1], "_stage.", ".", 1), ".")
	if strings.Contains(parts[1], "_stage.") && len(numbers) != 2 {
		return false
	}
	return len(version) == 3 && allDigits(version) &&
		len(numbers) <= 3 && allDigits(numbers) && isLivepatchFlavour(parts[2])
}

// isLivepatchFlavour reports whether s matches [a-z][a-z0-9]*. That is stricter than for flavours
// of kernels: no live patch has an underscore here.
func isLivepatchFlavour(s string) bool {
	if s == "" || isDigits(s[:1]) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// isSLE12 reports whether the kernel called release belongs to SUSE Linux Enterprise 12.
func isSLE12(release string) bool {
	for _, start := range []string{
		"3.12.", "4.4.", "4.12.14-94.", "4.12.14-95.", "4.12.14-120.", "4.12.14-120-", "4.12.14-122.",
	} {
		if strings.HasPrefix(release, start) {
			return true
		}
	}
	return false
}

// Flavour returns the kernel flavour of the package called name, empty if it is not a kernel.
func Flavour(name string) string {
	if KindOf(name) != record.PackageKernel {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(name, "kernel-"), "-base")
}

// KernelRelease returns what uname -r prints if the kernel of the package name-version-release
// runs. ok is false if that is not a bootable kernel, or if its release does not follow from these
// three.
//
// The rule is that of SUSE's kernel packages: the last number of the release counts rebuilds and is
// not part of it. A suffix with a letter in it, as in a kernel of the day, stays; a fix made for
// one customer (PTF) keeps its whole release. A separately built kernel-default-base has the
// kernel's release in front of its own, which begins with the same number; that is unambiguous only
// if this number is that of a product, such as 150400.
func KernelRelease(name, version, release string) (uname string, ok bool) {
	flavour := Flavour(name)
	if flavour == "" || !allDigits(strings.Split(version, ".")) || !isPlain(release) {
		return "", false
	}
	if strings.HasSuffix(name, "-base") {
		if release, ok = baseKernel(release); !ok {
			return "", false
		}
	}
	return version + "-" + withoutRebuilds(release) + "-" + flavour, true
}

// baseKernel returns the release of the kernel from which a kernel base package with the given
// release was made.
func baseKernel(release string) (kernel string, ok bool) {
	numbers := strings.Split(release, ".")
	own := slices.Index(numbers[1:], numbers[0]) + 1
	if own < 2 || len(numbers[0]) < len("150400") || slices.Contains(numbers[own+1:], numbers[0]) {
		return "", false
	}
	return strings.Join(numbers[:own], "."), true
}

// withoutRebuilds returns release without the build service's rebuild counter.
func withoutRebuilds(release string) string {
	if strings.Contains(release, ".PTF.") {
		return release
	}
	rest, suffix := release, ""
	if i := strings.LastIndexByte(rest, '.'); i >= 0 && !isDigits(rest[i+1:]) {
		rest, suffix = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(rest, '.'); i >= 0 && isDigits(rest[i+1:]) {
		rest = rest[:i]
	}
	return rest + suffix
}

// Module returns the name of the kernel module in the live patch package name-version-release, as
// /sys/kernel/livepatch shows it: 7-150600.13.6.1 contains livepatch_7_150600_13_6_1. It is empty
// if name is not a live patch.
//
// It distinguishes the versions of a package, but not the packages of two kernels: these may share
// version and release.
func Module(name, version, release string) string {
	if _, ok := KernelFor(name); !ok {
		return ""
	}
	prefix := "livepatch_"
	if strings.HasPrefix(name, kgraftPrefix) {
		prefix = "kgraft_patch_"
	}
	return prefix + strings.NewReplacer(".", "_", "-", "_").Replace(version+"-"+release)
}

// ParseModule returns the version and release of the package that the live patch module is from. It
// is the inverse of Module, and ok for names made from SUSE's own packages: a version that is one
// number, and a release of numbers. Anything else in a name could have been a dot, a dash or an
// underscore.
func ParseModule(module string) (version, release string, ok bool) {
	rest, ok := strings.CutPrefix(module, "livepatch_")
	if !ok {
		rest, ok = strings.CutPrefix(module, "kgraft_patch_")
	}
	numbers := strings.Split(rest, "_")
	if !ok || len(numbers) < 2 || !allDigits(numbers) {
		return "", "", false
	}
	return numbers[0], strings.Join(numbers[1:], "."), true
}

// PatchNumber returns the number of the live patch in a package of the given version. Number 1 is
// the initial patch, which fixes nothing yet.
func PatchNumber(version string) (n int, ok bool) {
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 || !isDigits(version) {
		return 0, false
	}
	return n, true
}

// isPlain reports whether s consists of characters that are allowed in a package's release and
// unchanged in a kernel's name.
func isPlain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '+'
	})
}

// allDigits reports whether each of the strings is a decimal number.
func allDigits(numbers []string) bool {
	return !slices.ContainsFunc(numbers, func(s string) bool { return !isDigits(s) })
}

// isDigits reports whether s is a decimal number.
func isDigits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}
