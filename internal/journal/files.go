package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/sdjournal"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// Unread is a file of a journal that could not be read, or not to its end.
type Unread struct {
	Path     string
	Err      error
	Modified time.Time // nothing in it is newer
}

// The folders of the system's journal, journald.conf(5), Storage=.
const (
	volatileDir   = "/run/log/journal"
	persistentDir = "/var/log/journal"
)

// files are the files of a journal.
type files struct {
	dir    string // empty: the system's
	paths  []string
	unread []Unread
}

// name is what messages call the journal.
func (f *files) name() string {
	if f.dir == "" {
		return "the system's journal"
	}
	return fmt.Sprintf("journal %q", f.dir)
}

// findFiles finds the files as libsystemd does (sd-journal.c, add_root_directory), which ignores
// silently those that it cannot read. They are in the folder, and in subfolders named after a
// machine id. For the system's journal, persistent files are this machine's only.
func findFiles(dir string) (*files, error) {
	f := &files{dir: dir}
	if dir != "" {
		if _, err := os.ReadDir(dir); errors.Is(err, syscall.ENOTDIR) {
			return nil, fmt.Errorf("%s: not a folder", f.name())
		} else if err != nil {
			return nil, fmt.Errorf("reading %s: %w", f.name(), err)
		}
		f.addRoot(dir, isID)
		return f, nil
	}
	f.addRoot(volatileDir, isID)
	own, err := rooted.ReadFile("/", "/etc/machine-id")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f.addRoot(persistentDir, func(name string) bool { return name == strings.TrimSpace(own) })
	return f, nil
}

// isID says whether a name is a machine or boot id that sd_id128_from_string accepts.
func isID(name string) bool {
	digits := strings.ReplaceAll(name, "-", "")
	return len(digits) == 32 && (len(name) == 32 || len(name) == 36) && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}

func (f *files) addRoot(dir string, wanted func(name string) bool) {
	for _, e := range f.addDir(dir) {
		if path := filepath.Join(dir, e.Name()); wanted(e.Name()) && isDir(path) {
			f.addDir(path)
		}
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// addDir adds the files of a folder, and returns what is in it. The files of users are left out:
// whatever root and the kernel write is in the system's files.
func (f *files) addDir(dir string) []fs.DirEntry {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.unread = append(f.unread, unread(dir, err))
	}
	for _, e := range entries {
		isJournal := strings.HasSuffix(e.Name(), ".journal") || strings.HasSuffix(e.Name(), ".journal~")
		isFile := e.Type().IsRegular() || e.Type() == fs.ModeSymlink
		if isJournal && isFile && !strings.HasPrefix(e.Name(), "user-") {
			f.paths = append(f.paths, filepath.Join(dir, e.Name()))
		}
	}
	return entries
}

func unread(path string, err error) Unread {
	u := Unread{Path: path, Err: plain(err), Modified: time.Now()}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		u.Modified = info.ModTime()
	}
	return u
}

// plain says in words what libsystemd says with an error number.
func plain(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case syscall.EBADMSG, syscall.ENODATA, syscall.EADDRNOTAVAIL:
		return errDamaged
	case syscall.EPROTONOSUPPORT:
		return errNewer
	}
	return errno
}

var (
	errDamaged = errors.New("damaged or cut off")
	errNewer   = errors.New("written by a newer systemd than the one here")
)

// open opens all files that can be opened, and notes the others.
func (f *files) open() (*sdjournal.Journal, error) {
	err := f.leaveOut(func(path string) error {
		j, err := openPaths(path)
		if err != nil {
			return err
		}
		return j.Close()
	})
	if err != nil {
		return nil, err
	}
	return openPaths(f.paths...)
}

func openPaths(paths ...string) (*sdjournal.Journal, error) {
	j, err := sdjournal.NewJournalFromFiles(paths...)
	if err != nil && strings.Contains(err.Error(), "library") {
		return nil, fmt.Errorf("opening the journal: %w: %w", ErrNoLibrary, err)
	} else if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	return j, nil
}

// leaveOut leaves out and notes the files that look fails for. A file that is gone was removed by
// journald meanwhile, and an empty one was just created.
func (f *files) leaveOut(look func(path string) error) error {
	var fatal error
	f.paths = slices.DeleteFunc(f.paths, func(path string) bool {
		err := look(path)
		switch {
		case err == nil || fatal != nil:
			return false
		case !ofFile(err):
			fatal = err
			return false
		}
		f.note(path, err)
		return true
	})
	return fatal
}

// note notes a file that cannot be read.
func (f *files) note(path string, err error) {
	info, statErr := os.Stat(path)
	if statErr == nil && info.Size() == 0 || errors.Is(statErr, fs.ErrNotExist) {
		return
	}
	if !slices.ContainsFunc(f.unread, func(u Unread) bool { return u.Path == path }) {
		f.unread = append(f.unread, unread(path, err))
	}
}

// ofFile says whether an error concerns one file, so that the others may still be read.
func ofFile(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && errno != syscall.ENOMEM && errno != syscall.EMFILE && errno != syscall.ENFILE
}

// usage is the disk usage of files in bytes, as sd_journal_get_usage counts it for files that it
// has not dropped.
func usage(paths []string) (sum uint64) {
	for _, path := range paths {
		var s syscall.Stat_t
		if syscall.Stat(path, &s) == nil {
			sum += uint64(s.Blocks) * 512
		}
	}
	return sum
}

// mtimeSlack is how much older a file's time may be than its newest entry: the kernel updates it
// when it writes mapped pages to disk.
const mtimeSlack = time.Minute

// doubt notes with each boot the files that may hold more of it: those written after it began. If
// its beginning is not known, it is after the previous boot.
func (f *files) doubt(boots []Boot) {
	var before time.Time
	for i := range boots {
		b := &boots[i]
		began := before
		if b.StartInJournal {
			began = b.First.Time
		}
		for _, u := range f.unread {
			if !u.Modified.Add(mtimeSlack).Before(began) {
				b.Unread, b.Incomplete = append(b.Unread, u), true
			}
		}
		before = b.Last.Time
	}
}

// isDenied says whether permission is missing for any file.
func (f *files) isDenied() bool {
	return slices.ContainsFunc(f.unread, func(u Unread) bool { return errors.Is(u.Err, fs.ErrPermission) })
}
