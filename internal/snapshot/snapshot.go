// Package snapshot reads which tracked packages are installed, from rpm or from the record, and
// determines which differences the record does not explain.
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

// Tracked says whether a package is recorded, judged by its name.
func Tracked(name string) bool { return livepatch.KindOf(name) != "" }

// ErrBusy says that an rpm transaction runs: in the middle of one, the system has no defined state.
var ErrBusy = errors.New("an rpm transaction runs")

// Read reads which tracked packages are installed, even while an rpm transaction runs. They are
// never nil without an error.
func Read(ctx context.Context, db rpm.DB) (rpm.Snapshot, error) {
	s, err := db.Snapshot(ctx, Tracked, tracked.Words()...)
	if err != nil {
		return rpm.Snapshot{}, err
	}
	s.Packages = append([]record.Package{}, s.Packages...)
	addKinds(ctx, db, s.Packages)
	return s, nil
}

// addKinds fills in the kinds of packages. If flavours are unknown, it asks rpm which of them are
// kernels. If rpm does not answer, the name decides.
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

// Still returns what is installed on the running system without asking rpm: the last package
// snapshot on record, if the rpm database has not been written since. ok is false if that is not
// certain. The snapshot must be of this boot, and by this version of the program, which tracks the
// same packages; observations at boot and daily ones always ask rpm.
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

// Installed returns the packages of a snapshot on record as Read lists them; nil if there are none,
// or if any cannot be understood.
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
