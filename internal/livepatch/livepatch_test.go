package livepatch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/internal/tracked"
	"github.com/klp-audit/klp-audit/record"
)

// names are packages of every kind, and packages that look like them.
var names = map[record.PackageKind][]string{
	record.PackageKernel: {
		"kernel-default", "kernel-default-base", "kernel-rt", "kernel-rt_debug", "kernel-azure", "kernel-azure-base",
		"kernel-64kb", "kernel-debug", "kernel-kvmsmall", "kernel-pae", "kernel-vanilla", "kernel-preempt", "kernel-xen",
		"kernel-ec2", "kernel-trace", "kernel-desktop", "kernel-bigsmp", "kernel-lpae", "kernel-smp", "kernel-zfcpdump",
		"kernel-longterm", "kernel-coco", "kernel-coco_debug", "kernel-azure_debug", "kernel-coco-base", "kernel-slowroll", "kernel-bsc1234567", "kernel-next",
	},
	record.PackageLivepatch: {
		"kernel-livepatch-6_4_0-150600_23_42-default", "kernel-livepatch-6_4_0-150700_7_3-rt",
		"kernel-livepatch-6_4_0-34-default", "kernel-livepatch-6_4_0-99999_stage_5-default",
		"kgraft-patch-3_12_74-60_64_110-default",
	},
	record.PackageKMP: {
		"drbd-kmp-default", "drbd-kmp-rt-debuginfo", "kernel-default-kmp-x", "kernel-livepatch-kmp-tools", "dracut-kmp-default",
	},
	record.PackageSupport: {
		"kernel-default-devel", "kernel-default-debuginfo", "kernel-default-extra", "kernel-macros", "kernel-source",
		"kernel-default-base-rebuild", "kernel-livepatch-tools", "kernel-livepatch-tools-devel", "kernel-default-livepatch",
		"kernel-source", "kernel-syms", "kernel-devel", "kernel-headers", "kernel-tools", "kernel-obs-build", "kernel-obs-qa", "kernel-install-tools",
		"kernel-coco-devel", "kernel-coco_debug-debuginfo", "kernel-default-optional", "kernel-default-vdso", "kernel-dtb", "kernel-syms-rt", "kernel-source-azure",
		"kernel-livepatch", "kernel-", "kernel-base", "kernel-x.y",
		"kernel-default-livepatch-devel", "kernel-rt-livepatch", "kernel-livepatch-SLE15-SP6_Update_9-debugsource",
		"kernel-livepatch-6_4_0-150600_23_42-default-debuginfo", "kernel-livepatch-6_4_0-150600_23_42_1_1-default",
		"lifecycle-data-sle-module-live-patching", "lifecycle-data-sle-live-patching",
		"sle-module-live-patching-release", "sle-live-patching-release", "patterns-sle-lp_sles", "patterns-lp_sles",
		"patterns-base-kernel_livepatching", "dracut", "dracut-mkinitrd-deprecated", "suse-module-tools",
	},
	"": {
		"", "kernel", "kernel-firmware", "kernel-firmware-all", "kernel-doc", "kernel-docs", "kernel-docs-html", "kernelshark",
		"kgraft", "kgraft-patch-SLE12-SP5_Update_3-debugsource", "drbd-kmp", "lifecycle-data-sle", "sle-module-basesystem-release",
		"patterns-base-base", "suse-module-tools-legacy", "zypper", "lp_sles", "glibc",
	},
}

func TestKindOf(t *testing.T) {
	for want, list := range names {
		for _, name := range list {
			if got := KindOf(name); got != want {
				t.Errorf("KindOf(%q) = %q, want %q", name, got, want)
			}
		}
	}
	for _, kind := range record.PackageKinds() {
		if len(names[kind]) == 0 {
			t.Errorf("kind %q has no example", kind)
		}
	}
}

func TestTrackedNamesHaveAWord(t *testing.T) {
	for kind, list := range names {
		for _, name := range list {
			if kind != "" {
				checkFilter(t, name)
			}
		}
	}
}

