package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// rewritten replaces the log of a record, signs it with a private key, and puts all triggers and
// indexes back as they were.
func rewritten(t *testing.T, root, private string, change func(bodies []string) []string) {
	t.Helper()
	a := &altered{T: t, path: store.Path(root)}
	a.rowsAltered(func(_ *altered, db *sql.DB) {
		bodies := change(query(t, db, `SELECT body FROM events ORDER BY seq`))
		exec(t, db, `DELETE FROM events; DELETE FROM hashes`)
		for _, body := range bodies {
			addRaw(t, db, body)
		}
		size := int64(len(bodies))
		hash, err := tlog.TreeHash(size, rawHashes(db))
		check(t, err)
		signer, err := note.NewSigner(private)
		check(t, err)
		exec(t, db, `UPDATE checkpoint SET size = ?, note = ?`, size, sign(t, private, fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), size, hash)))
	})
}

// machinesKey is the private key of the machine.
func machinesKey(t *testing.T, root string) string {
	t.Helper()
	b, err := os.ReadFile(store.KeyPath(root))
	check(t, err)
	return strings.TrimSpace(string(b))
}

// strangersKey is a key that nobody trusts.
func strangersKey(t *testing.T) (private, public string) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, "klp-audit/0123456789abcdef")
	check(t, err)
	return private, public
}

// names is a recorder event that names a key.
func names(t *testing.T, n int, cause record.Cause, key string) string {
	t.Helper()
	ev := &record.Event{Header: header(record.KindRecorder, n), Identity: &record.Identity{Cause: cause, Schema: store.Schema, Key: key}}
	b, err := json.Marshal(ev)
	check(t, err)
	return string(b)
}

// eve puts another person's name into the past.
func eve(bodies []string) []string {
	for i := range bodies {
		bodies[i] = strings.ReplaceAll(bodies[i], `"login":"tux"`, `"login":"eve"`)
	}
	return bodies
}

// foundWith returns the verification of the file and that of its export, with a key that was noted
// before.
func foundWith(t *testing.T, root, key string) (ofFile, ofExport *proof.Verification) {
	t.Helper()
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	check(t, err)
	defer s.Close()
	ofFile, err = s.Verify(t.Context(), key)
	check(t, err)
	var b bytes.Buffer
	check(t, s.Export(t.Context(), &b, 0))
	ofExport, err = proof.VerifyExport(t.Context(), &b, key)
	check(t, err)
	return ofFile, ofExport
}

// Whoever rewrites the past lacks the machine's key, whatever else the record then says:
// verification finds that before the recorder continues, and afterwards, too. The recorder's
// signature covers nothing up.
func TestNoSignatureMakesAForgeryGood(t *testing.T) {
	private, public := strangersKey(t)
	for name, change := range map[string]func(bodies []string) []string{
		"key replaced":        func(b []string) []string { return append(eve(b), names(t, 90, record.CauseKeyReplaced, public)) },
		"another machine":     func(b []string) []string { return append(eve(b), names(t, 90, record.CauseIdentityChanged, public)) },
		"an upgrade":          func(b []string) []string { return append(eve(b), names(t, 90, record.CauseUpgraded, public)) },
		"record lost":         func(b []string) []string { return append(eve(b), names(t, 90, record.CauseRecordLost, public)) },
		"from the first on":   func(b []string) []string { b[0] = names(t, 0, record.CauseInstalled, public); return eve(b) },
		"the beginning alone": func(b []string) []string { return []string{names(t, 0, record.CauseInstalled, public)} },
		"no recorder event":   func(b []string) []string { return eve(b[1:]) },
	} {
		for _, version := range []int{store.Schema, 2} {
			t.Run(fmt.Sprintf("%s, version %d", name, version), func(t *testing.T) {
				root := sample(t)
				write(t, root, begin(20)) // the key is in its place
				noted := verify(t, root, "").Key
				rewritten(t, root, private, change)
				db := raw(t, root)
				exec(t, db, fmt.Sprintf(`PRAGMA user_version = %d`, version))
				check(t, db.Close())
				for _, when := range []string{"before", "after", "after the next"} {
					for i, v := range asList(foundWith(t, root, noted)) {
						if v.Result == proof.Intact {
							t.Errorf("%s it goes on, %s: intact with the key that was noted", when, []string{"the file", "the export"}[i])
						}
					}
					if v := verify(t, root, ""); when != "before" && v.Result == proof.Intact {
						t.Errorf("%s it goes on: intact without a key", when)
					}
					write(t, root, begin(30+len(when)))
				}
			})
		}
	}
}

