package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

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
