// Package journal reads from the systemd journal which live patches a boot loaded, where it loaded
// them, and which initrd images were built. It is the only importer of sdjournal.
//
// The rules are derived from the journals of real boots. Nothing is concluded from a missing line.
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
	record.Boot          // as it is recorded and shown
	Unread      []Unread // files that may hold more of it
	ImageBuilds []Build  // Builds, with everything that their entries say
}

// newBoot returns a boot about which nothing is known yet.
func newBoot(id string) Boot {
	return Boot{Boot: record.Boot{ID: id, Loads: []record.Load{}, Builds: []record.Build{}}}
}

// Entry is one entry of the journal.
type Entry struct {
	Cursor  string
	Time    time.Time // when journald received it
	Message string
}

// Source says how a build reported what it packed.
type Source string

// The sources.
const (
	SourceOwn     Source = "own"     // entries of klp-audit's dracut module, one for each live patch
	SourceList    Source = "list"    // dracut's list of files, at its log level 5
	SourceModules Source = "modules" // dracut's modules only, at its log level 4
)

// Build is the building of an initrd image.
type Build struct {
	record.Build    // of its newest entry; the kernel release is empty if not known, the image if not reported
	Start           time.Time
	From, To        int    // positions of its first and newest entries among those of the boot: the clock may be set between them
	Root            string // the root file system that it was built in and for: RootHere, RootUnclear or a path; empty: not reported
	Source          Source
	Packed          []Module  // Modules, with what it reported about them
	None            bool      // it reported that it packed none
	Partial         bool      // it reported that it packed more than that
	LivepatchModule bool      // it included a dracut module that packs live patches
	Failed          bool      // it reported a failure
	Done            time.Time // when it reported that the image was written; zero: it did not
	Written         *Written  // nil: not reported
	Silent          bool      // only the entries of klp-audit's module show it: dracut's own lines are missing
	Evidence        []Entry
}

// Roots of a build other than the path of another system.
const (
	RootHere    = "/"
	RootUnclear = "?" // it may have been built in another system: it found no journal, or runs in a chroot
)

// Written is what an image file was when its build had ended.
type Written struct {
	Size int64
	Time time.Time // of the file's last change, to the microsecond
}

// Module is a live patch module that a build packed.
type Module struct {
	File       string
	SrcVersion string // empty: not reported
	SHA256     string // empty: not reported
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
	// Skip says that a boot is not wanted, given only its ends.
	Skip func(Boot) bool
}

// Journal is what was read from a journal.
type Journal struct {
	Boots  []Boot   // oldest first
	Unread []Unread // files that may hold more boots, or more of these boots
}

// Boots reads the boots of a journal, see Read.
func Boots(ctx context.Context, dir string, q Query) ([]Boot, error) {
	j, err := Read(ctx, dir, q)
	return j.Boots, err
}

// Read reads boots of a journal. dir is a journal directory; empty: the system's journal,
// persistent and volatile together. Machine id and host name never distinguish entries: an initrd
// may have its own.
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
