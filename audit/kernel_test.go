package audit

import (
	"testing"

	"github.com/klp-audit/klp-audit/record"
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
