// Package journaltest gives tests the journals of real boots.
package journaltest

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// Unpack unpacks the journal of a scenario and returns its folder.
func Unpack(t testing.TB, scenario string) string {
	t.Helper()
	dir := t.TempDir()
	if err := Extract(scenario, dir); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "journal")
}

// Extract unpacks the journal of a scenario in internal/journal/testdata into dir/journal.
func Extract(scenario, dir string) error {
	_, self, _, _ := runtime.Caller(0)
	f, err := os.Open(filepath.Join(filepath.Dir(self), "..", "testdata", scenario, "journal.tar.zst"))
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return err
	}
	defer z.Close()
	return extract(tar.NewReader(z), dir)
}

func extract(r *tar.Reader, dir string) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		data, err := io.ReadAll(r)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			return err
		}
	}
}
