package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/store"
)

// CatchUp brings the record up to date: it takes in the spool, and closes the commits
// that were interrupted. It does nothing and creates nothing where there is no record.
func (r *Recorder) CatchUp(ctx context.Context) error {
	if _, err := os.Stat(store.Path(r.root)); errors.Is(err, fs.ErrNotExist) && store.Waiting(r.root) == 0 {
		return nil
	}
	s, err := store.Open(ctx, r.root, r.version)
	if err != nil {
		return err
	}
	return errors.Join(r.closeDead(ctx, s, nil), s.Close())
}

// closeDead writes the ends of commits that are over without one, from what the rpm
// database shows now. beginning is the commit that begins now, if one does.
func (r *Recorder) closeDead(ctx context.Context, s *store.Store, beginning *openCommit) error {
	if err := s.TakeIn(ctx); err != nil {
		return err
	}
	open, err := s.OpenCommits(ctx)
	if err != nil {
		return err
	}
	for _, o := range open {
		if !r.over(o.Begin, beginning) {
			continue
		}
		if err := r.closeCommit(ctx, s, o.Begin, beginning); err != nil {
			return fmt.Errorf("commit of event %d: %w", o.Event, err)
		}
	}
	return nil
}

// over says whether an open commit cannot be going on any more: its libzypp has gone, or
// begins another one, and no rpm that it started is still at work.
func (r *Recorder) over(begin *store.Event, beginning *openCommit) bool {
	libzypp := begin.Begin.Libzypp
	if beginning != nil {
		if begin.ID == beginning.begin.ID {
			return false
		}
		if begin.BootID == beginning.begin.BootID && libzypp == beginning.begin.Begin.Libzypp {
			return true // as packagekitd does, which lives for many commits
		}
	}
	now := store.NewHeader(store.KindCommitEnd, r.root, r.version)
	if begin.BootID == now.BootID && zypp.Process(libzypp).Alive(os.DirFS(filepath.Join(r.root, "/proc"))) {
		return false
	}
	busy, err := inTransaction(rpm.DB{Root: r.target(begin.Begin)})
	return err != nil || !busy
}

func (r *Recorder) closeCommit(ctx context.Context, s *store.Store, begin *store.Event, beginning *openCommit) error {
	after, err := r.lookLate(ctx, begin.Begin, beginning)
	ev := &store.Event{Header: store.NewHeader(store.KindCommitEnd, r.root, r.version)}
	ev.End = conclude(begin, recorded(begin.Begin.Installed), after, ending{how: interrupted})
	ev.End.Late = true
	if err != nil {
		ev.End.Problems = append(ev.End.Problems, err.Error())
	}
	return s.Append(ctx, ev)
}

// lookLate looks at what became of a commit. The commit that begins now has looked at the
// same system already, if it is about the same one.
func (r *Recorder) lookLate(ctx context.Context, b *store.CommitBegin, beginning *openCommit) (seen, error) {
	if beginning != nil && beginning.before != nil && r.target(b) == r.target(beginning.begin.Begin) {
		history, err := zypp.Mark(b.History).Since(r.target(b))
		return seen{installed: beginning.before, fixes: beginning.begin.Begin.Fixes, history: history}, err
	}
	ctx, cancel := context.WithTimeout(ctx, rpmTime)
	defer cancel()
	return look(ctx, rpm.DB{Root: r.target(b)}, b)
}
