// Package snapshot reads which tracked packages are installed, as rpm lists them or as they are on record,
// and says what of a difference the record does not explain.
package snapshot

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
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
	s.Packages = append([]record.Package{}, s.Packages...)
	addKinds(ctx, db, s.Packages)
	return s, nil
}

// addKinds fills in of which kind packages are. Which ones of an unknown flavour are kernels it asks rpm,
// if there are any. Where rpm does not answer, they are what they are called.
func addKinds(ctx context.Context, db rpm.DB, packages []record.Package) {
	var names []string
	for i, p := range packages {
		packages[i].Kind = livepatch.KindOf(p.Name)
		if !livepatch.Certain(p.Name) {
			names = append(names, p.Name)
		}
	}
	provides, err := db.Provides(ctx, names...)
	if err != nil {
		return
	}
	for i, p := range packages {
		if list, asked := provides[rpm.Instance(p)]; asked {
			packages[i].Kind = record.PackageSupport
			if slices.ContainsFunc(strings.Fields(list), livepatch.ProvidesKernel) {
				packages[i].Kind = record.PackageKernel
			}
		}
	}
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

// Installed returns the packages of a snapshot on record as Read lists them; nil if it has none, or one
// that cannot be understood as a whole.
func Installed(list []record.Package) []record.Package {
	if list == nil {
		return nil
	}
	installed := slices.Clone(list)
	for i, p := range list {
		evr, err := rpmversion.Parse(p.Version)
		if err != nil {
			return nil // unknown, rather than a part of the truth
		}
		installed[i].Version = evr.String()
		if p.Kind == "" || livepatch.Certain(p.Name) {
			installed[i].Kind = livepatch.KindOf(p.Name)
		}
	}
	return installed
}
