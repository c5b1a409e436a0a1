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
	Raw    []byte // as it is in the file, without its newline; valid until the next line
	Text   string // as valid UTF-8

	Start, End int64 // bytes before it, and up to where the next one begins
}

// ErrUnfinished says that a line has no end yet: it is being written, or never was to its end.
var ErrUnfinished = errors.New("unfinished, skipped")

// Lines yields the lines of a history file. A line that is too long, or that has no end yet,
// comes with an error, and the reading goes on; after any other error there is no more.
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

// IsOfLine says whether an error is about one line only: reading goes on after it.
func IsOfLine(err error) bool { return err == errLongLine || err == ErrUnfinished }

// Comment is what libzypp notes about one package before or after its record.
type Comment struct {
	Time string // local time, as in a Record
	// Package is name-version-release.arch, of an installation with ".rpm" at its end; a newer
	// libzypp writes the name alone.
	Package string
	Failed  bool // else it went well
	Removal bool
}

// ParseComment looks for "# <time> <package> install failed" and its kind. A script's output
// stands in comments, too, but without a time of its own. Only the messages of an
// untranslated libzypp are understood.
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
		{" uninstall failed", true, true}, // of all packages in one transaction
	} {
		if c.Package, ok = strings.CutSuffix(text, m.message); ok {
			c.Failed, c.Removal = m.failed, m.removal
			return c, c.Package != "" && !strings.Contains(c.Package, " ")
		}
	}
	return c, false
}

// RedactCommand is the quoted command line of a Record without the secrets in it, as
// QuoteCommand writes it.
func RedactCommand(quoted string) string { return RedactWith(quoted, Redact) }

// LocalTime reads the time of a Record: what a clock on the wall showed.
func LocalTime(stamp string) (time.Time, error) {
	t, err := time.Parse(historyTime, stamp)
	if err != nil {
		return t, fmt.Errorf("time %q: not a local time", stamp)
	}
	return t, nil
}
