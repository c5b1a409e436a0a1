package store

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
)

// Integrity says what a verification found.
type Integrity string

// The verdicts.
const (
	Intact    Integrity = "intact"
	Altered   Integrity = "altered"
	Truncated Integrity = "truncated" // events that a checkpoint covers are gone
)

// Verification is the result of checking a record. Its JSON is the published form.
type Verification struct {
	Result     Integrity         `json:"result"`
	TreeSize   int64             `json:"tree_size"`
	RootHash   string            `json:"root_hash"`
	FirstTime  *record.Timestamp `json:"first_time"`
	LastTime   *record.Timestamp `json:"last_time"`
	Checkpoint string            `json:"checkpoint"` // the signed text
	Key        string            `json:"key"`        // verifier key that it was checked with
	Keys       []KeyInLog        `json:"keys"`       // all that the record names, the newest last
	Problems   []string          `json:"problems"`

	Found int `json:"-"` // how many problems, also those that are not listed
}

func (v *Verification) problem(verdict Integrity, format string, args ...any) {
	if v.Result != Truncated {
		v.Result = verdict
	}
	v.Found++
	if len(v.Problems) < 100 {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

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
func (s *Store) Verify(ctx context.Context, verifierKey string, earlier ...string) (*Verification, error) {
	if s.temp != "" { // its views are not those in the file
		file, err := OpenToVerify(ctx, s.path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return file.Verify(ctx, verifierKey, earlier...)
	}
	v := newVerification()
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
		v.problem(Altered, "%s", d)
	}
	if l.version == Schema {
		err = s.verifyViews(ctx, v, l)
	}
	if err == nil && v.Result == Intact {
		err = s.verifyFile(ctx, v)
	}
	if err == nil && v.Result == Intact && l.newer() {
		err = named(s.path, fmt.Errorf("%w: its log is intact, its views cannot be checked", ErrNewer))
	}
	return v, err
}

func newVerification() *Verification {
	return &Verification{Result: Intact, Problems: []string{}, Keys: []KeyInLog{}}
}

// verifyLog checks the events, the tree over them, and who signed that.
func (s *Store) verifyLog(ctx context.Context, v *Verification, trusted string, earlier []string) error {
	h, err := s.readHead(ctx)
	if err != nil {
		return err
	}
	v.TreeSize, v.Checkpoint = h.size, h.checkpoint
	checks, err := newEarlier(earlier)
	if err != nil {
		return err
	}
	root, pruned, err := s.verifyTree(ctx, v, checks)
	if err != nil {
		return err
	}
	v.RootHash = root.String()
	v.checkHead(h, root, pruned)
	if trusted != "" {
		v.Trust(trusted)
	}
	return nil
}

// verifyFile lets SQLite check the file: all above read its tables, and what reports find
// they find by its indexes.
func (s *Store) verifyFile(ctx context.Context, v *Verification) error {
	problems, err := readRows(ctx, s.db, `PRAGMA integrity_check(10)`, nil, (*cells).text)
	for _, p := range problems {
		if p != "ok" {
			v.problem(Altered, "the file is damaged: %s", p)
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

func (v *Verification) checkHead(h head, root tlog.Hash, pruned *record.Prune) {
	switch {
	case h.size == 0:
		v.problem(Truncated, "there is no event: a record has one from its first moment")
		return
	case h.events != pruned.Bodies(h.size):
		v.problem(Altered, "there are %d events, numbered up to %d", h.events, h.size)
	case h.first < 0:
		v.problem(Altered, "there are events or hashes with numbers below the first")
	case h.hashes > tlog.StoredHashCount(h.size):
		v.problem(Altered, "the proof has hashes for more than the %d events in the log", h.size)
	}
	if h.checkpoint == "" {
		v.problem(Altered, "the checkpoint is missing")
		return
	}
	v.checkCheckpoint(h.checkpoint, h.size, root)
	if h.covers != h.size && v.Result == Intact {
		v.problem(Altered, "the table says that the checkpoint covers %d events, the log has %d", h.covers, h.size)
	}
}

// checkCheckpoint holds the newest checkpoint against the log.
func (v *Verification) checkCheckpoint(note string, size int64, root tlog.Hash) {
	cp, err := ParseCheckpoint(note, v.Key)
	switch {
	case err != nil:
		v.problem(Altered, "%v", err)
	case cp.Size > size:
		v.problem(Truncated, "the checkpoint covers %d events, the log has %d", cp.Size, size)
	case cp.Size < size:
		v.problem(Altered, "the checkpoint covers %d events, the log has %d: another program added some", cp.Size, size)
	case cp.Root != root:
		v.problem(Altered, "the root hash is %s, the checkpoint says %s", root, cp.Root)
	}
}

// checkIdentity reports what the recorder itself found wrong when it wrote an event.
func (v *Verification) checkIdentity(seq int64, id *record.Identity) {
	switch id.Cause {
	case record.CauseProofBroken:
		v.problem(Altered, "event %d: before it, the recorder found that the log was not the one it had signed: %s", seq, id.Problem)
	case record.CauseRecordLost:
		v.problem(Truncated, "event %d: an earlier record was gone, and its key still there", seq)
	}
}

// verifyTree recomputes the hash of every event and returns the root over them, and what
// was pruned. It fills in the times of the events, and the keys that they name. Of an event that
// has no body it takes the hash as it is stored.
func (s *Store) verifyTree(ctx context.Context, v *Verification, checks *earlierCheckpoints) (root tlog.Hash, pruned *record.Prune, err error) {
	t := tree{kept: map[int64]tlog.Hash{}}
	w := newWitness(v)
	for e, err := range events(ctx, s.db, 0) {
		if err != nil {
			return root, nil, err
		}
		if e.seq > v.TreeSize { // came in after the head was read, and may have taken bodies away
			if ev, err := record.DecodeOutline(e.seq, e.body); err == nil {
				w.gaps.seeLate(ev)
			}
			continue
		}
		if whole, err := s.bridge(ctx, v, &t, &w.gaps, checks, e.seq); err != nil {
			return root, nil, err
		} else if !whole {
			v.problem(Altered, "event %d is missing, and its hash", t.size+1)
			break
		}
		heard, err := hear(e.seq, e.body, t.root)
		if err != nil {
			return root, nil, err
		}
		if problem := t.add(ctx, s.db, tlog.RecordHash(e.body)); problem != "" {
			v.problem(Altered, "event %d: %s", e.seq, problem)
		}
		if err := checks.at(v, t.size, t.root); err != nil {
			return root, nil, err
		}
		w.take(heard)
		pruned = w.gaps.pruned
	}
	v.Key = v.newestKey()
	checks.finish(v, v.keyNames())
	w.gaps.check(v)
	root, err = t.root()
	return root, pruned, err
}

// bridge adds the events before number seq that have no body to the tree. It says whether
// their hashes are all there.
func (s *Store) bridge(ctx context.Context, v *Verification, t *tree, g *gaps, checks *earlierCheckpoints, seq int64) (whole bool, err error) {
	for t.size+1 < seq {
		leaf, err := hashReader(ctx, s.db)([]int64{tlog.StoredHashIndex(0, t.size)})
		if errors.Is(err, ErrDamaged) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		if problem := t.add(ctx, s.db, leaf[0]); problem != "" {
			v.problem(Altered, "event %d: %s", t.size, problem)
		}
		if err := checks.at(v, t.size, t.root); err != nil {
			return false, err
		}
		g.seqs = append(g.seqs, t.size)
		v.FirstTime = nil // the record speaks from here on
	}
	return true, nil
}

func (v *Verification) takeTime(ev *record.Event) {
	if v.FirstTime == nil {
		v.FirstTime = &ev.Time
	}
	v.LastTime = &ev.Time
}

// tree recomputes the hashes of a log while its events go by. It keeps one hash for each
// bit of its size: the roots of the complete subtrees, which is all that the next event
// needs.
type tree struct {
	size int64
	kept map[int64]tlog.Hash
}

// add adds an event by its hash and holds the hashes that it completes against the stored ones. Where
// they differ it says so and goes on with the stored ones, so that one altered event is
// one problem.
func (t *tree) add(ctx context.Context, q querier, leaf tlog.Hash) (problem string) {
	hashes, err := tlog.StoredHashesForRecordHash(t.size, leaf, tlog.HashReaderFunc(t.read))
	if err != nil {
		return err.Error()
	}
	first := tlog.StoredHashCount(t.size)
	t.size++
	for i, h := range hashes {
		id := first + int64(i)
		stored, err := hashReader(ctx, q)([]int64{id})
		switch {
		case err != nil:
			problem = err.Error()
		case stored[0] != h && problem == "":
			problem = fmt.Sprintf("its hash is %s, the proof says %s: the event or the proof was altered", h, stored[0])
			h = stored[0]
		case stored[0] != h:
			h = stored[0]
		}
		t.keep(id, h)
	}
	return problem
}

// grow adds an event of which only the hash is known.
func (t *tree) grow(leaf tlog.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(t.size, leaf, tlog.HashReaderFunc(t.read))
	if err != nil {
		return err
	}
	first := tlog.StoredHashCount(t.size)
	t.size++
	for i, h := range hashes {
		t.keep(first+int64(i), h)
	}
	return nil
}

// root is the root hash; of an empty tree all zeros.
func (t *tree) root() (tlog.Hash, error) {
	if t.size == 0 {
		return tlog.Hash{}, nil
	}
	return tlog.TreeHash(t.size, tlog.HashReaderFunc(t.read))
}

// keep keeps a hash and drops the two that it covers.
func (t *tree) keep(id int64, h tlog.Hash) {
	t.kept[id] = h
	if level, n := tlog.SplitStoredHashIndex(id); level > 0 {
		delete(t.kept, tlog.StoredHashIndex(level-1, 2*n))
		delete(t.kept, tlog.StoredHashIndex(level-1, 2*n+1))
	}
}

func (t *tree) read(ids []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(ids))
	for i, id := range ids {
		h, ok := t.kept[id]
		if !ok {
			return nil, fmt.Errorf("hash %d was not kept", id)
		}
		hashes[i] = h
	}
	return hashes, nil
}