func asList(a, b *proof.Verification) []*proof.Verification { return []*proof.Verification{a, b} }

// The version number is not trusted: verification checks everything, whatever the number says.
func TestVersionHidesNothing(t *testing.T) {
	for name, change := range map[string]string{
		"nothing else":    ``,
		"trigger gone":    `DROP TRIGGER events_no_delete`,
		"trigger of log":  `CREATE TRIGGER eve AFTER INSERT ON events BEGIN DELETE FROM changes; END`,
		"index gone":      `DROP INDEX changes_time`,
		"trigger of eve":  `CREATE TRIGGER eve AFTER INSERT ON changes BEGIN DELETE FROM changes; END`,
		"table of eve":    `CREATE TABLE eve (x)`,
		"view of eve":     `CREATE VIEW eve AS SELECT * FROM changes`,
		"row of a view":   `UPDATE commits SET login = 'eve'`,
		"statistics":      `ANALYZE`,
		"column of a log": `ALTER TABLE events ADD COLUMN eve TEXT`,
	} {
		for _, version := range []int{-1, 0, 1, 2, store.Schema, 99} {
			if version == store.Schema && name == "nothing else" {
				continue
			}
			root := sample(t)
			db := raw(t, root)
			exec(t, db, change+fmt.Sprintf(`; PRAGMA user_version = %d`, version))
			check(t, db.Close())
			a := &altered{T: t, path: store.Path(root)}
			if found, what := a.found(); !found {
				t.Errorf("%s, version %d: %s", name, version, what)
			}
		}
	}
}

// A recorder that finds changed tables, triggers or indexes says so for ever, and restores them:
// new events are recorded.
func TestRecorderRepairsTables(t *testing.T) {
	for _, change := range []string{
		`DROP TRIGGER events_no_delete`, `DROP INDEX changes_time`, `DROP INDEX events_id`, `CREATE TABLE eve (x)`,
		`CREATE TRIGGER eve BEFORE INSERT ON events BEGIN SELECT raise(IGNORE); END`,
		`DROP TABLE commits; CREATE VIEW commits AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS id FROM n`,
		`PRAGMA user_version = 1`,
	} {
		root := sample(t)
		db := raw(t, root)
		exec(t, db, change)
		check(t, db.Close())
		write(t, root, begin(20))
		write(t, root, begin(21))
		if got := strings.Join(causes(t, root), " "); got != "installed proof-broken" {
			t.Errorf("%s: %s", change, got)
		}
		if got := logged(t, root); got[len(got)-1] != "21" || len(got) != 8 {
			t.Errorf("%s: logged %s", change, got)
		}
		s, err := store.OpenReadOnly(t.Context(), store.Path(root))
		check(t, err)
		v, err := s.Verify(t.Context(), "")
		check(t, err)
		if s.Close(); v.Result != proof.Altered || len(v.Problems) != 1 || !strings.Contains(v.Problems[0], "event 8: before it, the recorder found") {
			t.Errorf("%s: %+v", change, v)
		}
	}
}

// Nothing is read from objects that merely have the names of a record's tables.
func TestHostileTables(t *testing.T) {
	const endless = `WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS seq, '{}' AS body, x AS id, zeroblob(32) AS hash, x AS size, '' AS note FROM n`
	for _, table := range []string{"events", "hashes", "checkpoint", "recorders", "commits", "changes", "totals", "observations"} {
		root := sample(t)
		db := attack(t, root)
		exec(t, db, `DROP TABLE `+table+`; CREATE VIEW `+table+` AS `+endless)
		check(t, db.Close())
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		s, err := store.OpenReadOnly(ctx, store.Path(root))
		if err == nil {
			_, err = s.Summarize(ctx)
			if v, verifyErr := s.Verify(ctx, ""); err == nil && verifyErr == nil && v.Result == proof.Intact {
				t.Errorf("%s: intact", table)
			}
			s.Close()
		}
		if ctx.Err() != nil {
			t.Errorf("%s: still reading: %v", table, err)
		}
		cancel()
	}
}

