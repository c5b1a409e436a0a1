package sqlite

import (
	"cmp"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// SQLite's locks are byte ranges at this place in the file (see its pager.h): a writer that waits
// for readers, a writer, and the readers.
const (
	pendingByte  = 0x40000000
	reservedByte = pendingByte + 1
	sharedFirst  = pendingByte + 2
	sharedSize   = 510
)

// HeldBy says which other process holds the database at path; nil if none does or it cannot be
// determined. Anybody who may read the file may ask. It is the process that a writer would have to
// wait for: a reader that a writer is already waiting for, else the writer, else a reader.
func HeldBy(path string) *record.Holder {
	fd, err := lockView(path)
	if err != nil {
		return nil
	}
	if waiting := ownerOf(fd, pendingByte, 1); waiting != nil {
		return readerBut(fd, waiting)
	}
	return cmp.Or(ownerOf(fd, reservedByte, 1), ownerOf(fd, sharedFirst, sharedSize))
}

// readerBut returns a reader that is not the waiting writer. That writer has a reader's lock, too;
// all readers lock the same bytes, and the system names just one. If it names the writer, then for
// all anybody can tell the writer holds the database.
func readerBut(fd int, writer *record.Holder) *record.Holder {
	if reader := ownerOf(fd, sharedFirst, sharedSize); reader != nil && reader.PID != writer.PID {
		return reader
	}
	return writer
}

// ownerOf returns who has locked a range of the file; nil: nobody.
func ownerOf(fd int, first, size int64) *record.Holder {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: first, Len: size}
	if unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &lock) != nil || lock.Type == unix.F_UNLCK {
		return nil
	}
	return &record.Holder{PID: max(0, int(lock.Pid)), Command: commandOf(lock.Pid)}
}

// lockViews are the files whose locks were looked at. They stay open: when a process closes a file,
// the system drops all locks of that process on it, including SQLite's.
var (
	lockViews     = map[fileID]int{}
	lockViewsLock sync.Mutex
)

type fileID struct{ dev, ino uint64 }

func lockView(path string) (fd int, err error) {
	lockViewsLock.Lock()
	defer lockViewsLock.Unlock()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return -1, err
	}
	if fd, ok := lockViews[fileID{uint64(st.Dev), st.Ino}]; ok {
		return fd, nil
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, errors.New("not a regular file")
	}
	fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	lockViews[fileID{uint64(st.Dev), st.Ino}] = fd
	return fd, nil
}

// commandOf returns the name of a process on this machine, if it may be read.
func commandOf(pid int32) string {
	name, _ := rooted.ReadFile("/", filepath.Join("proc", strconv.Itoa(int(pid)), "comm"))
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return '?'
	}, strings.TrimSpace(name))
}
