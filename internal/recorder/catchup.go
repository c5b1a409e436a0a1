package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// CatchUp brings the record up to date: it takes in the spool and closes interrupted commits. If
// there is no record, it does nothing and creates nothing.
func (r *Recorder) CatchUp(ctx context.Context) error {
	return r.upToDate(ctx, ctx, func(*store.Store) error { return nil })
}

// InSnapshot says whether this process runs in a snapshot that transactional-update prepares. A
// record in there is lost when the update ends, and with it everything taken into it from the
// spool, which is the running system's.
func (r *Recorder) InSnapshot() bool {
	var b record.CommitBegin
	if r.getenv("TRANSACTIONAL_UPDATE") != "" {
		r.inspect(&b) // if it is not known who runs this, no root directory is named either
	}
	return b.Staging != nil && b.Staging.Chroot
}

// upToDate brings the record up to date, which may take until soon ends, and then calls do with it.
// It waits for whoever holds the record until soon ends at most. As long as an event in the spool
// is awaited, it closes no commit and does not call do, because that event may say what became of
// the commit.
func (r *Recorder) upToDate(ctx, soon context.Context, do func(*store.Store) error) error {
	if r.InSnapshot() {
		return nil
	}
	if _, err := os.Stat(store.Path(r.root)); errors.Is(err, fs.ErrNotExist) && store.Waiting(r.root) == 0 {
		return nil
	}
	s, err := r.openStore(soon)
	if err != nil {
		return err
	}
	if deadline, ok := soon.Deadline(); ok {
		s.WaitAtMost(time.Until(deadline))
	}
	err = s.TakeIn(soon)
	r.tellStuck(s)
	if err == nil && !s.Awaits(soon) {
		if err = r.closeDead(ctx, s, nil); err == nil {
			err = do(s)
		}
	}
	return errors.Join(err, s.Close())
}

// Drift records what changed without a recorded commit. libzypp calls for it whenever the rpm
// database has changed, even after its own commits. If the record is held, or cannot be brought up to
// date quickly, it does nothing, so that no commit waits for it.
func (r *Recorder) Drift(ctx context.Context) {
	soon, cancel := context.WithTimeout(ctx, quickTime)
	defer cancel()
	err := r.upToDate(ctx, soon, func(s *store.Store) error {
		open, err := s.OpenCommits(ctx)
		if err != nil || len(open) > 0 {
			return err
		}
		if _, ok := snapshot.Still(ctx, s, r.root, r.version); ok {
			return nil
		}
		size, err := s.Size(ctx)
		if err != nil {
			return err
		}
		installed, err := snapshot.Take(ctx, r.root)
		if err != nil {
			return err
		}
		return snapshot.Append(ctx, s, r.root, r.version, size, installed, nil)
	})
	if err != nil && !errors.Is(err, snapshot.ErrBusy) {
		r.printf("looking for unrecorded changes: %v", err)
	}
}

// closeDead writes the missing ends of commits that are over, from what the rpm database shows now.
// beginning is the commit that begins now, if any. The events in the spool must already be in the
// record.
func (r *Recorder) closeDead(ctx context.Context, s *store.Store, beginning *openCommit) error {
	open, err := s.OpenCommits(ctx)
	if err != nil {
		return err
	}
	for _, o := range open {
		if !r.over(ctx, o.Begin, beginning) {
			continue
		}
		if err := r.closeCommit(ctx, s, o.Begin, beginning); err != nil {
			return fmt.Errorf("commit of event %d: %w", o.Event, err)
		}
	}
	return nil
}

// over says whether an open commit cannot still be running: its libzypp is gone or begins another
// commit, and no rpm that it started is still working.
func (r *Recorder) over(ctx context.Context, begin *record.Event, beginning *openCommit) bool {
	if beginning != nil && begin.ID == beginning.begin.ID {
		return false
	}
	libzypp, now := begin.Begin.Libzypp, store.NewHeader(record.KindCommitEnd, r.root, r.version)
	switch {
	case begin.BootID != now.BootID:
		return true
	case beginning != nil && libzypp == beginning.begin.Begin.Libzypp:
		return true // as packagekitd does, which lives through many commits
	case libzypp.PID == 0:
		return false // not known: over only after a reboot, or when the next one begins
	case zypp.Alive(os.DirFS(filepath.Join(r.root, "/proc")), libzypp):
		return false
	}
	lock, err := rpm.DB{Root: r.target(begin.Begin)}.Lock(ctx)
	if err != nil {
		return true
	}
	held, err := lock.Held()
	return err != nil || !held
}

func (r *Recorder) closeCommit(ctx context.Context, s *store.Store, begin *record.Event, beginning *openCommit) error {
	after, err := r.lookLate(ctx, begin.Begin, beginning)
	ev := &record.Event{Header: store.NewHeader(record.KindCommitEnd, r.root, r.version)}
	ev.End = conclude(begin, snapshot.Installed(begin.Begin.Installed), after, Ending{How: Interrupted, late: true})
	ev.End.Late, ev.End.Begun = true, &begin.Time
	if err != nil {
		ev.End.Problems = append(ev.End.Problems, err.Error())
	}
	if errors.Is(err, errDiscarded) {
		ev.End.Outcome = record.OutcomeDiscarded
	}
	return s.Append(ctx, ev)
}

// errDiscarded says that the snapshot of a transactional update is gone.
var errDiscarded = errors.New("the snapshot is gone")

// lookLate looks at what became of a commit. The commit that begins now has already looked at the
// running system, so if both concern that, its result is used.
func (r *Recorder) lookLate(ctx context.Context, b *record.CommitBegin, beginning *openCommit) (seen, error) {
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	if b.Staging != nil {
		// The root that the plugin saw is gone; the snapshot itself may still be there.
		root := filepath.Join(r.root, "/.snapshots", b.Staging.Snapshot, "snapshot")
		if _, err := os.Stat(root); b.Staging.Snapshot == "" || err != nil {
			return seen{}, fmt.Errorf("snapshot %q: %w", b.Staging.Snapshot, errDiscarded)
		}
		return r.look(ctx, rpm.DB{Root: root}, b, "")
	}
	if beginning != nil && beginning.before.Packages != nil && beginning.begin.Begin.Staging == nil {
		history, err := zypp.Since(r.target(b), b.History)
		return seen{installed: beginning.before, fixes: beginning.begin.Begin.Fixes, history: history}, err
	}
	return r.look(ctx, rpm.DB{Root: r.target(b)}, b, "")
}
