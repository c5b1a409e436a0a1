// Package journal reads from the systemd journal which live patches a boot loaded, where it
// loaded them, and which initrd images were built. It is the only importer of sdjournal.
//
// The rules follow what the journals of real boots show. Nothing is concluded from the
// absence of a line.
package journal

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Boot is what the journal shows of one boot.
type Boot struct {
	record.Boot          // as it is kept and shown
	Unread      []Unread // files that may hold more of it
	ImageBuilds []Build  // of Builds, all that their entries say
}

// newBoot returns a boot of which nothing is known yet.
func newBoot(id string) Boot {
	return Boot{Boot: record.Boot{ID: id, Loads: []record.Load{}, Builds: []record.Build{}}}
}

// Entry is one entry of the journal.
type Entry struct {
	Cursor  string
	Time    time.Time // when journald received it
	Message string
}

// Source says how a build told what it packed.
type Source string

// The sources.
const (
	SourceOwn     Source = "own"     // entries of klp-audit's dracut module, one for each live patch
	SourceList    Source = "list"    // dracut's list of files, at its log level 5
	SourceModules Source = "modules" // dracut's modules only, at its log level 4
)

// Build is the building of an initrd image.
type Build struct {
	record.Build    // of its newest entry; the kernel release is empty if it is not known, the image if it did not say
	Start           time.Time
	From, To        int    // places of its first and newest entries among those of the boot: the clock may be set between them
	Root            string // the root file system that it was built in and of: RootHere, RootUnclear or a path; empty: not said
	Source          Source
	Packed          []Module  // Modules, with what it said of them
	None            bool      // it said that it packed none
	Partial         bool      // it said to have packed more than that
	LivepatchModule bool      // it included a dracut module that packs live patches
	Failed          bool      // it said that it did not
	Done            time.Time // when it said that the image was written; zero: it did not
	Written         *Written  // nil: not said
	Silent          bool      // only the entries of klp-audit's module show it: dracut's own lines are not there
	Evidence        []Entry
}

// The roots of a build that are not those of another system.
const (
	RootHere    = "/"
	RootUnclear = "?" // it may have been built in another one: it found no journal, or is in a chroot
)

// Written is what an image file was when its build had ended.
type Written struct {
	Size int64
	Time time.Time // of its last change, by the file, to the microsecond
}

// Module is a live patch module that a build packed.
type Module struct {
	File       string
	SrcVersion string // empty: not said
	SHA256     string // empty: not said
}

var (
	// ErrNoLibrary says that libsystemd is not installed.
	ErrNoLibrary = errors.New("libsystemd is not installed")
	// ErrNoJournal says that there is no journal at a place.
	ErrNoJournal = errors.New("no journal")
	// ErrNoAccess says that the user may not read a journal.
	ErrNoAccess = errors.New("no permission to read it: as a rule only root and the group systemd-journal may")
	// ErrNoBoot says that the journal does not hold a boot.
	ErrNoBoot = errors.New("not in the journal")
)

// Query selects boots.
type Query struct {
	Boot string // the one with this id, or with one that begins so; empty: all
	Last bool   // the last one only
	// Skip says of a boot, of which nothing but its ends is known yet, that it is not wanted.
	Skip func(Boot) bool
}

// Journal is what was read of a journal.
type Journal struct {
	Boots  []Boot   // oldest first
	Unread []Unread // files that may hold more boots, or more of those
}

// Boots reads the boots of a journal, see Read.
func Boots(ctx context.Context, dir string, q Query) ([]Boot, error) {
	j, err := Read(ctx, dir, q)
	return j.Boots, err
}

// Read reads boots of a journal. dir is a journal directory; empty: the system's journal,
// persistent and volatile together. Entries are never told apart by machine id or host
// name: an initrd may have its own.
func Read(ctx context.Context, dir string, q Query) (Journal, error) {
	runtime.LockOSThread() // an sd_journal object belongs to one thread
	defer runtime.UnlockOSThread()
	f, err := findFiles(dir)
	if err != nil {
		return Journal{}, err
	}
	boots, found, err := f.read(ctx, q)
	if err != nil {
		return Journal{}, err
	}
	if found == 0 {
		return Journal{}, f.missing(q)
	}
	f.doubt(boots)
	return Journal{Boots: boots, Unread: f.unread}, nil
}

// missing says why no boot was found.
func (f *files) missing(q Query) error {
	switch {
	case f.isDenied():
		return fmt.Errorf("%s: %w", f.name(), ErrNoAccess)
	case len(f.unread) > 0:
		return fmt.Errorf("%s: %q: %w", f.name(), f.unread[0].Path, f.unread[0].Err)
	case q.Boot != "":
		return fmt.Errorf("boot %q: %w", q.Boot, ErrNoBoot)
	}
	return fmt.Errorf("%s: %w", f.name(), ErrNoJournal)
}
