package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

const (
	// maxSize is how large it may be at all: SQLite takes no more.
	maxSize = 1e9
	// hastyTime is how long who has little time takes in at most.
	hastyTime = 500 * time.Millisecond
)

// TakeIn moves what waits in the spool into the log, in order. A file that holds no event, or
// one that the log can never take, is set aside under another name (see Spooled); one that a
// newer program wrote waits on. Where ctx has a deadline, half of the time is used, and no more
// than half a second: what is large or takes long waits for who has more, and what comes after
// it goes in. That an event comes before one that it follows is no harm to the views.
//
// An error says that the record takes nothing now. What else went wrong, Stuck says.
func (s *Store) TakeIn(ctx context.Context) error {
	half, cancel := halfOf(ctx)
	defer cancel()
	for _, path := range spoolFiles(s.root) {
		err := s.takeFile(half, path)
		if half.Err() != nil && ctx.Err() == nil && !IsLocked(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("spooled event %q: %w", path, err)
		}
	}
	removeOldTemps(s.root)
	return nil
}

// takeFile takes in one event. Its error says that no other one can be taken in either.
func (s *Store) takeFile(ctx context.Context, path string) error {
	half, cancel := halfOf(ctx)
	defer cancel()
	body, err := readAtMost(path, readable(ctx))
	switch {
	case errors.Is(err, rooted.ErrTooLarge) && !hasty(ctx):
		s.setAside(path)
		return nil
	case err != nil:
		return nil // taken in by another writer, or unreadable, or too large for now: it waits
	}
	err = s.append(half, []byte(takenIn(body, time.Now())))
	switch {
	case err == nil:
		s.cannot(os.Remove(path))
	case IsLocked(err):
		return err
	case errors.Is(err, record.ErrNewerEvent), half.Err() != nil && ctx.Err() == nil:
	case errors.Is(err, record.ErrNoEvent), sqlite.IsRefused(err):
		s.setAside(path)
	default:
		return err
	}
	return nil
}

// setAside keeps a file that can never be taken in under another name.
func (s *Store) setAside(path string) { s.cannot(os.Rename(path, path+asideSuffix)) }

// cannot notes why a file stays in the spool. That another writer was faster is no reason.
func (s *Store) cannot(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.stuck = append(s.stuck, err)
	}
}

// Stuck returns why files stay in the spool that should not be there any more, for each of them
// one error whenever it was tried.
func (s *Store) Stuck() []error { return s.stuck }

// awaitedFor is how long a file of the spool is waited for: what could not be taken in for so
// long, may never be.
const awaitedFor = 24 * time.Hour

// Awaits says whether an event waits in the spool that must be in the log before anybody says
// what else became of a commit, or that nobody recorded a change. One that is in the log already
// does not count, nor what holds no event or one of a newer version, nor what was written a day
// ago or longer, or is to be.
func (s *Store) Awaits(ctx context.Context) bool {
	return slices.ContainsFunc(spoolFiles(s.root), func(path string) bool { return s.awaits(ctx, path) })
}

func (s *Store) awaits(ctx context.Context, path string) bool {
	info, err := os.Lstat(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) // taken in meanwhile
	}
	if time.Since(info.ModTime()).Abs() > awaitedFor {
		return false
	}
	body, err := readAtMost(path, readable(ctx))
	if err != nil {
		return true
	}
	ev, err := record.Decode([]byte(body))
	if err != nil {
		return false
	}
	known := false
	err = s.db.InTx(ctx, func(tx *sql.Tx) (err error) {
		known, err = (&appender{ctx: ctx, tx: tx}).known(ev)
		return err
	})
	return err != nil || !known
}

// readable is how large an event may be for who has as much time as ctx.
func readable(ctx context.Context) int64 {
	if hasty(ctx) {
		return hastySize
	}
	return maxSize
}

func hasty(ctx context.Context) bool {
	_, ok := ctx.Deadline()
	return ok
}

// halfOf is a context with half of the time that ctx has left, but no more than hastyTime.
func halfOf(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, min(time.Until(deadline)/2, hastyTime))
}

// Append adds events to the log: what waits in the spool first, then a recorder event if
// the recorder's identity changed, then the events with their hashes and view rows, and a
// new checkpoint. An event whose id is in the log already is not added again, and neither
// is a second end of a commit.
func (s *Store) Append(ctx context.Context, evs ...*record.Event) error {
	if err := s.TakeIn(ctx); err != nil {
		return err
	}
	bodies, err := encodeAll(evs)
	if err != nil {
		return err
	}
	return s.append(ctx, bodies...)
}