// checkFilter reports if the filter misses name in any spelling.
func checkFilter(t *testing.T, name string) {
	plain, err := json.Marshal(map[string]string{"n": name})
	if err != nil {
		t.Fatal(err)
	}
	var escaped strings.Builder
	for i := range len(name) {
		fmt.Fprintf(&escaped, `\u%04X`, name[i])
	}
	for _, raw := range []string{string(plain), `{"n":"` + escaped.String() + `"}`} {
		if !tracked.MayName([]byte(raw)) {
			t.Errorf("MayName(%s) = false, want true", raw)
		}
	}
}

func TestPackageAndKernel(t *testing.T) {
	for pkg, release := range map[string]string{
		"kernel-livepatch-6_4_0-150600_23_42-default":    "6.4.0-150600.23.42-default",
		"kernel-livepatch-6_4_0-150600_23_60-default":    "6.4.0-150600.23.60-default",
		"kernel-livepatch-6_4_0-150600_23_14-default":    "6.4.0-150600.23.14-default",
		"kernel-livepatch-6_4_0-150700_51-default":       "6.4.0-150700.51-default",
		"kernel-livepatch-6_4_0-150700_7_3-rt":           "6.4.0-150700.7.3-rt",
		"kernel-livepatch-6_4_0-34-default":              "6.4.0-34-default",
		"kernel-livepatch-6_12_0-160000_5-default":       "6.12.0-160000.5-default",
		"kernel-livepatch-6_12_0-160000_5-rt":            "6.12.0-160000.5-rt",
		"kernel-livepatch-5_14_21-150500_55_83-default":  "5.14.21-150500.55.83-default",
		"kernel-livepatch-5_14_21-150400_24_136-default": "5.14.21-150400.24.136-default",
		"kernel-livepatch-5_3_18-24_34-default":          "5.3.18-24.34-default",
		"kernel-livepatch-4_12_14-150_75-default":        "4.12.14-150.75-default",
		"kernel-livepatch-4_12_14-150000_150_89-default": "4.12.14-150000.150.89-default",
		"kernel-livepatch-4_12_14-197_99-default":        "4.12.14-197.99-default",
		"kernel-livepatch-4_12_14-195-default":           "4.12.14-195-default",
		"kernel-livepatch-6_4_0-99999_stage_5-default":   "6.4.0-99999_stage.5-default",
		"kgraft-patch-3_12_62-60_64_8-default":           "3.12.62-60.64.8-default",
		"kgraft-patch-3_12_74-60_64_110-default":         "3.12.74-60.64.110-default",
		"kgraft-patch-4_4_180-94_164-default":            "4.4.180-94.164-default",
		"kgraft-patch-4_12_14-94_41-default":             "4.12.14-94.41-default",
		"kgraft-patch-4_12_14-95_68-default":             "4.12.14-95.68-default",
		"kgraft-patch-4_12_14-120-default":               "4.12.14-120-default",
		"kgraft-patch-4_12_14-122_228-default":           "4.12.14-122.228-default",
	} {
		if got, ok := KernelFor(pkg); !ok || got != release {
			t.Errorf("KernelFor(%q) = %q, %v, want %q", pkg, got, ok, release)
		}
		if got, ok := PackageFor(release); !ok || got != pkg {
			t.Errorf("PackageFor(%q) = %q, %v, want %q", release, got, ok, pkg)
		}
	}
}

