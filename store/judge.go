package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// NewestPart returns a part of the newest observation that has it, of those from since to
// at; nil if none has. Bodies are searched one by one: keep the stretch of time short.
func (s *Store) NewestPart(ctx context.Context, name string, since, at time.Time) (*record.Part, error) {
	return s.part(ctx, name, `o.time BETWEEN ?2 AND ?3 AND e.body -> ?1 IS NOT NULL ORDER BY o.time DESC, o.event DESC`, since.UnixMicro(), at.UnixMicro())
}

// LastPart returns a part of the last observation in the log that has it, whatever the clock
// showed then; nil if none has.
func (s *Store) LastPart(ctx context.Context, name string) (*record.Part, error) {
	return s.part(ctx, name, `e.body -> ?1 IS NOT NULL ORDER BY o.event DESC`)
}

// part returns a part of the first observation that a condition finds; ?1 is where the part is
// in its body.
func (s *Store) part(ctx context.Context, name, where string, args ...any) (*record.Part, error) {
	var p record.Part
	var us int64
	var text string
	err := s.db.QueryRowContext(ctx, `SELECT o.event, o.time, e.body -> ?1 FROM observations o JOIN events e ON e.seq = o.event WHERE `+where+` LIMIT 1`,
		append([]any{`$.observation.parts."` + name + `"`}, args...)...).Scan(&p.Event, &us, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	p.Time, p.JSON = microseconds(us), json.RawMessage(text)
	return &p, classify(err)
}

// Forced says whether the journal of a boot, as far as it is on record, shows that tasks were
// forced over to a live patch; nil if it does not show the patch's load.
func (s *Store) Forced(ctx context.Context, boot, module string) (*bool, error) {
	var forced bool
	err := s.db.QueryRowContext(ctx, `SELECT forced FROM patch_loads WHERE boot_id = ? AND patch = ? ORDER BY pos DESC LIMIT 1`, boot, module).Scan(&forced)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &forced, classify(err)
}

// Attribution counts the commits from one moment to another by whether it is known who made them.
func (s *Store) Attribution(ctx context.Context, since, at time.Time) (a record.Attribution, err error) {
	const in = ` FROM commits WHERE ` + begun + ` BETWEEN ? AND ?`
	const nobody = `coalesce(nullif(login, 'unset'), '') = '' AND coalesce(nullif(sudo_user, 'unset'), '') = '' AND coalesce(automation, '') = ''`
	from, to := since.UnixMicro(), at.UnixMicro()
	err = s.db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(`+nobody+`), 0)`+in, from, to).Scan(&a.Commits, &a.Unknown)
	if err != nil || a.Unknown == 0 {
		return a, classify(err)
	}
	a.Events, err = readRows(ctx, s.db, `SELECT coalesce(begin_event, end_event)`+in+` AND `+nobody+` ORDER BY `+begun+`, id LIMIT 5`,
		[]any{from, to}, (*cells).number)
	return a, err
}

// LastGood is when a package was changed last as wanted, up to a moment; zero if it was not.
// A downgrade does not count: it makes nothing good.
func (s *Store) LastGood(ctx context.Context, name string, at time.Time) (time.Time, error) {
	var us *int64
	err := s.db.QueryRowContext(ctx, `SELECT max(time) FROM changes WHERE package = ? AND result = 'ok' AND action <> 'downgrade' AND time <= ?`,
		name, at.UnixMicro()).Scan(&us)
	if err != nil || us == nil {
		return time.Time{}, classify(err)
	}
	return microseconds(*us).Time, nil
}

const commitsOpenAt = `SELECT begin_event, begin_time FROM (
	SELECT begin_event, begin_time FROM commits WHERE end_event IS NULL AND begin_event IS NOT NULL AND begin_time <= ?1
	UNION SELECT begin_event, begin_time FROM commits WHERE end_time > ?1 AND begin_time <= ?1) ORDER BY begin_event`

// CommitsOpenAt returns the commits that had no end at a moment, oldest first.
func (s *Store) CommitsOpenAt(ctx context.Context, at time.Time) ([]record.OpenAt, error) {
	return readRows(ctx, s.db, commitsOpenAt, []any{at.UnixMicro()}, func(c *cells) record.OpenAt {
		return record.OpenAt{Event: c.number(), Time: c.moment()}
	})
}

// CommitBefore returns the begin and the end of the newest commit that ended before a
// moment, nil if there is none. begin is nil if it is not on record. What was imported does not
// count: nobody looked at what was installed then.
func (s *Store) CommitBefore(ctx context.Context, at time.Time) (begin, end *record.Event, seq int64, err error) {
	var first, last []byte
	err = s.db.QueryRowContext(ctx, `SELECT c.end_event, b.body, e.body FROM commits c LEFT JOIN events b ON b.seq = c.begin_event
		JOIN events e ON e.seq = c.end_event WHERE c.end_time < ? AND (c.begin_event IS NOT NULL OR json_extract(e.body, '$.kind') <> 'import')
		ORDER BY c.end_time DESC, c.end_event DESC LIMIT 1`, at.UnixMicro()).Scan(&seq, &first, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, 0, nil
	} else if err != nil {
		return nil, nil, 0, classify(err)
	}
	if first != nil {
		if begin, err = record.Decode(first); err != nil {
			return nil, nil, 0, fmt.Errorf("begin of the commit of event %d: %w", seq, err)
		}
	}
	if end, err = record.Decode(last); err != nil {
		return nil, nil, 0, fmt.Errorf("event %d: %w", seq, err)
	}
	return begin, end, seq, nil
}
