// Package snapshot stands between what rpm says of the installed packages and how that is
// recorded. The record has types of its own, so that what is written once can be read for
// ever whatever becomes of the packages that look at the machine.
package snapshot

import (
	"context"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/tracked"
	"github.com/klp-audit/klp-audit/store"
)

// Tracked says whether a package is recorded, by its name.
func Tracked(name string) bool { return livepatch.KindOf(name) != livepatch.KindNone }

// Read returns the tracked packages that are installed, nil if there is none.
func Read(ctx context.Context, db rpm.DB) ([]rpm.Package, error) {
	return db.Installed(ctx, Tracked, tracked.Words()...)
}

// Record returns a snapshot of the rpm database as it is recorded.
func Record(installed []rpm.Package) []store.Package {
	list := make([]store.Package, len(installed))
	for i, p := range installed {
		list[i] = store.Package{
			Name: p.Name, Version: p.EVR.String(), Arch: p.Arch, Kind: string(livepatch.KindOf(p.Name)), InstallTime: p.InstallTime, InstallTID: p.InstallTID,
			DBInstance: p.DBInstance, BuildTime: p.BuildTime, Vendor: p.Vendor, SignatureKey: p.SigningKey, SourceRPM: p.SourceRPM,
		}
	}
	return list
}

// Installed is the way back: a snapshot from the record, nil if it has none or one that
// cannot be understood as a whole.
func Installed(list []store.Package) []rpm.Package {
	if list == nil {
		return nil
	}
	installed := make([]rpm.Package, 0, len(list))
	for _, p := range list {
		evr, err := rpm.ParseEVR(p.Version)
		if err != nil {
			return nil // unknown, rather than a part of the truth
		}
		installed = append(installed, rpm.Package{
			Name: p.Name, EVR: evr, Arch: p.Arch, InstallTime: p.InstallTime, InstallTID: p.InstallTID,
			DBInstance: p.DBInstance, BuildTime: p.BuildTime, Vendor: p.Vendor, SigningKey: p.SignatureKey, SourceRPM: p.SourceRPM,
		})
	}
	return installed
}