func TestNoLivePatch(t *testing.T) {
	for _, pkg := range []string{
		"", "kernel-default", "kernel-livepatch-", "kernel-livepatch-6.4.0-34-default", "kernel-livepatch-6_4_0-34",
		"kernel-livepatch-6_4-34-default", "kernel-livepatch-6_4_0-34-Default", "kernel-livepatch-6_4_0-34-rt_debug",
		"kernel-livepatch-6_4_0-34-64kb", "kernel-livepatch-6_4_0--default", "kernel-livepatch-6_4_0-1_2_3_4-default",
		"kernel-livepatch-6_4_0-1_2_stage_3-default", "kernel-livepatch-6_4_0-1_stage_-default",
		"kernel-livepatch-6_4_0-1_stage_2_stage_3-default", "kernel-livepatch-6_4_0-٣-default",
		"kernel-livepatch-6_4_0-34-default\n", "kernel-livepatch-6_4_0-34-d\x00",
	} {
		if got, ok := KernelFor(pkg); ok || got != "" {
			t.Errorf("KernelFor(%q) = %q, %v, want not ok", pkg, got, ok)
		}
	}
	for _, release := range []string{"", "6.4.0", "6.4.0-34-rt_debug", "6.1.0-49-amd64-x", "6_4_0-34-default", "6.4.0-1.g12-default"} {
		if got, ok := PackageFor(release); ok || got != "" {
			t.Errorf("PackageFor(%q) = %q, %v, want not ok", release, got, ok)
		}
	}
}

func TestKernelRelease(t *testing.T) {
	for _, test := range []struct{ name, version, release, want string }{
		{"kernel-default", "6.4.0", "150600.23.42.2", "6.4.0-150600.23.42-default"},
		{"kernel-default", "6.4.0", "150600.23.60.5", "6.4.0-150600.23.60-default"},
		{"kernel-default", "6.4.0", "150700.51.1", "6.4.0-150700.51-default"},
		{"kernel-rt", "6.4.0", "150700.7.3.1", "6.4.0-150700.7.3-rt"},
		{"kernel-default", "5.14.21", "150500.55.83.1", "5.14.21-150500.55.83-default"},
		{"kernel-default", "5.14.21", "150400.24.136.1", "5.14.21-150400.24.136-default"},
		{"kernel-default", "6.4.0", "34.1", "6.4.0-34-default"},
		{"kernel-default", "6.12.0", "160000.5.1", "6.12.0-160000.5-default"},
		{"kernel-rt_debug", "6.4.0", "1.1", "6.4.0-1-rt_debug"},
		{"kernel-default", "6.4.0", "1", "6.4.0-1-default"},
		{"kernel-default", "6.4.0", "150600.1.1.gabc1234", "6.4.0-150600.1.gabc1234-default"},
		{"kernel-default", "5.3.18", "150300.59.93.1.25577.0.PTF.1203935", "5.3.18-150300.59.93.1.25577.0.PTF.1203935-default"},
		{"kernel-default-base", "5.14.21", "150400.24.100.2.150400.24.46.1", "5.14.21-150400.24.100-default"},
		{"kernel-default-base", "5.14.21", "150500.55.2.1.150500.6.2.5", "5.14.21-150500.55.2-default"},
		{"kernel-default-base", "5.3.18", "24.52.1.9.24.1", ""}, // its own release contains the kernel's first number
		{"kernel-default-base", "5.3.18", "24.64.1.9.28.1", ""},
		{"kernel-coco", "6.4.0", "15061.18.coco15sp6.1", "6.4.0-15061.18.coco15sp6-coco"},
		{"kernel-azure_debug", "6.4.0", "150600.8.5.1", "6.4.0-150600.8.5-azure_debug"},
		{"kernel-default-base", "4.12.14", "197.4.1", ""},
		{"kernel-default-base", "6.4.0", "1.2.1.3.1.4", ""},
		{"kernel-default-base", "6.4.0", "5.5", ""},
		{"kernel-default-devel", "6.4.0", "1.1", ""},
		{"kernel-firmware-all", "20250101", "1.1", ""},
		{"kernel-default", "6.4~rc1", "1.1", ""},
		{"kernel-default", "6.4.0", "", ""},
		{"kernel-default", "6.4.0", "1/../2.1", ""},
		{"kernel-default", "", "1.1", ""},
	} {
		got, ok := KernelRelease(test.name, test.version, test.release)
		if got != test.want || ok != (test.want != "") {
			t.Errorf("KernelRelease(%q, %q, %q) = %q, %v, want %q", test.name, test.version, test.release, got, ok, test.want)
		}
	}
}

