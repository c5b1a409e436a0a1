// Package rooted reads the files of a machine below a root directory. They may not be what they
// should be: a FIFO, a loop of links and an endless file give errors, and no link leads out of the
// root.
package rooted

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	// MaxFile is the largest file that ReadFile reads: a boot menu has about 100 KiB.
	MaxFile    = 8 << 20
	maxEntries = 1 << 17 // such as processes
	maxLinks   = 40      // as many as the kernel follows
)

// What can be wrong with a file besides what system calls report.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLarge   = errors.New("larger than klp-audit reads")
)

// Regular returns an error that says what is at a path, if it is not a regular file. A missing file
// is no error. Links are followed.
func Regular(path string) error {
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && !info.Mode().IsRegular() {
		return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("%w, but %s", ErrNotRegular, kindOf(info.Mode()))}
	}
	return nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// Path is where the file called name in the tree is: each link is followed as the machine itself
// would follow it, with root as its root directory.
func Path(root, name string) (string, error) {
	root, err := filepath.Abs(cmp.Or(root, "/")) // root may be relative
	if err != nil || root == "/" {
		return path.Join("/", name), err
	}
	at, rest := "/", strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		target, err := os.Readlink(filepath.Join(root, next))
		if err != nil {
			at = next // not a link; or missing, which the caller will see
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "open", Path: filepath.Join(root, name), Err: syscall.ELOOP}
		}
		if path.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return filepath.Join(root, at), nil
}

// Open opens a regular file.
func Open(root, name string) (*os.File, error) {
	p, err := Path(root, name)
	if err != nil {
		return nil, err
	}
	if err := Regular(p); err != nil { // opening a device may have an effect
		return nil, err
	}
	// A FIFO that takes the file's place now must not block.
	f, err := os.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: p, Err: ErrNotRegular}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadFile reads a regular file of MaxFile bytes at most.
func ReadFile(root, name string) (string, error) { return ReadAtMost(root, name, MaxFile) }

// ReadAtMost reads a regular file of at most this size.
func ReadAtMost(root, name string, size int64) (string, error) {
	f, err := Open(root, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, size+1))
	if err == nil && int64(len(text)) > size {
		err = &fs.PathError{Op: "read", Path: f.Name(), Err: ErrTooLarge}
	}
	if err != nil {
		return "", err
	}
	return string(text), nil
}

// ReadDevice reads size bytes at an offset of a block device, or of a file with a copy of one.
func ReadDevice(root, name string, offset int64, size int) (string, error) {
	p, err := Path(root, name)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if m := info.Mode(); !m.IsRegular() && m.Type() != fs.ModeDevice {
		return "", &fs.PathError{Op: "read", Path: p, Err: ErrNotRegular}
	}
	b := make([]byte, size)
	_, err = f.ReadAt(b, offset)
	return string(b), err
}

// Stat describes a file of any kind; it follows links.
func Stat(root, name string) (fs.FileInfo, error) {
	p, err := Path(root, name)
	if err != nil {
		return nil, err
	}
	return os.Lstat(p)
}

// ReadDir lists a folder, sorted by name.
func ReadDir(root, name string) ([]fs.DirEntry, error) {
	p, err := Path(root, name)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(maxEntries)
	if err == nil && len(entries) == maxEntries {
		err = &fs.PathError{Op: "readdir", Path: p, Err: ErrTooLarge}
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// DropIns lists the drop-in files in folders; a file in an earlier folder overrides one of the same
// name in a later folder. They are sorted by name, the order in which to read them (see the UAPI
// configuration files specification, and systemd's journald.conf(5)).
func DropIns(root, suffix string, folders ...string) ([]string, error) {
	found := map[string]string{}
	for _, folder := range folders {
		entries, err := ReadDir(root, folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if _, overridden := found[e.Name()]; overridden || !strings.HasSuffix(e.Name(), suffix) {
				continue
			}
			found[e.Name()] = path.Join(folder, e.Name())
			if masked(root, folder, e) {
				found[e.Name()] = ""
			}
		}
	}
	var names []string
	for _, base := range slices.Sorted(maps.Keys(found)) {
		if found[base] != "" {
			names = append(names, found[base])
		}
	}
	return names, nil
}

// masked says whether a drop-in is a link to /dev/null, which removes those that it overrides.
func masked(root, folder string, e fs.DirEntry) bool {
	dir, err := Path(root, folder)
	if err != nil || e.Type()&fs.ModeSymlink == 0 {
		return false
	}
	target, err := os.Readlink(filepath.Join(dir, e.Name()))
	return err == nil && target == "/dev/null"
}
