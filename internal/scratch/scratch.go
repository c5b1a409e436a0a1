// Package scratch makes files and folders that are there for one run only, and removes those that a run left
// which was killed.
//
// All have names of one form, and whoever makes one holds a lock on it (flock) until it is gone. So what has such
// a name, is one's own and is held by nobody was left. systemd-tmpfiles leaves alone what is held, too.
package scratch

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const prefix = ".klp-audit-"

func newName() string { return prefix + rand.Text() }

// isName says whether newName may have made a name: nobody else would choose such a one.
func isName(name string) bool {
	const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	text, ok := strings.CutPrefix(name, prefix)
	return ok && len(text) == 26 && strings.Trim(text, base32) == ""
}

// Folder is a folder for temporary files, which nobody else may look into.
type Folder struct {
	Path string
	held *os.File
}

// NewFolder makes a folder below the system's temporary one.
func NewFolder() (*Folder, error) {
	temp, err := os.OpenRoot(os.TempDir())
	if err != nil {
		return nil, err
	}
	defer temp.Close()
	held, name, err := create(temp, func(name string) (*os.File, error) {
		if err := temp.Mkdir(name, 0o700); err != nil {
			return nil, err
		}
		return openFolder(temp, name)
	})
	if p, ok := errors.AsType[*fs.PathError](err); ok { // nobody knows the name of what was to be made
		err = &fs.PathError{Op: "making a temporary folder in", Path: temp.Name(), Err: p.Err}
	}
	if err != nil {
		return nil, err
	}
	return &Folder{Path: filepath.Join(temp.Name(), name), held: held}, nil
}

// Close removes the folder and what is in it.
func (f *Folder) Close() error { return errors.Join(os.RemoveAll(f.Path), f.held.Close()) }

// NewFile makes a file in a folder, to be written; whoever has written it gives it another name or removes it.
func NewFile(dir *os.Root) (f *os.File, name string, err error) {
	return create(dir, func(name string) (*os.File, error) {
		return dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	})
}

// create makes a file or folder under a new name, and holds it. Before it is held, another run may take it for one that was
// left: then it makes another one.
func create(dir *os.Root, open func(name string) (*os.File, error)) (f *os.File, name string, err error) {
	for range 100 {
		name = newName()
		if f, err = open(name); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, "", err
		}
		if hold(f) != errHeld && is(dir, name, f) {
			return f, name, nil
		}
		f.Close()
	}
	return nil, "", errHeld
}

var errHeld = errors.New("somebody else takes away every temporary file")

// hold locks a file or folder as long as it is open. The error is errHeld if somebody has; where it is another one
// the file system knows no such locks, and nobody will take it for one that was left.
func hold(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return errHeld
	}
	return err
}

// is says whether a name in a folder is that of an open file.
func is(dir *os.Root, name string, f *os.File) bool {
	there, err := dir.Lstat(name)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(there, info)
}

type opener = func(dir *os.Root, name string) (*os.File, error)

// openFile opens a regular file for writing: else some file systems give no lock.
func openFile(dir *os.Root, name string) (*os.File, error) {
	if info, err := dir.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	return dir.OpenFile(name, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

func openFolder(dir *os.Root, name string) (*os.File, error) {
	return dir.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// SweepTemp removes what was left in the system's temporary folder, folders too: nobody else may rename one there. What cannot be removed stays.
func SweepTemp() {
	if temp, err := os.OpenRoot(os.TempDir()); err == nil {
		Sweep(temp)
		sweepAll(temp, openFolder)
		temp.Close()
	}
}

// Sweep removes the files that were left in a folder, as far as they are the user's own. It follows no links, and
// leaves folders alone: who owns the folder may give one of the user's, with all that is in it, another name.
func Sweep(dir *os.Root) { sweepAll(dir, openFile) }

func sweepAll(dir *os.Root, open opener) {
	d, err := dir.Open(".")
	if err != nil {
		return
	}
	defer d.Close()
	list, _ := d.Readdirnames(-1)
	for _, name := range list {
		if isName(name) {
			sweep(dir, name, open)
		}
	}
}

func sweep(dir *os.Root, name string, open opener) {
	info, err := dir.Lstat(name)
	if err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
		return
	}
	f, err := open(dir, name)
	if err != nil {
		return
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) || hold(f) != nil || !is(dir, name, f) {
		return
	}
	if info.IsDir() {
		dir.RemoveAll(name)
	} else {
		dir.Remove(name) // never a folder that was given the name meanwhile
	}
}
