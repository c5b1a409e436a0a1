package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/klp-audit/klp-audit/internal/filekind"
	"github.com/klp-audit/klp-audit/internal/recorder"
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
