package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"os"

	"golang.org/x/mod/sumdb/tlog"
)

// Append adds events to the log: what waits in the spool first, then a recorder event if
// the recorder's identity changed, then the events with their hashes and view rows, and a
// new checkpoint. An event whose id is in the log already is not added again, and neither
// is a second end of a commit.
func (s *Store) Append(ctx context.Context, evs ...*Event) error {
	if err := s.TakeIn(ctx); err != nil {
		return err
	}
	bodies, err := encodeAll(evs)
	if err != nil {
		return err
	}
	return s.append(ctx, bodies...)
}

// Size returns how many events the log has.
func (s *Store) Size(ctx context.Context) (int64, error) {
	n, err := s.size(ctx)
	return n, classify(err)
}

// AppendAt adds events to a log that still has a size; else it is ErrMoved, and nothing is
// added: what the events say may not be so any more.
func (s *Store) AppendAt(ctx context.Context, size int64, evs ...*Event) error {
	bodies, err := encodeAll(evs)
	if err != nil {
		return err
	}
	_, err = s.appendAt(ctx, size, bodies...)
	return err
}

func encodeAll(evs []*Event) (bodies [][]byte, err error) {
	for _, ev := range evs {
		body, err := encode(ev)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

// TakeIn moves what waits in the spool into the log, in order. A file that holds no event
// is set aside under another name (see SetAside); one that a newer program wrote waits on.
func (s *Store) TakeIn(ctx context.Context) error {
	for _, path := range spoolFiles(s.root) {
		body, err := os.ReadFile(path)
		if err != nil {
			continue // taken in by another writer, or unreadable: it waits
		}
		err = s.append(ctx, bytes.TrimSuffix(body, []byte("\n")))
		switch {
		case err == nil:
			os.Remove(path)
		case errors.Is(err, errNewerEvent):
			continue
		case errors.Is(err, errNoEvent) || isConstraint(err):
			os.Rename(path, path+asideSuffix)
		default:
			return fmt.Errorf("spooled event %q: %w", path, err)
		}
	}
	removeOldTemps(s.root)
	return nil
}

// append adds bodies in one transaction.
func (s *Store) append(ctx context.Context, bodies ...[]byte) error {
	_, err := s.appendAt(ctx, anySize, bodies...)
	return err
}

const anySize = -1

// appendAt adds bodies to a log of a certain size, else it fails with ErrMoved. It returns
// the new size.
func (s *Store) appendAt(ctx context.Context, expected int64, bodies ...[]byte) (size int64, err error) {
	var cp *Checkpoint
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM events`).Scan(&size); err != nil {
			return err
		}
		if expected != anySize && size != expected {
			return ErrMoved
		}
		a, err := s.newAppender(ctx, tx)
		if err != nil {
			return err
		}
		for _, body := range bodies {
			if err := a.add(body); err != nil {
				return err
			}
		}
		cp, err = a.finish()
		size = a.size
		return err
	})
	if err == nil && cp != nil && s.announces() {
		cp.announce()
	}
	if err != nil {
		err = named(Path(s.root), err)
	}
	return size, err
}

// appender adds events within one transaction.
type appender struct {
	ctx    context.Context
	tx     *sql.Tx
	size   int64 // of the tree
	signer *key
	added  bool
}

func (s *Store) newAppender(ctx context.Context, tx *sql.Tx) (*appender, error) {
	a := &appender{ctx: ctx, tx: tx}
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM events`).Scan(&a.size); err != nil {
		return nil, err
	}
	return a, a.identify(s.root, s.version)
}

func (a *appender) addEvent(ev *Event) error {
	body, err := encode(ev)
	if err != nil {
		return err
	}
	return a.add(body)
}

// add appends one body, unless its event is in the log or comes too late.
func (a *appender) add(body []byte) error {
	ev, err := decode(body)
	if err == nil && !isOneLine(body) {
		err = fmt.Errorf("%w: not one line", errNoEvent)
	}
	if err != nil {
		return err
	}
	if known, err := a.known(ev); err != nil || known {
		return err
	}
	hashes, err := tlog.StoredHashes(a.size, body, hashReader(a.ctx, a.tx))
	if err != nil {
		return err
	}
	a.size++
	a.added = true
	if _, err := a.tx.ExecContext(a.ctx, `INSERT INTO events (seq, body) VALUES (?, ?)`, a.size, string(body)); err != nil {
		return err
	}
	first := tlog.StoredHashCount(a.size - 1)
	for i, h := range hashes {
		if _, err := a.tx.ExecContext(a.ctx, `INSERT INTO hashes (id, hash) VALUES (?, ?)`, first+int64(i), h[:]); err != nil {
			return err
		}
	}
	return project(a.ctx, a.tx, a.size, ev)
}

func (a *appender) known(ev *Event) (known bool, err error) {
	const query = `SELECT EXISTS (SELECT 1 FROM events WHERE json_extract(body, '$.id') = ?)
		OR EXISTS (SELECT 1 FROM commits WHERE id = ? AND end_event IS NOT NULL)`
	ended := ""
	if ev.End != nil {
		ended = ev.End.Commit
	}
	err = a.tx.QueryRowContext(a.ctx, query, ev.ID, ended).Scan(&known)
	return known, err
}

// finish stores a checkpoint over everything up to here, nil if nothing was added.
func (a *appender) finish() (*Checkpoint, error) {
	if !a.added {
		return nil, nil
	}
	root, err := tlog.TreeHash(a.size, hashReader(a.ctx, a.tx))
	if err != nil {
		return nil, err
	}
	cp, err := a.signer.sign(a.size, root)
	if err != nil {
		return nil, err
	}
	_, err = a.tx.ExecContext(a.ctx, `INSERT OR REPLACE INTO checkpoint (id, size, note) VALUES (1, ?, ?)`, cp.Size, cp.Note)
	return cp, err
}

type rowQuerier interface {
	querier
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func hashReader(ctx context.Context, q querier) tlog.HashReaderFunc {
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

type event struct {
	seq  int64
	body []byte
}

// pageSize bounds how long a reader holds its lock: it reads a page, and asks again.
const pageSize = 500

// events yields the events after a sequence number, page by page.
func events(ctx context.Context, q rowQuerier, after int64) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		for {
			page, err := eventPage(ctx, q, after)
			if err != nil {
				yield(event{}, classify(err))
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			after = page[len(page)-1].seq
		}
	}
}

func eventPage(ctx context.Context, q rowQuerier, after int64) (page []event, err error) {
	rows, err := q.QueryContext(ctx, `SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?`, after, pageSize)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e event
		if err := rows.Scan(&e.seq, &e.body); err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return page, rows.Err()
}
