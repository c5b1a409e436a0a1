package record

import (
	"strconv"
	"strings"
)

// Package is an installed package as the rpm database describes it.
type Package struct {
	Name         string      `json:"name"`
	Version      string      `json:"version"` // [epoch:]version-release
	Arch         string      `json:"arch"`
	Kind         PackageKind `json:"kind,omitempty"` // empty: not recorded
	InstallTime  int64       `json:"install_time"`   // seconds since 1970
	InstallTID   int64       `json:"install_tid"`
	DBInstance   int64       `json:"db_instance"`
	BuildTime    int64       `json:"build_time,omitempty"`
	Vendor       string      `json:"vendor,omitempty"`
	SignatureKey string      `json:"signature_key,omitempty"` // key id, 16 hex digits
	SourceRPM    string      `json:"source_rpm,omitempty"`
}

// NEVRA returns name-[epoch:]version-release.arch.
func (p Package) NEVRA() string { return p.Name + "-" + p.Version + "." + p.Arch }

// PackageKind says what a tracked package is.
type PackageKind string

// The kinds of packages.
const (
	PackageKernel    PackageKind = "kernel"    // a kernel that can be booted
	PackageLivepatch PackageKind = "livepatch" // a live patch for one kernel
	PackageKMP       PackageKind = "kmp"       // kernel modules packaged on their own
	PackageSupport   PackageKind = "support"   // needed by kernels and live patches, or their origin
)

// PackageKinds returns the closed set of kinds of packages.
func PackageKinds() []PackageKind {
	return []PackageKind{PackageKernel, PackageLivepatch, PackageKMP, PackageSupport}
}

// Fixes are the CVE and bug numbers that a live patch's changelog lists.
type Fixes struct {
	CVEs []string `json:"cves,omitempty"`
	Bugs []string `json:"bugs,omitempty"`
}

// Minus returns the fixes in f that are not in g, in their order; nil if there are none.
func (f Fixes) Minus(g Fixes) Fixes {
	return Fixes{CVEs: minus(f.CVEs, g.CVEs), Bugs: minus(f.Bugs, g.Bugs)}
}

// minus returns the elements of a that are not in b, in a's order.
func minus(a, b []string) []string {
	skip := make(map[string]bool, len(b))
	for _, s := range b {
		skip[s] = true
	}
	var rest []string
	for _, s := range a {
		if !skip[s] {
			rest = append(rest, s)
		}
	}
	return rest
}

// Snapshot lists all tracked packages that were installed, according to an event.
type Snapshot struct {
	Event     int64
	Time      Timestamp
	BootID    string  // of the event
	Recorder  Program // that wrote the event
	Installed []Package
	RPMDB     string // stamp of the rpm database they were read from; empty: not known
	Subvolume string // of the root directory, from the newest event that knew it; empty: none did
}

// SnapshotNumber returns N for a root directory …/.snapshots/N/snapshot, which is a btrfs snapshot,
// and 0 for any other.
func SnapshotNumber(root string) int64 {
	rest, ok := strings.CutSuffix(root, "/snapshot")
	const folder = "/.snapshots/"
	i := strings.LastIndex(rest, folder)
	if !ok || i < 0 {
		return 0
	}
	return parseSnapshot(rest[i+len(folder):])
}

// parseSnapshot reads the number of a btrfs snapshot; 0 if it is not a number.
func parseSnapshot(number string) int64 {
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0
	}
	return int64(n)
}
