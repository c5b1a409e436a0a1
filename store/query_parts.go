package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// NewestPart returns a part of the newest observation that has it, of those from since to
// at; nil if none has. Bodies are searched one by one: keep the stretch of time short.
func (s *Store) NewestPart(ctx context.Context, name record.PartName, since, at time.Time) (*record.RawPart, error) {
	return s.part(ctx, name, `o.time BETWEEN ?2 AND ?3 AND e.body -> ?1 IS NOT NULL ORDER BY o.time DESC, o.event DESC`, since.UnixMicro(), at.UnixMicro())
}

// LastPart returns a part of the last observation in the log that has it, whatever the clock
// showed then; nil if none has.
func (s *Store) LastPart(ctx context.Context, name record.PartName) (*record.RawPart, error) {
	return s.part(ctx, name, `e.body -> ?1 IS NOT NULL ORDER BY o.event DESC`)
}

// part returns a part of the first observation that a condition finds; ?1 is where the part is
// in its body.
func (s *Store) part(ctx context.Context, name record.PartName, where string, args ...any) (*record.RawPart, error) {
	var p record.RawPart
	var us int64
	var text string
	err := s.db.QueryRowContext(ctx, `SELECT o.event, o.time, e.body -> ?1 FROM observations o JOIN events e ON e.seq = o.event WHERE `+where+` LIMIT 1`,
		append([]any{`$.observation.parts."` + string(name) + `"`}, args...)...).Scan(&p.Event, &us, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	p.Time, p.JSON = microseconds(us), json.RawMessage(text)
	return &p, classify(err)
}
