package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// altered is a copy of a record's database that somebody changes who has all the time in the world,
// but no key.
type altered struct {
	*testing.T
	random *rand.Rand
	path   string
}

// pick is one of the values that a query returns.
func (a *altered) pick(db *sql.DB, q string) string {
	values := query(a.T, db, q)
	if len(values) == 0 {
		a.Fatalf("nothing to alter: %s", q)
	}
	return values[a.random.IntN(len(values))]
}

// alterations are changes to the rows. Each leaves triggers, indexes and tables as they were.
var alterations = map[string]func(a *altered, db *sql.DB){
	"byte of an event": func(a *altered, db *sql.DB) {
		seq := a.pick(db, `SELECT seq FROM events`)
		body := []byte(query(a.T, db, `SELECT body FROM events WHERE seq = `+seq)[0])
		body[a.random.IntN(len(body))] ^= byte(1 + a.random.IntN(255))
		exec(a.T, db, `UPDATE events SET body = CAST(? AS TEXT) WHERE seq = ?`, body, seq)
	},
	"fact of an event": func(a *altered, db *sql.DB) {
		exec(a.T, db, `UPDATE events SET body = json_set(body, '$.host.hostname', 'eve') WHERE seq = `+a.pick(db, `SELECT seq FROM events`))
	},
	"event gone": func(a *altered, db *sql.DB) {
		exec(a.T, db, `DELETE FROM events WHERE seq = `+a.pick(db, `SELECT seq FROM events`))
	},
	"event gone with its leaf": func(a *altered, db *sql.DB) {
		seq := a.pick(db, `SELECT seq FROM events`)
		exec(a.T, db, `DELETE FROM hashes WHERE hash = (SELECT h.hash FROM hashes h ORDER BY id LIMIT 1 OFFSET `+seq+`); DELETE FROM events WHERE seq = `+seq)
	},
	"events swapped": func(a *altered, db *sql.DB) {
		x, y := a.pick(db, `SELECT seq FROM events WHERE seq % 2`), a.pick(db, `SELECT seq FROM events WHERE seq % 2 = 0`)
		exec(a.T, db, `UPDATE events SET seq = -1 WHERE seq = `+x+`; UPDATE events SET seq = `+x+` WHERE seq = `+y+`; UPDATE events SET seq = `+y+` WHERE seq = -1`)
	},
	"event far away": func(a *altered, db *sql.DB) {
		exec(a.T, db, `UPDATE events SET seq = ? WHERE seq = (SELECT max(seq) FROM events)`, a.random.Int64()|1<<40)
	},
	"event before the first": func(a *altered, db *sql.DB) {
		exec(a.T, db, `INSERT INTO events SELECT ?, json_set(body, '$.id', 'eve') FROM events ORDER BY seq DESC LIMIT 1`, -a.random.Int64())
	},
	"tail gone": func(a *altered, db *sql.DB) {
		exec(a.T, db, `DELETE FROM events WHERE seq >= `+a.pick(db, `SELECT seq FROM events`))
	},
	"tail gone with its hashes": func(a *altered, db *sql.DB) {
		exec(a.T, db, `DELETE FROM events WHERE seq >= `+a.pick(db, `SELECT seq FROM events`))
		exec(a.T, db, `DELETE FROM hashes WHERE id >= (SELECT 2 * count(*) FROM events)`)
	},
	"event added": func(a *altered, db *sql.DB) {
		addRaw(a.T, db, strings.Replace(a.pick(db, `SELECT body FROM events`), `"id":"`, `"id":"eve`, 1))
	},
	"tree made anew": func(a *altered, db *sql.DB) {
		all := query(a.T, db, `SELECT body FROM events ORDER BY seq`)
		exec(a.T, db, `DELETE FROM events; DELETE FROM hashes`)
		victim := a.random.IntN(len(all))
		for i, body := range all {
			if i == victim {
				body = strings.Replace(body, `"v":1`, `"v":0`, 1)
			}
			addRaw(a.T, db, body)
		}
	},
	"byte of a hash": func(a *altered, db *sql.DB) {
		id := a.pick(db, `SELECT id FROM hashes`)
		hash := make([]byte, 32)
		check(a.T, db.QueryRow(`SELECT hash FROM hashes WHERE id = `+id).Scan(&hash))
		hash[a.random.IntN(len(hash))] ^= byte(1 + a.random.IntN(255))
		exec(a.T, db, `UPDATE hashes SET hash = ? WHERE id = `+id, hash)
	},
	"hash gone": func(a *altered, db *sql.DB) {
		exec(a.T, db, `DELETE FROM hashes WHERE id = `+a.pick(db, `SELECT id FROM hashes`))
	},
	"hash more": func(a *altered, db *sql.DB) {
		exec(a.T, db, `INSERT INTO hashes SELECT max(id) + 1 + ?, hash FROM hashes`, a.random.IntN(9))
	},
	"checkpoint": func(a *altered, db *sql.DB) {
		note := []byte(query(a.T, db, `SELECT note FROM checkpoint`)[0])
		note[a.random.IntN(len(note))] ^= byte(1 + a.random.IntN(255))
		exec(a.T, db, `UPDATE checkpoint SET note = CAST(? AS TEXT)`, note)
	},
	"row of a view gone": func(a *altered, db *sql.DB) {
		view := a.view(db)
		exec(a.T, db, fmt.Sprintf(`DELETE FROM %[1]s WHERE rowid = (SELECT rowid FROM %[1]s LIMIT 1 OFFSET %d)`, view, a.random.IntN(a.rows(db, view))))
	},
	"cell of a view": func(a *altered, db *sql.DB) {
		view := a.view(db)
		column := a.pick(db, `SELECT name || '|' || CASE type WHEN 'TEXT' THEN '''eve''' ELSE '4711' END FROM pragma_table_info('`+view+`') WHERE pk = 0`)
		name, value, _ := strings.Cut(column, "|")
		exec(a.T, db, fmt.Sprintf(`UPDATE %[1]s SET %[2]s = %[3]s WHERE rowid = (SELECT rowid FROM %[1]s LIMIT 1 OFFSET %[4]d)`, view, name, value, a.random.IntN(a.rows(db, view))))
	},
	"schema": func(a *altered, db *sql.DB) {
		switch name := a.pick(db, `SELECT type || ' ' || name FROM sqlite_schema WHERE sql IS NOT NULL AND type <> 'table'`); a.random.IntN(3) {
		case 0:
			exec(a.T, db, `DROP `+name)
		case 1:
			exec(a.T, db, `CREATE TRIGGER eve AFTER INSERT ON changes BEGIN DELETE FROM changes; END`)
		case 2:
			exec(a.T, db, `CREATE TABLE eve (x)`)
		}
	},
}

