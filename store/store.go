// Package store keeps the record: an append-only log of events in SQLite, a Merkle tree over their
// exact bytes with signed checkpoints, and views derived from the events alone. Only this package
// and its packages sqlite and views import database/sql.
package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/klp-audit/klp-audit/internal/scratch"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// StateDir is where the record is, below the root of the file system.
const StateDir = "var/lib/klp-audit"

// Store is an open record.
type Store struct {
	db      *sqlite.DB
	root    string          // for a writer
	version string          // for a writer: the program's version
	path    string          // of the file; empty: an export
	exact   *int64          // for a writer: SQLite's schema version of the tables that were checked; nil: none
	temp    *scratch.Folder // with rebuilt views, removed by Close; nil: there are none
	known   *known          // if this holds the first events of another record; nil: it is whole
	leaves  proof.Leaves    // for an export: the hashes of its events; nil: they are in the database

	stuck     []error     // why files stay in the spool
	toJournal func() bool // whether a checkpoint goes to the journal; nil: always
}

// Path returns the path of the record of the machine whose file tree is at root.
func Path(root string) string { return filepath.Join(root, "/", StateDir, "klp-audit.db") }

// Close closes the record.
func (s *Store) Close() error {
	err := s.db.Close()
	if s.temp != nil {
		err = errors.Join(err, s.temp.Close())
	}
	return err
}

// WaitAtMost bounds how long the store waits for another process that holds the record. It never
// waits longer than the context of the operation.
func (s *Store) WaitAtMost(d time.Duration) { s.db.WaitAtMost(d) }

// known describes a record that holds the first events of another one.
type known struct {
	root   string        // hash over these events; empty: not known
	pruned *record.Prune // newest prune of that record; nil: none
}

var (
	// ErrNoRecord says that there is no record at a path. Readers never create one.
	ErrNoRecord = errors.New("no record")
	// ErrNewer says that a newer klp-audit wrote the record.
	ErrNewer = errors.New("record of a newer klp-audit")
	// ErrUnfinished says that a writer died halfway. The next writer must roll back its changes
	// before a reader without write permission can read the record.
	ErrUnfinished = sqlite.ErrUnfinished
	// ErrDamaged says that SQLite cannot read the file.
	ErrDamaged = sqlite.ErrDamaged
	// ErrMoved says that others have written to the record since it was read.
	ErrMoved = errors.New("the record has grown meanwhile")
)

// IsLocked says whether an error means that another process holds the record.
func IsLocked(err error) bool { return sqlite.IsLocked(err) }

// named adds to an error which record it is about, and who holds it if it is locked.
func named(path string, err error) error {
	if IsLocked(err) {
		if h := sqlite.HeldBy(path); h != nil {
			return fmt.Errorf("record %q: held by %s: %w", path, h, err)
		}
	}
	return fmt.Errorf("record %q: %w", path, err)
}
