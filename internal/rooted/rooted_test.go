package rooted

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// makeTree makes a root with files, links and things that should not be there.
func makeTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"etc/conf.d", "usr/conf.d", "data"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"data/file": "text", "etc/conf.d/20.conf": "", "usr/conf.d/10.conf": "", "usr/conf.d/20.conf": "", "usr/conf.d/README": "",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"absolute": "/data/file", "relative": "data/../data/file", "above": "../../../../data/file", "folder": "/data",
		"circle": "/circle2", "circle2": "circle", "dangling": "/nothing",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(root, "huge")
	if err := errors.Join(os.WriteFile(huge, nil, 0o644), os.Truncate(huge, 1<<40)); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestReadFile(t *testing.T) {
	root := makeTree(t)
	for name, want := range map[string]error{
		"data/file": nil, "/data/file": nil, "absolute": nil, "relative": nil, "above": nil, "folder/file": nil, "../data/file": nil,
		"circle": syscall.ELOOP, "circle/file": syscall.ELOOP, "dangling": fs.ErrNotExist, "none": fs.ErrNotExist, "data/file/x": syscall.ENOTDIR,
		"fifo": ErrNotRegular, "data": ErrNotRegular, "huge": ErrTooLarge,
	} {
		got, err := ReadFile(root, name)
		if !errors.Is(err, want) || err == nil && got != "text" {
			t.Errorf("%s: got %q, %v, want %v", name, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), root) {
			t.Errorf("%s: the error does not name the file: %v", name, err)
		}
	}
}

func TestTheMachinesOwnRoot(t *testing.T) {
	for _, root := range []string{"", "/", "//", "/."} {
		if got, err := Path(root, "proc/self/../x"); got != "/proc/x" || err != nil {
			t.Errorf("Path(%q) = %q, %v", root, got, err)
		}
	}
	if text, err := ReadFile("/", "/proc/self/stat"); text == "" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestStatAndReadDir(t *testing.T) {
	root := makeTree(t)
	if info, err := Stat(root, "absolute"); err != nil || info.Size() != 4 {
		t.Errorf("got %v, %v", info, err)
	}
	if info, err := Stat(root, "fifo"); err != nil || info.Mode().IsRegular() {
		t.Errorf("got %v, %v", info, err)
	}
	if _, err := Stat(root, "circle"); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("got %v", err)
	}
	if entries, err := ReadDir(root, "usr/conf.d"); err != nil || len(entries) != 3 || entries[0].Name() != "10.conf" {
		t.Errorf("got %v, %v", entries, err)
	}
	for _, name := range []string{"fifo", "data/file", "circle", "none"} {
		if entries, err := ReadDir(root, name); err == nil {
			t.Errorf("%s: got %v", name, entries)
		}
	}
	if entries, err := ReadDir(root, "etc"); err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v", entries, err)
	}
}

func TestDropIns(t *testing.T) {
	root := makeTree(t)
	got, err := DropIns(root, ".conf", "/etc/conf.d", "/run/conf.d", "/usr/conf.d")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/usr/conf.d/10.conf", "/etc/conf.d/20.conf"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := DropIns(root, ".conf", "/fifo"); err == nil {
		t.Error("a FIFO was listed")
	}
}

// A root can be a relative path.
func TestRelativeRoot(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.MkdirAll("machine/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("machine/etc/hostname", []byte("db01"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"machine", "./machine/", "machine/../machine"} {
		if text, err := ReadFile(root, "etc/hostname"); text != "db01" || err != nil {
			t.Errorf("%q: %q, %v", root, text, err)
		}
	}
	if got, err := Path(".", "/etc/hostname"); got != filepath.Join(dir, "etc/hostname") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// The error names what is in a file's place, without opening it.
func TestRegular(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(os.Mkdir(at("folder"), 0o755), syscall.Mkfifo(at("fifo"), 0o600), os.WriteFile(at("file"), []byte("12345"), 0o600),
		os.Symlink("/dev/null", at("device")), syscall.Mknod(at("socket"), syscall.S_IFSOCK|0o600, 0), os.Symlink("file", at("link")))
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]string{"folder": "a folder", "fifo": "a FIFO", "device": "a device", "socket": "a socket"} {
		_, openErr := Open(dir, name)
		for _, err := range []error{Regular(at(name)), openErr} {
			if name == "device" && err == openErr {
				continue // the link leads to dev/null below dir, which does not exist
			}
			if !errors.Is(err, ErrNotRegular) || !strings.Contains(err.Error(), kind) || !strings.Contains(err.Error(), at(name)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, name := range []string{"file", "link", "none"} {
		if err := Regular(at(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for size, want := range map[int64]error{4: ErrTooLarge, 5: nil} {
		if _, err := ReadAtMost(dir, "file", size); !errors.Is(err, want) {
			t.Errorf("at most %d bytes: %v", size, err)
		}
	}
}
