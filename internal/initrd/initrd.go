// Package initrd reads initrd images and says which live patches they contain.
//
// An image is what the kernel's init/initramfs.c unpacks: cpio archives one after the other, plain
// or compressed, with NUL bytes between them
// (Documentation/driver-api/early-userspace/buffer-format.rst). The package writes nothing to disk:
// it reads the image once, keeps the names and digests of live patches, and never needs more than
// 64 MiB. An image that it cannot read to the end is an error, because nothing can be concluded
// from a part of an image.
package initrd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrUnreadable says that an image exists, but its content cannot be read: the image is damaged, of
// an unknown kind, or larger than any image should be.
var ErrUnreadable = errors.New("unreadable image")

// Image is what an initrd image contains, as far as live patches are concerned.
type Image struct {
	Path    string
	Size    int64
	ModTime time.Time
	SHA256  string // of the file, in hexadecimal
	// Modules are the live patch modules, sorted by path.
	Modules []Module
	// DracutModules are the dracut modules that the image was built from, in order; dracut stores
	// their names in lib/dracut/modules.txt.
	DracutModules []string
	// Compression names how the parts of the image are compressed, in order: for example "none" for
	// the early microcode, then "zstd".
	Compression []string
}

// Read reads an image file.
func Read(ctx context.Context, path string) (*Image, error) {
	f, before, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, err := Scan(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("reading initrd %q: %w", path, err)
	}
	after, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if img.Size != before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return nil, fmt.Errorf("reading initrd %q: %w: it changed meanwhile", path, ErrUnreadable)
	}
	img.Path, img.ModTime = path, before.ModTime()
	return img, nil
}

// openRegular opens a regular file.
func openRegular(path string) (*os.File, os.FileInfo, error) {
	return regular(os.OpenFile(path, openFlags, 0))
}

// openFlags avoid waiting for a writer if the file is a pipe.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

func regular(f *os.File, err error) (*os.File, os.FileInfo, error) {
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("reading %q: %w: not a regular file", f.Name(), ErrUnreadable)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}
