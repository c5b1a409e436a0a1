package rpm

import (
	"bytes"
	"fmt"
)

// records splits what is written to it into records. It is a writer and not a reader, so that
// waiting ends when the program ends, even if one of its children keeps the pipe open.
type records struct {
	end   []byte // ends each record
	limit int
	each  func(record string) error

	rest []byte // of an incomplete record
	n    int    // records so far
	err  error  // the first one
}

// Write takes a piece of output, and calls each for every complete record.
func (r *records) Write(piece []byte) (int, error) {
	seen := max(0, len(r.rest)-len(r.end))
	r.rest = append(r.rest, piece...)
	for r.err == nil {
		i := bytes.Index(r.rest[seen:], r.end)
		if i < 0 {
			break
		}
		r.take(string(r.rest[:seen+i]))
		r.rest, seen = r.rest[seen+i+len(r.end):], 0
	}
	if r.err == nil && len(r.rest) > r.limit+len(r.end) {
		r.take(string(r.rest))
	}
	return len(piece), r.err
}

// take passes one record on.
func (r *records) take(record string) {
	r.n++
	err := fmt.Errorf("longer than %d bytes", r.limit)
	if len(record) <= r.limit {
		err = r.each(record)
	}
	if err != nil {
		r.err = fmt.Errorf("record %d of rpm's output, %.200q: %w", r.n, record, err)
	}
}

// close returns what went wrong, including an incomplete record at the end.
func (r *records) close() error {
	if r.err == nil && len(r.rest) > 0 {
		return fmt.Errorf("record %d of rpm's output, %.200q: it has no end", r.n+1, r.rest)
	}
	return r.err
}
