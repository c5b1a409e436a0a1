package store

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/internal/scratch"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// ErrNotContinued says that a record did not grow from the one that a checkpoint signed.
var ErrNotContinued = errors.New("the record does not continue the checkpoint")

// Export writes the record as JSON lines: the events after number since, as stored, and the
// checkpoint.
func (s *Store) Export(ctx context.Context, w io.Writer, since int64) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if err := s.export(ctx, out, since); err != nil {
		out.Flush()
		return err
	}
	return out.Flush()
}

func (s *Store) export(ctx context.Context, w *bufio.Writer, since int64) error {
	h, err := s.readHead(ctx)
	if err != nil {
		return err
	}
	if since < 0 || since > h.size {
		return fmt.Errorf("export since event %d: the record has %d events", since, h.size)
	}
	if err := s.exportHeader(ctx, w, since); err != nil {
		return err
	}
	pruned, err := lastPrune(ctx, s.db, h.size)
	if err != nil {
		return err
	}
	work := progress.Begin(ctx, "writing events", h.size-since)
	defer work.End()
	next := since + 1
	for e, err := range events(ctx, s.db, since) {
		if err != nil {
			return err
		}
		if e.seq > h.size {
			break // added after the checkpoint
		}
		work.At(e.seq - since)
		for ; next < e.seq; next++ {
			if err := s.exportGap(ctx, w, next, pruned); err != nil {
				return err
			}
		}
		next++
		if err := s.exportEvent(ctx, w, e); err != nil {
			return err
		}
	}
	return proof.WriteExportEnd(w, h.checkpoint)
}

func (s *Store) exportHeader(ctx context.Context, w io.Writer, since int64) error {
	key, err := s.key(ctx)
	if err != nil {
		return err
	}
	roots, err := hashReader(ctx, s.db)(proof.Subtrees(since))
	if err != nil {
		return sqlite.Classify(err)
	}
	return proof.WriteExportHeader(w, since, roots, key)
}

// exportGap writes the line of an event whose body was removed.
func (s *Store) exportGap(ctx context.Context, w *bufio.Writer, seq int64, pruned *record.Prune) error {
	if !pruned.Took(seq) {
		return fmt.Errorf("%w: event %d is missing, or was pruned just now", ErrDamaged, seq)
	}
	hash, err := leafHash(ctx, s.db, seq)
	if err != nil {
		return sqlite.Classify(err)
	}
	return proof.WriteExportEntry(w, proof.Entry{Seq: seq, Hash: hash})
}

func (s *Store) exportEvent(ctx context.Context, w *bufio.Writer, e event) error {
	if !record.IsOneLine(e.body) {
		return fmt.Errorf("%w: event %d is not one line", ErrDamaged, e.seq)
	}
	hash, err := leafHash(ctx, s.db, e.seq)
	if err != nil {
		return sqlite.Classify(err)
	}
	return proof.WriteExportEntry(w, proof.Entry{Seq: e.seq, Hash: hash, Body: e.body})
}

// key returns the verifier key of the newest checkpoint.
func (s *Store) key(ctx context.Context) (key string, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT key FROM recorders ORDER BY event DESC LIMIT 1`).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return key, sqlite.Classify(err)
}

// SinceCheckpoint returns the size that the record had when an earlier checkpoint was signed. The
// error is ErrNotContinued if the record did not grow from that.
func (s *Store) SinceCheckpoint(ctx context.Context, note string) (int64, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT DISTINCT key FROM recorders`)
	if err != nil {
		return 0, sqlite.Classify(err)
	}
	defer rows.Close()
	keys := map[string]bool{}
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return 0, err
		}
		keys[key] = true
	}
	if err := rows.Err(); err != nil {
		return 0, sqlite.Classify(err)
	}
	cp, err := proof.ParseWithAny(note, keys)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotContinued, err)
	}
	size, err := s.size(ctx)
	if err != nil {
		return 0, sqlite.Classify(err)
	}
	if cp.Size > size {
		return 0, fmt.Errorf("%w: it covers %d events, the record has %d", ErrNotContinued, cp.Size, size)
	}
	if cp.Size == 0 {
		return 0, nil
	}
	root, err := tlog.TreeHash(cp.Size, hashReader(ctx, s.db))
	if err != nil {
		return 0, sqlite.Classify(err)
	}
	if root != cp.Root {
		return 0, fmt.Errorf("%w: the root hash over %d events is %s, the checkpoint says %s", ErrNotContinued, cp.Size, root, cp.Root)
	}
	return cp.Size, nil
}

