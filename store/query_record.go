package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store/sqlite"
	"github.com/klp-audit/klp-audit/store/views"
)

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
		return &sum, sqlite.Classify(err)
	}
	if lastEnd != nil {
		sum.LastCommit = new(sqlite.Moment(*lastEnd))
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
		return sqlite.Classify(err)
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

// Event returns the event with a sequence number.
func (s *Store) Event(ctx context.Context, seq int64) (*record.Event, error) {
	var body []byte
	if err := s.db.QueryRowContext(ctx, `SELECT body FROM events WHERE seq = ?`, seq).Scan(&body); err != nil {
		return nil, fmt.Errorf("event %d: %w", seq, sqlite.Classify(err))
	}
	ev, err := record.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("event %d: %w", seq, err)
	}
	return ev, nil
}

// LastObserved returns the time of the newest observation, nil if there is none.
func (s *Store) LastObserved(ctx context.Context) (*record.Timestamp, error) {
	var at *int64
	err := s.db.QueryRowContext(ctx, `SELECT max(time) FROM observations`).Scan(&at)
	return microsOrNil(at), sqlite.Classify(err)
}

// Each end is one index lookup.
const extent = `SELECT
	(SELECT min(t) FROM (SELECT min(time) AS t FROM observations UNION ALL SELECT min(first) FROM boots UNION ALL SELECT min(time) FROM changes
		UNION ALL SELECT min(time) FROM recorders
		UNION ALL SELECT * FROM (SELECT ` + begun + ` FROM commits ORDER BY ` + begun + ` LIMIT 1))),
	(SELECT max(t) FROM (SELECT max(time) AS t FROM observations UNION ALL SELECT max(first) FROM boots UNION ALL SELECT max(time) FROM changes
		UNION ALL SELECT max(time) FROM recorders
		UNION ALL SELECT * FROM (SELECT ` + begun + ` FROM commits ORDER BY ` + begun + ` DESC LIMIT 1)))`

// Extent returns the time of the first thing on record, or the horizon if events were pruned, and
// the time of the last event.
func (s *Store) Extent(ctx context.Context) (from, to record.Timestamp, err error) {
	var first, last *int64
	if err := s.db.QueryRowContext(ctx, extent).Scan(&first, &last); err != nil || first == nil {
		return from, to, sqlite.Classify(err)
	}
	size, err := s.size(ctx)
	if err != nil {
		return from, to, sqlite.Classify(err)
	}
	pruned, err := s.lastPrune(ctx, size)
	if from, to = sqlite.Moment(*first), sqlite.Moment(*last); pruned != nil && from.Before(pruned.Horizon.Time) {
		from = pruned.Horizon
	}
	return from, to, err
}

// KnownBoots returns the boots on record, each with the time up to which it is known.
func (s *Store) KnownBoots(ctx context.Context) (map[string]time.Time, error) {
	type boot struct {
		id   string
		last time.Time
	}
	boots, err := sqlite.ReadRows(ctx, s.db, `SELECT boot_id, last FROM boots ORDER BY boot_id`, nil, func(c *sqlite.Cells) boot { return boot{c.Text(), c.Moment().Time} })
	known := map[string]time.Time{}
	for _, b := range boots {
		known[b.id] = b.last
	}
	return known, err
}

// Exceptions returns the exceptions on record at a moment, oldest first, including those that had
// ended.
func (s *Store) Exceptions(ctx context.Context, at time.Time) ([]record.Exception, error) {
	const query = `SELECT ` + views.GrantColumns + `,
		end_event, end_time, end_login, end_sudo_user, end_automation FROM exceptions WHERE time <= ? ORDER BY time, event`
	return sqlite.ReadRows(ctx, s.db, query, []any{at.UnixMicro()}, func(c *sqlite.Cells) record.Exception {
		x := record.Exception{ID: c.Text(), Event: c.Number(), Time: c.Moment(), Check: c.Text(), CVE: c.Text(), Advisory: c.Text(), Reason: c.Text(), Until: c.Moment()}
		x.By = record.RowActor{Login: c.TextOrNil(), SudoUser: c.TextOrNil(), Automation: c.TextOrNil()}
		event, ended := c.NumberOrNil(), c.MomentOrNil()
		by := record.RowActor{Login: c.TextOrNil(), SudoUser: c.TextOrNil(), Automation: c.TextOrNil()}
		if ended != nil && !ended.After(at) {
			x.Ended, x.EndedIn, x.EndedBy = ended, *event, &by
		}
		return x
	})
}

// Recorders returns the recorder events of a log, in its order: there are few.
func (s *Store) Recorders(ctx context.Context) ([]record.RecorderRow, error) {
	return sqlite.ReadRows(ctx, s.db, `SELECT event, time, cause FROM recorders ORDER BY event`, nil, func(c *sqlite.Cells) record.RecorderRow {
		return record.RecorderRow{Event: c.Number(), Time: c.Moment(), Cause: record.Cause(c.Text())}
	})
}

// Releases returns the release events, in the order of the log.
func (s *Store) Releases(ctx context.Context) (rows []record.ReleaseRow, err error) {
	numbers, err := sqlite.ReadRows(ctx, s.db, `SELECT event FROM releases ORDER BY event`, nil, (*sqlite.Cells).Number)
	for _, seq := range numbers {
		ev, err := s.Event(ctx, seq)
		if err != nil {
			return nil, err
		}
		rows = append(rows, record.ReleaseRow{Event: seq, Time: record.At(time.UnixMicro(ev.Time.UnixMicro())), Release: ev.Release})
	}
	return rows, err
}