func TestModule(t *testing.T) {
	const livepatch, kgraft = "kernel-livepatch-6_4_0-150600_23_14-default", "kgraft-patch-3_12_62-60_64_8-default"
	for _, test := range []struct{ name, version, release, module string }{
		{livepatch, "7", "150600.13.6.1", "livepatch_7_150600_13_6_1"},
		{livepatch, "1", "5.3.2", "livepatch_1_5_3_2"},
		{livepatch, "6", "150400.2.2", "livepatch_6_150400_2_2"},
		{livepatch, "8", "160000.4.3", "livepatch_8_160000_4_3"},
		{kgraft, "1", "2.2", "kgraft_patch_1_2_2"},
		{kgraft, "1", "8.5.1", "kgraft_patch_1_8_5_1"},
	} {
		if got := Module(test.name, test.version, test.release); got != test.module {
			t.Errorf("Module(%q, %q, %q) = %q, want %q", test.name, test.version, test.release, got, test.module)
		}
		version, release, ok := ParseModule(test.module)
		if !ok || version != test.version || release != test.release {
			t.Errorf("ParseModule(%q) = %q, %q, %v", test.module, version, release, ok)
		}
	}
	if got := Module("kernel-livepatch-tools", "1.3", "1.1"); got != "" {
		t.Errorf("Module of a package that is no live patch = %q", got)
	}
	for _, module := range []string{"", "livepatch_", "livepatch_7", "livepatch_sample", "livepatch_7_1_x", "livepatch_7__1", "kgraft"} {
		if version, release, ok := ParseModule(module); ok {
			t.Errorf("ParseModule(%q) = %q, %q, want not ok", module, version, release)
		}
	}
}

func TestPatchNumber(t *testing.T) {
	for version, want := range map[string]int{
		"1": 1, "16": 16, "0": 0, "": 0, "-1": 0, "+1": 0, "1.2": 0, "x": 0, "99999999999999999999": 0,
	} {
		if got, ok := PatchNumber(version); got != want || ok != (want > 0) {
			t.Errorf("PatchNumber(%q) = %d, %v, want %d", version, got, ok, want)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, list := range names {
		for _, name := range list {
			f.Add(name)
		}
	}
	for _, s := range []string{"6.4.0-150600.23.42-default", "4.12.14-122.7-default", "livepatch_7_150600_13_6_1", "150400.24.100.2.150400.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if kind := KindOf(s); kind != "" {
			checkFilter(t, s)
			if !slices.Contains(record.PackageKinds(), kind) {
				t.Errorf("KindOf(%q) = %q, which is none of the kinds", s, kind)
			}
		}
		if pkg, ok := PackageFor(s); ok {
			if release, ok := KernelFor(pkg); !ok || release != s {
				t.Errorf("KernelFor(PackageFor(%q)) = %q, %v", s, release, ok)
			}
		}
		if release, ok := KernelFor(s); ok {
			// Whether the inverse says kgraft depends on the kernel alone.
			pkg, _ := PackageFor(release)
			if again, _ := KernelFor(pkg); again != release {
				t.Errorf("KernelFor(%q) = %q, PackageFor leads to %q", s, release, pkg)
			}
		}
		if version, release, ok := ParseModule(s); ok {
			live, kgraft := Module("kernel-livepatch-6_4_0-1-default", version, release), Module("kgraft-patch-6_4_0-1-default", version, release)
			if s != live && s != kgraft {
				t.Errorf("Module(ParseModule(%q)) = %q or %q", s, live, kgraft)
			}
		}
		KernelRelease("kernel-default", "6.4.0", s)
		KernelRelease("kernel-default-base", "6.4.0", s)
	})
}
