package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

// HistoryFilter selects rows. Zero fields select everything.
type HistoryFilter struct {
	Since, Until time.Time // from Since, before Until
	Package      string    // GLOB pattern: * ? [abc]
	Kind         string
	Action       string
	Result       string
	Source       string // one of Sources
	User         string // login or sudo user
	Scripts      bool   // of which a script failed
	Limit        int    // at most so many rows; 0: all
	Events       int64  // of the first so many events only; 0: of all that there are now
	OldestFirst  bool
}

const historyColumns = `SELECT c.time, c.time_source, c.utc_offset, c.commit_id, c.event, c.pos, c.host, c.boot_id, c.kind, c.action,
	c.package, c.arch, c.version, c.previous, c.kernel_release, c.patch_number, c.initial, c.result,
	CASE WHEN t.end_event > ?1 THEN NULL WHEN t.settled_event > ?1 THEN 'staged' ELSE t.outcome END, c.source,
	t.login, t.sudo_user, t.exe, t.tty, t.session, t.automation, t.command, t.userdata, c.repo, c.checksum, c.signature_key,
	c.advisories, c.cves_added, c.cves_removed, c.bugs_added, c.bugs_removed, c.scripts, c.recorded
	FROM changes c LEFT JOIN commits t ON t.id = c.commit_id`

// History yields the changes that the filter selects, newest first unless it says
// otherwise. It reads page by page, and no event that comes in meanwhile.
func (s *Store) History(ctx context.Context, f HistoryFilter) iter.Seq2[*record.HistoryRow, error] {
	return func(yield func(*record.HistoryRow, error) bool) {
		size, err := f.Events, error(nil)
		if size == 0 {
			size, err = s.size(ctx)
		}
		if err != nil {
			yield(nil, classify(err))
			return
		}
		shown := 0
		for next := s.fetchHistory(ctx, f, size, nil); next != nil; {
			p := <-next
			if next = nil; p.err == nil && len(p.rows) == pageSize && (f.Limit == 0 || shown+pageSize < f.Limit) {
				next = s.fetchHistory(ctx, f, size, p.rows[pageSize-1])
			}
			for _, row := range p.rows {
				if !yield(row, nil) {
					if next != nil {
						<-next // the record may be closed after this
					}
					return
				}
				if shown++; shown == f.Limit {
					return
				}
			}
			if p.err != nil {
				yield(nil, classify(p.err))
			}
		}
	}
}

// historyPage is a page of a history, or why it could not be read.
type historyPage struct {
	rows []*record.HistoryRow
	err  error
}

// fetchHistory reads a page while the one before is still being rendered.
func (s *Store) fetchHistory(ctx context.Context, f HistoryFilter, size int64, last *record.HistoryRow) <-chan historyPage {
	page := make(chan historyPage, 1)
	go func() {
		rows, err := s.readHistory(ctx, f, size, last)
		page <- historyPage{rows, err}
	}()
	return page
}

func (s *Store) readHistory(ctx context.Context, f HistoryFilter, size int64, last *record.HistoryRow) ([]*record.HistoryRow, error) {
	query, args := f.query(size, last)
	return readRows(ctx, s.db, query, args, historyRow)
}

// query asks for a page that starts behind last.
func (f HistoryFilter) query(size int64, last *record.HistoryRow) (string, []any) {
	where, args := f.where(size, last)
	order := " ORDER BY c.time DESC, c.event DESC, c.pos DESC"
	if f.OldestFirst {
		order = " ORDER BY c.time, c.event, c.pos"
	}
	limit := int64(pageSize)
	if f.Limit > 0 {
		limit = min(limit, int64(f.Limit))
	}
	return historyColumns + where + order + " LIMIT ?", slices.Concat([]any{size}, args, []any{limit})
}

