package pg

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// ID identifies a log. Every key of the database begins with it.
type ID [16]byte

// IDOf returns the id of the log whose first verifier key is key.
func IDOf(key string) ID {
	digest := sha256.Sum256([]byte(key))
	return ID(digest[:16])
}

// String is the id in hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// State says whether a log is part of the population.
type State string

// The states of a log.
const (
	Pending  State = "pending" // sent events, and nobody has approved it
	Approved State = "approved"
	Retired  State = "retired" // sends no more
)

// Log is a host's log, as far as it does not depend on its events.
type Log struct {
	ID         ID
	Tenant     int
	Name       string // of its first key
	Key        string // the first verifier key
	State      State
	StateSince time.Time
	Reason     string // given for the state
	Branch     int    // the branch that counts
	Branches   []Branch
}

// NewLog returns the log of a key, without a branch.
func NewLog(key string, state State, reason string, at time.Time) *Log {
	return &Log{ID: IDOf(key), Name: nameOf(key), Key: key, State: state, StateSince: at, Reason: reason}
}

// nameOf is the name of a verifier key.
func nameOf(key string) string {
	name, _, _ := strings.Cut(key, "+")
	return name
}

// Current returns the branch that counts.
func (l *Log) Current() *Branch { return l.At(l.Branch) }

// At returns a branch, nil if the log has no such branch.
func (l *Log) At(number int) *Branch {
	for i := range l.Branches {
		if l.Branches[i].Number == number {
			return &l.Branches[i]
		}
	}
	return nil
}

// Left returns the branch that one leaves, nil if there is none. It is an earlier one; if the database
// says another, there is none.
func (l *Log) Left(b *Branch) *Branch {
	if b.Base == nil || *b.Base >= b.Number {
		return nil
	}
	return l.At(*b.Base)
}

// Cause says why a branch exists.
type Cause string

// The causes of branches.
const (
	First   Cause = ""
	Forked  Cause = "fork" // another history after the last common event
	LostKey Cause = "key"  // another key took over, and the one before it did not sign that
)

// KeyFrom is a key that signs from an event on.
type KeyFrom struct {
	Key   string `json:"key"`
	Event int64  `json:"event"`
}

// Branch is a history of a log.
type Branch struct {
	Number     int
	Base       *int   // the branch that it leaves
	Common     *int64 // the last event that both are known to share
	Since      int64  // the events after this one are kept with the branch
	Cause      Cause
	Size       int64
	Tree       []tlog.Hash // hashes of the complete subtrees, largest first
	Key        string      // of the checkpoint
	Keys       []KeyFrom
	Checkpoint string
	MachineID  string
	Hostname   string
	FirstEvent *time.Time
	LastEvent  *time.Time
	Opened     time.Time
	Received   time.Time // the newest upload that brought events
	Heard      time.Time // the newest upload
	HeardSize  int64     // its size
	Accepted   *time.Time
	Reason     string
}

// KeyAt returns the key that signed a log of a size.
func (b *Branch) KeyAt(size int64) string {
	key := ""
	for _, k := range b.Keys {
		if k.Event <= max(size, 1) {
			key = k.Key
		}
	}
	return key
}

const logColumns = `l.log, l.tenant, l.name, l.key, l.state, l.state_since, l.reason, l.branch,
	b.branch, b.base, b.common, b.since, b.cause, b.size, b.tree, b.key, b.keys, b.checkpoint, b.machine_id, b.hostname,
	b.first_event, b.last_event, b.opened, b.received, b.heard, b.heard_size, b.accepted, b.reason`

// ErrNoLog says that the collector knows no such log.
var ErrNoLog = errors.New("not known")

// ByKey returns the log that a verifier key signs. The error is ErrNoLog if there is none.
func (db *DB) ByKey(ctx context.Context, key string) (*Log, error) {
	l, err := db.ByID(ctx, IDOf(key))
	if !errors.Is(err, ErrNoLog) {
		return l, err
	}
	var first ID
	err = db.pool.QueryRow(ctx, `select first from successor where log = $1`, IDOf(key)).Scan(&first)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("log of key %q: %w", key, ErrNoLog)
	}
	if err != nil {
		return nil, err
	}
	return db.ByID(ctx, first)
}

