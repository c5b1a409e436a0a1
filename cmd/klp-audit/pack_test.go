package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/ulikunitz/xz"
)

// packedBzip2 is "x" and a line end, packed: nothing in Go writes bzip2.
const packedBzip2 = "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x2b\x3e\xcf\x7f\x00\x00\x00\xc0\x80\x00\x10\x00\x40\x20\x00\x21\x00\x82\xb1\x77\x24\x53\x85\x09\x02\xb3\xec\xf7\xf0"

// packed packs a text. The programs that do that need not be where the tests run.
func packed(with, text string) ([]byte, error) {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch with {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	default:
		err = fmt.Errorf("nothing packs with %q", with)
	}
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(w, text)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// pack packs a file: pack WITH FILE PACKED.
func pack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: pack WITH FILE PACKED")
	}
	b, err := packed(args[0], ts.ReadFile(args[1]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), b, 0o644))
}