// where returns the conditions of a page that starts behind last.
func (f HistoryFilter) where(size int64, last *record.HistoryRow) (string, []any) {
	// What was announced counts until the commit ends, as of then.
	conds, args := []string{"c.event <= ?", "(c.event IS NOT t.begin_event OR t.end_event IS NULL OR t.end_event > ?)"}, []any{size, size}
	add := func(cond string, values ...any) { conds, args = append(conds, cond), append(args, values...) }
	// Behind a page its end is the bound: SQLite would begin each at the other one anew.
	if !f.Since.IsZero() && (last == nil || !f.OldestFirst) {
		add("c.time >= ?", f.Since.UnixMicro())
	}
	if !f.Until.IsZero() && (last == nil || f.OldestFirst) {
		add("c.time < ?", f.Until.UnixMicro())
	}
	packageIs := "c.package = ?"
	if strings.ContainsAny(f.Package, "*?[") {
		packageIs = "+c.package GLOB ?" // + for the order of time: that of names would be sorted for each page
	}
	for _, eq := range []struct{ cond, value string }{
		{packageIs, f.Package}, {"c.kind = ?", f.Kind}, {"c.action = ?", f.Action}, {"c.result = ?", f.Result}, {"c.source = ?", f.Source},
	} {
		if eq.value != "" {
			add(eq.cond, eq.value)
		}
	}
	if f.Scripts {
		add("c.scripts <> '[]'")
	}
	if f.User != "" {
		add("(t.login = ? OR t.sudo_user = ?)", f.User, f.User)
	}
	if last != nil {
		op := "<"
		if f.OldestFirst {
			op = ">"
		}
		add("(c.time, c.event, c.pos) "+op+" (?, ?, ?)", last.Time.UnixMicro(), last.Event, last.Pos)
	}
	return " WHERE " + strings.Join(conds, " AND "), args
}

func historyRow(c *cells) *record.HistoryRow {
	r := &record.HistoryRow{
		Time: microseconds(take[int64](c)), TimeSource: take[string](c), UTCOffset: take[string](c), Commit: takeOrNil[string](c),
		Event: take[int64](c), Pos: take[int64](c), Host: take[string](c), BootID: take[string](c), Kind: take[string](c), Action: take[string](c),
		Package: take[string](c), Arch: take[string](c), Version: take[string](c), Previous: takeOrNil[string](c), KernelRelease: takeOrNil[string](c),
	}
	if n := takeOrNil[int64](c); n != nil {
		r.PatchNumber = new(int(*n))
	}
	if n := takeOrNil[int64](c); n != nil {
		r.Initial = new(*n != 0)
	}
	r.Result, r.Outcome, r.Source = record.Result(take[string](c)), (*record.Outcome)(takeOrNil[string](c)), take[string](c)
	r.Actor = record.RowActor{
		Login: takeOrNil[string](c), SudoUser: takeOrNil[string](c), Exe: takeOrNil[string](c),
		TTY: takeOrNil[string](c), Session: takeOrNil[string](c), Automation: takeOrNil[string](c),
	}
	r.Command, r.UserData, r.Repo = takeOrNil[string](c), takeOrNil[string](c), takeOrNil[string](c)
	r.Checksum, r.SignatureKey, r.Advisories = takeOrNil[string](c), takeOrNil[string](c), takeList(c)
	r.CVEsAdded, r.CVEsRemoved, r.BugsAdded, r.BugsRemoved = takeList(c), takeList(c), takeList(c), takeList(c)
	r.Scripts = takeScripts(c)
	r.KnownSince = microsOrNil(takeOrNil[int64](c))
	return r
}

func microseconds(us int64) record.Timestamp { return record.At(time.UnixMicro(us)) }

