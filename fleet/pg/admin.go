package pg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// SetState approves or retires a log.
func (db *DB) SetState(ctx context.Context, l *Log, state State, reason string, at time.Time) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return setState(ctx, tx, l, state, reason, at) })
}

func setState(ctx context.Context, tx pgx.Tx, l *Log, state State, reason string, at time.Time) error {
	if _, err := tx.Exec(ctx, `update log set state = $2, reason = $3, state_since = $4 where log = $1`, l.ID, state, reason, at); err != nil {
		return err
	}
	if state != Approved || len(l.Branches) == 0 {
		return nil
	}
	return succeed(ctx, tx, l, l.Current()) // the admin vouches for its key
}

// Enrolled is how many logs an enrolment approved; of the others, how many it gave to another tenant, and how many
// are retired.
type Enrolled struct{ Approved, Moved, Retired int }

// Enroll approves the logs of keys before they send, and those that wait for approval: all or none. Those that are
// approved already go to the tenant, too, if move says so.
func (db *DB) Enroll(ctx context.Context, logs []*Log, move bool) (n Enrolled, err error) {
	var fresh, moved []*Log
	for _, l := range logs {
		known, err := db.ByKey(ctx, l.Key)
		switch {
		case errors.Is(err, ErrNoLog):
			fresh = append(fresh, l)
		case err != nil:
			return n, err
		case known.State == Pending:
			known.Tenant, known.Reason, known.StateSince = l.Tenant, l.Reason, l.StateSince
			fresh = append(fresh, known)
		case known.State == Retired:
			n.Retired++
		case move && known.Tenant != l.Tenant:
			known.Tenant = l.Tenant
			moved = append(moved, known)
		}
	}
	n.Approved, n.Moved = len(fresh), len(moved)
	return n, pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		for _, l := range fresh {
			if err := begin(ctx, tx, l); err != nil {
				return err
			}
			if err := setState(ctx, tx, l, Approved, l.Reason, l.StateSince); err != nil { // its first upload may have come meanwhile
				return err
			}
		}
		for _, l := range slices.Concat(fresh, moved) {
			if _, err := tx.Exec(ctx, `update log set tenant = $2 where log = $1`, l.ID, l.Tenant); err != nil {
				return err
			}
		}
		return nil
	})
}