// view is a view that has rows.
func (a *altered) view(db *sql.DB) string {
	for {
		view := []string{"recorders", "commits", "changes", "observations", "boots", "patch_loads", "exceptions", "snapshots"}[a.random.IntN(8)]
		if a.rows(db, view) > 0 {
			return view
		}
	}
}

func (a *altered) rows(db *sql.DB, table string) (n int) {
	check(a.T, db.QueryRow(`SELECT count(*) FROM `+table).Scan(&n))
	return n
}

// rowsAltered changes rows as somebody would who puts everything else back.
func (a *altered) rowsAltered(alter func(*altered, *sql.DB)) {
	db, err := sql.Open("sqlite3", a.path+"?_synchronous=OFF&_journal_mode=OFF")
	check(a.T, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	const guards = ` FROM sqlite_schema WHERE type = 'trigger' OR name IN ('events_id', 'events_prune')`
	made := query(a.T, db, `SELECT sql`+guards)
	for _, object := range query(a.T, db, `SELECT type || ' ' || name`+guards) {
		exec(a.T, db, `DROP `+object)
	}
	exec(a.T, db, `PRAGMA ignore_check_constraints = ON`)
	alter(a, db)
	for _, text := range made {
		db.Exec(text) // a body that is not JSON cannot be indexed
	}
}

// bytesAltered changes the file, and says how.
func (a *altered) bytesAltered(data []byte) (how string, b []byte) {
	const page = 4096
	b = bytes.Clone(data)
	at, other := a.random.IntN(len(b)/page)*page, a.random.IntN(len(b)/page)*page
	switch a.random.IntN(8) {
	case 7: // in the header
		i := a.random.IntN(100)
		b[i] ^= 1 << a.random.IntN(8)
		return fmt.Sprintf("bit of byte %d", i), b
	case 0:
		i := a.random.IntN(len(b))
		b[i] ^= 1 << a.random.IntN(8)
		return fmt.Sprintf("bit of byte %d", i), b
	case 1: // where the file has content
		i := a.random.IntN(len(b))
		for b[i] == 0 {
			i = (i + 1) % len(b)
		}
		b[i] = byte(a.random.IntN(256))
		return fmt.Sprintf("byte %d", i), b
	case 2:
		return "cut", b[:a.random.IntN(len(b))]
	case 3:
		return "cut between pages", b[:at]
	case 4:
		copy(b[at:at+page], data[other:other+page])
		copy(b[other:other+page], data[at:at+page])
		return fmt.Sprintf("pages %d and %d swapped", at/page+1, other/page+1), b
	case 5:
		clear(b[at : at+page])
		return fmt.Sprintf("page %d cleared", at/page+1), b
	}
	i := a.random.IntN(len(b))
	for j := i; j < min(len(b), i+64); j++ {
		b[j] = byte(a.random.IntN(256))
	}
	return fmt.Sprintf("64 bytes from %d", i), b
}

// found says whether a verification finds something.
func (a *altered) found(earlier ...string) (bool, string) {
	s, err := store.OpenToVerify(a.Context(), a.path)
	if err == nil {
		defer s.Close()
		var v *proof.Verification
		if v, err = s.Verify(a.Context(), "", earlier...); err == nil {
			return v.Result != proof.Intact && len(v.Problems) > 0, fmt.Sprint(v.Result, v.Problems)
		}
	}
	switch {
	case errors.Is(err, store.ErrDamaged):
		return true, err.Error()
	case errors.Is(err, store.ErrNewer), errors.Is(err, store.ErrNoRecord): // it is not called intact
		return true, err.Error()
	}
	a.Errorf("neither a finding nor none: %v", err)
	return true, err.Error()
}

// contents is everything in a database as anybody would read it, with what SQLite says about it;
// empty if it cannot be read.
func contents(path string) string {
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		return ""
	}
	defer db.Close()
	var b strings.Builder
	names := []string{"events", "hashes", "checkpoint", "recorders", "commits", "changes", "observations", "sightings", "boots", "boot_looks", "patch_loads", "image_builds",
		"exceptions", "snapshots", "sqlite_schema", "pragma_integrity_check"}
	for _, name := range names {
		what := "*"
		if name == "sqlite_schema" {
			what = "type, name, tbl_name, sql" // not the place in the file
		}
		rows, err := db.Query(`SELECT ` + what + ` FROM ` + name)
		if err != nil {
			return ""
		}
		columns, _ := rows.Columns()
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if rows.Scan(values...) != nil {
				return ""
			}
			for _, v := range values {
				fmt.Fprintf(&b, "%v|", *v.(*any))
			}
		}
		if rows.Err() != nil {
			return ""
		}
		rows.Close()
	}
	return b.String()
}

