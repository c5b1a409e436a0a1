package pg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/klp-audit/klp-audit/fleet/segment"
)

// Growth is what an upload adds to a branch.
type Growth struct {
	From      int64  // the branch's size, as the caller saw it
	After     Branch // the branch with the new events: Size, Tree, Key, Keys, Checkpoint, MachineID, Hostname, FirstEvent and LastEvent
	Segments  []segment.Segment
	Findings  []Finding
	Received  time.Time
	MaxEvents int64 // that a log may bring in a day; 0: any number
	MaxBytes  int64
	OtherKeys []string // keys that handed over in these events, and that they handed over to
}

// Finding is what an auditor should know of some events of a branch.
type Finding struct {
	Kind  string    `json:"kind"`
	First int64     `json:"first"` // the events that it is about
	Last  int64     `json:"last"`
	Found time.Time `json:"found"`
}

// ErrMoved says that a branch does not end where the caller saw it end: look again.
var ErrMoved = errors.New("the log has grown meanwhile")

// ErrLimit says that a log brings more in a day than it may, or has too many branches.
var ErrLimit = errors.New("the log brings more than it may")

// Grow adds events to a branch of a log, all or nothing, and durably.
func (db *DB) Grow(ctx context.Context, id ID, branch int, g *Growth) error {
	if len(g.OtherKeys) > 0 {
		return db.growWithKeys(ctx, id, branch, g)
	}
	return grow(ctx, db.pool, id, branch, g)
}

// growWithKeys also notes which log the keys sign that handed over, or that took over.
func (db *DB) growWithKeys(ctx context.Context, id ID, branch int, g *Growth) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		for _, key := range g.OtherKeys {
			if IDOf(key) == id {
				continue
			}
			if _, err := tx.Exec(ctx, addSuccessor, IDOf(key), nameOf(key), id); err != nil {
				return err
			}
		}
		return grow(ctx, tx, id, branch, g)
	})
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func grow(ctx context.Context, q querier, id ID, branch int, g *Growth) error {
	a := &g.After
	keys, err := json.Marshal(a.Keys)
	if err != nil {
		return err
	}
	var first, last, sizes, from, to []int64
	var trees, lines, outlines [][]byte
	var kinds []string
	var form, bytes int64
	for _, s := range g.Segments {
		first, last, sizes = append(first, s.First), append(last, s.Last), append(sizes, s.Bytes)
		trees, lines, outlines = append(trees, joined(s.Tree)), append(lines, s.Lines), append(outlines, s.Outlines)
		form, bytes = s.Form, bytes+s.Bytes
	}
	for _, f := range g.Findings {
		kinds, from, to = append(kinds, f.Kind), append(from, f.First), append(to, f.Last)
	}
	var answer string
	err = q.QueryRow(ctx, `select grow($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)`,
		id, branch, g.From, a.Size, joined(a.Tree), a.Key, keys, a.Checkpoint, a.MachineID, a.Hostname, a.FirstEvent, a.LastEvent, g.Received,
		a.Size-g.From, bytes, g.MaxEvents, g.MaxBytes, first, last, trees, lines, sizes, outlines, form, kinds, from, to).Scan(&answer)
	switch {
	case err != nil:
		return err
	case answer == "moved":
		return ErrMoved
	case answer == "limit":
		return ErrLimit
	}
	return nil
}

// Begin makes an empty log, unless there is one.
func (db *DB) Begin(ctx context.Context, l *Log) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return begin(ctx, tx, l) })
}

func begin(ctx context.Context, tx pgx.Tx, l *Log) error {
	_, err := tx.Exec(ctx, `insert into log (log, tenant, name, key, state, state_since, reason) values ($1, $2, $3, $4, $5, $6, $7) on conflict (log) do nothing`,
		l.ID, l.Tenant, l.Name, l.Key, l.State, l.StateSince, l.Reason)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `insert into branch (log, branch, size, tree, key, keys, checkpoint, opened, received, heard)
		values ($1, 0, 0, '', $2, '[]', '', $3, $3, $3) on conflict (log, branch) do nothing`, l.ID, l.Key, l.StateSince)
	return err
}

// Fork opens a branch of a log and returns its number. The error is ErrMoved if another program has
// opened one at the same time.
func (db *DB) Fork(ctx context.Context, l *Log, b *Branch, g *Growth) (number int, err error) {
	for _, other := range l.Branches {
		number = max(number, other.Number+1)
	}
	if number >= MaxBranches {
		return 0, fmt.Errorf("%w: %d branches", ErrLimit, number)
	}
	keys, err := json.Marshal(b.Keys)
	if err != nil {
		return 0, err
	}
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `insert into branch (log, branch, base, common, since, cause, size, tree, key, keys, checkpoint, machine_id, hostname, opened, received, heard)
			values ($1, $2, $3, $4, $5, $6, $5, $7, $8, $9, '', $10, $11, $12, $12, $12) on conflict (log, branch) do nothing`,
			l.ID, number, b.Base, b.Common, b.Since, b.Cause, joined(b.Tree), b.Key, keys, b.MachineID, b.Hostname, g.Received)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrMoved
		}
		return grow(ctx, tx, l.ID, number, g)
	})
	return number, err
}

// Heard notes an upload that brought nothing new to a branch.
func (db *DB) Heard(ctx context.Context, id ID, branch int, size int64, at time.Time) error {
	_, err := db.pool.Exec(ctx, `update branch set heard = $4, heard_size = $3 where log = $1 and branch = $2`, id, branch, size, at)
	return err
}

// Refusal is an upload that a key of the log signed and that is wrong in itself.
type Refusal struct {
	Received   time.Time `json:"received"`
	Since      int64     `json:"since"`
	Size       int64     `json:"size"`
	Checkpoint string    `json:"checkpoint"`
	Problems   []string  `json:"problems"`
	Lines      []byte    `json:"-"` // zstd
}

// MaxBranches bounds the branches of a log: each is evidence that somebody looks at.
const MaxBranches = 100

// maxRefusals is how many refusals of a log are kept: evidence, and no way to fill a disk.
const maxRefusals = 10

// Refuse keeps a refused upload as evidence.
func (db *DB) Refuse(ctx context.Context, id ID, r *Refusal) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `insert into refusal (log, received, since, size, checkpoint, problems, lines) values ($1, $2, $3, $4, $5, $6, $7) on conflict (log, received) do nothing`,
			id, r.Received, r.Since, r.Size, r.Checkpoint, storable(r.Problems), r.Lines); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `delete from refusal where log = $1 and received <= (select received from refusal where log = $1 order by received desc offset $2 limit 1)`, id, maxRefusals)
		if err != nil {
			return fmt.Errorf("removing old refusals: %w", err)
		}
		return nil
	})
}

// Retry runs what can be run again until the server answers, a few times.
func Retry(ctx context.Context, f func() error) (err error) {
	for try := range 5 {
		if err = f(); err == nil || !again(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try+1) * 100 * time.Millisecond):
		}
	}
	return err
}
