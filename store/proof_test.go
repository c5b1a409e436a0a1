package store_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

func TestIntactRecord(t *testing.T) {
	root := sample(t)
	v := verify(t, root, "")
	if v.Result != proof.Intact || v.TreeSize != 7 || len(v.Problems) != 0 || *v.LastTime != at(6) {
		t.Errorf("got %+v", v)
	}
	if pinned := verify(t, root, v.Key); !cmp.Equal(v, pinned) {
		t.Error(cmp.Diff(v, pinned))
	}
	if diff := cmp.Diff(strings.Fields("result tree_size root_hash first_time last_time checkpoint key keys problems"), keys(t, v)); diff != "" {
		t.Error(diff)
	}
}

// A record always has an event; one without any has lost it.
func TestRecordWithoutEvents(t *testing.T) {
	root := newRoot(t)
	check(t, open(t, root).Close())
	if v := verify(t, root, ""); v.Result != proof.Intact || v.TreeSize != 1 {
		t.Errorf("new: got %+v", v)
	}
	exec(t, attack(t, root), `DELETE FROM events; DELETE FROM hashes; DELETE FROM checkpoint; DELETE FROM recorders`)
	if v := verify(t, root, ""); v.Result != proof.Truncated {
		t.Errorf("emptied: got %+v", v)
	}
}

