package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/filekind"
	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

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
