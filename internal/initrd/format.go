package initrd

import (
	"bufio"
	"compress/bzip2"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

const (
	magicSize = 8
	// maxWindow is how far back in its output a compressed part may refer; memory use depends on
	// it. zstd -19 and xz -6 need this much, dracut's own settings less.
	maxWindow = 8 << 20
)

// format is a kind of content, recognized by its first bytes.
type format struct {
	name, magic string
	// open returns the unpacked content of one compressed part and reads no byte after it. It asks
	// spend before it uses much memory.
	open func(src *bufio.Reader, spend func(int64) error) (io.Reader, error)
	// refusal says why a known kind of content cannot be read.
	refusal string
}

// formatOf knows the archives and compressions of the kernel's lib/decompress.c, and what else is
// found in the place of an initrd.
func formatOf(head []byte) (format, bool) {
	for _, f := range []format{
		{name: "none", magic: "070701"},
		{name: "none", magic: "070702"},
		{name: "gzip", magic: "\x1f\x8b", open: openGzip},
		{name: "bzip2", magic: "BZh", open: openBzip2},
		{name: "xz", magic: "\xfd7zXZ\x00", open: openXZ},
		{name: "zstd", magic: "\x28\xb5\x2f\xfd", open: openZstd},
		{name: "lz4", magic: "\x02!L\x18"},
		{name: "lz4", magic: "\x04\"M\x18"},
		{name: "lzma", magic: "\x5d\x00\x00"},
		{name: "lzo", magic: "\x89LZO"},
		{magic: "070707", refusal: "a cpio archive of the old kind, which no kernel unpacks"},
		{magic: "hsqs", refusal: "a squash image, which klp-audit cannot read"},
		{magic: "MZ", refusal: "a unified kernel image or another EFI program, which klp-audit cannot read"},
	} {
		if !strings.HasPrefix(string(head), f.magic) {
			continue
		}
		if f.open == nil && f.refusal == "" && f.name != "none" {
			f.refusal = "compressed with " + f.name + ", which klp-audit cannot read"
		}
		return f, true
	}
	return format{}, false
}

func openGzip(src *bufio.Reader, _ func(int64) error) (io.Reader, error) {
	r, err := gzip.NewReader(src)
	if err == nil {
		r.Multistream(false) // like the kernel, which unpacks one stream at a time
	}
	return r, err
}

// openBzip2 reads to the end of the image: only this format cannot be followed by others.
func openBzip2(src *bufio.Reader, _ func(int64) error) (io.Reader, error) {
	return bzip2.NewReader(src), nil
}

func openZstd(src *bufio.Reader, _ func(int64) error) (io.Reader, error) {
	frame := &zstdFrame{src: src}
	return zstd.NewReader(&framed{src: src, next: frame.next},
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}

func openXZ(src *bufio.Reader, spend func(int64) error) (io.Reader, error) {
	stream := &xzStream{src: src, spend: spend}
	stream.next = stream.header
	return xz.ReaderConfig{DictCap: lzma.MinDictCap, SingleStream: true}.NewReader(
		&framed{src: src, next: func() (int64, error) { return stream.next() }})
}

// framed reads one compressed stream and no byte more. It follows the stream's frame, whose pieces
// state their lengths.
type framed struct {
	src  *bufio.Reader
	left int64                 // in the current piece
	next func() (int64, error) // the length of the next piece; 0 at the end
}

func (f *framed) Read(p []byte) (int, error) {
	if f.left == 0 {
		n, err := f.next()
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return 0, io.EOF
		}
		f.left = n
	}
	n, err := f.src.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// peek returns exactly the next n bytes.
func peek(src *bufio.Reader, n int) ([]byte, error) {
	b, err := src.Peek(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

func errWindow(name string, size uint64) error {
	return fmt.Errorf("%w: %s needs %d MiB to unpack, more than klp-audit allows itself", ErrUnreadable, name, size>>20)
}
