package zyppimport

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/klp-audit/klp-audit/internal/unpack"
	"github.com/klp-audit/klp-audit/internal/zypp"
)

// source is a history file that is there and begins with time.
type source struct {
	path  string
	first string // local time of its first record
}

// turned matches what logrotate puts behind a name: a date, or a number, and how it is packed.
var turned = regexp.MustCompile(`^[-.][0-9][-.T0-9]*?(\.(gz|xz|bz2|zst))?$`)

// rotations are a history file, and those that were rotated away from it.
func rotations(path string) (paths []string, err error) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), base); ok && (rest == "" || turned.MatchString(rest)) {
			paths = append(paths, dir+e.Name())
		}
	}
	return paths, nil
}

// inOrder opens each file for a look at its first record and puts them in the order of time,
// whatever their names. A file without any record is left out; one that cannot be read is
// told to problem.
func inOrder(paths []string, problem func(Problem)) (sources []source) {
	for _, path := range paths {
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		first, err := firstTime(path)
		if err != nil {
			problem(Problem{File: path, Err: err})
			continue
		}
		same := func(s source) bool { return s.path == path }
		if !slices.ContainsFunc(sources, same) {
			sources = append(sources, source{path, first})
		}
	}
	slices.SortStableFunc(sources, func(a, b source) int { return cmp.Compare(a.first, b.first) })
	return sources
}

func firstTime(path string) (string, error) {
	f, err := open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for line, err := range zypp.Lines(f) {
		if err != nil && !zypp.IsOfLine(err) {
			return "", fmt.Errorf("reading history %q: %w", path, err)
		}
		if r, bad := zypp.ParseRecord(clean(line.Text)); err == nil && bad == nil {
			return r.Time, nil
		}
	}
	return "", nil
}

// file is an open history file, unpacked.
type file struct {
	io.ReadCloser
	raw *os.File
}

// Close implements io.Closer.
func (f file) Close() error { return errors.Join(f.ReadCloser.Close(), f.raw.Close()) }

// open opens a history file, which may be packed.
func open(path string) (io.ReadCloser, error) {
	// A FIFO in the history's place must not block the open.
	raw, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := raw.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("reading history %q: not a regular file", path)
	}
	var content io.ReadCloser
	if err == nil {
		content, err = unpack.Reader(raw)
	}
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return file{content, raw}, nil
}
