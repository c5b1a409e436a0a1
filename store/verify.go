package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// OpenToVerify opens the record at path for Verify alone, whatever its version and whatever it
// contains. A file without a log cannot be verified: that is ErrDamaged.
func OpenToVerify(ctx context.Context, path string) (*Store, error) {
	db, _, err := openToRead(ctx, path, ErrNewer)
	if err != nil {
		return nil, err
	}
	return &Store{db: db, path: path}, nil
}

// Verify verifies the record: its tables, indexes and triggers; the tree recomputed from the exact
// bytes of the events; that each key was handed over by the one before it and the newest signed the
// checkpoint; and the views against a rebuild. A trusted verifier key (empty: none) must be one of
// the record's. Earlier checkpoints, kept elsewhere, must match a beginning of the record.
func (s *Store) Verify(ctx context.Context, verifierKey string, earlier ...string) (*proof.Verification, error) {
	if s.temp != nil { // its views are not those in the file
		file, err := OpenToVerify(ctx, s.path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return file.Verify(ctx, verifierKey, earlier...)
	}
	l, err := layoutOf(ctx, s.db)
	if err != nil {
		return nil, err
	}
	differences, err := l.differences(ctx)
	if err != nil {
		return nil, err
	}
	defer collectLess()()
	var made *madeViews
	if l.version == Schema {
		if made, err = s.newViews(); err != nil {
			return nil, err
		}
		defer made.Close()
	}
	v, err := s.verifyLog(ctx, made, verifierKey, earlier)
	if err != nil {
		return nil, err
	}
	for _, d := range differences { // problems with the events come first
		v.Problem(proof.Altered, "%s", d)
	}
	if made != nil {
		err = s.verifyViews(ctx, v, l, made)
	}
	if err == nil && v.Result == proof.Intact {
		err = s.verifyFile(ctx, v)
	}
	if err == nil && v.Result == proof.Intact && l.newer() {
		err = named(s.path, fmt.Errorf("%w: its log is intact, but its views cannot be checked", ErrNewer))
	}
	return v, err
}

// verifyLog checks the events, the tree over them, and who signed it. At the same time it builds
// views from the events; nil: it does not.
func (s *Store) verifyLog(ctx context.Context, made *madeViews, trusted string, earlier []string) (*proof.Verification, error) {
	h, err := s.readHead(ctx)
	if err != nil {
		return nil, err
	}
	v, err := proof.NewVerifier(proof.Edge{}, hashesInOrder(ctx, s.db), earlier...)
	if err != nil {
		return nil, err
	}
	verified := s.verified(ctx, v, h.size)
	if v.Whole = made != nil; v.Whole {
		err = made.make(ctx, h, verified)
	} else {
		for _, err = range verified {
		}
	}
	if err != nil {
		return nil, err
	}
	root, err := v.Finish()
	if err != nil {
		return nil, err
	}
	v.TreeSize, v.Checkpoint = h.size, h.checkpoint
	h.check(v, root)
	if trusted != "" {
		v.Trust(trusted)
	}
	return v.Verification, nil
}

// verifyFile lets SQLite check the file: everything above reads its tables, but reports also use
// its indexes.
func (s *Store) verifyFile(ctx context.Context, v *proof.Verification) error {
	defer progress.Begin(ctx, "checking the file", 0).End()
	problems, err := sqlite.ReadRows(ctx, s.db, `PRAGMA integrity_check(10)`, nil, (*sqlite.Cells).Text)
	for _, p := range problems {
		if p != "ok" {
			v.Problem(proof.Altered, "the file is damaged: %s", p)
		}
	}
	return err
}

// head is the end of the record, read in one go, so it is consistent; events that are added later
// do not disturb a verification.
type head struct {
	size       int64 // sequence number of the last event
	events     int64 // how many there are
	hashes     int64 // how many hashes the proof has
	first      int64 // number of the first hash, and of the first event
	covers     int64 // how many events the checkpoint covers, according to its table
	checkpoint string
}

func (s *Store) readHead(ctx context.Context) (h head, err error) {
	const query = `SELECT (SELECT coalesce(max(seq), 0) FROM events), (SELECT count(*) FROM events),
		(SELECT count(*) FROM hashes), (SELECT min(0, coalesce(min(id), 0)) FROM hashes) + (SELECT min(0, coalesce(min(seq), 0)) FROM events),
		coalesce((SELECT CAST(size AS INTEGER) FROM checkpoint), 0), coalesce((SELECT CAST(note AS TEXT) FROM checkpoint), '')`
	err = sqlite.Classify(s.db.QueryRowContext(ctx, query).Scan(&h.size, &h.events, &h.hashes, &h.first, &h.covers, &h.checkpoint))
	return h, err
}

// check compares the end of the record with its log.
func (h head) check(v *proof.Verifier, root tlog.Hash) {
	switch {
	case h.size == 0:
		v.Problem(proof.Truncated, "there is no event: a record has one from its first moment")
		return
	case h.events != v.Pruned().Bodies(h.size):
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

// verified passes the events up to number size to a verifier, and yields their outlines page by
// page, nil for an event that the verifier refused.
func (s *Store) verified(ctx context.Context, v *proof.Verifier, size int64) iter.Seq2[[]*view.Outline, error] {
	start := time.Now()
	verify := func(page []event) ([]*view.Outline, error) {
		if hopeless(ctx, start, v.Size(), size) {
			return nil, context.DeadlineExceeded
		}
		return s.verifyPage(ctx, v, page, size)
	}
	return func(yield func([]*view.Outline, error) bool) {
		for page, err := range sqlite.Beside(allPages(ctx, s.db, "verifying events"), verify) {
			if errors.Is(err, errNoHash) {
				err = nil // later events cannot be verified
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

// hopeless says whether the rest of a log will take longer than ctx allows, judged by the events so
// far.
func hopeless(ctx context.Context, start time.Time, done, size int64) bool {
	const soon = 300 * time.Millisecond // too early to tell
	deadline, ok := ctx.Deadline()
	took := time.Since(start)
	return ok && took > soon && start.Add(took/time.Duration(max(done, 1))*time.Duration(size)).After(deadline)
}

var errNoHash = errors.New("an event is missing, and its hash")

// verifyPage verifies a page of events.
func (s *Store) verifyPage(ctx context.Context, v *proof.Verifier, page []event, size int64) (list []*view.Outline, err error) {
	for _, e := range page {
		if e.seq > size { // added after the head was read; it may have removed bodies
			v.Late(e.seq, e.body)
			continue
		}
		if whole, err := s.verifyGap(ctx, v, e.seq); err != nil {
			return list, err
		} else if !whole {
			v.Problem(proof.Altered, "event %d is missing, and its hash", v.Size()+1)
			return append(list, nil), errNoHash
		}
		ev, err := v.Add(proof.Entry{Seq: e.seq, Body: e.body})
		if err != nil {
			return list, err
		}
		var o *view.Outline
		if ev != nil && v.Whole {
			o = view.Of(e.seq, ev)
		}
		list = append(list, o)
	}
	return list, nil
}

// verifyGap passes the events before number seq that have no body to a verifier. It says whether
// all their hashes are there.
func (s *Store) verifyGap(ctx context.Context, v *proof.Verifier, seq int64) (whole bool, err error) {
	for gone := v.Size() + 1; gone < seq; gone++ {
		leaf, err := leafHash(ctx, s.db, gone)
		if errors.Is(err, ErrDamaged) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		if _, err := v.Add(proof.Entry{Seq: gone, Hash: leaf}); err != nil {
			return false, err
		}
	}
	return true, nil
}
