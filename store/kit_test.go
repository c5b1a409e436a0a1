package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

const program = "1.0.0"

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at is the time of event n.
func at(n int) record.Timestamp {
	return record.At(epoch.Add(time.Duration(n) * time.Minute))
}

func header(kind record.EventKind, n int) record.Header {
	return record.Header{
		V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", n),
		Time: at(n), UTCOffset: "+01:00", BoottimeUS: int64(n) * 60e6,
		Host:     record.Host{MachineID: "m1", Hostname: "sles"},
		BootID:   "0123456789abcdef0123456789abcdef",
		Recorder: record.Program{Program: "klp-audit", Version: program},
	}
}

// begin is event n: root starts a commit that announces changes.
func begin(n int, changes ...record.Change) *record.Event {
	return &record.Event{Header: header(record.KindCommitBegin, n), Begin: &record.CommitBegin{
		Libzypp: record.Process{PID: 100 + n, StartTicks: 5000},
		Actor: record.Actor{Login: "tux", LoginUID: "1000", EUID: "0", SudoUser: "tux", SudoUID: "1000",
			TTY: "pts/0", Session: "3", Exe: "/usr/bin/zypper"},
		Command: []string{"zypper", "in", "a b"}, UserData: "change:4711", Announced: changes,
	}}
}

// end is event n: the end of a commit.
func end(n int, commit *record.Event, outcome record.Outcome, changes ...record.Change) *record.Event {
	return &record.Event{Header: header(record.KindCommitEnd, n), End: &record.CommitEnd{
		Commit: commit.ID, Outcome: outcome, Changes: changes,
		Advisories: []record.Advisory{{ID: "SUSE-2026-1", OldState: "needed", NewState: "applied"}, {ID: "SUSE-2026-2", NewState: "needed"}},
	}}
}

func install(pkg, version string, result record.Result) record.Change {
	return record.Change{Kind: "kernel", Action: "install", Package: pkg, Arch: "x86_64", Version: version, Result: result}
}

// patch is an upgrade of a live patch with every detail set.
func patch(result record.Result) record.Change {
	return record.Change{
		Kind: "livepatch", Action: "upgrade", Package: "kernel-livepatch-6_4_0-150600_21-default", Arch: "x86_64",
		Version: "5-150600.2.1", Previous: "4-150600.2.1", Result: result, Step: "+", Stage: "ok",
		KernelRelease: "6.4.0-150600.21-default", Module: "livepatch_150600_21_5", PatchNumber: 5,
		Repo: "updates", Checksum: "abc", SignatureKey: "f74f09bc3fa1d6ce",
		Added: record.Fixes{CVEs: []string{"CVE-2026-1", "CVE-2026-2"}, Bugs: []string{"bsc#1"}}, Removed: record.Fixes{CVEs: []string{"CVE-2025-9"}},
	}
}

// newRoot returns a file tree with a machine id.
func newRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	put(t, filepath.Join(root, "etc/machine-id"), "m1\n")
	return root
}

