package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

type event struct {
	seq  int64
	body []byte
}

// numberedEvent is an event with its sequence number.
type numberedEvent struct {
	seq   int64
	event *record.Event
}

// takeNumbered takes two columns, the number and the body of an event.
func takeNumbered(c *sqlite.Cells) numberedEvent {
	seq := c.Number()
	ev, err := record.Decode(c.Bytes())
	if err != nil {
		c.Fail(fmt.Errorf("event %d: %w", seq, err))
	}
	return numberedEvent{seq, ev}
}

// events yields the events after a sequence number.
func events(ctx context.Context, q sqlite.Querier, after int64) iter.Seq2[event, error] {
	return sqlite.RowsOf(pages(ctx, q, after))
}

// all yields all events of a log, and shows how far that has come.
func all(ctx context.Context, q sqlite.Querier, what string) iter.Seq2[event, error] {
	return sqlite.RowsOf(allPages(ctx, q, what))
}

// allPages yields all events of a log, page by page, and shows how far that has come.
func allPages(ctx context.Context, q sqlite.Querier, what string) iter.Seq2[[]event, error] {
	return func(yield func([]event, error) bool) {
		var last int64
		q.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM events`).Scan(&last) // where it fails, so do the pages
		work := progress.Begin(ctx, what, last)
		defer work.End()
		for page, err := range pages(ctx, q, 0) {
			if len(page) > 0 {
				work.At(page[len(page)-1].seq)
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

// pages yields the events after a sequence number, page by page.
func pages(ctx context.Context, q sqlite.Querier, after int64) iter.Seq2[[]event, error] {
	return sqlite.Pages(event{seq: after}, func(last event) ([]event, bool, error) {
		page, err := eventPage(ctx, q, last.seq)
		for _, e := range page {
			if e.seq <= last.seq { // in a file with damaged pages this loop might never end
				return nil, false, fmt.Errorf("%w: event %d comes after event %d", ErrDamaged, e.seq, last.seq)
			}
			last = e
		}
		return page, true, err
	})
}

// An event needs much more memory once it is decoded, and two pages are in use at a time.
const (
	pageEvents = 32
	pageBytes  = 1 << 20 // plus one event
)

func eventPage(ctx context.Context, q sqlite.Querier, after int64) ([]event, error) {
	size := 0
	// The cast avoids a copy that a text would need.
	return sqlite.ReadRows(ctx, q, `SELECT seq, CAST(body AS BLOB) FROM events WHERE seq > ? ORDER BY seq LIMIT ?`, []any{after, pageEvents}, func(c *sqlite.Cells) event {
		e := event{c.Number(), c.Bytes()}
		if e.body == nil { // NULL is not an event; a pruned event has no row
			e.body = []byte{}
		}
		size += len(e.body)
		c.Enough = size >= pageBytes
		return e
	})
}

// leafHash returns the stored hash of event number seq.
func leafHash(ctx context.Context, q sqlite.Querier, seq int64) (leaf tlog.Hash, err error) {
	hashes, err := hashReader(ctx, q)([]int64{tlog.StoredHashIndex(0, seq-1)})
	if err != nil {
		return leaf, err
	}
	return hashes[0], nil
}

func hashReader(ctx context.Context, q sqlite.Querier) tlog.HashReaderFunc {
	return func(ids []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(ids))
		for i, id := range ids {
			var h []byte
			err := q.QueryRowContext(ctx, `SELECT hash FROM hashes WHERE id = ?`, id).Scan(&h)
			if errors.Is(err, sql.ErrNoRows) || err == nil && len(h) != tlog.HashSize {
				return nil, fmt.Errorf("%w: hash %d of the tree is missing", ErrDamaged, id)
			} else if err != nil {
				return nil, err
			}
			copy(hashes[i][:], h)
		}
		return hashes, nil
	}
}

// hashesInOrder reads hashes in ascending order, many at a time.
func hashesInOrder(ctx context.Context, q sqlite.Querier) tlog.HashReaderFunc {
	const atOnce = 1000
	known := map[int64]tlog.Hash{}
	return func(ids []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(ids))
		for i, id := range ids {
			if _, ok := known[id]; !ok {
				clear(known)
				err := sqlite.EachRow(ctx, q, `SELECT id, hash FROM hashes WHERE id >= ? ORDER BY id LIMIT ?`, []any{id, atOnce}, func(c *sqlite.Cells) {
					if id, h := c.Number(), c.Bytes(); len(h) == tlog.HashSize {
						known[id] = tlog.Hash(h)
					}
				})
				if err != nil {
					return nil, err
				}
			}
			h, ok := known[id]
			if !ok {
				return nil, fmt.Errorf("%w: hash %d of the tree is missing", ErrDamaged, id)
			}
			hashes[i] = h
		}
		return hashes, nil
	}
}

// Size returns how many events the log has.
func (s *Store) Size(ctx context.Context) (int64, error) {
	n, err := s.size(ctx)
	return n, sqlite.Classify(err)
}

func (s *Store) size(ctx context.Context) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM events`).Scan(&n)
	return n, err
}

// lastPrune returns the newest prune among the first size events, also if this record holds only
// the beginning of a longer log.
func (s *Store) lastPrune(ctx context.Context, size int64) (*record.Prune, error) {
	if s.known != nil {
		return s.known.pruned, nil
	}
	return lastPrune(ctx, s.db, size)
}

// lastPrune returns what the newest prune event among the first size events says, nil if there is
// none.
func lastPrune(ctx context.Context, q sqlite.Querier, size int64) (*record.Prune, error) {
	var seq int64
	var body []byte
	// The plus makes SQLite use the index of prune events; otherwise it would look at all events.
	err := q.QueryRowContext(ctx, `SELECT seq, body FROM events WHERE json_extract(body, '$.kind') = 'prune' AND +seq <= ?
		ORDER BY json_extract(body, '$.prune.through') DESC, seq DESC LIMIT 1`, size).Scan(&seq, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, sqlite.Classify(err)
	}
	ev, err := record.DecodeAt(seq, body)
	if err != nil {
		return nil, fmt.Errorf("event %d: %w", seq, err)
	}
	return ev.Prune, nil
}
