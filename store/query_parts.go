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
func NewestPart[T record.PartType](ctx context.Context, s *Store, since, at time.Time) (*record.Part[T], error) {
	return part[T](ctx, s, `o.time BETWEEN ?2 AND ?3 AND e.body -> ?1 IS NOT NULL ORDER BY o.time DESC, o.event DESC`, since.UnixMicro(), at.UnixMicro())
}

// LastPart returns a part of the last observation in the log that has it, whatever the clock
// showed then; nil if none has.
func LastPart[T record.PartType](ctx context.Context, s *Store) (*record.Part[T], error) {
	return part[T](ctx, s, `e.body -> ?1 IS NOT NULL ORDER BY o.event DESC`)
}

// part returns a part of the first observation that a condition finds; ?1 is where the part is
// in its body.
func part[T record.PartType](ctx context.Context, s *Store, where string, args ...any) (*record.Part[T], error) {
	var p record.Part[T]
	var us int64
	var text string
	err := s.db.QueryRowContext(ctx, `SELECT o.event, o.time, e.body -> ?1 FROM observations o JOIN events e ON e.seq = o.event WHERE `+where+` LIMIT 1`,
		append([]any{`$.observation.parts."` + string(record.PartNameOf[T]()) + `"`}, args...)...).Scan(&p.Event, &us, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	p.Time, p.JSON = microseconds(us), json.RawMessage(text)
	return &p, classify(err)
}
