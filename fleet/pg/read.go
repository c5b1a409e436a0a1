package pg

import (
	"context"
	"fmt"
	"iter"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/fleet/segment"
	"github.com/klp-audit/klp-audit/record/proof"
)

// stretch is what a branch takes from itself or from one that it leaves.
type stretch struct {
	branch    int
	after, to int64
}

// stretches returns where the events of a branch after one number, up to another, are kept, the first
// first.
func (l *Log) stretches(number int, after, to int64) (list []stretch, err error) {
	for {
		b := l.At(number)
		if b == nil {
			return nil, fmt.Errorf("branch %d of log %s: %w", number, l.ID, ErrNoLog)
		}
		if from := max(b.Since, after); to > from {
			list = append([]stretch{{number, from, to}}, list...)
		}
		if b.Base == nil || b.Since <= after {
			return list, nil
		}
		if *b.Base >= number {
			return nil, fmt.Errorf("branch %d of log %s leaves branch %d", number, l.ID, *b.Base)
		}
		if *b.Common < b.Since {
			return nil, fmt.Errorf("branch %d of log %s: its events %d to %d were never sent", number, l.ID, *b.Common+1, b.Since)
		}
		number, to = *b.Base, min(to, *b.Common)
	}
}

// Whole says whether all events of a branch are kept. Of a fork whose upload began after the last
// common event, those between were never sent.
func (l *Log) Whole(number int) bool {
	b := l.At(number)
	_, err := l.stretches(number, 0, b.Size)
	return err == nil
}

// Piece is what a branch takes from a segment.
type Piece struct {
	*segment.Segment
	After, To int64 // numbers: the events after one, up to the other
}

// Entries returns the events of the piece.
func (p *Piece) Entries() ([]proof.Entry, error) {
	list, err := p.Segment.Entries()
	if err != nil {
		return nil, err
	}
	return list[p.After-p.First+1 : p.To-p.First+1], nil
}

// Pieces yields where the events of a branch after one number, up to another, are kept.
func (db *DB) Pieces(ctx context.Context, l *Log, branch int, after, to int64) iter.Seq2[*Piece, error] {
	return func(yield func(*Piece, error) bool) {
		list, err := l.stretches(branch, after, to)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, s := range list {
			read := s.after
			for seg, err := range db.Kept(ctx, l.ID, s.branch, s.after, s.to) {
				if err != nil {
					yield(nil, err)
					return
				}
				from := max(read, seg.First-1) // segments that were read may have been packed with this one meanwhile
				if read = min(s.to, seg.Last); !yield(&Piece{&seg.Segment, from, read}, nil) {
					return
				}
			}
		}
	}
}

// page is how many segments are read at once: they hold up to a few MiB each.
const page = 16

// Kept yields the segments that a branch itself keeps.
func (db *DB) Kept(ctx context.Context, id ID, branch int, after, to int64) iter.Seq2[*Stored, error] {
	return func(yield func(*Stored, error) bool) {
		for after < to {
			list, err := db.keptPage(ctx, id, branch, after, to)
			if err == nil && len(list) == 0 {
				err = fmt.Errorf("event %d of log %s: %w: it is missing", after+1, id, segment.ErrAltered)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, s := range list {
				if s.First > after+1 {
					yield(nil, fmt.Errorf("event %d of log %s: %w: it is missing", after+1, id, segment.ErrAltered))
					return
				}
				if !yield(s, nil) {
					return
				}
				after = s.Last
			}
		}
	}
}

// Stored is a segment and when it came.
type Stored struct {
	segment.Segment
	Received time.Time
}

func (db *DB) keptPage(ctx context.Context, id ID, branch int, after, to int64) (list []*Stored, err error) {
	rows, err := db.pool.Query(ctx, `select first, last, tree, lines, bytes, outlines, form, received from segment
		where log = $1 and branch = $2 and last > $3 and first <= $4 order by first limit $5`, id, branch, after, to, page)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s Stored
		var tree []byte
		if err := rows.Scan(&s.First, &s.Last, &tree, &s.Lines, &s.Bytes, &s.Outlines, &s.Form, &s.Received); err != nil {
			return nil, err
		}
		if s.Tree, err = hashes(tree); err != nil {
			return nil, err
		}
		list = append(list, &s)
	}
	return list, rows.Err()
}

// Entries yields the events of a branch after one number, up to another.
func (db *DB) Entries(ctx context.Context, l *Log, branch int, after, to int64) iter.Seq2[proof.Entry, error] {
	return func(yield func(proof.Entry, error) bool) {
		for p, err := range db.Pieces(ctx, l, branch, after, to) {
			var list []proof.Entry
			if err == nil {
				list, err = p.Entries()
			}
			if err != nil {
				yield(proof.Entry{}, err)
				return
			}
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// TreeAt returns the hashes of the complete subtrees over the first events of a branch.
func (db *DB) TreeAt(ctx context.Context, l *Log, branch int, size int64) ([]tlog.Hash, error) {
	b := l.At(branch)
	switch size {
	case 0:
		return nil, nil
	case b.Size:
		return b.Tree, nil
	}
	// The segment of the next event knows the tree before it, also if the events below it were never sent.
	for p, err := range db.Pieces(ctx, l, branch, size, size+1) {
		if err != nil {
			return nil, err
		}
		entries, err := p.Segment.Entries()
		if err != nil {
			return nil, err
		}
		tree, err := p.TreeAt(entries, size)
		if err != nil {
			return nil, err
		}
		return tree.Roots(), nil
	}
	return nil, fmt.Errorf("event %d of log %s: %w: it is missing", size+1, l.ID, segment.ErrAltered)
}
