package snapshot

import (
	"cmp"
	"time"

	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/record"
)

// Change returns one package's difference between two package snapshots in the form that is
// recorded. before and after are the fixes of all live patches in them, by NEVRA; if one is
// missing, the change says nothing about fixes.
func Change(d rpm.Change, before, after map[string]record.Fixes) record.Change {
	p := d.After
	if p == nil {
		p = d.Before
	}
	c := Describe(p.Name, rpmversion.Of(*p), p.Arch)
	if c.Kind = cmp.Or(p.Kind, c.Kind); c.Kind == record.PackageSupport {
		c.KernelRelease = ""
	}
	c.Action, c.Result = d.Action, record.ResultOK
	c.SignatureKey, c.Vendor, c.SourceRPM = p.SignatureKey, p.Vendor, p.SourceRPM
	c.BuildTime = moment(p.BuildTime)
	had, knownBefore := fixesIn(d.Before, before)
	has, knownAfter := fixesIn(d.After, after)
	if knownBefore && knownAfter {
		c.Added, c.Removed = has.Minus(had), had.Minus(has)
	}
	if d.After != nil {
		c.InstallTime = moment(d.After.InstallTime)
		if d.Before != nil {
			c.Previous = d.Before.Version
		}
	}
	return c
}

// Renumbered says whether a package looks reinstalled only because its record number changed, as
// all do when the rpm database is rebuilt. A reinstallation in the same second as the installation
// looks the same, but libzypp announced that.
func Renumbered(d rpm.Change) bool {
	return d.Action == record.ActionReinstall && d.Before.InstallTime == d.After.InstallTime &&
		d.Before.InstallTID == d.After.InstallTID && d.Before.BuildTime == d.After.BuildTime
}

// fixesIn looks up the fixes of a package; a nil package is known to fix nothing.
func fixesIn(p *record.Package, fixes map[string]record.Fixes) (f record.Fixes, known bool) {
	if p == nil {
		return f, true
	}
	f, known = fixes[p.NEVRA()]
	return f, known
}

func moment(seconds int64) *record.Timestamp {
	if seconds <= 0 {
		return nil
	}
	return new(record.At(time.Unix(seconds, 0).UTC()))
}
