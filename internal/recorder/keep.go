package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// keep stores an event: in the record, else in the spool, else in the journal. It waits only once
// in a session for another process that holds the record.
func (r *Recorder) keep(ctx context.Context, o *openCommit, ev *record.Event) bool {
	staging := o.begin.Begin.Staging
	chroot := staging != nil && staging.Chroot
	err := r.held
	switch {
	case chroot:
		err = errors.New("transactional update in a chroot")
	case err == nil:
		if err = r.append(ctx, o, ev); err == nil {
			return true
		}
		if store.IsLocked(err) {
			r.held = err
		}
		r.printf("%v; the event goes to the spool", err)
	}
	if ev.Begin != nil {
		ev.Begin.Compared = false
	} else if ev.End != nil {
		ev.End.Compared = false // other events may enter the record before it
	}
	return r.report(store.Spool(r.root, ev, err, chroot))
}

func (r *Recorder) printf(format string, args ...any) {
	fmt.Fprintf(r.log, "klp-audit: "+format+"\n", args...)
}

func (r *Recorder) report(err error) bool {
	if err != nil {
		r.printf("%v", err)
	}
	return err == nil
}

// tellStuck says why files stay in the spool, once for each in a session.
func (r *Recorder) tellStuck(s *store.Store) {
	for _, err := range s.Stuck() {
		if text := err.Error(); !slices.Contains(r.told, text) {
			r.told = append(r.told, text)
			r.printf("taking in the spool: %s", text)
		}
	}
}

// append adds an event to the record. When a commit begins, it first closes earlier commits that
// have no end.
func (r *Recorder) append(ctx context.Context, o *openCommit, ev *record.Event) (err error) {
	if ctx.Err() != nil { // zypper goes on already
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	s, err := r.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() {
		r.tellStuck(s)
		err = errors.Join(err, s.Close())
	}()
	if ev.Begin == nil {
		return s.Append(ctx, ev)
	}
	if err := s.TakeIn(ctx); err != nil {
		return err
	}
	r.closeOthers(ctx, s, o, closeTime)
	if err := s.Append(ctx, append(r.driftBefore(ctx, s, o, ev), ev)...); err != nil {
		return err
	}
	r.closeOthers(ctx, s, o, AnswerTime)
	return nil
}

// closeOthers closes what was interrupted before a beginning commit, as far as there is time: what
// such a commit left behind is not drift.
func (r *Recorder) closeOthers(ctx context.Context, s *store.Store, o *openCommit, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if s.Awaits(ctx) {
		return // their ends may be in it
	}
	if err := r.closeDead(ctx, s, o); err != nil {
		r.printf("closing interrupted commits: %v", err)
	}
}

// driftBefore is what changed, unrecorded, before a commit begins.
func (r *Recorder) driftBefore(ctx context.Context, s *store.Store, o *openCommit, ev *record.Event) []*record.Event {
	if ev.Begin == nil || ev.Begin.Staging != nil || o.before.Packages == nil {
		return nil
	}
	drift, compared, err := snapshot.Drift(ctx, s, r.root, r.version, o.before)
	ev.Begin.Compared = compared
	if err != nil {
		ev.Begin.Problems = append(ev.Begin.Problems, fmt.Sprintf("looking for unrecorded changes: %v", err))
	}
	if drift == nil {
		return nil
	}
	return []*record.Event{drift}
}
