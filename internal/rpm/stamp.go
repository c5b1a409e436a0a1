package rpm

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Stamp is what the files of a database look like to stat(2). As long as the stamp of a database
// is the same, so is what it holds. An empty one says nothing.
type Stamp string

// stampFiles are the files of a database: of ndb, and of SQLite with its log. Each transaction
// writes to them by system calls, which leave a time. Berkeley DB has "Packages", and writes to
// mapped pages, of which the file's time does not tell.
var stampFiles = [...]string{"Packages.db", "Index.db", "rpmdb.sqlite", "rpmdb.sqlite-wal"}

const berkeleyFile = "Packages"

// stampFilesystems note when a file was written by the clock of this machine, at once.
var stampFilesystems = []int64{
	unix.BTRFS_SUPER_MAGIC, unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.TMPFS_MAGIC,
}

// Unchanged reports whether the database is still as it was with a stamp.
func (db DB) Unchanged(s Stamp) bool {
	dir, _, _ := strings.Cut(string(s), " ")
	now, _ := db.stamp(dir)
	return s != "" && now == s
}

// Settle waits until a database, which had a stamp, can have one again after a transaction: what
// is written from then on will show in it. It takes a step of the clock that stamps files, which
// is 10 ms at most.
func (db DB) Settle(s Stamp) {
	dir, _, _ := strings.Cut(string(s), " ")
	_, newest := db.stamp(dir)
	for deadline := time.Now().Add(20 * time.Millisecond); !newest.Before(fileClock()) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
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

// stamp returns the stamp, and when any of the files was written last.
func (db DB) stamp(dir string) (s Stamp, newest time.Time) {
	folder := filepath.Join(db.Root, dir)
	var fs unix.Statfs_t
	if unix.Statfs(folder, &fs) != nil || !slices.Contains(stampFilesystems, int64(fs.Type)) || strings.Contains(dir, " ") {
		return "", newest
	}
	if unix.Access(filepath.Join(folder, berkeleyFile), unix.F_OK) == nil {
		return "", newest
	}
	text := dir
	for _, name := range stampFiles {
		var f unix.Stat_t
		if unix.Lstat(filepath.Join(folder, name), &f) != nil || f.Size == 0 {
			continue // an empty log is one that a reader made
		}
		if f.Mode&unix.S_IFMT != unix.S_IFREG || f.Mtim.Nsec == 0 || f.Ctim.Nsec == 0 {
			return "", newest // a file system that counts seconds, for example
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

// fileClock is the clock that file systems stamp their files with: it goes on in steps of some
// milliseconds, and never is ahead of what they write.
func fileClock() time.Time {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &t) != nil {
		return time.Time{} // nothing was written before that
	}
	return time.Unix(t.Unix())
}
