// Package store keeps the record: an append-only log of events in SQLite, a Merkle tree
// over their exact bytes with signed checkpoints, and views that are derived from the
// events alone. It is the only importer of database/sql and go-sqlite3.
package store

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// StateDir is where the record lives, below the root of the file system.
const StateDir = "var/lib/klp-audit"

// Store is an open record.
type Store struct {
	db      *sql.DB
	root    string // of a writer
	version string // of a writer: the program's
	path    string // of the file; empty: of an export
	exact   *int64 // of a writer: SQLite's number of the tables that were found to be right; nil: none
	temp    string // folder with rebuilt views, removed by Close
	known   *known // of a record of the first events of another one; nil: it is whole

	patience time.Duration // with who holds the record
	stuck    []error       // why files stay in the spool

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

// known is what a record of the first events of another one keeps of that.
type known struct {
	root   string        // hash over these events; empty: not known
	pruned *record.Prune // newest of that record; nil: none
}

// WaitAtMost bounds how long the store waits for who holds the record; it never waits for
// longer than the context of what it does.
func (s *Store) WaitAtMost(d time.Duration) { s.patience = min(d, maxLockTime) }
