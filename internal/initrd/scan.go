package initrd

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/cavaliergopher/cpio"
)

// No image of a real machine comes near these limits; a hostile one is stopped by them.
const (
	maxInput   = 1 << 30 // bytes of the image
	maxOutput  = 2 << 30 // bytes that its compressed parts unpack to
	maxParts   = 64      // archives and compressed parts
	maxFiles   = 1 << 20
	maxModules = 256 // live patches
	maxList    = 64 << 10
)

// Scan reads an image to its end. Path and ModTime of the result are left empty.
func Scan(ctx context.Context, r io.Reader) (*Image, error) {
	sum := sha256.New()
	s := &scanner{
		in:      meter{left: maxInput, what: "bytes in it"},
		out:     meter{left: maxOutput, what: "bytes to unpack"},
		links:   map[string]string{},
		modules: map[string]Module{},
	}
	src := bufio.NewReaderSize(s.in.reader(ctx, io.TeeReader(r, sum)), 64<<10)
	if err := s.parts(ctx, src, ""); err != nil {
		return nil, s.explain(err, s.in.spent-int64(src.Buffered()))
	}
	if !s.init {
		return nil, fmt.Errorf("%w: it has no init, so it is not a complete initrd", ErrUnreadable)
	}
	if err := s.resolve(); err != nil {
		return nil, err
	}
	s.img.Size, s.img.SHA256 = s.in.spent, hex.EncodeToString(sum.Sum(nil))
	for _, name := range slices.Sorted(maps.Keys(s.modules)) {
		s.img.Modules = append(s.img.Modules, s.modules[name])
	}
	return &s.img, nil
}

// scanner reads one image.
type scanner struct {
	img     Image
	in, out meter
	count   int // parts
	files   int
	patches int               // live patches by name
	links   map[string]string // symbolic ones
	modules map[string]Module // by path: the kernel lets a later file replace an earlier one
	init    bool              // the program that the kernel starts was found
}

// explain turns a library's error into words about the image.
func (s *scanner) explain(err error, at int64) error {
	switch {
	case s.in.err != nil: // libraries may hide it
		return s.in.err
	case s.out.err != nil:
		return s.out.err
	case errors.Is(err, ErrUnreadable):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: truncated at byte %d", ErrUnreadable, at)
	}
	return fmt.Errorf("%w: damaged at byte %d: %w", ErrUnreadable, at, err)
}

// parts reads one part after the other. within names the compression of the enclosing part; empty
// for the parts of the image itself.
func (s *scanner) parts(ctx context.Context, src *bufio.Reader, within string) error {
	for {
		switch err := skipPadding(src); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if s.count++; s.count > maxParts {
			return fmt.Errorf("%w: more than %d archives in it", ErrUnreadable, maxParts)
		}
		if err := s.part(ctx, src, within); err != nil {
			return err
		}
	}
}

// skipPadding skips NUL bytes.
func skipPadding(src *bufio.Reader) error {
	for {
		if _, err := src.Peek(1); err != nil {
			return err
		}
		ahead, _ := src.Peek(src.Buffered())
		rest := bytes.TrimLeft(ahead, "\x00")
		if _, err := src.Discard(len(ahead) - len(rest)); err != nil || len(rest) > 0 {
			return err
		}
	}
}

func (s *scanner) part(ctx context.Context, src *bufio.Reader, within string) error {
	head, err := src.Peek(magicSize)
	if err != nil && err != io.EOF {
		return err
	}
	f, known := formatOf(head)
	switch {
	case !known:
		return fmt.Errorf("%w: not an initrd: magic % x at byte %d", ErrUnreadable, head, s.in.spent-int64(src.Buffered()))
	case f.refusal != "":
		return fmt.Errorf("%w: %s", ErrUnreadable, f.refusal)
	case within != "" && f.open != nil:
		return fmt.Errorf("%w: a %s part within a %s part", ErrUnreadable, f.name, within)
	}
	if c := s.img.Compression; within == "" && (len(c) == 0 || c[len(c)-1] != f.name) {
		s.img.Compression = append(c, f.name)
	}
	if f.open == nil {
		return s.archive(ctx, src)
	}
	unpacked, err := f.open(src, s.out.spend)
	if err != nil {
		return err
	}
	return s.parts(ctx, bufio.NewReader(s.out.reader(ctx, unpacked)), f.name)
}

