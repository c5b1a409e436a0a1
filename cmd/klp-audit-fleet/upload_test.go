package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A sender replaces its file after the folder was listed: by a link, or by a pipe.
func TestReplacedFileIsNotRead(t *testing.T) {
	dir := t.TempDir()
	secret, link, pipe := filepath.Join(dir, "key"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	for _, err := range []error{os.WriteFile(secret, []byte("secret"), 0o600), os.Symlink(secret, link), syscall.Mkfifo(pipe, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{link, pipe} {
		if f, err := openUpload(name, false); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
	}
	for _, name := range []string{secret, link} {
		f, err := openUpload(name, name == link)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}
