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
	"sync"
	"syscall"

	"github.com/klp-audit/klp-audit/internal/filekind"
	"github.com/klp-audit/klp-audit/internal/unpack"
	"github.com/klp-audit/klp-audit/internal/zypp"
)

// source is an existing history file that begins with a time.
type source struct {
	path  string
	size  int64   // as it is stored
	first string  // local time of its first record; empty: none
	why   Problem // why there is none
}

// turned matches what logrotate appends to a name: a date or a number, and a compression.
var turned = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[-.][0-9][-.T0-9]*?(\.(gz|xz|bz2|zst))?$`) })

// rotations returns a history file and its rotated predecessors.
func rotations(path string) (paths []string, err error) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), base); ok && (rest == "" || turned().MatchString(rest)) {
			paths = append(paths, dir+e.Name())
		}
	}
	return paths, nil
}

// inOrder opens each file to read its first record and sorts them by time, whatever their names. A
// file that cannot be read, or is something else, is left out and reported to problem.
func inOrder(paths []string, problem func(Problem)) (sources []source) {
	for _, path := range paths {
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		src, err := look(path)
		if err != nil {
			problem(Problem{File: path, Err: err})
			continue
		}
		same := func(s source) bool { return s.path == path }
		if !slices.ContainsFunc(sources, same) {
			sources = append(sources, src)
		}
	}
	slices.SortStableFunc(sources, func(a, b source) int { return cmp.Compare(a.first, b.first) })
	return sources
}

// look looks for the first record of a file. If the file is clearly something else, it returns an
// error that quotes none of its lines: they may be private.
func look(path string) (source, error) {
	src := source{path: path, why: Problem{File: path, Err: fmt.Errorf("reading history %q: it contains no record", path)}}
	kind, err := filekind.Of(path)
	if err != nil {
		return src, err
	}
	if kind == filekind.Empty {
		src.why.Err = notHistory(path, kind)
	} else if kind.Known() && kind != filekind.History {
		return src, notHistory(path, kind)
	}
	if info, err := os.Stat(path); err == nil {
		src.size = info.Size()
	}
	return src, src.lookInto()
}

func notHistory(path string, is filekind.Kind) error {
	return fmt.Errorf("reading history %q: it is %s", path, is)
}

// lookInto reads up to the first record. If there is none, the first line that cannot be read is
// the reason.
func (src *source) lookInto() error {
	f, err := open(src.path)
	if err != nil {
		return err
	}
	defer f.Close()
	for line, err := range zypp.Lines(f) {
		text := clean(line.Text)
		switch {
		case err != nil && !zypp.IsOfLine(err):
			return fmt.Errorf("reading history %q: %w", src.path, err)
		case err == nil && (text == "" || strings.HasPrefix(text, "#")):
			continue
		}
		if err == nil {
			var r zypp.Record
			if r, err = zypp.ParseRecord(text); err == nil {
				src.first = r.Time
				return nil
			}
		}
		if src.why.Line == 0 {
			src.why = Problem{src.path, line.Number, err}
		}
	}
	return nil
}

// file is an open history file, decompressed.
type file struct {
	io.ReadCloser
	raw *os.File
}

// Close implements io.Closer.
func (f file) Close() error { return errors.Join(f.ReadCloser.Close(), f.raw.Close()) }

// open opens a history file, which may be compressed. What is read of it, as it is stored, goes to seen, too.
func open(path string, seen ...io.Writer) (io.ReadCloser, error) {
	// A FIFO in the place of the history must not block.
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
		content, err = unpack.Reader(io.TeeReader(raw, io.MultiWriter(seen...)))
	}
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return file{content, raw}, nil
}