func (s *Store) size(ctx context.Context) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM events`).Scan(&n)
	return n, err
}

// OpenCommits returns the commits that have no end, oldest first.
func (s *Store) OpenCommits(ctx context.Context) ([]record.OpenCommit, error) {
	return collect(ctx, s.db, `SELECT e.seq, e.body FROM commits c JOIN events e ON e.seq = c.begin_event
		WHERE c.end_event IS NULL ORDER BY e.seq`, nil, func(rows *sql.Rows) (record.OpenCommit, error) {
		seq, ev, err := scanEvent(rows)
		return record.OpenCommit{Event: seq, Begin: ev}, err
	})
}

// scanEvent reads a row with the number and the body of an event.
func scanEvent(rows *sql.Rows) (seq int64, ev *record.Event, err error) {
	var body []byte
	if err := rows.Scan(&seq, &body); err != nil {
		return 0, nil, err
	}
	if ev, err = record.Decode(body); err != nil {
		return seq, nil, fmt.Errorf("event %d: %w", seq, err)
	}
	return seq, ev, nil
}

const summary = `SELECT (SELECT coalesce(max(seq), 0) FROM events), (SELECT changes FROM totals), (SELECT commits FROM totals),
	(SELECT count(*) FROM commits INDEXED BY commits_open WHERE end_event IS NULL),
	coalesce((SELECT note FROM checkpoint), ''), coalesce((SELECT key FROM recorders ORDER BY event DESC LIMIT 1), ''),
	coalesce((SELECT version FROM recorders ORDER BY event DESC LIMIT 1), ''),
	(SELECT outcome FROM commits WHERE end_event IS NOT NULL ORDER BY end_time DESC, end_event DESC LIMIT 1),
	(SELECT end_time FROM commits WHERE end_event IS NOT NULL ORDER BY end_time DESC, end_event DESC LIMIT 1)`

// Summarize returns the summary of the record.
func (s *Store) Summarize(ctx context.Context) (*record.Summary, error) {
	var sum record.Summary
	var lastEnd *int64
	err := s.db.QueryRowContext(ctx, summary).Scan(&sum.Events, &sum.Changes, &sum.Commits, &sum.Open, &sum.Checkpoint,
		&sum.Key, &sum.RecordedBy, &sum.LastOutcome, &lastEnd)
	if err != nil || sum.Events == 0 {
		return &sum, classify(err)
	}
	if lastEnd != nil {
		sum.LastCommit = new(microseconds(*lastEnd))
	}
	if cp, err := proof.ParseCheckpoint(sum.Checkpoint, sum.Key); err == nil {
		sum.RootHash = cp.Root.String()
	}
	if s.known != nil {
		sum.Part, sum.RootHash = true, s.known.root
	}
	return &sum, s.summarizeEnds(ctx, &sum)
}

// summarizeEnds fills in what the first and the last event say.
func (s *Store) summarizeEnds(ctx context.Context, sum *record.Summary) error {
	pruned, err := s.lastPrune(ctx, sum.Events)
	if err != nil {
		return err
	}
	var bodies [2]string
	err = s.db.QueryRowContext(ctx, `SELECT (SELECT body FROM events WHERE seq >= ? ORDER BY seq LIMIT 1),
		(SELECT body FROM events ORDER BY seq DESC LIMIT 1)`, pruned.First()).Scan(&bodies[0], &bodies[1])
	if err != nil {
		return classify(err)
	}
	first, err := record.Decode([]byte(bodies[0]))
	if err != nil {
		return fmt.Errorf("first event: %w", err)
	}
	last, err := record.Decode([]byte(bodies[1]))
	if err != nil {
		return fmt.Errorf("event %d: %w", sum.Events, err)
	}
	sum.First, sum.Last, sum.Host = &first.Time, &last.Time, last.Host
	return nil
}

// KnownBoots returns the boots on record, each with the time up to which it is known.
func (s *Store) KnownBoots(ctx context.Context) (map[string]time.Time, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT boot_id, last FROM boots ORDER BY boot_id`)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	known := map[string]time.Time{}
	for rows.Next() {
		var id string
		var us int64
		if err := rows.Scan(&id, &us); err != nil {
			return nil, err
		}
		known[id] = time.UnixMicro(us).UTC()
	}
	return known, rows.Err()
}