// Copy writes a copy of the database. Unlike a copy of the file, it is consistent even if somebody
// writes meanwhile. SQLite first writes it into a private folder, because SQLite opens files by
// path only.
func (s *Store) Copy(ctx context.Context, w io.Writer) (err error) {
	temp, err := scratch.NewFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, temp.Close()) }()
	work := progress.Begin(ctx, "copying the record", 0)
	defer work.End()
	path := filepath.Join(temp.Path, "record.db")
	if err := s.db.CopyTo(ctx, path); err != nil {
		return fmt.Errorf("copying the record: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(w, f, 1<<20)
	}
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, ctx.Err(), f.Close())
}

// OpenExport opens an export for reading, as if it were the record that it came from. It verifies
// the export with the given verifier key (empty: the one in it) and builds the views from its
// events in a temporary file. An altered export is opened as far as it can be understood; the
// verification says what is wrong. Only a whole export can be opened, not one that starts after
// some event.
func OpenExport(ctx context.Context, path, verifierKey string) (*Store, *proof.Verification, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	s, err := newTemp("")
	if err != nil {
		return nil, nil, err
	}
	defer collectLess()()
	work := progress.Begin(ctx, "reading the export", info.Size())
	defer work.End()
	var v *proof.Verification
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, logSchema); err != nil {
			return err
		}
		v, err = takeExport(ctx, tx, io.TeeReader(f, work), verifierKey, &s.leaves)
		return err
	})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("export %q: %w", path, err), s.Close())
	}
	return s, v, nil
}

// exported is an event in an export. It is decoded only if every reader would read it alike.
type exported struct {
	proof.Entry
	outline *view.Outline
}

// takeExport verifies a whole export and writes its content into an empty database.
func takeExport(ctx context.Context, tx *sql.Tx, r io.Reader, verifierKey string, leaves *proof.Leaves) (*proof.Verification, error) {
	var v *proof.Verifier
	var bad error // why the views cannot be built
	load, err := newLoad(ctx, tx)
	if err != nil {
		return nil, err
	}
	for e, err := range sqlite.RowsOf(sqlite.Ahead(exportPages(ctx, r, verifierKey, &v, leaves))) {
		if err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(context.WithoutCancel(ctx), `INSERT INTO events (seq, body) VALUES (?, ?)`, e.Seq, string(e.Body)); err != nil {
			return nil, err
		}
		if bad == nil {
			bad = load.Add(context.WithoutCancel(ctx), e.outline)
		}
	}
	if v.Since() > 0 {
		return nil, fmt.Errorf("it has only the events after number %d: reports need all", v.Since())
	}
	if v.Checkpoint != "" {
		if _, err := tx.ExecContext(ctx, `INSERT INTO checkpoint (id, size, note) VALUES (1, ?, ?)`, v.TreeSize, v.Checkpoint); err != nil {
			return nil, err
		}
	}
	if v.Result != proof.Intact {
		return v.Verification, rebuildReadable(ctx, tx)
	}
	if bad == nil {
		bad = load.Finish(ctx)
	}
	return v.Verification, bad
}

// exportPages verifies an export and yields its events page by page; the verifier and the hashes of
// all events are complete after the last page.
func exportPages(ctx context.Context, r io.Reader, verifierKey string, v **proof.Verifier, leaves *proof.Leaves) iter.Seq2[[]exported, error] {
	return func(yield func([]exported, error) bool) {
		var page []exported
		size, stopped := 0, false
		keep := func(e proof.Entry, ev *record.Event) error {
			if *leaves = append(*leaves, e.Hash); ev == nil {
				return nil
			}
			page = append(page, exported{e, view.Of(e.Seq, ev)})
			if size += len(e.Body); len(page) == pageEvents || size >= pageBytes {
				if stopped = !yield(page, nil); stopped {
					return errStopped
				}
				page, size = nil, 0
			}
			return nil
		}
		var err error
		*v, err = proof.Export{Key: verifierKey, Keep: keep}.Verify(ctx, r)
		if !stopped {
			yield(page, err)
		}
	}
}

var errStopped = errors.New("nobody wants to know more")
