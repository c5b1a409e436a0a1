package zypp

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// MaxLine is the longest line that is read. Only a command line could be longer (the kernel allows
// a few MiB), and a commit without its command can still be read.
const MaxLine = 1 << 20

// maxSkipped is how much of a longer line is skipped: if it goes on, the file is not a history.
const maxSkipped = 64 << 20

var (
	errLongLine = errors.New("longer than 1 MiB, skipped")
	errNoLine   = errors.New("a line is longer than 64 MiB: this is not a history")
)

// lines reads lines of bounded length and knows where it is.
type lines struct {
	r          *bufio.Reader
	raw        []byte // the last line that was read, without its newline, as in the file
	number     int    // of that line, from 1
	start, end int64  // offsets before and after it
}

// next returns the next line as valid UTF-8 without its newline. After errLongLine and
// ErrUnfinished reading can go on.
func (l *lines) next() (string, error) {
	l.number++
	l.start = l.end
	l.raw = l.raw[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.end += int64(len(part))
		if l.end-l.start <= MaxLine {
			l.raw = append(l.raw, part...)
		}
		switch {
		case l.end-l.start > maxSkipped:
			return "", errNoLine
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (err != io.EOF || l.start == l.end):
			return "", err
		case l.end-l.start > MaxLine:
			return "", errLongLine
		case err == io.EOF:
			return "", ErrUnfinished
		}
		l.raw = l.raw[:len(l.raw)-1]
		return strings.ToValidUTF8(string(l.raw), "\uFFFD"), nil
	}
}