func TestLogRefusesChanges(t *testing.T) {
	db := raw(t, sample(t))
	for _, sql := range []string{
		`UPDATE events SET body = '{}' WHERE seq = 1`, `DELETE FROM events WHERE seq = 7`, `DELETE FROM events`,
		`UPDATE hashes SET hash = zeroblob(32)`, `DELETE FROM hashes WHERE id = 10`,
	} {
		if _, err := db.Exec(sql); err == nil || !strings.Contains(err.Error(), "append only") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// TestTampering changes the sample in every way that needs no key. The log has seven events, so its
// hashes are 0 to 10; hash 3 is that of event 3, hash 6 covers the first four.
func TestTampering(t *testing.T) {
	template := sample(t)
	const altered, truncated = proof.Altered, proof.Truncated
	for _, tt := range []struct {
		name, sql string
		verdict   proof.Integrity
		problems  []string // what each problem contains
	}{
		{"event", `UPDATE events SET body = json_set(body, '$.boottime_us', 1) WHERE seq = 3`, altered, []string{"event 3: its hash is ", `view "sightings" differs`}},
		{"space in an event", `UPDATE events SET body = body || ' ' WHERE seq = 4`, altered, []string{"event 4: its hash is "}},
		{"last event", `UPDATE events SET body = json_set(body, '$.boottime_us', 1) WHERE seq = 7`, altered, []string{"event 7: its hash is ", `view "sightings" differs`}},
		{"two events", `UPDATE events SET body = json_set(body, '$.boottime_us', 1) WHERE seq IN (2, 5)`, altered,
			[]string{"event 2: its hash is ", "event 5: its hash is ", `view "sightings" differs`}},
		{"event that a view shows", `UPDATE events SET body = json_set(body, '$.begin.actor.login', 'eve') WHERE seq = 2`, altered,
			[]string{"event 2: its hash is ", `view "commits" differs`}},
		{"event with its view", `UPDATE events SET body = json_set(body, '$.begin.actor.login', 'eve') WHERE seq = 2;
			UPDATE commits SET login = 'eve' WHERE begin_event = 2`, altered, []string{"event 2: its hash is "}},
		{"event that is no event any more", `UPDATE events SET body = 'x' WHERE seq = 2`, altered,
			[]string{"event 2: its hash is ", "event 2: not an event", "views cannot be rebuilt"}},
		{"recorder's key", `UPDATE events SET body = json_set(body, '$.identity.key', 'k') WHERE seq = 1`, altered,
			[]string{"event 1: its hash is ", `checkpoint key "k"`, `view "recorders" differs`}},
		{"hash of the last event", `UPDATE hashes SET hash = zeroblob(32) WHERE id = 10`, altered, []string{"event 7: its hash is ", "the root hash is"}},
		{"hash of four events", `UPDATE hashes SET hash = zeroblob(32) WHERE id = 6`, altered, []string{"event 4: its hash is ", "the root hash is"}},
		{"short hash", `UPDATE hashes SET hash = x'00' WHERE id = 10`, altered, []string{"event 7: damaged record: hash 10"}},
		{"hash gone", `DELETE FROM hashes WHERE id = 10`, altered, []string{"event 7: damaged record: hash 10"}},
		{"last event and its hash gone", `DELETE FROM events WHERE seq = 7; DELETE FROM hashes WHERE id = 10`, truncated,
			[]string{"the checkpoint covers 7 events, the log has 6", `view "commits" differs`, `view "changes" differs`, `view "sightings" differs`, `view "totals" differs`}},
		{"last event gone", `DELETE FROM events WHERE seq = 7`, truncated,
			[]string{"the proof has hashes for more than the 6 events", "the checkpoint covers 7", `view "commits" differs`, `view "changes" differs`, `view "sightings" differs`, `view "totals" differs`}},
		{"middle event gone", `DELETE FROM events WHERE seq = 4`, altered, []string{"event 4 is missing", "there are 6 events, numbered up to 7", `view "commits" differs`, `view "sightings" differs`}},
		{"first event gone", `DELETE FROM events WHERE seq = 1`, altered, []string{"event 1 is missing", "there are 6 events, numbered up to 7", `checkpoint key ""`, `view "recorders" differs`}},
		{"all events gone", `DELETE FROM events`, truncated, []string{"there is no event",
			`view "recorders"`, `view "commits"`, `view "changes"`, `view "sightings" differs`, `view "totals"`}},
		{"events swapped", `UPDATE events SET seq = -seq; UPDATE events SET seq = CASE seq WHEN -3 THEN 4 WHEN -4 THEN 3 ELSE -seq END`, altered,
			[]string{"event 3: its hash is ", "event 4: its hash is ", `view "commits"`, `view "changes"`, `view "sightings" differs`}},
		{"event added", `INSERT INTO events SELECT 8, json_set(body, '$.id', 'x') FROM events WHERE seq = 1`, altered,
			[]string{"event 8: damaged record: hash 14 of the tree is missing", "the checkpoint covers 7 events, the log has 8", `view "recorders"`}},
		{"checkpoint gone", `DELETE FROM checkpoint`, altered, []string{"the checkpoint is missing"}},
		{"checkpoint's size", `UPDATE checkpoint SET note = replace(note, char(10) || '7' || char(10), char(10) || '6' || char(10))`, altered,
			[]string{"checkpoint: "}},
		{"no checkpoint", `UPDATE checkpoint SET note = 'none'`, altered, []string{"checkpoint: "}},
		{"row of a view", `UPDATE changes SET result = 'ok' WHERE result = 'failed'`, altered,
			[]string{"view \"changes\" differs from what the events say in 2 rows; `klp-audit rebuild` makes it anew"}},
		{"row of a view gone", `DELETE FROM commits WHERE begin_event = 2`, altered, []string{`view "commits" differs`}},
		{"row of a view twice", `CREATE TABLE c AS SELECT * FROM changes; DROP TABLE changes; ALTER TABLE c RENAME TO changes;
			INSERT INTO changes SELECT * FROM changes`, altered, []string{"the table changes is missing or different"}},
		{"view gone", `DROP TABLE changes`, altered, []string{"the table changes is missing or different"}},
		{"view with a further column", `ALTER TABLE changes ADD COLUMN x TEXT`, altered, []string{"the table changes is missing or different"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			check(t, os.CopyFS(root, os.DirFS(template)))
			db := attack(t, root)
			exec(t, db, tt.sql)
			check(t, db.Close())
			v := verify(t, root, "")
			ok := v.Result == tt.verdict && len(v.Problems) == len(tt.problems)
			for i := 0; ok && i < len(tt.problems); i++ {
				ok = strings.Contains(v.Problems[i], tt.problems[i])
			}
			if !ok {
				t.Errorf("got %s:\n%s\nwant %s: %q", v.Result, strings.Join(v.Problems, "\n"), tt.verdict, tt.problems)
			}
		})
	}
}

// Without its triggers a log is not append-only, and nothing else belongs in the database.
func TestSchemaOfTheRecord(t *testing.T) {
	for sql, want := range map[string]string{
		`DROP TRIGGER events_no_update`: "the trigger events_no_update is missing",
		`DROP INDEX changes_time`:       "the index changes_time is missing",
		`CREATE TRIGGER eve AFTER INSERT ON changes BEGIN DELETE FROM changes; END`:                                  `"trigger eve" does not belong`,
		`DROP TRIGGER events_no_update; CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT 1; END`: "events_no_update is missing or different",
	} {
		root := sample(t)
		exec(t, raw(t, root), sql)
		s, err := store.OpenReadOnly(t.Context(), store.Path(root))
		check(t, err)
		v, err := s.Verify(t.Context(), "")
		check(t, errors.Join(err, s.Close()))
		if v.Result != proof.Altered || len(v.Problems) != 1 || !strings.Contains(v.Problems[0], want) {
			t.Errorf("%s: %s %q", sql, v.Result, v.Problems)
		}
	}
}

// A recorder that continues after somebody cut off the log signs what it finds, and the log says
// for ever that it was not what the recorder had signed.
func TestNewSignatureDoesNotMakeGood(t *testing.T) {
	for name, sql := range map[string]string{
		"cut off":         `DELETE FROM events WHERE seq > 3; DELETE FROM hashes WHERE id >= 4`,
		"tree altered":    `UPDATE hashes SET hash = zeroblob(32) WHERE id = 10`,
		"checkpoint gone": `DELETE FROM checkpoint`,
	} {
		t.Run(name, func(t *testing.T) {
			root := sample(t)
			db := attack(t, root)
			exec(t, db, sql)
			exec(t, db, `CREATE UNIQUE INDEX events_id ON events (json_extract(body, '$.id'))`)
			check(t, db.Close())
			check(t, open(t, root).Rebuild(t.Context()))
			write(t, root, begin(50))
			v := verify(t, root, "")
			if v.Result == proof.Intact || !strings.Contains(strings.Join(v.Problems, "\n"), "the recorder found that the log was not the one it had signed") {
				t.Errorf("%s %q", v.Result, v.Problems)
			}
		})
	}
}

// If the key is there but its record is gone, the record was lost, and the new one says so.
func TestLostRecord(t *testing.T) {
	root := sample(t)
	check(t, os.Remove(store.Path(root)))
	write(t, root, begin(50))
	if v := verify(t, root, ""); v.Result != proof.Truncated || !strings.Contains(v.Problems[0], "an earlier record was gone") {
		t.Errorf("%s %q", v.Result, v.Problems)
	}
}

func TestVerifyCannotRunWithoutItsTables(t *testing.T) {
	for _, table := range []string{"events", "hashes", "checkpoint"} {
		root := sample(t)
		exec(t, attack(t, root), `DROP TABLE `+table)
		if _, err := store.OpenToVerify(t.Context(), store.Path(root)); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("without %s: %v", table, err)
		}
	}
}

func TestNoRoomForATemporaryFileIsNoFinding(t *testing.T) {
	s := open(t, sample(t))
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if v, err := s.Verify(t.Context(), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %+v, %v", v, err)
	}
}

// TestTamperingWithTheTree is done by somebody who knows how the hashes are made.
func TestTamperingWithTheTree(t *testing.T) {
	root := sample(t)
	db := attack(t, root)
	body := query(t, db, `SELECT json_set(body, '$.id', 'x', '$.identity.cause', 'upgraded') FROM events WHERE seq = 1`)[0]
	addRaw(t, db, body)
	v := verify(t, root, "")
	if v.Result != proof.Altered || !strings.Contains(v.Problems[0], "another program added some") {
		t.Errorf("event added without a checkpoint: %s %q", v.Result, v.Problems)
	}

	bodies := query(t, db, `SELECT body FROM events WHERE seq < 8 ORDER BY seq`)
	exec(t, db, `DELETE FROM events; DELETE FROM hashes`)
	for _, body := range bodies {
		addRaw(t, db, strings.Replace(body, `"euid":"0"`, `"euid":"1"`, 1))
	}
	v = verify(t, root, "")
	if v.Result != proof.Altered || len(v.Problems) != 1 || !strings.Contains(v.Problems[0], "the root hash is ") {
		t.Errorf("tree made anew: %s %q", v.Result, v.Problems)
	}

	forge(t, root, v)
	if v = verify(t, root, ""); v.Result != proof.Altered || len(v.Problems) != 1 {
		t.Errorf("checkpoint signed with another key: %s %q", v.Result, v.Problems)
	}
}

// forge signs a checkpoint over what is in the log, with its own key of the same name.
func forge(t *testing.T, root string, v *proof.Verification) {
	t.Helper()
	name, _, _ := strings.Cut(v.Checkpoint, "\n")
	private, _, err := note.GenerateKey(rand.Reader, name)
	check(t, err)
	exec(t, raw(t, root), `UPDATE checkpoint SET note = ?`, sign(t, private, fmt.Sprintf("%s\n%d\n%s\n", name, v.TreeSize, v.RootHash)))
}

func TestAnotherMachinesRecordFailsThePinnedKey(t *testing.T) {
	key := verify(t, sample(t), "").Key
	v := verify(t, sample(t), key)
	if v.Result != proof.Altered || v.Key == key || len(v.Problems) != 1 {
		t.Errorf("got %s %q", v.Result, v.Problems)
	}
}

func TestEveryAlteredByteIsFound(t *testing.T) {
	root := sample(t)
	db := attack(t, root)
	bodies := query(t, db, `SELECT body FROM events ORDER BY seq`)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for range 200 {
		seq := 1 + random.IntN(len(bodies))
		body := []byte(bodies[seq-1])
		pos, flip := random.IntN(len(body)), byte(1+random.IntN(255))
		body[pos] ^= flip
		exec(t, db, `UPDATE events SET body = CAST(? AS TEXT) WHERE seq = ?`, body, seq)
		v := verify(t, root, "")
		if v.Result != proof.Altered || !strings.HasPrefix(v.Problems[0], fmt.Sprintf("event %d: its hash is ", seq)) {
			t.Errorf("event %d, byte %d ^ %#x: %s %q", seq, pos, flip, v.Result, v.Problems)
		}
		exec(t, db, `UPDATE events SET body = ? WHERE seq = ?`, bodies[seq-1], seq)
	}
	if v := verify(t, root, ""); v.Result != proof.Intact {
		t.Errorf("with everything put back: %q", v.Problems)
	}
}

func TestUnreadablePagesAreNotIntact(t *testing.T) {
	root := sample(t)
	path := store.Path(root)
	data, err := os.ReadFile(path)
	check(t, err)
	for page := 4096; page < len(data); page += 4096 {
		broken := bytes.Clone(data)
		copy(broken[page:page+4096], bytes.Repeat([]byte{0xff}, 4096))
		check(t, os.WriteFile(path, broken, 0o640))
		s, err := store.OpenReadOnly(t.Context(), path)
		if errors.Is(err, store.ErrDamaged) {
			continue // a page of the schema
		}
		check(t, err)
		v, err := s.Verify(t.Context(), "")
		check(t, s.Close())
		// Some pages may be broken unnoticed: those of an index, or without content.
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			t.Errorf("page %d: %v", page/4096+1, err)
		} else if err == nil && v.Result == proof.Intact && !indexPage(data, page) && !emptyPage(data, page) {
			t.Errorf("page %d: intact", page/4096+1)
		}
	}
}

