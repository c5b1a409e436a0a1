package rpm

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Stamp describes the files of a database by stat(2). As long as the stamp is the same, the content
// is the same. An empty stamp says nothing.
type Stamp string

// stampFiles are the files of a database, for ndb and for SQLite. Each transaction writes to them
// by system calls, which update their times.
var stampFiles = [...]string{"Packages.db", "Index.db", "rpmdb.sqlite"}

const (
	// walFile is SQLite's log, whose content is not in the database file yet.
	walFile = "rpmdb.sqlite-wal"
	// berkeleyFile is the Berkeley DB database, which is written through mapped pages: the file's
	// time does not show such writes.
	berkeleyFile = "Packages"
)

// stampFilesystems set a file's times at once, by this machine's clock.
var stampFilesystems = []int64{
	unix.BTRFS_SUPER_MAGIC, unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.TMPFS_MAGIC,
}

// Unchanged reports whether the database still has this stamp.
func (db DB) Unchanged(s Stamp) bool {
	if s == "" {
		return false
	}
	now, _ := db.stamp(s.folder())
	return now == s
}

// Settle waits until a database that had a stamp can have one again after a transaction, so that
// later writes show in it. That takes one step of the clock that stamps files, at most 10 ms.
func (db DB) Settle(s Stamp) {
	if s == "" {
		return
	}
	_, newest := db.stamp(s.folder())
	for deadline := time.Now().Add(20 * time.Millisecond); !newest.Before(fileClock()) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// folder is the folder of the database, below the root.
func (s Stamp) folder() string {
	dir, _, _ := strings.Cut(string(s), " ")
	return dir
}

// stampSince returns the stamp of a database in a folder below the root, if its files were not
// written since a moment of the clock that stamps them.
func (db DB) stampSince(dir string, moment time.Time) Stamp {
	s, newest := db.stamp(dir)
	if !newest.Before(moment) {
		return ""
	}
	return s
}

// stamp returns the stamp, and the newest time of its files.
func (db DB) stamp(dir string) (s Stamp, newest time.Time) {
	folder := filepath.Join(db.Root, dir)
	var fs unix.Statfs_t
	if unix.Statfs(folder, &fs) != nil || !slices.Contains(stampFilesystems, int64(fs.Type)) || strings.Contains(dir, " ") {
		return "", newest
	}
	if unix.Access(filepath.Join(folder, berkeleyFile), unix.F_OK) == nil || !isEmpty(filepath.Join(folder, walFile)) {
		return "", newest
	}
	text := dir
	for _, name := range stampFiles {
		var f unix.Stat_t
		if unix.Lstat(filepath.Join(folder, name), &f) != nil {
			continue // of the other backend
		}
		if f.Mode&unix.S_IFMT != unix.S_IFREG || f.Mtim.Nsec == 0 || f.Ctim.Nsec == 0 {
			return "", newest // a file system that stores whole seconds, for example
		}
		modified, changed := time.Unix(f.Mtim.Unix()), time.Unix(f.Ctim.Unix())
		text += fmt.Sprintf(" %s:%d:%d:%d:%d", name, f.Ino, f.Size, modified.UnixNano(), changed.UnixNano())
		for _, t := range []time.Time{modified, changed} {
			if t.After(newest) {
				newest = t
			}
		}
	}
	if text == dir {
		return "", newest
	}
	return Stamp(text), newest
}

// isEmpty says whether a file is empty or missing, as readers leave a log.
func isEmpty(path string) bool {
	var f unix.Stat_t
	err := unix.Lstat(path, &f)
	return err == unix.ENOENT || err == nil && f.Size == 0
}

// setBack says whether the clock was set back since a moment: then later writes seem older.
func setBack(since time.Time) bool {
	now := time.Now()
	return now.Sub(since)-now.Round(0).Sub(since.Round(0)) > time.Millisecond
}

// fileClock is the clock that file systems stamp their files with: it advances in steps of some
// milliseconds, and is never ahead of what they write.
func fileClock() time.Time {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &t) != nil {
		return time.Time{} // nothing was written before that
	}
	return time.Unix(t.Unix())
}
