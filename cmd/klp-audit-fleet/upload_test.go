package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klp-audit/klp-audit/fleet/ingest"
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

// A sender makes a folder in its own that nobody can list: what others sent is taken in all the same, and
// that folder is named as not-read.
func TestUnreadableFolder(t *testing.T) {
	dir := t.TempDir()
	theirs := filepath.Join(dir, "b", "export.jsonl")
	t.Chdir(dir)
	for _, err := range []error{os.Mkdir("a", 0o700), os.Mkdir("b", 0o700), os.WriteFile(theirs, []byte("x"), 0o600), os.Chdir("a")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	name := strings.Repeat("x", 250)
	for range 20 { // longer than a path may be
		if err := errors.Join(os.Mkdir(name, 0o700), os.Chdir(name)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := list([]string{dir})
	if err != nil || len(files) != 2 || files[1] != theirs {
		t.Fatalf("%d files, %v", len(files), err)
	}
	if s, err := (&intake{named: []string{dir}}).take(t.Context(), files[0]); err != nil || s.Outcome != unread {
		t.Errorf("%+v, %v", s, err)
	}
}

// A file cannot be removed, for its sender owns the folder: the next ones are taken in all the same, and
// the exit status says it.
func TestFileStays(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "within"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	in := &intake{app: &app{env: env{Stdout: &out}}, remove: true, counts: map[ingest.Outcome]int{}}
	if err := in.tell(&said{File: dir, Outcome: ingest.Stored}); err != nil || !strings.Contains(out.String(), "the file stays: ") {
		t.Errorf("%v, %s", err, &out)
	}
	if err := in.status(); err != exitStatus(exitError) {
		t.Error(err)
	}
}
