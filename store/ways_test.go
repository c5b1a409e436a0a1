package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// unsigned gives a record another past with new hashes, and keeps the checkpoint.
func unsigned(t *testing.T, root string) {
	t.Helper()
	db := raw(t, root)
	note := query(t, db, `SELECT note FROM checkpoint`)[0]
	check(t, db.Close())
	private, _ := strangersKey(t)
	rewritten(t, root, private, eve)
	exec(t, raw(t, root), `UPDATE checkpoint SET note = ?`, note)
}

// What was once found is not pruned as old, whatever the views are made to say.
func TestPruneMakesNothingGood(t *testing.T) {
	for name, change := range map[string]string{
		"what was found":       `DELETE FROM recorders WHERE cause = 'proof-broken'`,
		"what was found, made": `UPDATE recorders SET cause = 'upgraded'`,
		"nothing more":         ``,
		"a body":               `DELETE FROM events WHERE seq = 3`,
	} {
		root := sample(t)
		write(t, root, begin(20))
		if name != "a body" {
			unsigned(t, root)
			write(t, root, begin(21))
		}
		altering := &altered{T: t, path: store.Path(root)}
		if name == "a body" {
			altering.rowsAltered(func(_ *altered, db *sql.DB) { exec(t, db, change) })
		} else {
			exec(t, raw(t, root), change)
		}
		s := open(t, root)
		s.Prune(t.Context(), time.Now()) // may refuse
		check(t, s.Close())
		if v := verify(t, root, ""); v.Result == proof.Intact {
			t.Errorf("%s: intact: %+v", name, v)
		}
	}
}

// A key that the machine's key did not hand over to is not a lost key, whatever the log calls it.
func TestStrangersKeyIsNoLostKey(t *testing.T) {
	for _, cause := range []record.Cause{record.CauseUpgraded, record.CauseInstalled, record.CauseKeyReplaced, record.CauseIdentityChanged} {
		root := sample(t)
		private, public := strangersKey(t)
		rewritten(t, root, private, func(b []string) []string { return append(eve(b), names(t, 90, cause, public)) })
		s, err := store.OpenToVerify(t.Context(), store.Path(root))
		check(t, err)
		v, err := s.Verify(t.Context(), "")
		check(t, err)
		check(t, store.TrustMachine(v, root))
		if s.Close(); v.OnlyKeys() || v.Result != proof.Altered {
			t.Errorf("%s: %+v", cause, v)
		}
	}
}

// Members of the group may read the public half of the key.
func TestPublicKeyIsTheGroups(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to groups")
	}
	root := newRoot(t)
	put(t, filepath.Join(root, "etc/group"), "klp-audit:x:4711:tux\n")
	write(t, root, begin(1))
	if got := groupOf(t, store.KeyPath(root)+".pub"); got != 4711 {
		t.Errorf("group %d", got)
	}
	check(t, os.Chown(store.KeyPath(root)+".pub", 0, 0))
	write(t, root, begin(2))
	if got := groupOf(t, store.KeyPath(root)+".pub"); got != 4711 {
		t.Errorf("later: group %d", got)
	}
}