// Anything before the first event or hash is checked, too, and what the table says about its
// checkpoint.
func TestWhatNobodyReads(t *testing.T) {
	for _, change := range []string{
		`INSERT INTO hashes VALUES (-1, zeroblob(32))`,
		`UPDATE checkpoint SET size = 3`,
	} {
		root := sample(t)
		db := raw(t, root)
		exec(t, db, change)
		check(t, db.Close())
		a := &altered{T: t, path: store.Path(root)}
		if found, what := a.found(); !found {
			t.Errorf("%s: %s", change, what)
		}
	}
}

// ambiguous are bodies that two readers read differently, or that are impossible.
func ambiguous() map[string]string {
	const (
		head  = `{"v":1,"kind":"drift","id":"019ca8d5-0000-7000-8000-000000000077","time":"2026-03-01T13:17:00.000000Z","utc_offset":"+01:00","boottime_us":1,"host":{"machine_id":"m1","hostname":"sles"},"boot_id":"","recorder":{"program":"klp-audit","version":"1.0.0"}`
		drift = `,"drift":{"since":null,"changes":[],"installed":[]}`
	)
	with := func(more string) string { return head + drift + more + `}` }
	replaced := func(old, new string) string { return strings.Replace(with(""), old, new, 1) }
	pruned := func(prune string) string {
		return strings.Replace(head, `"kind":"drift"`, `"kind":"prune"`, 1) + `,"prune":` + prune + `}`
	}
	deep := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	return map[string]string{
		"kind twice":                  with(`,"kind":"observation"`),
		"kind in capitals":            with(`,"KIND":"observation"`),
		"kind with a Kelvin sign":     with(`,"` + "\u212a" + `ind":"observation"`),
		"kind by an escape":           with(`,"\u006bind":"observation"`),
		"key by an escape":            replaced(`"utc_offset"`, `"utc_o\u0066fset"`),
		"key that is no name":         with(`,"straße":1`),
		"time in capitals":            with(`,"Time":"2020-01-01T00:00:00.000000Z"`),
		"payload in capitals, null":   with(`,"Drift":null`),
		"payload twice":               with(drift),
		"key of the host in capitals": replaced(`"hostname":"sles"`, `"hostname":"sles","Hostname":"eve"`),
		"unknown key twice":           with(`,"more":1,"more":2`),
		"unknown key twice, deep":     with(`,"more":[{"a":1,"b":2,"A":3}]`),
		"another payload, too":        with(`,"exception":{"action":"add"}`),
		"another payload, null":       with(`,"exception":null`),
		"no payload":                  head + `}`,
		"payload of null":             head + `,"drift":null}`,
		"prune in a drift":            with(`,"prune":{"horizon":"2026-01-01T00:00:00.000000Z","through":5,"gone":5,"kept":[]}`),
		"number out of range":         replaced(`"boottime_us":1`, `"boottime_us":1e30`),
		"number too large":            replaced(`"boottime_us":1`, `"boottime_us":9223372036854775808`),
		"unknown number too large":    with(`,"more":184467440737095516160`),
		"unknown number is infinite":  with(`,"more":1e999`),
		"number with a fraction":      replaced(`"boottime_us":1`, `"boottime_us":1.5`),
		"text where a number is":      replaced(`"boottime_us":1`, `"boottime_us":"1"`),
		"half of a surrogate pair":    replaced(`sles`, `\ud800`),
		"not UTF-8":                   replaced(`sles`, "\xff"),
		"control character":           replaced(`sles`, "a\tb"),
		"deeper than SQLite reads":    with(`,"more":` + deep(1000)),
		"deeper than Go reads":        with(`,"more":` + deep(5000)),
		"id that is none":             replaced(`019ca8d5-0000`, `\u0000`),
		"time in another zone":        replaced(`13:17:00.000000Z`, `14:17:00.000000+01:00`),
		"version 0":                   replaced(`"v":1`, `"v":0`),
		"version twice":               with(`,"v":1`),
		"an id that is there":         replaced(`000000000077`, `000000000003`),
		"prunes what comes":           pruned(`{"horizon":"2026-01-01T00:00:00.000000Z","through":99,"gone":1,"kept":[]}`),
		"prunes itself":               pruned(`{"horizon":"2026-01-01T00:00:00.000000Z","through":8,"gone":0,"kept":[1,2,3,4,5,6,7,8]}`),
		"prunes more than was old":    pruned(`{"horizon":"2027-01-01T00:00:00.000000Z","through":1,"gone":0,"kept":[1]}`),
		"prunes, and nobody knows":    pruned(`{"horizon":"2026-01-01T00:00:00.000000Z","through":2,"gone":-1,"kept":[2,1]}`),
		"keeps one twice":             pruned(`{"horizon":"2026-01-01T00:00:00.000000Z","through":2,"gone":0,"kept":[1,1]}`),
	}
}

