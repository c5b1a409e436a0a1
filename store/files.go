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

// maxSmall is how large a file may be that is read whole and holds a few lines.
const maxSmall = 1 << 20

// readAtMost reads a regular file of a certain size at most; links are followed as the system
// does.
func readAtMost(path string, size int64) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return rooted.ReadAtMost("/", path, size)
}

// own says why a folder is not to be trusted: it is not one in which only root, or who runs
// this program, can have laid or replaced a file. One that is not there is no danger.
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
		return fmt.Errorf("folder %q belongs to user %d: look who put what there, and give it to root", dir, owner)
	case info.IsDir() && info.Mode()&0o002 != 0:
		return fmt.Errorf("everybody may write to folder %q: look who put what there, and forbid it", dir)
	}
	return nil
}

// writeDurably replaces a file so that after a power cut either the old or the whole new
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

// tempPrefix begins the name of a file that is being written.
const tempPrefix = ".new-"

// makeDir creates a folder with exactly this mode, whatever the umask, and those above it, durably;
// an existing one stays as it is.
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
	// Not even its owner may open a folder with the mode that some umasks leave.
	if err := parent.Chmod(filepath.Base(dir), mode); err != nil {
		return err
	}
	f, err := parent.OpenFile(filepath.Base(dir), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(chownGroup(f, gid), f.Close(), syncDir(above))
}

// chownGroup gives a file to a group; gid -1 and users that may not are left alone.
func chownGroup(f *os.File, gid int) error {
	if gid < 0 || os.Geteuid() != 0 {
		return nil
	}
	return f.Chown(0, gid)
}

// groupID looks a group up in the group file, -1 if it has none. The name service is not
// asked: it may wait for a network.
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

// ownMachine says whether root is this machine's own file system, whose journal is the
// right place for its events.
func ownMachine(root string) bool { return filepath.Clean("/"+root) == "/" }
