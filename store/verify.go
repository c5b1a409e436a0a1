package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

// OpenToVerify opens the record at path for Verify alone: whatever its version says, and
// whatever belongs to it or not. What has no log in it cannot be verified: that is ErrDamaged.
func OpenToVerify(ctx context.Context, path string) (*Store, error) {
	db, _, err := openToRead(ctx, path, ErrNewer)
	if err != nil {
		return nil, err
	}
	return &Store{db: db, path: path, patience: maxLockTime}, nil
}

// Verify checks the record: its tables, indexes and triggers; the tree recomputed from the exact
// bytes of the events; that each key was handed over by the one before it, and the newest signed
// the checkpoint; and the views against a rebuild. A verifier key that is trusted (empty: none)
// must be one of the record's. Earlier checkpoints, kept elsewhere, must be of a beginning of
// the record.
func (s *Store) Verify(ctx context.Context, verifierKey string, earlier ...string) (*proof.Verification, error) {
	if s.temp != "" { // its views are not those in the file
		file, err := OpenToVerify(ctx, s.path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return file.Verify(ctx, verifierKey, earlier...)
	}
	v := proof.NewVerification()
	l, err := layoutOf(ctx, s.db)
	if err != nil {
		return nil, err
	}
	differences, err := l.differences(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.verifyLog(ctx, v, verifierKey, earlier); err != nil {
		return nil, err
	}
	for _, d := range differences { // what happened to the events is said first
		v.Problem(proof.Altered, "%s", d)
	}
	if l.version == Schema {
		err = s.verifyViews(ctx, v, l)
	}
	if err == nil && v.Result == proof.Intact {
		err = s.verifyFile(ctx, v)
	}
	if err == nil && v.Result == proof.Intact && l.newer() {
		err = named(s.path, fmt.Errorf("%w: its log is intact, its views cannot be checked", ErrNewer))
	}
	return v, err
}

// verifyLog checks the events, the tree over them, and who signed that.
func (s *Store) verifyLog(ctx context.Context, v *proof.Verification, trusted string, earlier []string) error {
	h, err := s.readHead(ctx)
	if err != nil {
		return err
	}
	v.TreeSize, v.Checkpoint = h.size, h.checkpoint
	checks, err := proof.NewEarlier(earlier)
	if err != nil {
		return err
	}
	root, pruned, err := s.verifyTree(ctx, v, checks)
	if err != nil {
		return err
	}
	v.RootHash = root.String()
	h.check(v, root, pruned)
	if trusted != "" {
		v.Trust(trusted)
	}
	return nil
}

// verifyFile lets SQLite check the file: all above read its tables, and what reports find
// they find by its indexes.
func (s *Store) verifyFile(ctx context.Context, v *proof.Verification) error {
	problems, err := collect(ctx, s.db, `PRAGMA integrity_check(10)`, nil, func(rows *sql.Rows) (p string, err error) {
		return p, rows.Scan(&p)
	})
	for _, p := range problems {
		if p != "ok" {
			v.Problem(proof.Altered, "the file is damaged: %s", p)
		}
	}
	return err
}

// head is what one look at the record says of its end. Everything in it belongs together;
// events that come in later do not disturb a verification.
type head struct {
	size       int64 // sequence number of the last event
	events     int64 // how many there are
	hashes     int64 // how many hashes the proof has
	first      int64 // number of the first hash, and of the first event
	covers     int64 // how many events the table says that the checkpoint covers
	checkpoint string
}

func (s *Store) readHead(ctx context.Context) (h head, err error) {
	const query = `SELECT (SELECT coalesce(max(seq), 0) FROM events), (SELECT count(*) FROM events),
		(SELECT count(*) FROM hashes), (SELECT min(0, coalesce(min(id), 0)) FROM hashes) + (SELECT min(0, coalesce(min(seq), 0)) FROM events),
		coalesce((SELECT CAST(size AS INTEGER) FROM checkpoint), 0), coalesce((SELECT CAST(note AS TEXT) FROM checkpoint), '')`
	err = classify(s.db.QueryRowContext(ctx, query).Scan(&h.size, &h.events, &h.hashes, &h.first, &h.covers, &h.checkpoint))
	return h, err
}

// check compares the end of the record with its log.
func (h head) check(v *proof.Verification, root tlog.Hash, pruned *record.Prune) {
	switch {
	case h.size == 0:
		v.Problem(proof.Truncated, "there is no event: a record has one from its first moment")
		return
	case h.events != pruned.Bodies(h.size):
		v.Problem(proof.Altered, "there are %d events, numbered up to %d", h.events, h.size)
	case h.first < 0:
		v.Problem(proof.Altered, "there are events or hashes with numbers below the first")
	case h.hashes > tlog.StoredHashCount(h.size):
		v.Problem(proof.Altered, "the proof has hashes for more than the %d events in the log", h.size)
	}
	if h.checkpoint == "" {
		v.Problem(proof.Altered, "the checkpoint is missing")
		return
	}
	v.CheckCheckpoint(h.checkpoint, h.size, root)
	if h.covers != h.size && v.Result == proof.Intact {
		v.Problem(proof.Altered, "the table says that the checkpoint covers %d events, the log has %d", h.covers, h.size)
	}
}

// verifyTree recomputes the hash of every event and returns the root over them, and what
// was pruned. It fills in the times of the events, and the keys that they name. Of an event that
// has no body it takes the hash as it is stored.
func (s *Store) verifyTree(ctx context.Context, v *proof.Verification, checks *proof.EarlierCheckpoints) (root tlog.Hash, pruned *record.Prune, err error) {
	t := proof.Tree{Kept: map[int64]tlog.Hash{}}
	w := proof.NewWitness(v)
	for e, err := range events(ctx, s.db, 0) {
		if err != nil {
			return root, nil, err
		}
		if e.seq > v.TreeSize { // came in after the head was read, and may have taken bodies away
			if ev, err := record.DecodeOutline(e.seq, e.body); err == nil {
				w.Gaps.SeeLate(ev)
			}
			continue
		}
		if whole, err := s.bridge(ctx, v, &t, &w.Gaps, checks, e.seq); err != nil {
			return root, nil, err
		} else if !whole {
			v.Problem(proof.Altered, "event %d is missing, and its hash", t.Size+1)
			break
		}
		heard, err := proof.Hear(e.seq, e.body, t.Root)
		if err != nil {
			return root, nil, err
		}
		if problem := t.Add(tlog.RecordHash(e.body), hashReader(ctx, s.db)); problem != "" {
			v.Problem(proof.Altered, "event %d: %s", e.seq, problem)
		}
		if err := checks.At(v, t.Size, t.Root); err != nil {
			return root, nil, err
		}
		w.Take(heard)
		pruned = w.Gaps.Pruned
	}
	v.Key = v.NewestKey()
	checks.Finish(v, v.KeyNames())
	w.Gaps.Check(v)
	root, err = t.Root()
	return root, pruned, err
}

// bridge adds the events before number seq that have no body to the tree. It says whether
// their hashes are all there.
func (s *Store) bridge(ctx context.Context, v *proof.Verification, t *proof.Tree, g *proof.Gaps, checks *proof.EarlierCheckpoints, seq int64) (whole bool, err error) {
	for t.Size+1 < seq {
		leaf, err := hashReader(ctx, s.db)([]int64{tlog.StoredHashIndex(0, t.Size)})
		if errors.Is(err, ErrDamaged) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		if problem := t.Add(leaf[0], hashReader(ctx, s.db)); problem != "" {
			v.Problem(proof.Altered, "event %d: %s", t.Size, problem)
		}
		if err := checks.At(v, t.Size, t.Root); err != nil {
			return false, err
		}
		g.Seqs = append(g.Seqs, t.Size)
		v.FirstTime = nil // the record speaks from here on
	}
	return true, nil
}
