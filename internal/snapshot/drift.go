package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/store"
)

// ErrBusy says that an rpm transaction runs: half of one is no state of the system.
var ErrBusy = errors.New("an rpm transaction runs")

// Take reads which tracked packages are installed on the system whose file tree is at root.
// It is never nil without an error.
func Take(ctx context.Context, root string) ([]rpm.Package, error) {
	db := rpm.DB{Root: root}
	lock, lockErr := db.Lock(ctx)
	installed, err := db.Installed(ctx, Tracked)
	if err != nil {
		return nil, err
	}
	if lockErr == nil {
		if held, err := lock.Held(); err == nil && held {
			return nil, ErrBusy
		}
	}
	return append([]rpm.Package{}, installed...), nil
}

// Drift compares what is installed on the running system, whose file tree is at root, with
// what the record knew last, and returns the event that says how that differs: nil if it
// does not, while a commit is open, and as long as there is nothing to compare with.
// version is the program's.
func Drift(ctx context.Context, s *store.Store, root, version string, after []rpm.Package) (*store.Event, error) {
	open, err := s.OpenCommits(ctx)
	if err != nil || len(open) > 0 {
		return nil, err
	}
	last, err := s.LastSnapshot(ctx)
	if err != nil || last == nil {
		return nil, err
	}
	before := Installed(last.Installed)
	if before == nil {
		return nil, fmt.Errorf("event %d: its packages are not understood", last.Event)
	}
	diff := slices.DeleteFunc(rpm.Diff(before, after, nil), Renumbered)
	if len(diff) == 0 {
		return nil, nil
	}
	ev := &store.Event{Header: store.NewHeader(store.KindDrift, root, version)}
	ev.Drift = &store.Drift{
		Cause: store.DriftUnrecorded, Compared: last.Event, Since: last.Time, Installed: Record(after), Previous: last.Subvolume,
	}
	d := ev.Drift
	if d.Subvolume, err = Subvolume(root); err != nil {
		d.Problems = append(d.Problems, err.Error())
	} else if last.Subvolume != "" && d.Subvolume != last.Subvolume {
		d.Cause = store.DriftSnapshot
	}
	describe(ctx, s, rpm.DB{Root: root}, d, diff, after)
	return ev, nil
}

// describe fills in the changes of a drift with the fixes that came and went with them. The
// changelog of a package that is gone cannot be read: the record knows its fixes, or nobody.
func describe(ctx context.Context, s *store.Store, db rpm.DB, d *store.Drift, diff []rpm.Change, after []rpm.Package) {
	known, err := s.KnownFixes(ctx)
	if err != nil {
		d.Problems = append(d.Problems, err.Error())
	}
	read, err := Fixes(ctx, db, after, known)
	if err != nil {
		d.Problems = append(d.Problems, err.Error())
	}
	d.Fixes = FixesOf(after, known, read)
	for _, c := range diff {
		change := Change(c, known, read)
		if c.Before != nil && unread(*c.Before, known) || c.After != nil && unread(*c.After, d.Fixes) {
			change.Added, change.Removed = store.Fixes{}, store.Fixes{}
			d.Problems = append(d.Problems, fmt.Sprintf("%s %s: which fixes came or went with it is not known", change.Package, change.Version))
		}
		d.Changes = append(d.Changes, change)
	}
}

// unread says whether the fixes of a live patch are not known.
func unread(p rpm.Package, fixes map[string]store.Fixes) bool {
	_, ok := fixes[p.String()]
	return !ok && livepatch.KindOf(p.Name) == livepatch.KindLivepatch
}
