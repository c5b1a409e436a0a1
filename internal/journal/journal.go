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
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/sdjournal"
)

// Boot is what the journal shows of one boot.
type Boot struct {
	ID             string
	KernelRelease  string // as uname -r says it; empty: not in the journal
	First, Last    time.Time
	StartInJournal bool // the kernel's first line is there
	MessagesLost   bool // the kernel's ring buffer overran
	Loads          []Load
	Builds         []Build
}

// Phase says where a live patch was loaded.
type Phase string

// The phases.
const (
	PhaseInitrd  Phase = "initrd"
	PhaseSystem  Phase = "system" // after the switch to the real root
	PhaseUnknown Phase = "unknown"
)

// Result says what became of a load.
type Result string

// The results. A load that has not ended, as far as the journal goes, is unknown.
const (
	ResultComplete Result = "complete"
	ResultFailed   Result = "failed"
	ResultReverted Result = "reverted" // the transition was turned back before it was complete
	ResultUnknown  Result = "unknown"
)

// Load is the loading of a live patch: the kernel's line "enabling patch", and what later
// lines say of it.
type Load struct {
	Entry
	Patch    string // module name
	Phase    Phase
	Rule     string // R1 to R4, what decided the phase; empty if nothing did
	Result   Result
	Forced   bool       // tasks were forced over
	Disabled *time.Time // when it was disabled again
	Replaced string     // the patch that replaced it
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
	Entry           // its newest one
	Start           time.Time
	KernelRelease   string
	Image           string
	Source          Source
	Modules         []Module // live patches that it said to have packed
	None            bool     // it said that it packed none
	LivepatchModule bool     // it included a dracut module that packs live patches
	Success         bool     // it said that it ended well
	Evidence        []Entry
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
	// ErrNoAccess says that the user may not read the system's journal.
	ErrNoAccess = errors.New("no permission to read the system's journal: only root and the group systemd-journal may")
	// ErrNoBoot says that the journal does not hold a boot.
	ErrNoBoot = errors.New("not in the journal")
)

// Query selects boots.
type Query struct {
	Boot string // the one with this id, or with one that begins so; empty: all
	Last bool   // the last one only
}

// Boots reads the boots of a journal, oldest first. dir is a journal directory; empty: the
// system's journal, persistent and volatile together. Entries are never told apart by
// machine id or host name: an initrd may have its own.
func Boots(ctx context.Context, dir string, q Query) ([]Boot, error) {
	runtime.LockOSThread() // an sd_journal object belongs to one thread
	defer runtime.UnlockOSThread()
	j, err := openJournal(dir)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	boots, err := listBoots(j, q)
	if err != nil {
		return nil, err
	}
	if len(boots) == 0 {
		return nil, missing(dir, q)
	}
	for i := range boots {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("reading boot %s: %w", boots[i].ID, err)
		}
		if err := readBoot(ctx, j, &boots[i]); err != nil {
			return nil, fmt.Errorf("reading boot %s: %w", boots[i].ID, err)
		}
	}
	if dir == "" && os.Geteuid() != 0 && !slices.ContainsFunc(boots, func(b Boot) bool { return b.StartInJournal }) && !seesKernel(j) {
		return nil, ErrNoAccess // others see their own entries, and no error
	}
	return boots, nil
}

func openJournal(dir string) (*sdjournal.Journal, error) {
	open := sdjournal.NewJournal
	if dir != "" {
		if info, err := os.Stat(dir); err != nil {
			return nil, err
		} else if !info.IsDir() {
			return nil, fmt.Errorf("journal %q: not a folder", dir)
		}
		if _, err := os.ReadDir(dir); err != nil {
			return nil, err
		}
		open = func() (*sdjournal.Journal, error) { return sdjournal.NewJournalFromDir(dir) }
	}
	j, err := open()
	if err != nil && strings.Contains(err.Error(), "library") {
		return nil, fmt.Errorf("opening the journal: %w: %w", ErrNoLibrary, err)
	} else if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	return j, nil
}

