// Package store keeps the record: an append-only log of events in SQLite, a Merkle tree
// over their exact bytes with signed checkpoints, and views that are derived from the
// events alone. With its packages sqlite and views it is the only importer of database/sql.
package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// StateDir is where the record lives, below the root of the file system.
const StateDir = "var/lib/klp-audit"

// Store is an open record.
type Store struct {
	db      *sqlite.DB
	root    string       // of a writer
	version string       // of a writer: the program's
	path    string       // of the file; empty: of an export
	exact   *int64       // of a writer: SQLite's number of the tables that were found to be right; nil: none
	temp    string       // folder with rebuilt views, removed by Close
	known   *known       // of a record of the first events of another one; nil: it is whole
	leaves  proof.Leaves // of an export: the hashes of its events; nil: they are in the database

	stuck     []error     // why files stay in the spool
	toJournal func() bool // whether a checkpoint goes to the journal; nil: it does
}

// Path returns the path of the record of the machine whose file tree is at root.
func Path(root string) string { return filepath.Join(root, "/", StateDir, "klp-audit.db") }

// Close closes the record.
func (s *Store) Close() error {
	err := s.db.Close()
	if s.temp != "" {
		err = errors.Join(err, os.RemoveAll(s.temp))
	}
	return err
}

// WaitAtMost bounds how long the store waits for who holds the record; it never waits for
// longer than the context of what it does.
func (s *Store) WaitAtMost(d time.Duration) { s.db.WaitAtMost(d) }

// known is what a record of the first events of another one keeps of that.
type known struct {
	root   string        // hash over these events; empty: not known
	pruned *record.Prune // newest of that record; nil: none
}

var (
	// ErrNoRecord says that there is no record at a path. Readers never create one.
	ErrNoRecord = errors.New("no record")
	// ErrNewer says that a newer klp-audit wrote the record.
	ErrNewer = errors.New("record of a newer klp-audit")
	// ErrUnfinished says that a writer died in the middle, and that the next writer has
	// to roll back what it left before a reader without write permission can read.
	ErrUnfinished = sqlite.ErrUnfinished
	// ErrDamaged says that SQLite cannot make sense of the file.
	ErrDamaged = sqlite.ErrDamaged
	// ErrMoved says that others have written to the record since it was read.
	ErrMoved = errors.New("the record has grown meanwhile")
)

// IsLocked says whether an error means that another process holds the record.
func IsLocked(err error) bool { return sqlite.IsLocked(err) }

// named names the record that an error is about, and who holds it, if that is what is wrong.
func named(path string, err error) error {
	if IsLocked(err) {
		if h := sqlite.HeldBy(path); h != nil {
			return fmt.Errorf("record %q: held by %s: %w", path, h, err)
		}
	}
	return fmt.Errorf("record %q: %w", path, err)
}
