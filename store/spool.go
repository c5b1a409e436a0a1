package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// spoolDirs are tried in this order. /var/log is always the real one, even in a transactional
// update, where the chroot's /var/lib is lost.
var spoolDirs = []string{StateDir + "/spool", "var/log/klp-audit/spool"}

const (
	// hastySize limits events that a caller with little time takes in.
	hastySize = 1 << 20

	spoolSuffix = ".event"
	asideSuffix = ".unreadable"
	// tempAge is how old a temporary file must be to be left over by a dead writer, whose event was
	// never acknowledged.
	tempAge = 10 * time.Minute

	spoolMessageID = "c9b7d3f15a0e4c5f9d0a4f6f3f3c8e22"
)

// Spool durably stores an event that the database cannot take now, in a file that the next writer
// takes in; if no spool folder accepts it either, in the journal. reason is recorded in the event.
// In the chroot of a transactional update only what is below /var/log survives.
func Spool(root string, ev *record.Event, reason error, chroot bool) error {
	ev.Spooled = reason.Error()
	dirs := spoolDirs
	if chroot {
		dirs = spoolDirs[1:]
	}
	var errs []error
	for _, dir := range dirs {
		err := spoolInto(filepath.Join(root, "/", dir), root, ev)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
		ev.Spooled += "; " + err.Error()
	}
	if ownMachine(root) {
		body, err := record.Encode(ev)
		if err != nil {
			return err
		}
		err = journal.Send("klp-audit could not store this event", journal.PriErr, map[string]string{
			"MESSAGE_ID":        spoolMessageID,
			"SYSLOG_IDENTIFIER": "klp-audit",
			"KLP_EVENT":         string(body),
		})
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("spooling event %s: %w", ev.ID, errors.Join(errs...))
}

func spoolInto(dir, root string, ev *record.Event) error {
	body, err := record.Encode(ev)
	if err != nil {
		return err
	}
	if err := makeDir(filepath.Dir(dir), 0o750, groupID(root, "klp-audit")); err != nil {
		return err
	}
	if err := makeDir(dir, 0o700, -1); err != nil {
		return err
	}
	name := fmt.Sprintf("%020d-%s%s", nextNumber(root, ev.Time.UnixMicro()), ev.ID, spoolSuffix)
	return writeDurably(filepath.Join(dir, name), append(body, '\n'), 0o600)
}

// nextNumber orders the files of the spool: by time, but never before an existing one, because the
// clock may have been set back.
func nextNumber(root string, now int64) int64 {
	for _, name := range spoolFiles(root) {
		digits, _, _ := strings.Cut(filepath.Base(name), "-")
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n >= now {
			now = n + 1
		}
	}
	return now
}

// spoolFiles lists the waiting events of both folders in order.
func spoolFiles(root string) []string {
	paths, _ := filesIn(root, spoolSuffix)
	return paths
}

// filesIn lists files of both folders. Its error says which ones could not be read.
func filesIn(root, suffix string) (paths []string, err error) {
	for _, dir := range spoolDirs {
		entries, dirErr := ownEntries(root, dir)
		err = errors.Join(err, dirErr)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), suffix) && e.Type().IsRegular() {
				paths = append(paths, filepath.Join(root, "/", dir, e.Name()))
			}
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(filepath.Base(a), filepath.Base(b)) })
	return paths, err
}

// ownEntries lists a folder, provided that nobody else can have put anything into it.
func ownEntries(root, dir string) ([]os.DirEntry, error) {
	path := filepath.Join(root, "/", dir)
	for _, dir := range []string{filepath.Dir(path), path} {
		if err := own(dir); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	return entries, err
}

// Waiting returns how many events wait in the spool below root.
func Waiting(root string) int { return len(spoolFiles(root)) }

// LookAtSpool looks at the spool of the machine whose file tree is at root.
func LookAtSpool(root string) (s record.Spooled) {
	waiting, err := filesIn(root, spoolSuffix)
	aside, asideErr := filesIn(root, asideSuffix)
	if s.Waiting, s.SetAside = len(waiting), len(aside); errors.Is(err, fs.ErrPermission) {
		s.Unseen = "only root may look"
	} else if err := cmp.Or(err, asideErr); err != nil {
		s.Unseen = err.Error()
	}
	for _, path := range waiting {
		lookAtFile(&s, path)
	}
	if s.Waiting > 0 || s.Unseen != "" {
		s.Holder = sqlite.HeldBy(Path(root))
	}
	return s
}

// lookAtFile looks at a waiting file.
func lookAtFile(s *record.Spooled, path string) {
	info, err := os.Lstat(path)
	if err != nil {
		return // taken in meanwhile
	}
	if at := info.ModTime(); s.Since == nil || at.Before(s.Since.Time) {
		s.Since = new(record.At(at))
	}
	if s.Reason != "" {
		return
	}
	var ev *record.Event
	text, err := readAtMost(path, hastySize)
	if err == nil {
		ev, err = record.Decode([]byte(text))
	}
	if err != nil {
		s.Reason = err.Error()
	} else {
		s.Reason = ev.Spooled
	}
}

// removeOldTemps removes unfinished files of dead writers.
func removeOldTemps(root string) {
	for _, dir := range append([]string{StateDir}, spoolDirs...) {
		entries, _ := ownEntries(root, dir)
		for _, e := range entries {
			info, err := e.Info()
			if err == nil && strings.HasPrefix(e.Name(), tempPrefix) && time.Since(info.ModTime()) > tempAge {
				os.Remove(filepath.Join(root, "/", dir, e.Name()))
			}
		}
	}
}