// Any change to a record without its key is found, or changes no content.
func TestAlteredRecords(t *testing.T) {
	pruned := long(t)
	prune(t, pruned, aged(45))
	whole := long(t)
	for i, root := range []string{whole, pruned} {
		check(t, os.Chmod(store.Path(root), 0o600))
		newest := verify(t, root, "").Checkpoint
		data, err := os.ReadFile(store.Path(root))
		check(t, err)
		original := contents(store.Path(root))
		a := &altered{T: t, random: rand.New(rand.NewPCG(uint64(i), 7)), path: filepath.Join(t.TempDir(), "record.db")}
		check(t, os.WriteFile(a.path, data, 0o600))
		if found, what := a.found(newest); found || original == "" {
			t.Fatalf("unaltered: %s", what)
		}
		for _, name := range slices.Sorted(maps.Keys(alterations)) {
			for n := range storetest.Few(2, 8) {
				check(t, os.WriteFile(a.path, data, 0o600))
				a.rowsAltered(alterations[name])
				if found, what := a.found(newest); !found && contents(a.path) != original {
					t.Errorf("record %d, %s, %d: not found: %s", i, name, n, what)
				}
			}
		}
		for n := range storetest.Few(40, 200) {
			how, b := a.bytesAltered(data)
			check(t, os.WriteFile(a.path, b, 0o600))
			if found, what := a.found(newest); !found && contents(a.path) != original {
				t.Errorf("record %d, %s, %d: not found: %s", i, how, n, what)
			}
		}
	}
}

