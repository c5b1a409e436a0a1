package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store/sqlite"
	"github.com/klp-audit/klp-audit/store/views"
)

// AppendAt adds events to a log if it still has this size. Otherwise it adds nothing and returns
// ErrMoved: what the events say may no longer be true.
func (s *Store) AppendAt(ctx context.Context, size int64, evs ...*record.Event) error {
	bodies, err := encodeAll(evs)
	if err != nil {
		return err
	}
	_, err = s.appendAt(ctx, size, bodies...)
	return err
}

func encodeAll(evs []*record.Event) (bodies [][]byte, err error) {
	for _, ev := range evs {
		body, err := record.Encode(ev)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

// append adds bodies in one transaction.
func (s *Store) append(ctx context.Context, bodies ...[]byte) error {
	_, err := s.appendAt(ctx, anySize, bodies...)
	return err
}

const anySize = -1

// appendAt adds bodies to a log of an expected size, or fails with ErrMoved. It returns the new
// size.
func (s *Store) appendAt(ctx context.Context, expected int64, bodies ...[]byte) (size int64, err error) {
	cp, err := s.write(ctx, func(a *appender) error {
		if expected != anySize && a.found != expected {
			return ErrMoved
		}
		work := progress.Begin(ctx, "adding events", int64(len(bodies)))
		defer work.End()
		for _, body := range bodies {
			if err := a.add(body); err != nil {
				return err
			}
			work.Add(1)
		}
		size = a.size
		return nil
	})
	if err != nil {
		return size, named(Path(s.root), err)
	}
	s.announce(cp)
	return size, nil
}

// write adds to the log in one transaction, and signs the result. The checkpoint is nil if nothing
// was added.
//
// If somebody put something into the tables that gets in the way, everything that does not follow
// from the events is removed, and the log says so.
func (s *Store) write(ctx context.Context, add func(*appender) error) (cp *proof.Checkpoint, err error) {
	cp, err = s.writeOver(ctx, "", add)
	if sqlite.IsConstraint(err) {
		if again, stillErr := s.writeOver(ctx, fmt.Sprintf("its tables held what is not of its events: %v", err), add); stillErr == nil {
			return again, nil
		}
	}
	return cp, err
}

// writeOver is write for tables with a known problem; empty: none.
func (s *Store) writeOver(ctx context.Context, known string, add func(*appender) error) (cp *proof.Checkpoint, err error) {
	var a *appender
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		problem, err := s.prepareIn(ctx, tx)
		if err != nil {
			return err
		}
		problem = cmp.Or(problem, known)
		if a, err = s.newAppender(ctx, tx, problem); err != nil {
			return err
		}
		if err := add(a); err != nil {
			return err
		}
		cp, err = a.finish()
		return err
	})
	if err == nil && a.newKey != "" {
		// If this fails, the next writer does it: the new key has signed.
		placeKey(a.newKey, a.signer)
	}
	return cp, err
}

// appender adds events within one transaction.
type appender struct {
	ctx    context.Context
	tx     *sql.Tx
	found  int64 // how many events there were at the start
	size   int64 // of the tree
	signer *proof.Key
	from   *proof.Key // the key that hands over to the signer; nil: none
	newKey string     // path of the signer's file if the signer is new
	added  bool
}

// newAppender starts to add to a log. problem says what was wrong with the tables, if anything.
func (s *Store) newAppender(ctx context.Context, tx *sql.Tx, problem string) (*appender, error) {
	a := &appender{ctx: ctx, tx: tx}
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM events`).Scan(&a.found); err != nil {
		return nil, err
	}
	a.size = a.found
	return a, a.identify(s.root, s.version, problem)
}

func (a *appender) addEvent(ev *record.Event) error {
	body, err := record.Encode(ev)
	if err != nil {
		return err
	}
	return a.add(body)
}

// add appends one body, unless its event is already in the log or comes too late.
func (a *appender) add(body []byte) error {
	ev, err := record.DecodeAt(a.size+1, body)
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
	return views.Project(a.ctx, a.tx, view.Of(a.size, ev))
}

func (a *appender) known(ev *record.Event) (known bool, err error) {
	const query = `SELECT EXISTS (SELECT 1 FROM events WHERE json_extract(body, '$.id') = ?)
		OR EXISTS (SELECT 1 FROM commits c JOIN events e ON e.seq = c.end_event
			WHERE c.id = ?2 AND coalesce(json_extract(e.body, '$.end.commit'), json_extract(e.body, '$.import.commit')) = ?2)` // the view alone cannot be trusted
	ended := ""
	if ev.End != nil {
		ended = ev.End.Commit
	}
	err = a.tx.QueryRowContext(a.ctx, query, ev.ID, ended).Scan(&known)
	return known, err
}

// finish stores a checkpoint over everything so far; nil if nothing was added.
func (a *appender) finish() (*proof.Checkpoint, error) {
	if !a.added {
		return nil, nil
	}
	root, err := tlog.TreeHash(a.size, hashReader(a.ctx, a.tx))
	if err != nil {
		return nil, err
	}
	cp, err := a.signer.Sign(a.size, root, a.from)
	if err != nil {
		return nil, err
	}
	_, err = a.tx.ExecContext(a.ctx, `INSERT OR REPLACE INTO checkpoint (id, size, note) VALUES (1, ?, ?)`, cp.Size, cp.Note)
	return cp, err
}

// CheckpointMessageID marks the journal entries that carry a checkpoint.
const CheckpointMessageID = "0a5f4ee7f0c34e3c8b7f0c5a6e2d9b41"

// announceTimeout bounds the wait for a journal that accepts no messages.
const announceTimeout = 300 * time.Millisecond

// AnnounceIf sends checkpoints to the journal only if wanted says so; it is called for each
// checkpoint.
func (s *Store) AnnounceIf(wanted func() bool) { s.toJournal = wanted }

// announces says whether checkpoints go to the journal: only those of this machine's record do.
func (s *Store) announces() bool {
	return ownMachine(s.root) && (s.toJournal == nil || s.toJournal())
}

func (s *Store) announce(cp *proof.Checkpoint) {
	if cp != nil && s.announces() {
		announce(cp)
	}
}

// announce sends a checkpoint to the journal, so that a copy exists outside the database. It is
// best effort: without a journal there is no announcement.
func announce(c *proof.Checkpoint) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		journal.Send(fmt.Sprintf("klp-audit record: %d events, root %s", c.Size, c.Root), journal.PriInfo, map[string]string{
			"MESSAGE_ID":        CheckpointMessageID,
			"SYSLOG_IDENTIFIER": "klp-audit",
			"KLP_CHECKPOINT":    c.Note,
		})
	}()
	select {
	case <-done:
	case <-time.After(announceTimeout):
	}
}
