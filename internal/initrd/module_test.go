package initrd

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/rooted/rootedtest"
)

func TestReadModInfo(t *testing.T) {
	lines := []string{"livepatch=Y", "srcversion=AB", "srcversion=CD", "name=x", "description=two words", "=", "", "alias"}
	want := map[string]string{"livepatch": "Y", "srcversion": "AB", "name": "x"}
	little := module(binary.LittleEndian, lines...)
	tests := []struct {
		name, file string
		want       map[string]string
	}{
		{"little endian", little, want},
		{"big endian", module(binary.BigEndian, lines...), want},
		{"signed", little + "~Module signature appended~\n", want},
		{"hostile words", module(binary.LittleEndian, "name=\x1b[31m", "srcversion="+strings.Repeat("A", 200)), map[string]string{}},
		{"empty", "", nil},
		{"text", "hello", nil},
		{"of 32 bits", little[:4] + "\x01" + little[5:], nil},
		{"cut off", little[:len(little)-1], nil},
		{"sections far away", little[:40] + strings.Repeat("\xff", 8) + little[48:], nil},
		{"names far away", little[:len(little)-128+24] + strings.Repeat("\xff", 8) + little[len(little)-128+32:], nil},
		{"an endless section", little[:len(little)-64+32] + strings.Repeat("\xff", 8) + little[len(little)-24:], nil},
		{"a section far away", little[:len(little)-64+24] + strings.Repeat("\xff", 8) + little[len(little)-32:], nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, readModInfo([]byte(test.file))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// readIn reads a module file in a folder.
func readIn(t *testing.T, dir, name string) (Module, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	at, ok := locate(name)
	if !ok {
		at, _ = fromFile(name)
		at.Path = name
	}
	return readInRoot(root, name, at)
}

func TestReadModule(t *testing.T) {
	ko := livePatch("AAAA")
	dir := rootedtest.Tree(t, map[string]string{patchPath: ko, "other.ko.xz": compress(t, "xz", ko), "big.ko": strings.Repeat("x", maxModule+1)})
	tests := []struct {
		file string
		want Module
	}{
		{patchPath, Module{File: filepath.Base(patchPath), KernelRelease: release, Name: patchName, SrcVersion: "AAAA", LivePatch: true}},
		{"other.ko.xz", Module{File: "other.ko.xz", Name: patchName, SrcVersion: "AAAA", LivePatch: true}},
		{"big.ko", Module{File: "big.ko", Name: "big"}},
	}
	for _, test := range tests {
		name := filepath.Join(dir, test.file)
		got, err := readIn(t, dir, test.file)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		test.want.Path, test.want.Size, test.want.SHA256 = test.file, int64(len(data)), digest(string(data))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := readIn(t, dir, "none.ko"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestInDir(t *testing.T) {
	usr := "usr/" + patchPath
	kgraft := "lib/modules/" + release + "/kgraft/kgraft-patch-1-1.ko"
	files := map[string]string{
		usr: livePatch("AAAA"), "usr/lib/modules/other/livepatch/l.ko": "x", filepath.Dir(usr) + "/README": "x",
	}
	list := func(t *testing.T, dir, kernel string) (got []string) {
		t.Helper()
		modules, err := InDir(dir, kernel)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range modules {
			got = append(got, m.Path, m.KernelRelease, m.SrcVersion)
		}
		return got
	}
	t.Run("merged", func(t *testing.T) {
		dir := rootedtest.Tree(t, files)
		if err := os.Symlink("usr/lib", dir+"/lib"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{usr, release, "AAAA"}, list(t, dir, release)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("apart", func(t *testing.T) {
		dir := rootedtest.Tree(t, files)
		if err := os.CopyFS(dir, os.DirFS(rootedtest.Tree(t, map[string]string{kgraft: "x"}))); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{usr, release, "AAAA", kgraft, release, ""}, list(t, dir, release)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("none", func(t *testing.T) {
		if got := list(t, rootedtest.Tree(t, files), "6.4.0-1-default"); got != nil {
			t.Error(got)
		}
	})
}

func TestInDirRefuses(t *testing.T) {
	folder := "lib/modules/k/livepatch"
	dir := rootedtest.Tree(t, map[string]string{folder + "/a.ko": "x"})
	for _, kernel := range []string{"", ".", "..", "../k", "k/x"} {
		if got, err := InDir(dir, kernel); err == nil {
			t.Errorf("%q: %v", kernel, got)
		}
	}
	if _, err := InDir(dir+"/none", "k"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, folder, "out.ko")); err != nil {
		t.Fatal(err)
	}
	if got, err := InDir(dir, "k"); err == nil {
		t.Errorf("a link that leads out: %v", got)
	}
	pipe := filepath.Join(rootedtest.Tree(t, map[string]string{folder + "/b.ko": "x"}), folder, "pipe.ko")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := InDir(strings.TrimSuffix(pipe, folder+"/pipe.ko"), "k"); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a pipe: %v, %v", got, err)
	}
}
