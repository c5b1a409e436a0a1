package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// maxSmall limits files of a few lines that are read in one go.
const maxSmall = 1 << 20

// readAtMost reads a regular file of at most this size; it follows links.
func readAtMost(path string, size int64) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return rooted.ReadAtMost("/", path, size)
}

// own says why a folder cannot be trusted: somebody other than root or the user of this program
// could have put or replaced a file in it. A folder that does not exist is no danger.
func own(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%q is a symbolic link: put a folder in its place, or mount one there", dir)
	case owner != 0 && owner != os.Geteuid():
		return fmt.Errorf("folder %q belongs to user %d: check what is in it, then give it to root", dir, owner)
	case info.IsDir() && info.Mode()&0o002 != 0:
		return fmt.Errorf("everybody may write to folder %q: check what is in it, then forbid that", dir)
	}
	return nil
}

// writeDurably replaces a file so that after a power cut either the old file or the complete new
// one is there.
func writeDurably(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.ReadFrom(bytes.NewReader(data))
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// tempPrefix starts the name of a file that is being written.
const tempPrefix = ".new-"

// makeDir durably creates a folder with exactly this mode, whatever the umask, and its missing
// parents; an existing folder stays as it is.
func makeDir(dir string, mode fs.FileMode, gid int) error {
	above := filepath.Dir(dir)
	if _, err := os.Stat(above); errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(above, 0o755, -1); err != nil {
			return err
		}
	}
	parent, err := os.OpenRoot(above)
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := parent.Mkdir(filepath.Base(dir), mode); errors.Is(err, fs.ErrExist) {
		return own(dir)
	} else if err != nil {
		return err
	}
	// With the mode that some umasks leave, not even its owner could open the folder.
	if err := parent.Chmod(filepath.Base(dir), mode); err != nil {
		return err
	}
	f, err := parent.OpenFile(filepath.Base(dir), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(chownGroup(f, gid), f.Close(), syncDir(above))
}

// chownGroup gives a file to a group. It does nothing for gid -1 or for users without the right.
func chownGroup(f *os.File, gid int) error {
	if gid < 0 || os.Geteuid() != 0 {
		return nil
	}
	return f.Chown(0, gid)
}

// groupID looks up a group in the group file; -1 if it is not there. It does not ask the name
// service, which might wait for a network.
func groupID(root, name string) int {
	text, _ := readAtMost(filepath.Join(root, "etc/group"), rooted.MaxFile)
	for line := range strings.Lines(text) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] == name {
			if gid, err := strconv.Atoi(f[2]); err == nil {
				return gid
			}
		}
	}
	return -1
}

// ownMachine says whether root is this machine's own file system: its events belong in this
// machine's journal.
func ownMachine(root string) bool { return filepath.Clean("/"+root) == "/" }