// Accept makes a branch the one that counts. The other stays evidence.
func (db *DB) Accept(ctx context.Context, l *Log, branch int, reason string, at time.Time) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update log set branch = $2 where log = $1 and branch = $3`, l.ID, branch, l.Branch)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrMoved
		}
		if _, err := tx.Exec(ctx, `update branch set accepted = $3, reason = $4, derived = 0 where log = $1 and branch = $2`, l.ID, branch, at, reason); err != nil {
			return err
		}
		return succeed(ctx, tx, l, l.At(branch))
	})
}

const addSuccessor = `insert into successor (log, name, first) values ($1, $2, $3) on conflict (log) do nothing`

// succeed notes that the key of a branch's checkpoint signs the log. Other keys that its events name may
// be anybody's, unless they were handed over to, which Grow has noted.
func succeed(ctx context.Context, tx pgx.Tx, l *Log, b *Branch) error {
	if b.Key == l.Key {
		return nil
	}
	_, err := tx.Exec(ctx, addSuccessor, IDOf(b.Key), nameOf(b.Key), l.ID)
	return err
}

// Findings returns what an auditor should know of a branch, in the order of its events.
func (db *DB) Findings(ctx context.Context, id ID, branch int) ([]Finding, error) {
	rows, err := db.pool.Query(ctx, `select kind, first, last, found from finding where log = $1 and branch = $2 order by first, kind`, id, branch)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Finding])
}

// Refusals returns the refused uploads of a log that are kept, the oldest first, without their
// lines.
func (db *DB) Refusals(ctx context.Context, id ID) ([]Refusal, error) {
	rows, err := db.pool.Query(ctx, `select received, since, size, checkpoint, problems, ''::bytea from refusal where log = $1 order by received`, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Refusal])
}

// Others returns the other logs, not retired, that a machine id is in: a clone, or the machine was
// installed again.
func (db *DB) Others(ctx context.Context, l *Log) ([]*Log, error) {
	machine := l.Current().MachineID
	if machine == "" {
		return nil, nil
	}
	list, err := db.logs(ctx, `l.state <> 'retired' and b.branch = l.branch and b.machine_id = $1`, machine)
	others := list[:0]
	for _, other := range list {
		if other.ID != l.ID {
			others = append(others, other)
		}
	}
	return others, err
}

// Verification is what the newest verification of a log found.
type Verification struct {
	Run      time.Time `json:"run"` // when the run began that it was part of
	Verified time.Time `json:"verified"`
	Branch   int       `json:"branch"`
	Size     int64     `json:"size"`
	Withheld int64     `json:"withheld"` // bodies that the collector no longer gives, in a statement that it signed
	Result   string    `json:"result"`
	Problems []string  `json:"problems"`
}

// storable are texts without zero bytes, which PostgreSQL does not store. Hosts have a say in what problems
// are called.
func storable(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = strings.ReplaceAll(text, "\x00", "\uFFFD")
	}
	return out
}

// SaveVerification keeps what a verification of a log found.
func (db *DB) SaveVerification(ctx context.Context, id ID, v *Verification) error {
	_, err := db.pool.Exec(ctx, `insert into verification (log, run, verified, branch, size, withheld, result, problems) values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (log) do update set run = excluded.run, verified = excluded.verified, branch = excluded.branch, size = excluded.size,
		withheld = excluded.withheld, result = excluded.result, problems = excluded.problems`,
		id, v.Run, v.Verified, v.Branch, v.Size, v.Withheld, v.Result, storable(v.Problems))
	return err
}

// Verified returns what the newest verification of a log found, nil if there was none.
func (db *DB) Verified(ctx context.Context, id ID) (*Verification, error) {
	rows, err := db.pool.Query(ctx, `select run, verified, branch, size, withheld, result, problems from verification where log = $1`, id)
	if err != nil {
		return nil, err
	}
	v, err := pgx.CollectOneRow(rows, pgx.RowToAddrOfStructByPos[Verification])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return v, err
}

// Verifications returns what the newest verifications of all logs found.
func (db *DB) Verifications(ctx context.Context) (map[ID]*Verification, error) {
	rows, err := db.pool.Query(ctx, `select log, run, verified, branch, size, withheld, result, problems from verification order by log`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[ID]*Verification{}
	for rows.Next() {
		var id ID
		var v Verification
		if err := rows.Scan(&id, &v.Run, &v.Verified, &v.Branch, &v.Size, &v.Withheld, &v.Result, &v.Problems); err != nil {
			return nil, err
		}
		all[id] = &v
	}
	return all, rows.Err()
}

// LastRun returns when the newest run of verifications began, zero if there was none.
func (db *DB) LastRun(ctx context.Context) (run time.Time, err error) {
	var t *time.Time
	if err := db.pool.QueryRow(ctx, `select max(run) from verification`).Scan(&t); err != nil || t == nil {
		return time.Time{}, err
	}
	return *t, nil
}

// Statement says which bodies of a branch the collector no longer gives.
type Statement struct {
	Bodies int64     `json:"bodies"`
	Text   string    `json:"statement"` // signed
	Stated time.Time `json:"stated"`
}

// Withheld returns the statement about a branch, nil if nothing is withheld.
func (db *DB) Withheld(ctx context.Context, id ID, branch int) (*Statement, error) {
	rows, err := db.pool.Query(ctx, `select bodies, statement, stated from withheld where log = $1 and branch = $2`, id, branch)
	if err != nil {
		return nil, err
	}
	s, err := pgx.CollectOneRow(rows, pgx.RowToAddrOfStructByPos[Statement])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return s, err
}

// replace replaces segments of a branch by others that hold the same events. The error is ErrMoved if
// somebody else has replaced them.
func replace(ctx context.Context, tx pgx.Tx, id ID, branch int, old, new []Stored) error {
	for _, o := range old {
		tag, err := tx.Exec(ctx, `delete from segment where log = $1 and branch = $2 and first = $3 and last = $4 and lines = $5`, id, branch, o.First, o.Last, o.Lines)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrMoved
		}
	}
	for _, n := range new {
		if _, err := tx.Exec(ctx, `insert into segment (log, branch, first, last, tree, lines, bytes, outlines, form, received) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			id, branch, n.First, n.Last, joined(n.Tree), n.Lines, n.Bytes, n.Outlines, n.Form, n.Received); err != nil {
			return err
		}
	}
	return nil
}

