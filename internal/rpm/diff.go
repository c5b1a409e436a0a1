package rpm

import (
	"cmp"
	"slices"

	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/record"
)

// Change is one package's difference between two states of a database.
type Change struct {
	Action record.Action
	Before *record.Package // nil: installed
	After  *record.Package // nil: removed
}

// subject returns the package after the change, or the one that is gone.
func (c Change) subject() record.Package {
	if c.After != nil {
		return *c.After
	}
	return *c.Before
}

// Diff returns what was done between two states of the database, ordered by name, architecture and
// version.
//
// A package that is there in both states with the same version, but with another record number or
// time, was reinstalled. Among the other packages of a name, a new package replaces the newest old
// one, preferably of its own architecture; but a package for which parallel (nil: never) is true is
// installed next to the others, like a kernel, and replaces none. Two packages of the same version
// in different architectures, or spelled differently, count as a reinstallation.
func Diff(before, after []record.Package, parallel func(record.Package) bool) []Change {
	gone, come := byName(before), byName(after)
	var changes []Change
	for name := range gone {
		changes = append(changes, diffName(gone[name], come[name], parallel)...)
	}
	for name := range come {
		if gone[name] == nil {
			changes = append(changes, diffName(nil, come[name], parallel)...)
		}
	}
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(
			comparePackages(a.subject(), b.subject()),
			cmp.Compare(a.Action, b.Action))
	})
	return changes
}

// byName groups packages by name, each group from newest to oldest.
func byName(packages []record.Package) map[string][]record.Package {
	groups := map[string][]record.Package{}
	for _, p := range packages {
		groups[p.Name] = append(groups[p.Name], p)
	}
	for _, group := range groups {
		slices.SortFunc(group, func(a, b record.Package) int {
			return cmp.Or(rpmversion.Of(b).Compare(rpmversion.Of(a)), comparePackages(a, b))
		})
	}
	return groups
}

// diffName returns the changes of the packages of one name.
func diffName(gone, come []record.Package, parallel func(record.Package) bool) []Change {
	_, gone, come = match(gone, come, sameRecord)
	changes, gone, come := match(gone, come, sameVersion)
	var beside, replacing []record.Package
	for _, p := range come {
		if parallel != nil && parallel(p) {
			beside = append(beside, p)
		} else {
			replacing = append(replacing, p)
		}
	}
	for _, same := range []func(a, b record.Package) bool{
		func(a, b record.Package) bool { return a.Arch == b.Arch },
		func(a, b record.Package) bool { return true },
	} {
		var replaced []Change
		replaced, gone, replacing = match(gone, replacing, same)
		changes = append(changes, replaced...)
	}
	for _, p := range gone {
		changes = append(changes, Change{Action: record.ActionRemove, Before: &p})
	}
	for _, p := range append(replacing, beside...) {
		changes = append(changes, Change{Action: record.ActionInstall, After: &p})
	}
	return changes
}

// match pairs each package that came with the first package that went and is the same, and returns
// the pairs and the rest of both.
func match(gone, come []record.Package, same func(a, b record.Package) bool) (pairs []Change, restGone, restCome []record.Package) {
	restGone = slices.Clone(gone)
	for _, b := range come {
		i := slices.IndexFunc(restGone, func(a record.Package) bool { return same(a, b) })
		if i < 0 {
			restCome = append(restCome, b)
			continue
		}
		a := restGone[i]
		restGone = slices.Delete(restGone, i, i+1)
		pairs = append(pairs, Change{Action: replacement(a, b), Before: &a, After: &b})
	}
	return pairs, restGone, restCome
}

// replacement returns which action replaces a by b.
func replacement(a, b record.Package) record.Action {
	switch order := rpmversion.Of(b).Compare(rpmversion.Of(a)); {
	case order > 0:
		return record.ActionUpgrade
	case order < 0:
		return record.ActionDowngrade
	}
	return record.ActionReinstall
}

// sameVersion reports whether a and b are installations of the same package.
func sameVersion(a, b record.Package) bool {
	return a.Version == b.Version && a.Arch == b.Arch
}

// sameRecord reports whether a and b are the same installation. If a package is installed again
// within one second, only its record number shows that.
func sameRecord(a, b record.Package) bool {
	return sameVersion(a, b) && a.DBInstance == b.DBInstance &&
		a.InstallTime == b.InstallTime && a.InstallTID == b.InstallTID
}
