package initrd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
)

// zstdFrame finds the pieces of a frame (RFC 8878, section 3.1.1).
type zstdFrame struct {
	src         *bufio.Reader
	header      zstd.Header
	begun, last bool // the header was read; the last block was read
}

func (z *zstdFrame) next() (int64, error) {
	switch {
	case !z.begun:
		z.begun = true
		return z.frameHeader()
	case z.last && z.header.HasCheckSum:
		z.header.HasCheckSum = false
		return 4, nil
	case z.last:
		return 0, nil
	}
	b, err := peek(z.src, 3)
	if err != nil {
		return 0, err
	}
	header := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
	z.last = header&1 == 1
	size, kind := header>>3, header>>1&3
	if kind == 1 { // one repeated byte
		size = 1
	}
	return 3 + size, nil
}

func (z *zstdFrame) frameHeader() (int64, error) {
	b, err := z.src.Peek(zstd.HeaderMaxSize) // shorter at the end of the image
	if err != nil && err != io.EOF {
		return 0, err
	}
	if err := z.header.Decode(b); err != nil {
		return 0, err
	}
	window := z.header.WindowSize
	if z.header.SingleSegment {
		window = z.header.FrameContentSize
	}
	if window > maxWindow {
		return 0, errWindow("zstd", window)
	}
	return int64(z.header.HeaderSize), nil
}

var errXZ = errors.New("xz: damaged frame")

// xzStream finds the pieces of a stream (The .xz File Format, version 1.2.1, section 2; the chunks
// of LZMA2 are as in liblzma's lzma2_decoder.c). The library itself would use however much memory a
// block asks for.
type xzStream struct {
	src     *bufio.Reader
	spend   func(int64) error
	next    func() (int64, error)
	check   int64  // the size of the check after each block
	size    int64  // of the block or index so far
	numbers uint64 // left in the index
}

func (x *xzStream) header() (int64, error) {
	b, err := peek(x.src, 12)
	if err != nil {
		return 0, err
	}
	x.check = [...]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[b[7]&15]
	x.next = x.block
	return 12, nil
}

func (x *xzStream) block() (int64, error) {
	b, err := peek(x.src, 1)
	if err != nil {
		return 0, err
	}
	if b[0] == 0 {
		x.next, x.size = x.index, 1
		return 1, nil
	}
	n := (int(b[0]) + 1) * 4
	if b, err = peek(x.src, n); err != nil {
		return 0, err
	}
	window, err := xzWindow(b)
	if err != nil {
		return 0, err
	}
	x.next, x.size = x.chunk, 0
	return int64(n), x.spend(window)
}

// xzWindow returns the size of the dictionary in a block header.
func xzWindow(header []byte) (int64, error) {
	flags, rest := header[1], header[2:]
	for _, bit := range []byte{0x40, 0x80} { // the sizes of the block
		if flags&bit == 0 {
			continue
		}
		_, n := binary.Uvarint(rest)
		if n <= 0 {
			return 0, errXZ
		}
		rest = rest[n:]
	}
	const lzma2 = 0x21
	if flags&3 != 0 || len(rest) < 3 || rest[0] != lzma2 || rest[1] != 1 {
		return 0, fmt.Errorf("%w: compressed with xz and a filter, which klp-audit cannot read", ErrUnreadable)
	}
	window, err := lzma.DecodeDictCap(rest[2])
	if err == nil && window > maxWindow {
		err = errWindow("xz", uint64(window))
	}
	return window, err
}

func (x *xzStream) chunk() (int64, error) {
	b, err := peek(x.src, 1)
	if err != nil {
		return 0, err
	}
	control, n := b[0], 3
	switch {
	case control == 0: // the end of the block
		x.next = x.block
		return 1 + -(x.size+1)&3 + x.check, nil
	case control >= 0xc0: // with properties
		n = 6
	case control >= 0x80:
		n = 5
	case control > 2:
		return 0, errXZ
	}
	if b, err = peek(x.src, n); err != nil {
		return 0, err
	}
	size := int64(n) + int64(binary.BigEndian.Uint16(b[max(1, min(n, 5)-2):])) + 1
	x.size += size
	return size, nil
}

// index reads the number of records; each consists of two numbers.
func (x *xzStream) index() (int64, error) {
	n, length, err := x.number()
	x.next, x.numbers = x.record, 2*n
	return length, err
}

func (x *xzStream) record() (int64, error) {
	if x.numbers == 0 {
		x.next = func() (int64, error) { return 0, nil }
		return -x.size&3 + 4 + 12, nil // padding, CRC32, the stream's footer
	}
	x.numbers--
	_, length, err := x.number()
	return length, err
}

func (x *xzStream) number() (uint64, int64, error) {
	b, err := peek(x.src, 9)
	if err != nil {
		return 0, 0, err
	}
	n, length := binary.Uvarint(b)
	if length <= 0 {
		return 0, 0, errXZ
	}
	x.size += int64(length)
	return n, int64(length), nil
}
