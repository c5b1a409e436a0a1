package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/filekind"
	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/internal/recorder"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

func (a *app) recordPath() string {
	if a.db != "" {
		return a.db
	}
	return store.Path(a.root)
}

// open opens the record that the flags name, as it is.
func (a *app) open(ctx context.Context) (*store.Store, error) {
	if err := a.misplaced(); err != nil {
		return nil, err
	}
	return store.OpenReadOnly(ctx, a.recordPath()) // names what is missing
}

// openRecord opens the record that the flags name, for reading. The machine's own record
// is brought up to date first, as far as the user may. verify does not use it: it must see
// the record before anything is added.
func (a *app) openRecord(ctx context.Context) (*store.Store, error) {
	a.catchUp(ctx)
	return a.open(ctx)
}

// catchUp takes in what waits in the spool and closes interrupted commits, if this is the
// machine's own record and the user is root.
func (a *app) catchUp(ctx context.Context) {
	if a.db != "" || a.root != "/" || os.Geteuid() != 0 {
		return
	}
	rec := recorder.New(a.root, version, a.Getenv, recorder.NewLog(a.Stderr))
	if err := rec.CatchUp(ctx); err != nil {
		a.complain("bringing the record up to date: %v", err)
	}
}

// openWriter opens the machine's record to write to it.
func (a *app) openWriter(ctx context.Context) (*store.Store, error) {
	if err := a.keeps(); err != nil {
		return nil, err
	}
	if err := a.misplaced(); err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, a.root, version)
	if err != nil {
		return nil, err
	}
	s.AnnounceIf(func() bool { return a.config().CheckpointsToJournal })
	return s, nil
}

// keeps is an error where what is recorded is lost.
func (a *app) keeps() error {
	if a.root == "/" && recorder.New(a.root, version, a.Getenv, a.Stderr).InSnapshot() {
		return errors.New("this is a snapshot that transactional-update prepares, and what is recorded in it is lost: work on the record in the running system")
	}
	return nil
}

// misplaced says what is in the place of the record that the flags name, if something else is. In the
// place of the machine's own record that is damage, in the place of a copy a mistake.
func (a *app) misplaced() error {
	path := a.recordPath()
	name := "record"
	if a.db != "" {
		name = "--db"
	}
	err := expect(name, path, "a record", filekind.Record)
	var m mistaken
	switch {
	case errors.Is(err, fs.ErrNotExist), a.db == "" && errors.As(err, &m) && m.is == filekind.Empty:
		return nil // there is none, and the store says so
	case a.db == "" && errors.As(err, &m):
		return fmt.Errorf("record %q: %w: it is %s", path, store.ErrDamaged, m.is)
	}
	return err
}

// The further exit codes of what reads a record.
const (
	exitAltered   = 4
	exitTruncated = 5
)

// exitFor is the exit status that says what a record, or an export, was found to be.
func exitFor(found proof.Integrity) error {
	switch found {
	case proof.Altered:
		return exitStatus(exitAltered)
	case proof.Truncated:
		return exitStatus(exitTruncated)
	}
	return nil
}

// exit is the exit status of a report on an input, nil for one that nothing is wrong with.
func exit(in *audit.Input) error {
	if in == nil {
		return nil
	}
	return exitFor(in.Result)
}

// openInput opens an export, or the record if none is named, and says how it was found.
func (a *app) openInput(ctx context.Context, input string) (*store.Store, *audit.Input, error) {
	if input == "" {
		s, in, err := a.openFound(ctx)
		if s != nil && in.Warning() != "" {
			s = understood(ctx, s, a.recordPath())
		}
		return s, in, err
	}
	if err := expect("--input", input, "an export", filekind.Export); err != nil {
		return nil, nil, err
	}
	s, v, err := store.OpenExport(ctx, input, "")
	if err != nil {
		return nil, nil, err
	}
	return s, audit.NewInput(input, v), nil
}

// openFound opens the record that the flags name for a report on it, and says how it was
// found, nil if there is nothing to say. Where it cannot be read because it is altered or
// gone, there is no store.
func (a *app) openFound(ctx context.Context) (*store.Store, *audit.Input, error) {
	s, err := a.openRecord(ctx)
	if errors.Is(err, store.ErrDamaged) { // its views cannot be made, or it is no record at all
		if readable, altered := store.OpenAltered(ctx, a.recordPath()); altered == nil {
			s, err = readable, nil
		}
	}
	if err != nil {
		if v := a.lost(err); v != nil {
			return nil, audit.NewInput(a.recordPath(), v), nil
		}
		return nil, nil, err
	}
	v, err := a.look(ctx, s)
	if err != nil {
		if v = a.lost(err); v == nil {
			return nil, nil, errors.Join(err, s.Close())
		}
	}
	if v == nil {
		return s, nil, nil
	}
	return s, audit.NewInput(a.recordPath(), v), nil
}

// understood returns what can be understood of an open record that is not intact; the record as it is,
// if nothing can.
func understood(ctx context.Context, s *store.Store, path string) *store.Store {
	altered, err := store.OpenAltered(ctx, path)
	if err != nil {
		return s
	}
	s.Close()
	return altered
}

// lookTime is how long a report, or a check, waits for a verification of a machine's record: one of
// five years takes a second.
const lookTime = 5 * time.Second

// look verifies an open record and says how it was found. If that takes too long for the machine's own
// record, which is verified daily, it takes a quick look; nil if that shows nothing. That the machine lost
// its key once is a finding of the check integrity, and no reason to doubt all the rest.
func (a *app) look(ctx context.Context, s *store.Store) (*proof.Verification, error) {
	if a.db != "" {
		return a.verifyOpen(ctx, s, "", nil)
	}
	soon, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	v, err := s.Verify(soon, "")
	if err == nil {
		store.TrustMachine(v, a.root) // who may read neither half of the key looks without
	}
	whole := err == nil
	if err != nil && !errors.Is(err, store.ErrDamaged) { // no time, or no room for what it needs
		v, err = s.Look(ctx, a.root)
	}
	if err == nil && (v.OnlyKeys() || !whole && v.Result == proof.Intact) {
		return nil, nil
	}
	return v, err
}

// lost says what it means for a record that it cannot be read: a record that SQLite does not understand
// is altered, and one that is gone while its key is there has lost all its events. It is nil if neither
// is so.
func (a *app) lost(err error) *proof.Verification {
	if errors.Is(err, store.ErrDamaged) {
		return &proof.Verification{Result: proof.Altered, Problems: []string{err.Error()}}
	}
	if _, keyErr := os.Stat(store.KeyPath(a.root)); a.db == "" && errors.Is(err, store.ErrNoRecord) && keyErr == nil {
		return &proof.Verification{Result: proof.Truncated, Problems: []string{err.Error() + ", but its key is there"}}
	}
	return nil
}

// verifyOpen checks an open record: a machine's own with what its journal knows of it.
func (a *app) verifyOpen(ctx context.Context, s *store.Store, key string, earlier []string) (*proof.Verification, error) {
	if a.db != "" {
		return s.Verify(ctx, key, earlier...)
	}
	v, err := observe.Verify(ctx, s, a.root, key, earlier...)
	if err != nil {
		return nil, err
	}
	if v.KeyUnread != "" {
		a.complain("not compared with the machine's key: %s", v.KeyUnread)
	}
	if v.Unread != "" {
		a.complain("not all checkpoints in the journal are looked at: %s", v.Unread)
	}
	return v.Verification, nil
}
