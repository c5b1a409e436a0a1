package snapshot

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/store"
)

// Change makes the record of a difference between two snapshots. before and after are the
// fixes of the live patches in them, by NEVRA.
func Change(d rpm.Change, before, after map[string]store.Fixes) store.Change {
	p := d.After
	if p == nil {
		p = d.Before
	}
	c := Describe(p.Name, p.EVR, p.Arch)
	c.Action, c.Result = string(d.Action), store.ResultOK
	c.SignatureKey, c.Vendor, c.SourceRPM = p.SigningKey, p.Vendor, p.SourceRPM
	c.BuildTime = moment(p.BuildTime)
	had, has := fixesIn(d.Before, before, after), fixesIn(d.After, after, before)
	c.Added, c.Removed = store.Fixes(has.Minus(had)), store.Fixes(had.Minus(has))
	if d.After != nil {
		c.InstallTime = moment(d.After.InstallTime)
		if d.Before != nil {
			c.Previous = d.Before.EVR.String()
		}
	}
	return c
}

// Renumbered says whether a package looks reinstalled only by its record number, as all do
// when the rpm database was rebuilt. A reinstallation in the second of the installation
// looks the same, but libzypp announced that.
func Renumbered(d rpm.Change) bool {
	return d.Action == rpm.ActionReinstall && d.Before.InstallTime == d.After.InstallTime &&
		d.Before.InstallTID == d.After.InstallTID
}

// fixesIn looks up the fixes of a package; a live patch that was installed before and
// after has them in one of the two only.
func fixesIn(p *rpm.Package, fixes, others map[string]store.Fixes) livepatch.Fixes {
	if p == nil {
		return livepatch.Fixes{}
	}
	if f, ok := fixes[p.String()]; ok {
		return livepatch.Fixes(f)
	}
	return livepatch.Fixes(others[p.String()])
}

// Fixes reads what the changelogs of the live patches among packages say, by NEVRA, but for
// those that are known. A kernel's changelog is never read: it is huge, and says nothing
// about live patches.
func Fixes(ctx context.Context, db rpm.DB, installed []rpm.Package, known map[string]store.Fixes) (map[string]store.Fixes, error) {
	pkgs := slices.DeleteFunc(slices.Clone(installed), func(p rpm.Package) bool {
		_, read := known[p.String()]
		return read || livepatch.KindOf(p.Name) != livepatch.KindLivepatch
	})
	if len(pkgs) == 0 {
		return nil, nil
	}
	logs, err := db.Changelogs(ctx, pkgs)
	if err != nil {
		return nil, fmt.Errorf("reading changelogs of live patches: %w", err)
	}
	fixes := map[string]store.Fixes{}
	for nevra, text := range logs {
		fixes[nevra] = store.Fixes(livepatch.ParseFixes(text))
	}
	return fixes, nil
}

// FixesOf picks the fixes of the installed live patches out of what is known, by NEVRA.
func FixesOf(installed []rpm.Package, known ...map[string]store.Fixes) map[string]store.Fixes {
	fixes := map[string]store.Fixes{}
	for _, p := range installed {
		for _, k := range known {
			if f, ok := k[p.String()]; ok {
				fixes[p.String()] = f
			}
		}
	}
	return fixes
}

func moment(seconds int64) *store.Timestamp {
	if seconds <= 0 {
		return nil
	}
	return &store.Timestamp{Time: time.Unix(seconds, 0).UTC()}
}