// Even if the machine's own key signed it: every reader rejects such an event.
func TestNobodyReadsAnAmbiguousEvent(t *testing.T) {
	template := sample(t)
	write(t, template, begin(20))
	private := machinesKey(t, template)
	for name, body := range ambiguous() {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			check(t, os.CopyFS(root, os.DirFS(template)))
			rewritten(t, root, private, func(bodies []string) []string { return append(bodies[:7:7], body) })
			a := &altered{T: t, path: store.Path(root)}
			if found, what := a.found(); !found || !strings.Contains(what, "event 8") {
				t.Errorf("verify: %s", what)
			}
			if s, err := store.OpenReadOnly(t.Context(), store.Path(root)); err == nil {
				s.Summarize(t.Context()) // reports what is wrong, or what it knows
				s.Close()
			}
			var v *proof.Verification
			export := exportOf(t, root)
			v, err := proof.VerifyExport(t.Context(), strings.NewReader(export), "")
			check(t, err)
			if v.Result == proof.Intact || !strings.Contains(fmt.Sprint(v.Problems), "event 8: ") {
				t.Errorf("export: %+v", v)
			}
			path := filepath.Join(t.TempDir(), "export.jsonl")
			put(t, path, export)
			s, opened, err := store.OpenExport(t.Context(), path, "")
			check(t, err)
			defer s.Close()
			if opened.Result == proof.Intact {
				t.Errorf("opened export: %+v", opened)
			}
			if sum, err := s.Summarize(t.Context()); err != nil || sum.Events != 7 {
				t.Errorf("of the opened export: %+v, %v", sum, err)
			}
		})
	}
}

// exportOf writes the lines of an export by hand, because the recorder refuses to write faulty
// ones.
func exportOf(t *testing.T, root string) string {
	t.Helper()
	db := raw(t, root)
	defer db.Close()
	var b strings.Builder
	fmt.Fprintf(&b, `{"export":%q,"since":0,"tree":[],"key":%q}`+"\n", proof.ExportFormat, query(t, db, `SELECT body ->> '$.identity.key' FROM events WHERE seq = 1`)[0])
	for i, body := range query(t, db, `SELECT CAST(body AS TEXT) FROM events ORDER BY seq`) {
		fmt.Fprintf(&b, `{"seq":%d,"hash":"%s","event":%s}`+"\n", i+1, tlog.RecordHash([]byte(body)), body)
	}
	text, err := json.Marshal(query(t, db, `SELECT note FROM checkpoint`)[0])
	check(t, err)
	fmt.Fprintf(&b, `{"checkpoint":%s}`+"\n", text)
	return b.String()
}

// Even with the machine's key, nobody can prune single events from between others: only everything
// old is pruned.
func TestPruneOfOneEventBetweenOthers(t *testing.T) {
	root := sample(t)
	for n := range 12 {
		write(t, root, observation(20+n))
	}
	db := raw(t, root)
	size := len(query(t, db, `SELECT seq FROM events`))
	var kept []string
	victim := query(t, db, `SELECT seq FROM events WHERE body ->> '$.kind' = 'observation' ORDER BY seq LIMIT 1 OFFSET 3`)[0]
	for seq := 1; seq <= size; seq++ {
		if fmt.Sprint(seq) != victim {
			kept = append(kept, fmt.Sprint(seq))
		}
	}
	check(t, db.Close())
	h := header(record.KindPrune, 99)
	h.Time = record.At(time.Now().UTC())
	head, err := json.Marshal(&record.Event{Header: h})
	check(t, err)
	prune := strings.TrimSuffix(string(head), "}") +
		fmt.Sprintf(`,"prune":{"horizon":"2026-01-01T00:00:00.000000Z","through":%d,"gone":1,"kept":[%s]}}`, size, strings.Join(kept, ","))
	rewritten(t, root, machinesKey(t, root), func(bodies []string) []string { return append(bodies, prune) })
	exec(t, raw(t, root), `DELETE FROM events WHERE seq = `+victim)
	check(t, open(t, root).Rebuild(t.Context()))
	for i, v := range asList(foundWith(t, root, "")) {
		if v.Result == proof.Intact {
			t.Errorf("%d: intact", i)
		}
	}
}