// ByID returns a log with its branches. The error is ErrNoLog if there is none.
func (db *DB) ByID(ctx context.Context, id ID) (*Log, error) {
	logs, err := db.logs(ctx, `l.log = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(logs) == 0 {
		return nil, fmt.Errorf("log %s: %w", id, ErrNoLog)
	}
	return logs[0], nil
}

// Named returns the logs that a key of a name signs, or signed.
func (db *DB) Named(ctx context.Context, name string) ([]*Log, error) {
	return db.logs(ctx, `l.name = $1 or l.log in (select first from successor where name = $1)`, name)
}

// Matching returns the logs that a person means by a text: a host's name or machine id, a key or
// its name, or the beginning of a log's id with eight digits at least.
func (db *DB) Matching(ctx context.Context, text string) ([]*Log, error) {
	if key := IDOf(text); strings.Contains(text, "+") {
		if l, err := db.ByKey(ctx, text); err == nil {
			return []*Log{l}, nil
		}
		return db.logs(ctx, `l.log = $1`, key)
	}
	return db.logs(ctx, `l.name = $1 or l.name = 'klp-audit/' || $1 or length($1) >= 8 and starts_with(replace(l.log::text, '-', ''), lower($1))
		or l.log in (select log from branch where hostname = $1 or machine_id = $1)`, text)
}

// All returns all logs in a state, or all; in the order of their ids.
func (db *DB) All(ctx context.Context, state State) ([]*Log, error) {
	return db.logs(ctx, `$1 = '' or l.state = $1`, string(state))
}

func (db *DB) logs(ctx context.Context, where string, arg any) (list []*Log, err error) {
	rows, err := db.pool.Query(ctx, `select `+logColumns+` from log l join branch b on b.log = l.log where `+where+` order by l.log, b.branch`, arg)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var l Log
		var b Branch
		var tree, keys []byte
		if err := rows.Scan(&l.ID, &l.Tenant, &l.Name, &l.Key, &l.State, &l.StateSince, &l.Reason, &l.Branch,
			&b.Number, &b.Base, &b.Common, &b.Since, &b.Cause, &b.Size, &tree, &b.Key, &keys, &b.Checkpoint, &b.MachineID, &b.Hostname,
			&b.FirstEvent, &b.LastEvent, &b.Opened, &b.Received, &b.Heard, &b.HeardSize, &b.Accepted, &b.Reason); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(keys, &b.Keys); err != nil {
			return nil, fmt.Errorf("reading the keys of log %s: %w", l.ID, err)
		}
		if b.Tree, err = hashes(tree); err != nil {
			return nil, fmt.Errorf("reading the tree of log %s: %w", l.ID, err)
		}
		if last := len(list) - 1; last >= 0 && list[last].ID == l.ID {
			list[last].Branches = append(list[last].Branches, b)
		} else {
			l.Branches = []Branch{b}
			list = append(list, &l)
		}
	}
	return list, rows.Err()
}

// hashes reads hashes that joined wrote.
func hashes(b []byte) (list []tlog.Hash, err error) {
	if len(b)%tlog.HashSize != 0 {
		return nil, fmt.Errorf("%d bytes are not hashes", len(b))
	}
	for ; len(b) > 0; b = b[tlog.HashSize:] {
		list = append(list, tlog.Hash(b[:tlog.HashSize]))
	}
	return list, nil
}

func joined(list []tlog.Hash) []byte {
	b := []byte{}
	for _, h := range list {
		b = append(b, h[:]...)
	}
	return b
}

// Count returns how many logs are in a state.
func (db *DB) Count(ctx context.Context, state State) (n int64, err error) {
	err = db.pool.QueryRow(ctx, `select count(*) from log where state = $1`, state).Scan(&n)
	return n, err
}
