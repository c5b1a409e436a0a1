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
	// maxSize is the most that SQLite can take.
	maxSize = 1e9
	// hastyTime is how long a caller with little time takes events in at most.
	hastyTime = 500 * time.Millisecond
)

// TakeIn moves the events that wait in the spool into the log, in order. A file that holds no
// event, or one that the log can never take, is set aside under another name (see Spooled); an
// event of a newer program stays. If ctx has a deadline, TakeIn uses half of the time, at most half
// a second: large events wait for a caller with more time, and later ones go in before them. Views
// do not mind if an event enters the log before one that it follows.
//
// An error says that the record accepts nothing now. Stuck returns anything else that went wrong.
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

// takeFile takes in one event. An error says that no other one can be taken in either.
func (s *Store) takeFile(ctx context.Context, path string) error {
	half, cancel := halfOf(ctx)
	defer cancel()
	body, err := readAtMost(path, readable(ctx))
	switch {
	case errors.Is(err, rooted.ErrTooLarge) && !hasty(ctx):
		s.setAside(path)
		return nil
	case err != nil:
		return nil // taken in by another writer, unreadable, or too large for now: it waits
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

// setAside renames a file that can never be taken in.
func (s *Store) setAside(path string) { s.cannot(os.Rename(path, path+asideSuffix)) }

// cannot notes why a file stays in the spool. If another writer was faster, that is no reason.
func (s *Store) cannot(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.stuck = append(s.stuck, err)
	}
}

// Stuck returns why files stay in the spool that should have left it, one error for each attempt at
// each file.
func (s *Store) Stuck() []error { return s.stuck }

// awaitedFor is how long a file in the spool is waited for: if it could not be taken in for this
// long, it may never be.
const awaitedFor = 24 * time.Hour

// Awaits says whether an event waits in the spool that must enter the log before anybody decides
// what became of a commit, or that nobody recorded a change. It ignores events that are already in
// the log, files without an event or with one of a newer version, and those written a day ago or
// more, or in the future.
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

// readable returns how large an event may be, given how much time ctx leaves.
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

// halfOf returns a context with half of the time that ctx has left, at most hastyTime.
func halfOf(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, min(time.Until(deadline)/2, hastyTime))
}

// Append adds events to the log: first those that wait in the spool, then a recorder event if the
// recorder's identity changed, then the given events with their hashes and view rows, and a new
// checkpoint. It skips an event whose id is already in the log, and a second end of a commit.
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
