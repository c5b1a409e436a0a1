package sqlite

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mattn/go-sqlite3"
)

var (
	// ErrUnfinished says that a writer died halfway. The next writer must roll back its changes
	// before a reader without write permission can read the record.
	ErrUnfinished = errors.New("unfinished write")
	// ErrDamaged says that SQLite cannot read the file.
	ErrDamaged = errors.New("damaged record")
)

// Classify marks SQLite errors that a user can do something about: it adds ErrUnfinished or
// ErrDamaged to them.
func Classify(err error) error {
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrUnfinished) {
		return err // already classified
	}
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.ExtendedCode == sqlite3.ErrReadonlyRollback || e.ExtendedCode == sqlite3.ErrReadonlyRecovery:
		return fmt.Errorf("%w: %w", ErrUnfinished, err)
	case e.Code == sqlite3.ErrCorrupt, e.Code == sqlite3.ErrNotADB,
		e.Code == sqlite3.ErrError && strings.Contains(e.Error(), "no such"), // table or column
		e.Code == sqlite3.ErrError && strings.Contains(e.Error(), "unsupported file format"):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// IsLocked says whether another process holds the database.
func IsLocked(err error) bool { return is(err, sqlite3.ErrBusy, sqlite3.ErrLocked) }

// IsConstraint says whether a constraint of a table refused a row.
func IsConstraint(err error) bool { return is(err, sqlite3.ErrConstraint) }

// IsRefused says whether SQLite will never accept a row, whatever else is in the database.
func IsRefused(err error) bool {
	return is(err, sqlite3.ErrConstraint, sqlite3.ErrTooBig, sqlite3.ErrMismatch)
}

// IsBadStatement says whether SQLite rejected a statement.
func IsBadStatement(err error) bool { return is(err, sqlite3.ErrError) }

// is says whether an error has one of these SQLite codes.
func is(err error, codes ...sqlite3.ErrNo) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}