// missing says why no boot was found: files that cannot be read are no error to sd_journal.
func missing(dir string, q Query) error {
	if err := unreadable(dir); err != nil {
		return err
	}
	name := "the system's journal"
	if dir != "" {
		name = fmt.Sprintf("journal %q", dir)
	}
	switch {
	case dir == "" && os.Geteuid() != 0:
		return ErrNoAccess
	case q.Boot != "":
		return fmt.Errorf("boot %q: %w", q.Boot, ErrNoBoot)
	}
	return fmt.Errorf("%s: %w", name, ErrNoJournal)
}

// unreadable returns why the first file of a journal directory that cannot be read cannot.
func unreadable(dir string) error {
	if dir == "" {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, ".journal") && !strings.HasSuffix(path, ".journal~") {
			return nil
		}
		j, err := sdjournal.NewJournalFromFiles(path)
		if err != nil {
			return fmt.Errorf("reading journal %q: %w", dir, err)
		}
		return j.Close()
	})
}

// seesKernel says whether this user sees any message of the kernel.
func seesKernel(j *sdjournal.Journal) bool {
	j.FlushMatches()
	if j.AddMatch("_TRANSPORT=kernel") != nil || j.SeekHead() != nil {
		return false
	}
	n, err := j.Next()
	return err == nil && n > 0
}

// listBoots finds the boots with their first and last entries, by the index of the journal.
func listBoots(j *sdjournal.Journal, q Query) ([]Boot, error) {
	ids, err := bootIDs(j, q)
	if err != nil {
		return nil, err
	}
	var boots []Boot
	for _, id := range ids {
		b, err := bootEnds(j, id)
		if err != nil {
			return nil, fmt.Errorf("boot %q: %w", id, err)
		}
		if !b.First.IsZero() {
			boots = append(boots, b)
		}
	}
	slices.SortFunc(boots, func(a, b Boot) int { return a.First.Compare(b.First) })
	return boots, nil
}

// bootIDs returns the ids of all boots, of the last one, or of the one that begins with a
// text.
func bootIDs(j *sdjournal.Journal, q Query) ([]string, error) {
	prefix := strings.ToLower(q.Boot)
	switch {
	case len(prefix) == 32:
		return []string{prefix}, nil
	case q.Last && prefix == "":
		return lastBoot(j)
	}
	ids, err := j.GetUniqueValues("_BOOT_ID")
	if err != nil {
		return nil, fmt.Errorf("listing boots: %w", err)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return !strings.HasPrefix(id, prefix) })
	if prefix != "" && len(ids) > 1 {
		return nil, fmt.Errorf("boot %q: %d boots begin with that", prefix, len(ids))
	}
	return ids, nil
}

// lastBoot returns the id of the boot that the newest entry is of: the clock that the first
// entries of a boot were stored by may have been wrong.
func lastBoot(j *sdjournal.Journal) ([]string, error) {
	j.FlushMatches()
	if err := j.SeekTail(); err != nil {
		return nil, err
	}
	if n, err := j.Previous(); err != nil || n == 0 {
		return nil, err
	}
	id, err := j.GetDataValue("_BOOT_ID")
	if err != nil {
		return nil, fmt.Errorf("reading the newest entry: %w", err)
	}
	return []string{id}, nil
}

func bootEnds(j *sdjournal.Journal, id string) (b Boot, err error) {
	b.ID = id
	j.FlushMatches()
	if err := j.AddMatch("_BOOT_ID=" + id); err != nil {
		return b, fmt.Errorf("want 32 hex digits: %w", err)
	}
	if err := j.SeekHead(); err != nil {
		return b, err
	}
	if n, err := j.Next(); err != nil || n == 0 {
		return b, err
	}
	if b.First, err = received(j); err != nil {
		return b, err
	}
	if err := j.SeekTail(); err != nil {
		return b, err
	}
	if n, err := j.Previous(); err != nil || n == 0 {
		return b, err
	}
	b.Last, err = received(j)
	return b, err
}

func received(j *sdjournal.Journal) (time.Time, error) {
	us, err := j.GetRealtimeUsec()
	return time.UnixMicro(int64(us)).UTC(), err
}
