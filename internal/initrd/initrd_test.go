package initrd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/klp-audit/klp-audit/internal/rooted/rootedtest"
)

func TestReadDescribesTheFile(t *testing.T) {
	image := whole(reg(patchPath, livePatch("AAAA")))
	name := filepath.Join(rootedtest.Tree(t, map[string]string{"initrd": image}), "initrd")
	built := time.Date(2025, 3, 1, 12, 0, 0, 500, time.UTC)
	if err := os.Chtimes(name, built, built); err != nil {
		t.Fatal(err)
	}
	got, err := Read(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	want := &Image{Path: name, Size: int64(len(image)), ModTime: built, SHA256: digest(image), Compression: []string{"none"}}
	if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0), cmpopts.IgnoreFields(Image{}, "Modules")); diff != "" {
		t.Error(diff)
	}
	if len(got.Modules) != 1 {
		t.Errorf("modules %v", got.Modules)
	}
}

func TestReadRefuses(t *testing.T) {
	dir := rootedtest.Tree(t, map[string]string{"text": "not a cpio archive"})
	if err := syscall.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		want error
	}{{"none", fs.ErrNotExist}, {"text", ErrUnreadable}, {"pipe", ErrUnreadable}, {".", ErrUnreadable}}
	for _, test := range tests {
		_, err := Read(t.Context(), filepath.Join(dir, test.name))
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// The images were packed by the real programs: cpio archives like those of kit_test.go, then gzip
// -n, bzip2, xz --check=sha256 --block-size=512, zstd -19, and lz4 -l.
func TestReadImagesOfRealPrograms(t *testing.T) {
	names, err := filepath.Glob("testdata/*.img")
	if err != nil || len(names) != 5 {
		t.Fatalf("%q, %v", names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			img, err := Read(t.Context(), name)
			if strings.Contains(name, "lz4") {
				if !errors.Is(err, ErrUnreadable) {
					t.Errorf("got %+v, %v", img, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{patchPath}, paths(img)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