func put(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, []byte(text), 0o644))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens the record below root for writing.
func open(t *testing.T, root string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), root, program)
	check(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// write writes events, after checking them against their schemas, into the record below root and
// closes it.
func write(t *testing.T, root string, evs ...*record.Event) {
	t.Helper()
	s := open(t, root)
	check(t, s.Append(t.Context(), evs...))
	check(t, s.Close())
	for _, ev := range evs {
		body, err := record.Encode(ev)
		check(t, err)
		schematest.Events(t, body)
	}
}

// sample is a root whose record holds seven events: the recorder's and three commits, the last of
// them beginning at event 6.
func sample(t *testing.T) string {
	t.Helper()
	root := newRoot(t)
	a, b, c := begin(1, patch(record.ResultUnknown)), begin(3), begin(5)
	write(t, root, a, end(2, a, record.OutcomeCompleted, patch(record.ResultOK)), b,
		end(4, b, record.OutcomeFailed, install("kernel-default", "6.4.0-1", record.ResultFailed)), c,
		end(6, c, record.OutcomeCompleted, install("kernel-default", "6.4.0-2", record.ResultOK)))
	return root
}

func verify(t *testing.T, root, key string) *proof.Verification {
	t.Helper()
	s, err := store.OpenToVerify(t.Context(), store.Path(root))
	check(t, err)
	defer s.Close()
	v, err := s.Verify(t.Context(), key)
	check(t, err)
	// The attack dropped triggers for good, but a careful attacker puts them back. Another test
	// covers that.
	v.Problems = slices.DeleteFunc(v.Problems, func(p string) bool {
		return strings.HasPrefix(p, "the trigger ") || strings.HasPrefix(p, "the index ")
	})
	if len(v.Problems) == 0 {
		v.Result = proof.Intact
	}
	return v
}

// attack opens the database as somebody who can write to the file: without its triggers, checks and
// unique ids.
func attack(t *testing.T, root string) *sql.DB {
	t.Helper()
	db := raw(t, root)
	for _, name := range query(t, db, `SELECT name FROM sqlite_schema WHERE type = 'trigger'`) {
		exec(t, db, `DROP TRIGGER `+name)
	}
	exec(t, db, `DROP INDEX events_id; DROP INDEX events_prune`)
	exec(t, db, `PRAGMA ignore_check_constraints = ON`)
	return db
}

func raw(t *testing.T, root string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", store.Path(root)+"?_synchronous=OFF")
	check(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// query returns the rows of a query as text, columns separated by bars.
func query(t *testing.T, db *sql.DB, query string) (lines []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	check(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	check(t, err)
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		check(t, rows.Scan(values...))
		var cells []string
		for _, v := range values {
			cells = append(cells, fmt.Sprintf("%v", *v.(*any)))
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	check(t, rows.Err())
	return lines
}

// history returns the rows that a filter selects.
func history(t *testing.T, s *store.Store, f record.HistoryFilter) (rows []*record.HistoryRow) {
	t.Helper()
	for row, err := range s.History(t.Context(), f) {
		check(t, err)
		rows = append(rows, row)
	}
	return rows
}

// logged returns the last digits of the ids of the events in the log, without the recorder's.
func logged(t *testing.T, root string) []string {
	t.Helper()
	return query(t, raw(t, root), `SELECT CAST(substr(json_extract(body, '$.id'), 25) AS INTEGER) FROM events
		WHERE json_extract(body, '$.kind') <> 'recorder' ORDER BY seq`)
}

// causes returns the causes of the recorder events of a record.
func causes(t *testing.T, root string) []string {
	t.Helper()
	return query(t, raw(t, root), `SELECT cause FROM recorders ORDER BY event`)
}

// addRaw adds an event with the right hashes, as somebody without the key can.
func addRaw(t *testing.T, db *sql.DB, body string) {
	t.Helper()
	var size int64
	check(t, db.QueryRow(`SELECT coalesce(max(seq), 0) FROM events`).Scan(&size))
	hashes, err := tlog.StoredHashes(size, []byte(body), rawHashes(db))
	check(t, err)
	exec(t, db, `INSERT INTO events VALUES (?, ?)`, size+1, body)
	for i, h := range hashes {
		exec(t, db, `INSERT INTO hashes VALUES (?, ?)`, tlog.StoredHashCount(size)+int64(i), h[:])
	}
}

func rawHashes(db *sql.DB) tlog.HashReaderFunc {
	return func(ids []int64) (hashes []tlog.Hash, err error) {
		for _, id := range ids {
			var h []byte
			err = errors.Join(err, db.QueryRow(`SELECT hash FROM hashes WHERE id = ?`, id).Scan(&h))
			hashes = append(hashes, tlog.Hash(slices.Concat(h, make([]byte, tlog.HashSize))[:tlog.HashSize]))
		}
		return hashes, err
	}
}
