package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// Append adds to the log an event that says what is installed (nil: none), and before it the drift
// that follows. size is how many events the log had before the packages were read: if it has grown
// meanwhile, a commit may have ended, and the packages are read again.
func Append(ctx context.Context, s *store.Store, root, version string, size int64, installed rpm.Snapshot, ev *record.Event) error {
	for range tries {
		drift, compared, err := Drift(ctx, s, root, version, installed)
		if ev != nil {
			ev.Observation.Compared = compared
		}
		if ev == nil && (err != nil || drift == nil) {
			return err
		}
		if err != nil {
			ev.Observation.Unknown["drift"] = err.Error()
		}
		evs := slices.DeleteFunc([]*record.Event{drift, ev}, func(e *record.Event) bool { return e == nil })
		if err := s.AppendAt(ctx, size, evs...); !errors.Is(err, store.ErrMoved) {
			return err
		}
		if size, err = s.Size(ctx); err != nil {
			return err
		}
		installed, err = Take(ctx, root)
		if ev != nil {
			ev.Observation.Installed, ev.Observation.RPMDB = installed.Packages, string(installed.Stamp)
		}
		if err != nil && ev == nil {
			return err
		}
		if err != nil {
			ev.Observation.Installed, ev.Observation.Unknown["installed"] = nil, err.Error()
		}
	}
	if ev == nil {
		return store.ErrMoved
	}
	ev.Observation.Compared = false
	return s.Append(ctx, ev)
}

// tries is how often to try an append while others append, too.
const tries = 5

// Drift compares what is installed on the running system, whose file tree is at root, with what the
// record last knew and what commits did since. It returns the event that describes the difference,
// nil if there is none. What commits did in the btrfs snapshot that was booted since counts as
// recorded. compared is false, and nothing can be said, while a commit is open, while an event in
// the spool is awaited, or if the packages are not known (nil). version is the version of the
// program.
func Drift(ctx context.Context, s *store.Store, root, version string, now rpm.Snapshot) (ev *record.Event, compared bool, err error) {
	after := now.Packages
	if after == nil || s.Awaits(ctx) {
		return nil, false, nil
	}
	open, err := s.OpenCommits(ctx)
	if err != nil || len(open) > 0 {
		return nil, false, err
	}
	last, err := s.LastSnapshot(ctx)
	if err != nil || last == nil {
		return nil, err == nil, err
	}
	before := Installed(last.Installed)
	if before == nil {
		return nil, false, fmt.Errorf("event %d: its packages are not understood", last.Event)
	}
	subvolume, subvolumeErr := Subvolume(root)
	diff := slices.DeleteFunc(rpm.Diff(before, after, nil), Renumbered)
	if len(diff) > 0 {
		if diff, err = unexplained(ctx, s, diff, subvolume, last); err != nil {
			return nil, false, err
		}
	}
	if len(diff) == 0 {
		return nil, true, nil
	}
	ev = &record.Event{Header: store.NewHeader(record.KindDrift, root, version)}
	ev.Drift = &record.Drift{
		Cause: record.DriftUnrecorded, Compared: last.Event, Since: last.Time, Installed: after, RPMDB: string(now.Stamp), Previous: last.Subvolume,
	}
	d := ev.Drift
	if d.Subvolume = subvolume; subvolumeErr != nil {
		d.Problems = append(d.Problems, subvolumeErr.Error())
	} else if last.Subvolume != "" && d.Subvolume != last.Subvolume {
		d.Cause = record.DriftSnapshot
	}
	describe(ctx, s, rpm.DB{Root: root}, ev, diff, after)
	return ev, true, nil
}

// unexplained returns the differences that no commit on record made.
func unexplained(ctx context.Context, s *store.Store, diff []rpm.Change, subvolume string, last *record.Snapshot) ([]rpm.Change, error) {
	recorded, err := s.ChangesAfter(ctx, last.Event)
	if err != nil {
		return nil, err
	}
	if subvolume != last.Subvolume {
		staged, err := s.StagedChanges(ctx, subvolume, last.Event)
		if err != nil {
			return nil, err
		}
		recorded = append(recorded, staged...)
	}
	return slices.DeleteFunc(diff, func(d rpm.Change) bool { return explained(d, recorded) }), nil
}

// explained says whether commits on record made a difference: they installed what is there, at
// exactly that time if it is known, or removed what is gone.
func explained(d rpm.Change, commits []record.Change) bool {
	return slices.ContainsFunc(commits, func(c record.Change) bool {
		if d.After == nil {
			gone := c.Previous
			if c.Action == record.ActionRemove {
				gone = c.Version
			}
			return c.Package == d.Before.Name && c.Arch == d.Before.Arch && gone == d.Before.Version
		}
		return c.Action != record.ActionRemove && c.Package == d.After.Name && c.Arch == d.After.Arch &&
			c.Version == d.After.Version && (c.InstallTime == nil || c.InstallTime.Unix() == d.After.InstallTime)
	})
}

// describe fills in the changes of a drift with the fixes that they added or removed. The changelog
// of a removed package cannot be read: only the record may know its fixes.
func describe(ctx context.Context, s *store.Store, db rpm.DB, ev *record.Event, diff []rpm.Change, after []record.Package) {
	d := ev.Drift
	last, err := s.LastFixes(ctx, store.AllEvents)
	if err != nil {
		d.Problems = append(d.Problems, err.Error())
	}
	if last == nil {
		last = &record.RecordedFixes{}
	}
	if d.Fixes, err = Fixes(ctx, db, after, readBy(ev.Recorder, last)); err != nil {
		d.Problems = append(d.Problems, err.Error())
	}
	for _, c := range diff {
		change := Change(c, last.Fixes, d.Fixes)
		if c.Before != nil && unread(*c.Before, last.Fixes) || c.After != nil && unread(*c.After, d.Fixes) {
			change.Added, change.Removed = record.Fixes{}, record.Fixes{}
			d.Problems = append(d.Problems, fmt.Sprintf("%s %s: which fixes came or went with it is not known", change.Package, change.Version))
		}
		d.Changes = append(d.Changes, change)
	}
}

// unread says whether the fixes of a live patch are not known.
func unread(p record.Package, fixes map[string]record.Fixes) bool {
	_, ok := fixes[p.NEVRA()]
	return !ok && livepatch.KindOf(p.Name) == record.PackageLivepatch
}
