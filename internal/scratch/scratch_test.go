package scratch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// left makes a folder as a killed run leaves it.
func left(t *testing.T) string {
	t.Helper()
	f, err := NewFolder()
	check(t, err)
	check(t, os.WriteFile(filepath.Join(f.Path, "views.db"), nil, 0o600))
	check(t, f.held.Close())
	return f.Path
}

func isThere(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestSweep(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	held, err := NewFolder()
	check(t, err)
	dir, err := os.OpenRoot(temp)
	check(t, err)
	defer dir.Close()
	heldFile, name, err := NewFile(dir)
	check(t, err)
	defer heldFile.Close()
	leftFile, leftName, err := NewFile(dir)
	check(t, err)
	check(t, leftFile.Close())
	gone := []string{left(t), filepath.Join(temp, leftName)}

	SweepTemp()
	for _, path := range gone {
		if isThere(t, path) {
			t.Errorf("%s is still there", path)
		}
	}
	for _, path := range []string{held.Path, filepath.Join(temp, name)} {
		if !isThere(t, path) {
			t.Errorf("%s is gone, and was held", path)
		}
	}
	check(t, held.Close())
	if isThere(t, held.Path) {
		t.Errorf("%s was closed, and is still there", held.Path)
	}
}

// Everybody may put what they like into the temporary folder.
func TestSweepOfWhatOthersLaid(t *testing.T) {
	temp, precious := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	kept := filepath.Join(precious, "kept")
	check(t, os.WriteFile(kept, nil, 0o600))
	name := func(c string) string { return filepath.Join(temp, prefix+"AAAAAAAAAAAAAAAAAAAAAAAAA"+c) }
	check(t, os.Symlink(precious, name("A")))
	check(t, os.Symlink(kept, name("B")))
	check(t, syscall.Mkfifo(name("C"), 0o600))
	check(t, os.Mkdir(name("D"), 0o700)) // was left, and leads elsewhere
	check(t, os.Symlink(precious, filepath.Join(name("D"), "views.db")))
	stay := []string{kept, name("A"), name("B"), name("C")}
	for _, similar := range []string{".klp-audit-", ".klp-audit-notes", "klp-audit-AAAAAAAAAAAAAAAAAAAAAAAAAA", ".klp-audit-AAAAAAAAAAAAAAAAAAAAAAAAAA.old", ".klp-audit-aaaaaaaaaaaaaaaaaaaaaaaaaa"} {
		check(t, os.Mkdir(filepath.Join(temp, similar), 0o700))
		stay = append(stay, filepath.Join(temp, similar))
	}
	if os.Geteuid() == 0 {
		check(t, os.Mkdir(name("E"), 0o700))
		check(t, os.Chown(name("E"), 65534, 65534))
		stay = append(stay, name("E"))
	}

	SweepTemp()
	for _, path := range stay {
		if !isThere(t, path) {
			t.Errorf("%s is gone", path)
		}
	}
	if isThere(t, name("D")) {
		t.Errorf("what was left is still there")
	}
}

// Who owns a folder may give one of the user's, with all that is in it, the name of what is left behind.
func TestSweepLeavesFolders(t *testing.T) {
	shared, renamed := t.TempDir(), prefix+"AAAAAAAAAAAAAAAAAAAAAAAAAA"
	kept := filepath.Join(shared, renamed, "kept")
	check(t, os.Mkdir(filepath.Dir(kept), 0o700))
	check(t, os.WriteFile(kept, nil, 0o600))
	dir, err := os.OpenRoot(shared)
	check(t, err)
	defer dir.Close()
	if Sweep(dir); !isThere(t, kept) {
		t.Errorf("%s is gone", kept)
	}
}

// Runs that begin at once take nothing away from each other.
func TestBesideEachOther(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	done := make(chan error)
	for range 4 {
		go func() {
			for range 200 {
				SweepTemp()
				f, err := NewFolder()
				if err == nil {
					err = errors.Join(os.WriteFile(filepath.Join(f.Path, "x"), nil, 0o600), f.Close())
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