// Filling is what a branch gets of bodies that come late.
type Filling struct {
	Old, New []Stored  // the segments, and those that take their place
	Was      []Finding // the findings of the bodies, as the caller saw them
	Left     []Finding // those that take their place
	Received time.Time
	MaxBytes int64 // that a log may bring in a day; 0: any number
}

// Fill replaces segments of a branch by others that hold more bodies, and the findings about these; all
// or nothing. The error is ErrMoved if somebody else has replaced them.
func (db *DB) Fill(ctx context.Context, id ID, branch int, f *Filling) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := replace(ctx, tx, id, branch, f.Old, f.New); err != nil {
			return err
		}
		for _, was := range f.Was {
			tag, err := tx.Exec(ctx, `delete from finding where log = $1 and branch = $2 and kind = $3 and first = $4 and last = $5`, id, branch, was.Kind, was.First, was.Last)
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 0 {
				return ErrMoved
			}
		}
		for _, l := range f.Left {
			if _, err := tx.Exec(ctx, `insert into finding (log, branch, kind, first, last, found) values ($1, $2, $3, $4, $5, $6)`, id, branch, l.Kind, l.First, l.Last, l.Found); err != nil {
				return err
			}
		}
		return f.count(ctx, tx, id, branch)
	})
}

// count counts the bytes of the bodies to what the log brings in the day.
func (f *Filling) count(ctx context.Context, tx pgx.Tx, id ID, branch int) error {
	bytes := int64(0)
	for _, s := range f.New {
		bytes += s.Bytes
	}
	for _, s := range f.Old {
		bytes -= s.Bytes
	}
	tag, err := tx.Exec(ctx, `update branch set day = $3::date, day_events = case when day = $3::date then day_events else 0 end,
		day_bytes = $4::bigint + case when day = $3::date then day_bytes else 0 end
		where log = $1 and branch = $2 and ($5::bigint = 0 or $4::bigint + case when day = $3::date then day_bytes else 0 end <= $5::bigint)`,
		id, branch, f.Received.UTC().Truncate(24*time.Hour), bytes, f.MaxBytes)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrLimit
	}
	return err
}

// Replace replaces segments of a branch by others that hold the same events, all or nothing, with a
// statement if bodies were removed; was is the statement before it, empty if there was none. The error is
// ErrMoved if somebody else has replaced them, or it.
func (db *DB) Replace(ctx context.Context, id ID, branch int, old, new []Stored, was string, s *Statement) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := replace(ctx, tx, id, branch, old, new); err != nil || s == nil {
			return err
		}
		if _, err := tx.Exec(ctx, `delete from withheld where log = $1 and branch = $2 and statement = $3`, id, branch, was); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `insert into withheld (log, branch, bodies, statement, stated) values ($1, $2, $3, $4, $5) on conflict (log, branch) do nothing`,
			id, branch, s.Bodies, s.Text, s.Stated)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrMoved
		}
		return err
	})
}

// Receipt is a checkpoint that was accepted.
type Receipt struct {
	Size       int64
	Checkpoint string
}

// Receipts returns the checkpoints of a branch that are kept.
func (db *DB) Receipts(ctx context.Context, id ID, branch int) ([]Receipt, error) {
	rows, err := db.pool.Query(ctx, `select size, checkpoint from receipt where log = $1 and branch = $2 order by size`, id, branch)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Receipt])
}

// ThinReceipts removes the receipts of a branch before a time, except the newest of each month.
func (db *DB) ThinReceipts(ctx context.Context, id ID, branch int, before time.Time) error {
	_, err := db.pool.Exec(ctx, `delete from receipt where log = $1 and branch = $2 and received < $3 and size not in (
		select max(size) from receipt where log = $1 and branch = $2 group by date_trunc('month', received at time zone 'UTC'))`, id, branch, before)
	if err != nil {
		return fmt.Errorf("thinning receipts: %w", err)
	}
	return nil
}