// archive reads a cpio archive with its trailer.
func (s *scanner) archive(ctx context.Context, src io.Reader) error {
	r := cpio.NewReader(endless(src))
	linked := map[int64][]string{}
	for {
		hdr, err := r.Next()
		if err == io.EOF { // the trailer: src itself never ends normally
			return nil
		}
		if err != nil {
			return err
		}
		if s.files++; s.files > maxFiles {
			return fmt.Errorf("%w: more than %d files in it", ErrUnreadable, maxFiles)
		}
		if hdr.Size < 0 { // the library accepts a sign
			return cpio.ErrHeader
		}
		if err := s.file(ctx, hdr, r, linked); err != nil {
			return err
		}
	}
}

// file looks at one file of an archive. linked holds the live patches that wait for the content of
// their inode: cpio stores the content of hard links with the last name.
func (s *scanner) file(ctx context.Context, hdr *cpio.Header, r io.Reader, linked map[int64][]string) error {
	name, kind := cleanName(hdr.Name), hdr.Mode&cpio.ModeType
	s.init = s.init || name == "init"
	_, isPatch := locate(name)
	if isPatch {
		if s.patches++; s.patches > maxModules {
			return fmt.Errorf("%w: more than %d live patches in it", ErrUnreadable, maxModules)
		}
	}
	switch {
	case isPatch && kind == cpio.TypeSymlink:
		s.links[name] = linkTarget(name, hdr.Linkname)
		return nil
	case kind != cpio.TypeReg:
		return nil
	case hdr.Size == 0:
		if isPatch && hdr.Links > 1 {
			linked[hdr.Inode] = append(linked[hdr.Inode], name)
		}
		return nil
	case hdr.Links > 1 && linked[hdr.Inode] != nil:
		return s.content(ctx, append(linked[hdr.Inode], name), hdr.Size, r)
	case isPatch:
		return s.content(ctx, []string{name}, hdr.Size, r)
	case strings.TrimPrefix(name, "usr/") == "lib/dracut/modules.txt":
		return s.dracutModules(r)
	}
	return refuseNested(name, r)
}

// content reads the file that the names link to.
func (s *scanner) content(ctx context.Context, names []string, size int64, r io.Reader) error {
	read, err := readModule(ctx, r, size, &s.out)
	for _, name := range names {
		if at, ok := locate(name); ok {
			s.modules[name] = read.placed(at)
		}
	}
	return err
}

// resolve gives symbolic links the content of the live patch that they point to.
func (s *scanner) resolve() error {
	for name, target := range s.links {
		read, ok := s.modules[target]
		if !ok {
			return fmt.Errorf("%w: %q in it is a link to %q, which is not a live patch in it", ErrUnreadable, name, target)
		}
		at, _ := locate(name)
		s.modules[name] = read.placed(at)
	}
	return nil
}

func (s *scanner) dracutModules(r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, maxList))
	s.img.DracutModules = strings.Fields(strings.ToValidUTF8(string(text), "\uFFFD"))
	return err
}

// refuseNested finds dracut's squash modules: they pack most of an initrd, including all kernel
// modules, into a file system image inside the archive.
func refuseNested(name string, r io.Reader) error {
	head := make([]byte, 1028)
	n, err := io.ReadFull(r, head) // a file cut short fails at the next header
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	head = head[:n]
	if bytes.HasPrefix(head, []byte("hsqs")) || len(head) == 1028 && string(head[1024:]) == "\xe2\xe1\xf5\xe0" {
		return fmt.Errorf("%w: %q in it is a squash image, which klp-audit cannot read", ErrUnreadable, name)
	}
	return nil
}

// linkTarget returns the path that the symbolic link name points to.
func linkTarget(name, target string) string {
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(name), target)
	}
	return cleanName(target)
}

// cleanName returns a path as the kernel resolves it from the root, without a leading slash.
func cleanName(name string) string {
	name, _, _ = strings.Cut(name, "\x00")
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

// meter limits how much is read, and keeps the error that ended it.
type meter struct {
	spent, left int64
	what        string
	err         error
}

// spend uses up n of the limit.
func (m *meter) spend(n int64) error {
	m.spent += n
	if m.left -= n; m.left < 0 {
		m.err = cmp.Or(m.err, fmt.Errorf("%w: more than %d MiB of %s", ErrUnreadable, (m.left+m.spent)>>20, m.what))
	}
	return m.err
}

// reader limits r, and ends it when ctx ends.
func (m *meter) reader(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			m.err = cmp.Or(m.err, err)
			return 0, m.err
		}
		n, err := r.Read(p)
		if err := m.spend(int64(n)); err != nil {
			return n, err
		}
		return n, err
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// endless turns a normal end of r into an unexpected one.
func endless(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	})
}
