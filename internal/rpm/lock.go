package rpm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// lockMacro names rpm's lock file, folderMacro the folder of its database.
const (
	lockMacro   = "%{_rpmlock_path}"
	folderMacro = "%{_dbpath}"
)

// Lock is rpm's transaction lock.
type Lock struct{ path string }

// Lock finds the transaction lock of the database. It runs rpm once; afterwards the lock can be
// checked as often as needed.
func (db DB) Lock(ctx context.Context) (Lock, error) {
	path, err := db.lockPath(ctx)
	if err != nil {
		return Lock{}, fmt.Errorf("finding rpm's lock: %w", err)
	}
	return Lock{path}, nil
}

// Held reports whether another process is changing the database: it then holds a write lock.
// Nothing is locked or created.
func (l Lock) Held() (bool, error) {
	f, err := rooted.Open("/", l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // no transaction ever
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	// A reader's lock would only conflict with a writer's.
	lock := syscall.Flock_t{Type: syscall.F_RDLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil {
		return false, fmt.Errorf("asking for the lock %q: %w", l.path, err)
	}
	return lock.Type != syscall.F_UNLCK, nil
}

// lockPath returns the path of rpm's lock file.
func (db DB) lockPath(ctx context.Context) (string, error) {
	var path string
	out := &records{end: []byte("\n"), limit: 4 << 10, each: func(line string) error {
		path = line
		return nil
	}}
	if err := db.run(ctx, out, "--eval", lockMacro); err != nil {
		return "", err
	}
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("rpm's %%{_rpmlock_path} is %q, which is not a path", path)
	}
	return filepath.Join(db.Root, path), nil
}
