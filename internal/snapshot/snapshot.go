// Package snapshot translates between the installed packages as rpm lists them and as they are
// recorded. The record has types of its own, so that it can be read for ever, however the packages
// change that look at the machine.
package snapshot

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/tracked"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// Tracked says whether a package is recorded, by its name.
func Tracked(name string) bool { return livepatch.KindOf(name) != "" }

// ErrBusy says that an rpm transaction runs: half of one is no state of the system.
var ErrBusy = errors.New("an rpm transaction runs")

// Read reads which tracked packages are installed, also while an rpm transaction runs. They
// are never nil without an error.
func Read(ctx context.Context, db rpm.DB) (rpm.Snapshot, error) {
	s, err := db.Snapshot(ctx, Tracked, tracked.Words()...)
	if err != nil {
		return rpm.Snapshot{}, err
	}
	s.Packages = append([]rpm.Package{}, s.Packages...)
	askKinds(ctx, db, s.Packages)
	return s, nil
}

// askKinds asks rpm which packages of an unknown flavour are kernels, if there are any. Where
// rpm does not answer, they are what they are called.
func askKinds(ctx context.Context, db rpm.DB, packages []rpm.Package) {
	var names []string
	for _, p := range packages {
		if !livepatch.Certain(p.Name) {
			names = append(names, p.Name)
		}
	}
	provides, err := db.Provides(ctx, names...)
	if err != nil {
		return
	}
	for i, p := range packages {
		if list, asked := provides[p.Instance()]; asked {
			packages[i].Kind = string(record.PackageSupport)
			if slices.ContainsFunc(strings.Fields(list), livepatch.ProvidesKernel) {
				packages[i].Kind = string(record.PackageKernel)
			}
		}
	}
}

// kind is what kind of package this is.
func kind(p rpm.Package) record.PackageKind {
	return cmp.Or(record.PackageKind(p.Kind), livepatch.KindOf(p.Name))
}

// Take reads which tracked packages are installed on the system whose file tree is at root.
// They are never nil without an error.
func Take(ctx context.Context, root string) (rpm.Snapshot, error) {
	s, err := Read(ctx, rpm.DB{Root: root})
	if err != nil {
		return rpm.Snapshot{}, err
	}
	if held, err := s.Lock.Held(); err == nil && held {
		return rpm.Snapshot{}, ErrBusy
	}
	return s, nil
}

// Still returns what is installed on the running system without asking rpm: the last package snapshot
// on record, if the rpm database has not been written since. ok is false if that is not certain. Only a
// snapshot of this boot will do, by this version of the program, which tracks the same packages;
// observations at boot and the daily ones ask rpm in any case.
func Still(ctx context.Context, s *store.Store, root, version string) (_ rpm.Snapshot, ok bool) {
	last, err := s.LastSnapshot(ctx)
	now := store.NewHeader("", root, version)
	if err != nil || last == nil || last.BootID == "" || last.BootID != now.BootID || last.Recorder != now.Recorder {
		return rpm.Snapshot{}, false
	}
	still := rpm.Snapshot{Packages: Installed(last.Installed), Stamp: rpm.Stamp(last.RPMDB)}
	if still.Packages == nil || !(rpm.DB{Root: root}).Unchanged(still.Stamp) {
		return rpm.Snapshot{}, false
	}
	return still, true
}

// Record returns a snapshot of the rpm database as it is recorded.
func Record(installed []rpm.Package) []record.Package {
	list := make([]record.Package, len(installed))
	for i, p := range installed {
		list[i] = record.Package{
			Name: p.Name, Version: p.EVR.String(), Arch: p.Arch, Kind: kind(p), InstallTime: p.InstallTime, InstallTID: p.InstallTID,
			DBInstance: p.DBInstance, BuildTime: p.BuildTime, Vendor: p.Vendor, SignatureKey: p.SigningKey, SourceRPM: p.SourceRPM,
		}
	}
	return list
}

// Installed is the way back: a snapshot from the record, nil if it has none or one that
// cannot be understood as a whole.
func Installed(list []record.Package) []rpm.Package {
	if list == nil {
		return nil
	}
	installed := make([]rpm.Package, 0, len(list))
	for _, p := range list {
		evr, err := rpm.ParseEVR(p.Version)
		if err != nil {
			return nil // unknown, rather than a part of the truth
		}
		kind := ""
		if !livepatch.Certain(p.Name) {
			kind = string(p.Kind)
		}
		installed = append(installed, rpm.Package{
			Name: p.Name, EVR: evr, Arch: p.Arch, InstallTime: p.InstallTime, InstallTID: p.InstallTID,
			DBInstance: p.DBInstance, BuildTime: p.BuildTime, Vendor: p.Vendor, SigningKey: p.SignatureKey, SourceRPM: p.SourceRPM, Kind: kind,
		})
	}
	return installed
}