// indexPage says whether the page at an offset belongs to an index (SQLite file format, 1.6).
func indexPage(data []byte, offset int) bool { return data[offset] == 0x0a || data[offset] == 0x02 }

// emptyPage says whether a b-tree page has no cells (SQLite file format, 1.6).
func emptyPage(data []byte, offset int) bool { return data[offset+3] == 0 && data[offset+4] == 0 }

func TestVerifyWhileEventsComeIn(t *testing.T) {
	root := sample(t)
	s := open(t, root)
	done := make(chan error)
	go func() {
		var err error
		for n := 10; n < 40 && err == nil; n += 2 {
			b := begin(n, patch(record.ResultUnknown))
			err = s.Append(t.Context(), b)
			err = errors.Join(err, s.Append(t.Context(), end(n+1, b, record.OutcomeCompleted, patch(record.ResultOK))))
		}
		done <- err
	}()
	for {
		if v := verify(t, root, ""); v.Result != proof.Intact {
			t.Errorf("size %d: %q", v.TreeSize, v.Problems)
		}
		select {
		case err := <-done:
			check(t, err)
			return
		default:
		}
	}
}

func TestRootHashIsThatOfTheBodies(t *testing.T) {
	root := sample(t)
	db := attack(t, root)
	want := verify(t, root, "").RootHash
	bodies := query(t, db, `SELECT body FROM events ORDER BY seq`)
	exec(t, db, `DELETE FROM events; DELETE FROM hashes`)
	for _, body := range bodies {
		addRaw(t, db, body)
	}
	got, err := tlog.TreeHash(int64(len(bodies)), rawHashes(db))
	check(t, err)
	if got.String() != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
