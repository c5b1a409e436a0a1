// Package ingest decides what an upload means: an export of a host's record, or of what came after
// an earlier one, however it travelled.
package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/fleet/segment"
	"github.com/klp-audit/klp-audit/internal/unpack"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/view"
)

// Limits bound what one upload, or one log in a day, may bring. 0 is no limit.
type Limits struct {
	Line      int64 // bytes of the longest line
	Objects   int64 // JSON objects in a line: an empty one is 3 bytes there, and up to 2,000 when it was read
	Bytes     int64 // of an upload, decompressed
	Events    int64 // of an upload
	DayEvents int64 // of a log in a day (UTC)
	DayBytes  int64
	Pending   int64 // logs that wait for approval
}

// DefaultLimits are far above what hosts send: 20 years of a busy host are 40,000 events of 6 KB.
var DefaultLimits = Limits{Line: 16 << 20, Objects: 100_000, Bytes: 2 << 30, Events: 1_000_000, DayEvents: 2_000_000, DayBytes: 4 << 30, Pending: 100_000}

// ErrTooMuch says that an upload exceeds a limit.
var ErrTooMuch = errors.New("more than the collector takes")

// upload is an export that was read and verified in itself.
type upload struct {
	v        *proof.Verifier
	since    int64
	begin    []tlog.Hash // the tree over the events before, as the upload claims
	segments []segment.Segment
	leaves   []tlog.Hash
	gaps     []int64 // events without a body
	newest   record.Header
	first    *time.Time // times of its first and last event
	last     *time.Time
}

// read reads an upload, which may be compressed, and verifies it in itself. It keeps some hundred
// bytes of each event.
func read(ctx context.Context, r io.Reader, limits Limits) (*upload, error) {
	plain, err := unpack.Reader(r)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	u := &upload{}
	var p *segment.Packer
	keep := func(e proof.Entry, ev *record.Event) (err error) {
		if limits.Events > 0 && int64(len(u.leaves)) >= limits.Events {
			return fmt.Errorf("%w: more than %d events", ErrTooMuch, limits.Events)
		}
		var o *view.Outline
		if ev != nil {
			o = view.Of(e.Seq, ev)
			o.Whole = nil // the packer would hold it until its segment is full
			u.note(&ev.Header)
		}
		if e.Body == nil {
			u.gaps = append(u.gaps, e.Seq)
		}
		u.leaves = append(u.leaves, e.Hash)
		return p.Add(e, o)
	}
	opened := func(since int64, tree []tlog.Hash) (err error) {
		u.since, u.begin = since, tree
		p, err = segment.NewPacker(since, tree)
		return err
	}
	u.v, err = proof.Export{Opened: opened, Keep: keep}.Verify(ctx, &limited{r: plain, limits: limits})
	if err != nil {
		return nil, err
	}
	u.segments = p.Segments()
	return u, nil
}

// note notes what an event says of its host.
func (u *upload) note(h *record.Header) {
	t := h.Time.Time
	if u.first == nil {
		u.first = &t
	}
	u.last, u.newest = &t, *h
}

// size is the number of the last event.
func (u *upload) size() int64 { return u.v.TreeSize }

// limited reads no more than the limits allow.
type limited struct {
	r       io.Reader
	limits  Limits
	bytes   int64
	line    int64 // bytes since the last newline
	objects int64 // that began since then
}

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	l.bytes += int64(n)
	if l.limits.Bytes > 0 && l.bytes > l.limits.Bytes {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooMuch, l.limits.Bytes)
	}
	for rest := b[:n]; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		length := end
		if end < 0 {
			length = len(rest)
		}
		if l.line += int64(length); l.limits.Line > 0 && l.line > l.limits.Line {
			return 0, fmt.Errorf("%w: a line of more than %d bytes", ErrTooMuch, l.limits.Line)
		}
		if l.objects += int64(bytes.Count(rest[:length], []byte("{"))); l.limits.Objects > 0 && l.objects > l.limits.Objects {
			return 0, fmt.Errorf("%w: a line with more than %d objects", ErrTooMuch, l.limits.Objects)
		}
		if end < 0 {
			break
		}
		l.line, l.objects, rest = 0, 0, rest[end+1:]
	}
	return n, err
}
