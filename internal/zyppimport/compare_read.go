package zyppimport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

// sources are the history file and its rotated predecessors, in order.
func (c *comparer) sources() ([]source, error) {
	paths, err := rotations(c.path)
	if err != nil {
		return nil, err
	}
	sources := inOrder(paths, func(p Problem) {
		info, statErr := os.Stat(p.File)
		if statErr != nil || !info.ModTime().Before(c.result.From.Add(-maxShift)) {
			err = p // it may hold something new, and perhaps can be read next time
		}
	})
	if err == nil && len(sources) == 0 {
		err = fmt.Errorf("libzypp has no history: there is no file %q", c.result.File)
	}
	return sources, err
}

// begin says in which file to begin, and after which line. If no file has the line that was read
// last, lines were removed since.
func (c *comparer) begin(sources []source) (int, record.ComparisonMark) {
	if c.last != nil && c.last.Mark != nil {
		for i := len(sources) - 1; i >= max(0, len(sources)-maxTurns); i-- {
			if isIn(c.last.Mark, sources[i].path) {
				if c.anew = c.last.More > 0; c.anew {
					break
				}
				c.result.Mark = c.last.Mark
				return i, *c.last.Mark
			}
		}
		if !c.anew {
			c.lose("the line that was read last is not in the history any more: lines were removed, or the file was replaced")
		}
	}
	c.result.From, c.since = c.result.Since, c.result.Since.Truncate(time.Second)
	i := len(sources) - 1
	for i > 0 && !c.isBefore(sources[i].first) {
		i--
	}
	return i, record.ComparisonMark{}
}

// maxTurns is how many files are searched for the line that was read last: the newest ones, as a
// history is rotated at 10 MB.
const maxTurns = 5

// isBefore says whether a local time was before the recorder was installed.
func (c *comparer) isBefore(first string) bool {
	wall, err := zypp.LocalTime(first)
	if err != nil {
		return false // the file has no record
	}
	at, _ := (&clock{zone: c.reader.clock.zone}).moment(wall)
	return at.Before(c.since)
}

// isIn says whether a file has the line at its place.
func isIn(m *record.ComparisonMark, path string) bool {
	f, err := open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if _, err := io.CopyN(io.Discard, f, m.Start); err != nil {
		return false
	}
	line := make([]byte, max(0, min(m.End-m.Start, zypp.MaxLine+1)))
	if _, err := io.ReadFull(f, line); err != nil || len(line) == 0 {
		return false
	}
	return line[len(line)-1] == '\n' && digest(line[:len(line)-1]) == m.SHA256
}

// read reads a file from the end of a line on.
func (c *comparer) read(path string, from record.ComparisonMark) error {
	f, err := open(path)
	if err == nil {
		defer f.Close()
		_, err = io.CopyN(io.Discard, f, from.End)
	}
	if err != nil {
		return fmt.Errorf("reading history %q: %w", path, err)
	}
	c.reader.skipped, c.reader.passed = from.Line, from.End
	in := &limited{ctx: c.ctx, r: f, left: &c.left}
	if err := c.reader.readFrom(in, path); err != nil || in.err == nil {
		return err
	}
	return fmt.Errorf("reading history %q: %w", path, in.err)
}

// limited reads no more than is allowed, and keeps the error.
type limited struct {
	ctx  context.Context
	r    io.Reader
	left *int64
	err  error
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	if *l.left <= 0 {
		return 0, io.EOF
	}
	n, err := l.r.Read(p[:min(int64(len(p)), *l.left)])
	if *l.left -= int64(n); err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}

// seen notes a line as the last one that was read.
func (c *comparer) seen(line zypp.Line) {
	c.settle()
	c.result.Mark = &record.ComparisonMark{Line: line.Number, Start: line.Start, End: line.End}
	c.raw = append(c.raw[:0], line.Raw...)
}

// problem notes a line that cannot be read, if it may be younger than the recorder. A line that is
// still being written is read next time.
func (c *comparer) problem(p Problem) {
	switch {
	case errors.Is(p.Err, zypp.ErrUnfinished) && (c.left <= 0 || p.File == c.path):
	case c.reader.clock.last.Before(c.since):
		c.doubtful, c.before = &p, c.reader.clock.last
	default:
		c.broken = append(c.broken[:min(len(c.broken), maxLost)], p)
	}
}

// settle decides about a doubtful line by the time of the next record.
func (c *comparer) settle() {
	at := c.reader.clock.last
	if c.doubtful == nil || at.Equal(c.before) {
		return
	}
	if !at.Before(c.since) {
		c.broken = append(c.broken, *c.doubtful)
	}
	c.doubtful = nil
}