// Whatever somebody put into a record does not block new events.
func TestNothingIsInTheWay(t *testing.T) {
	for name, change := range map[string]string{
		"a hash":                 `INSERT INTO hashes SELECT max(id) + 1, zeroblob(32) FROM hashes`,
		"a row of the recorders": `INSERT INTO recorders SELECT event + 7, time, cause, version, machine_id, key FROM recorders`,
		"a row of the changes":   `INSERT INTO changes SELECT 9, pos, commit_id, time, time_source, utc_offset, host, boot_id, kind, action, package, arch, version, previous, kernel_release, patch_number, initial, result, source, repo, checksum, signature_key, install_time, advisories, advisory, cves_added, cves_removed, bugs_added, bugs_removed, scripts, recorded FROM changes LIMIT 1`,
		"no event":               `DELETE FROM events`,
		"no event, no hash":      `DELETE FROM events; DELETE FROM hashes`,
		"an ended commit":        `INSERT INTO commits (id, boot_id, end_event) VALUES ('019ca8d5-0000-7000-8000-000000000020', '', 3)`,
		"a table with a counter": `CREATE TABLE eve (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO eve VALUES (1)`,
		"another machine's id":   `UPDATE recorders SET machine_id = 'other'`,
	} {
		for _, spooled := range []bool{false, true} {
			root := sample(t)
			a := &altered{T: t, path: store.Path(root)}
			a.rowsAltered(func(_ *altered, db *sql.DB) { exec(t, db, change) })
			b := begin(20, install("kernel-default", "9-9", record.ResultUnknown))
			e := end(21, b, record.OutcomeCompleted, install("kernel-default", "9-9", record.ResultOK))
			if spooled {
				spool(t, root, b)
				spool(t, root, e)
				s := open(t, root)
				check(t, s.TakeIn(t.Context()))
				check(t, s.Close())
			} else {
				write(t, root, b, e)
			}
			got := logged(t, root)
			if len(got) < 2 || got[len(got)-1] != "21" || got[len(got)-2] != "20" {
				t.Errorf("%s, spooled %t: logged %s", name, spooled, got)
			}
			if v := verify(t, root, ""); name == "another machine's id" && len(v.Keys) != 1 {
				t.Errorf("%s: another key: %+v", name, v)
			}
		}
	}
}

// Unreadable events do not stop the recorder from writing, even if the views must be rebuilt for
// another reason.
func TestRecorderGoesOnBesideWhatItCannotRead(t *testing.T) {
	for name, body := range ambiguous() {
		root := sample(t)
		rewritten(t, root, machinesKey(t, root), func(bodies []string) []string { return append(bodies, body) })
		db := raw(t, root)
		exec(t, db, fmt.Sprintf(`PRAGMA user_version = %d`, store.Schema-1))
		released(t, db)
		ids := query(t, db, `SELECT name FROM sqlite_schema WHERE name = 'events_id'`)
		check(t, db.Close())
		if len(ids) == 0 { // there is no index if SQLite does not accept a body as JSON
			if _, err := store.Open(t.Context(), root, program); !errors.Is(err, store.ErrDamaged) { // it waits in the spool
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		write(t, root, begin(40))
		if got := query(t, raw(t, root), `SELECT body ->> '$.id' FROM events ORDER BY seq DESC LIMIT 1`)[0]; !strings.HasSuffix(got, "40") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// No object in a database can shadow SQLite's own names.
func TestTablesAreLookedAtFirst(t *testing.T) {
	for _, name := range []string{"pragma_user_version", "pragma_application_id", "pragma_schema_version", "pragma_database_list", "sqlite_master", "json_each", "json_valid"} {
		root := sample(t)
		db := raw(t, root)
		db.Exec(`CREATE VIEW ` + name + ` AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS v, x AS name, x AS file FROM n WHERE x < 0`)
		check(t, db.Close())
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		if s, err := store.OpenToVerify(ctx, store.Path(root)); err == nil {
			s.Verify(ctx, "")
			s.Close()
		}
		if s, err := store.OpenReadOnly(ctx, store.Path(root)); err == nil {
			s.Summarize(ctx)
			s.Close()
		}
		if ctx.Err() != nil {
			t.Errorf("%s: still reading", name)
		} else {
			write(t, root, begin(20))
		}
		cancel()
	}
}

// A new key next to the machine's own is used only if it was made for a clone and both keys signed.
func TestPlantedKey(t *testing.T) {
	root := sample(t)
	noted := verify(t, root, "").Key
	private, public := strangersKey(t)
	rewritten(t, root, private, func(b []string) []string { return append(eve(b), names(t, 90, record.CauseKeyReplaced, public)) })
	put(t, store.KeyPath(root)+".new", private+"\n")
	write(t, root, begin(20))
	if machine, err := store.MachineKey(root); err != nil || machine != noted {
		t.Errorf("the machine's key is %q, %v", machine, err)
	}
	if v := verify(t, root, noted); v.Result == proof.Intact {
		t.Error("intact")
	}
}

func groupOf(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	return info.Sys().(*syscall.Stat_t).Gid
}
