// Package unpack reads files that may be compressed, with bounded memory.
package unpack

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// maxWindow is how far back a compressed file may refer, which determines the memory: xz -9 needs
// 64 MiB, zstd --ultra 128 MiB.
const maxWindow = 128 << 20

// Reader returns the content of r: decompressed if it starts as gzip, bzip2, xz or zstd, else as it
// is. Closing it does not close r.
func Reader(r io.Reader) (io.ReadCloser, error) { return reader(r, 1) }

// Ahead is as Reader, but where it can it reads r and decompresses while its own reader is at work, until it is closed.
func Ahead(r io.Reader) (io.ReadCloser, error) { return reader(r, 2) }

func reader(r io.Reader, processors int) (io.ReadCloser, error) {
	in := bufio.NewReader(r)
	magic, _ := in.Peek(6)
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		return gzip.NewReader(in)
	case bytes.HasPrefix(magic, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(in)), nil
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(processors), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		if err := checkXZ(in); err != nil {
			return nil, err
		}
		x, err := xz.ReaderConfig{DictCap: lzma.MinDictCap}.NewReader(in)
		return io.NopCloser(x), err
	}
	return io.NopCloser(in), nil
}

// checkXZ reads the header of the first block (The .xz File Format 1.2.1, section 3.1) for the size
// of the dictionary, which would be allocated at once.
func checkXZ(in *bufio.Reader) error {
	const streamHeader = 12
	header, err := in.Peek(streamHeader + 2)
	if err != nil {
		return err
	}
	flags := header[streamHeader+1]
	if header, err = in.Peek(streamHeader + 4*(int(header[streamHeader])+1)); err != nil {
		return err
	}
	fields := header[streamHeader+2:]
	for _, hasSize := range []bool{flags&0x40 != 0, flags&0x80 != 0} { // compressed, uncompressed
		if _, n := binary.Uvarint(fields); hasSize {
			fields = fields[max(n, 0):]
		}
	}
	const filterLZMA2, propertySize = 0x21, 1
	if flags&3 != 0 || len(fields) < 3 || fields[0] != filterLZMA2 || fields[1] != propertySize {
		return errors.New("xz: not one plain LZMA2 filter")
	}
	window, err := lzma.DecodeDictCap(fields[2])
	if err == nil && window > maxWindow {
		err = fmt.Errorf("xz: needs %d MiB to unpack", window>>20)
	}
	return err
}
