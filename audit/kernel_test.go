package audit

import (
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// The package of a kernel has its release, and a counter of rebuilds; more is another kernel's.
func TestPackageOfAKernel(t *testing.T) {
	const release = "5.14.21-150400.24.100-default"
	for _, tt := range []struct {
		name, version string
		want          bool
	}{
		{"kernel-default", "5.14.21-150400.24.100.2", true},
		{"kernel-default", "5.14.21-150400.24.100", true},
		{"kernel-default", "5.14.21-150400.24.100.2.1", false},
		{"kernel-default", "5.14.21-150400.24.100.2.PTF.1203935", false},
		{"kernel-default-base", "5.14.21-150400.24.100.2", true},
		{"kernel-default-base", "5.14.21-150400.24.100.2.150400.24.46.1", true},
		{"kernel-default-base", "5.14.21-150400.24.100.2.1.150400.24.46.1", false},
		{"kernel-default-base", "5.14.21-150400.24.100.2.3.1", false},
		{"kernel-default-base-rebuild", "5.14.21-150400.24.100.2", false},
	} {
		if got := IsKernel(record.Package{Name: tt.name, Version: tt.version}, release); got != tt.want {
			t.Errorf("%s %s: %v", tt.name, tt.version, got)
		}
	}
}

// A kernel that was built anew keeps its release. Which of the builds runs is not known of a
// package that came after the boot, also where an older program observed it.
func TestRebuiltKernel(t *testing.T) {
	for _, tt := range []struct {
		check string
		since time.Duration
		want  Rating
	}{
		{"kernel-supported", -time.Minute, Pass}, {"kernel-supported", time.Minute, NotDetermined},
		{"next-boot", -time.Minute, Pass}, {"next-boot", time.Minute, NotDetermined},
		{"reboot-lag", -time.Minute, Pass}, {"reboot-lag", time.Minute, NotDetermined},
	} {
		m := storetest.Healthy(t)
		o := m.Last()
		o.Installed[0].InstallTime = o.Kernel.BootTime.Add(tt.since).Unix()
		if r := judged(m, profile(t, DefaultProfile)).of(t, tt.check); r.Result != tt.want {
			t.Errorf("%s, installed %v after the boot: %s: %s", tt.check, tt.since, r.Result, r.Detail)
		}
	}
}