// NewestPart returns a part from the newest observation between since and at that has it; nil if
// none has. It searches bodies one by one, so keep the stretch of time short.
func (s *Store) NewestPart(ctx context.Context, name record.PartName, since, at time.Time) (*record.RawPart, error) {
	return s.part(ctx, name, `o.time BETWEEN ?2 AND ?3 AND e.body -> ?1 IS NOT NULL ORDER BY o.time DESC, o.event DESC`, since.UnixMicro(), at.UnixMicro())
}

// LastPart returns a part from the last observation in the log that has it, whatever the clock
// showed; nil if none has.
func (s *Store) LastPart(ctx context.Context, name record.PartName) (*record.RawPart, error) {
	return s.part(ctx, name, `e.body -> ?1 IS NOT NULL ORDER BY o.event DESC`)
}

// part returns a part from the first observation that a condition finds; ?1 is the path of the part
// in the body.
func (s *Store) part(ctx context.Context, name record.PartName, where string, args ...any) (*record.RawPart, error) {
	var p record.RawPart
	var us int64
	var text string
	err := s.db.QueryRowContext(ctx, `SELECT o.event, o.time, e.body -> ?1 FROM observations o JOIN events e ON e.seq = o.event WHERE `+where+` LIMIT 1`,
		append([]any{`$.observation.parts."` + string(name) + `"`}, args...)...).Scan(&p.Event, &us, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	p.Time, p.JSON = sqlite.Moment(us), json.RawMessage(text)
	return &p, sqlite.Classify(err)
}

// Evidence is an event as the log holds it, its proof, and the events that belong with it.
type Evidence struct {
	Seq        int64
	Body       []byte           // its exact bytes; nil: it was pruned
	Inclusion  *proof.Inclusion // in the tree that the checkpoint signs; nil: the checkpoint does not sign this event in this form
	Checkpoint string           // the signed text
	Related    []Related        // in the order of the log
}

// Related is an event that belongs with another one.
type Related struct {
	Seq  int64            `json:"event"`
	Kind record.EventKind `json:"kind"`
}

// ErrNoEvent says that a log has no event with a number.
var ErrNoEvent = errors.New("no such event")

// Evidence returns the event with a sequence number as the log holds it.
func (s *Store) Evidence(ctx context.Context, seq int64) (*Evidence, error) {
	size, err := s.Size(ctx)
	if err != nil {
		return nil, err
	}
	if seq < 1 || seq > size {
		return nil, fmt.Errorf("%w: the record has %d", ErrNoEvent, size)
	}
	e := &Evidence{Seq: seq}
	var covered int64
	err = s.db.QueryRowContext(ctx, `SELECT coalesce((SELECT size FROM checkpoint), 0), coalesce((SELECT note FROM checkpoint), ''),
		(SELECT CAST(body AS BLOB) FROM events WHERE seq = ?)`, seq).Scan(&covered, &e.Checkpoint, &e.Body)
	if err != nil {
		return nil, sqlite.Classify(err)
	}
	if seq <= covered && covered <= size {
		if e.Inclusion, err = s.inclusion(ctx, e, covered); err != nil {
			return nil, sqlite.Classify(err)
		}
	}
	e.Related, err = s.related(ctx, seq)
	return e, err
}

// inclusion proves that an event is among those that the checkpoint signs; nil: it is not, or the
// events are not those.
func (s *Store) inclusion(ctx context.Context, e *Evidence, covered int64) (*proof.Inclusion, error) {
	var hashes tlog.HashReader = hashReader(ctx, s.db)
	if s.leaves != nil {
		hashes = s.leaves
	}
	in, err := proof.Prove(e.Seq, covered, hashes)
	if err != nil {
		return nil, err
	}
	key, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	cp, bad := proof.ParseCheckpoint(e.Checkpoint, key)
	if bad != nil || cp.Size != in.Size || cp.Root != in.Root || e.Body != nil && tlog.RecordHash(e.Body) != in.Leaf {
		return nil, nil
	}
	return in, nil
}

// related returns the other events of the same commit or exception, and the event that says that
// the body was removed.
func (s *Store) related(ctx context.Context, seq int64) ([]Related, error) {
	const query = `WITH mine AS (SELECT id, begin_event, end_event FROM commits WHERE begin_event = ?1 OR end_event = ?1
			OR id IN (SELECT commit_id FROM changes WHERE event = ?1)),
		others AS (
			SELECT begin_event AS event FROM mine UNION SELECT end_event FROM mine
			UNION SELECT c.event FROM changes c JOIN mine ON c.commit_id = mine.id
			UNION SELECT event FROM exceptions WHERE end_event = ?1 UNION SELECT end_event FROM exceptions WHERE event = ?1
			UNION SELECT min(seq) FROM events WHERE json_extract(body, '$.kind') = 'prune' AND json_extract(body, '$.prune.through') >= ?1
				AND NOT EXISTS (SELECT 1 FROM events WHERE seq = ?1))
		SELECT e.seq, json_extract(e.body, '$.kind') FROM events e JOIN others ON others.event = e.seq WHERE e.seq <> ?1 ORDER BY e.seq`
	return sqlite.ReadRows(ctx, s.db, query, []any{seq}, func(c *sqlite.Cells) Related {
		return Related{c.Number(), record.EventKind(c.Text())}
	})
}
