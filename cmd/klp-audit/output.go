package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/term"

	"github.com/klp-audit/klp-audit/report/table"
)

// writeFile replaces a file in one step, when all of it is written. It replaces nothing
// but plain files: devices and links are worth more than a report.
func writeFile(path string, write func(io.Writer) error) error {
	return place(path, 0o640, true, write)
}

// place gives a file its name when all of it is written. The folder may be somebody else's, who
// moves and links there what they like: it is opened once, and everything is done by descriptors.
func place(path string, mode fs.FileMode, replace bool, write func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %q: %w", path, err)
		}
	}()
	folder, name := filepath.Split(path)
	dir, err := os.OpenRoot(filepath.Join(folder, "."))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := mayPlace(dir, name, replace); err != nil {
		return err
	}
	temp := ".klp-audit-" + rand.Text()
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer dir.Remove(temp)
	if err := errors.Join(write(f), f.Chmod(mode), f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	give := dir.Rename
	if !replace {
		give = dir.Link // unlike a rename, it replaces nothing
	}
	return errors.Join(give(temp, name), sameFile(dir, name, f), syncFolder(dir), f.Close())
}

// mayPlace says what is in the way of a file.
func mayPlace(dir *os.Root, name string, replace bool) error {
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && !replace:
		return errors.New("there is a file already")
	case err == nil && !info.Mode().IsRegular():
		return errors.New("not a regular file")
	}
	return err
}

// sameFile notices that the owner of the folder put another file in the place of ours.
func sameFile(dir *os.Root, name string, f *os.File) error {
	is, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	was, err := f.Stat()
	if err == nil && !os.SameFile(is, was) {
		err = errors.New("somebody put another file in its place")
	}
	return err
}

func syncFolder(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// style is how stdout wants a table.
func (a *app) style(noColor bool) table.Style {
	var s table.Style
	s.Width, _ = strconv.Atoi(a.Getenv("COLUMNS"))
	out, ok := a.Stdout.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) {
		return s
	}
	if w, _, err := term.GetSize(int(out.Fd())); err == nil && w > 0 {
		s.Width = w
	}
	s.Color = !noColor && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
	return s
}