// What verify cannot find in a record alone, and what else finds it.
func TestWhatTheRecordAloneCannotShow(t *testing.T) {
	root := sample(t)
	older, err := os.ReadFile(store.Path(root))
	check(t, err)
	write(t, root, begin(50))
	noted := verify(t, root, "")
	held := func(root, key string, earlier ...string) proof.Integrity {
		s, err := store.OpenReadOnly(t.Context(), store.Path(root))
		check(t, err)
		defer s.Close()
		v, err := s.Verify(t.Context(), key, earlier...)
		check(t, err)
		return v.Result
	}
	for name, tt := range map[string]struct {
		alter       func(root string)
		key, having proof.Integrity // results with the known key, and with a checkpoint
	}{
		"an older copy put back": {func(root string) { check(t, os.WriteFile(store.Path(root), older, 0o640)) }, proof.Intact, proof.Truncated},
		"rewritten with its key": {func(root string) { rewrite(t, root) }, proof.Intact, proof.Altered},
		"replaced with its key": {func(root string) {
			check(t, os.RemoveAll(filepath.Dir(store.Path(root))))
			write(t, root, begin(1), begin(2), begin(3), begin(4), begin(5), begin(6), begin(50))
		}, proof.Altered, proof.Altered},
	} {
		copied := t.TempDir()
		check(t, os.CopyFS(copied, os.DirFS(root)))
		tt.alter(copied)
		if got := held(copied, ""); got != proof.Intact {
			t.Errorf("%s is found by itself: %s", name, got)
		}
		if got := held(copied, noted.Key); got != tt.key {
			t.Errorf("%s, with the key that was noted: %s", name, got)
		}
		if got := held(copied, "", noted.Checkpoint); got != tt.having {
			t.Errorf("%s, with a checkpoint that was noted: %s", name, got)
		}
	}
}

// rewrite makes up another past, signed with the key of the record.
func rewrite(t *testing.T, root string) {
	t.Helper()
	a := &altered{T: t, path: store.Path(root)}
	a.rowsAltered(func(_ *altered, db *sql.DB) {
		bodies := query(t, db, `SELECT replace(body, '"login":"tux"', '"login":"eve"') FROM events ORDER BY seq`)
		exec(t, db, `DELETE FROM events; DELETE FROM hashes`)
		for _, body := range bodies {
			addRaw(t, db, body)
		}
		size := int64(len(bodies))
		hash, err := tlog.TreeHash(size, rawHashes(db))
		check(t, err)
		private, err := os.ReadFile(store.KeyPath(root))
		check(t, err)
		name, _, _ := strings.Cut(query(t, db, `SELECT note FROM checkpoint`)[0], "\n")
		exec(t, db, `UPDATE checkpoint SET note = ?`, sign(t, strings.TrimSpace(string(private)), fmt.Sprintf("%s\n%d\n%s\n", name, size, hash)))
	})
	check(t, open(t, root).Rebuild(t.Context()))
}
