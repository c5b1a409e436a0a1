package zypp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// Line is one line of a history file.
type Line struct {
	Number int    // from 1
	Raw    []byte // as in the file, without its newline; valid until the next line
	Text   string // as valid UTF-8

	Start, End int64 // offset of its first byte, and of the next line
}

// ErrUnfinished says that a line has no end yet: it is still being written, or was never finished.
var ErrUnfinished = errors.New("unfinished, skipped")

// Lines yields the lines of a history file. A line that is too long or has no end yet comes with an
// error, and reading goes on; any other error ends it.
func Lines(r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		in := lines{r: bufio.NewReaderSize(r, 64<<10)}
		for {
			text, err := in.next()
			if err == io.EOF {
				return
			}
			if !yield(Line{in.number, in.raw, text, in.start, in.end}, err) || err != nil && !IsOfLine(err) {
				return
			}
		}
	}
}

// IsOfLine says whether an error concerns one line only: reading goes on after it.
func IsOfLine(err error) bool { return err == errLongLine || err == ErrUnfinished }

// Comment is what libzypp notes about one package before or after its record.
type Comment struct {
	Time string // local time, as in a Record
	// Package is name-version-release.arch, for an installation with ".rpm" at its end; a newer
	// libzypp writes only the name.
	Package string
	Failed  bool // else it succeeded
	Removal bool
}

// ParseComment recognizes "# <time> <package> install failed" and the like. A script's output is in
// comments, too, but without a time. Only the messages of an untranslated libzypp are understood.
func ParseComment(text string) (c Comment, ok bool) {
	text = strings.TrimPrefix(text, "# ")
	if len(text) < len(historyTime) {
		return c, false
	}
	c.Time = text[:len(historyTime)]
	if _, err := time.Parse(historyTime, c.Time); err != nil {
		return c, false
	}
	text = strings.TrimPrefix(text[len(historyTime):], " ")
	for _, m := range []struct {
		message         string
		failed, removal bool
	}{
		{" installed ok", false, false}, {" install failed", true, false},
		{" removed ok", false, true}, {" remove failed", true, true},
		{" uninstall failed", true, true}, // if all packages are in one transaction
	} {
		if c.Package, ok = strings.CutSuffix(text, m.message); ok {
			c.Failed, c.Removal = m.failed, m.removal
			return c, c.Package != "" && !strings.Contains(c.Package, " ")
		}
	}
	return c, false
}

// RedactCommand returns the quoted command line of a Record without its secrets, in the form of
// QuoteCommand.
func RedactCommand(quoted string) string { return RedactWith(quoted, Redact) }

// LocalTime reads the time of a Record, which is local time.
func LocalTime(stamp string) (time.Time, error) {
	t, err := time.Parse(historyTime, stamp)
	if err != nil {
		return t, fmt.Errorf("time %q: not a local time", stamp)
	}
	return t, nil
}
