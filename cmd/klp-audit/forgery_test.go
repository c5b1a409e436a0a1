package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// A past that was rewritten without the machine's key is found by all who look: verify, verify with
// the key that was noted, verify of an export, and check; before the recorder writes on, and after
// a commit and an observation of it.
func TestForgeryIsFoundByAll(t *testing.T) {
	for name, tt := range map[string]struct {
		forge    func(t *testing.T, root string)
		exported bool // an export shows it: the events themselves are others
	}{
		"an event":             {altering(`UPDATE events SET body = replace(body, '"tux"', '"eve"')`), true},
		"an event, version 2":  {altering(`UPDATE events SET body = replace(body, '"tux"', '"eve"'); PRAGMA user_version = 2`), true},
		"a view":               {altering(`UPDATE commits SET login = 'eve'`), false},
		"a view, version 0":    {altering(`UPDATE commits SET login = 'eve'; PRAGMA user_version = 0`), false},
		"an event gone":        {altering(`DELETE FROM events WHERE seq = 2`), true},
		"a trigger":            {altering(`CREATE TRIGGER eve AFTER INSERT ON events BEGIN DELETE FROM changes; END`), false},
		"another's":            {anothers, true},
		"another's checkpoint": {anothersCheckpoint, true},
		"no key":               {func(t *testing.T, root string) { check(t, os.Remove(store.KeyPath(root))) }, false},
		"another's and no key": {func(t *testing.T, root string) { anothers(t, root); check(t, os.Remove(store.KeyPath(root))) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			recordAt(t, root)
			recordAt(t, root)
			noted, err := store.MachineKey(root)
			check(t, err)
			tt.forge(t, root)
			mustBeFound(t, "before", root, noted, tt.exported)
			recordAt(t, root)
			mustBeFound(t, "after", root, noted, tt.exported)
		})
	}
}

// recordAt has the recorder write a commit and an observation.
func recordAt(t *testing.T, root string) {
	t.Helper()
	s, err := store.Open(t.Context(), root, "1.0.0")
	check(t, err)
	begin := &record.Event{Header: store.NewHeader(record.KindCommitBegin, root, "1.0.0"), Begin: &record.CommitBegin{Actor: record.Actor{Login: "tux"}}}
	end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, root, "1.0.0"), End: &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted}}
	seen := &record.Event{Header: store.NewHeader(record.KindObservation, root, "1.0.0"), Observation: &record.Observation{
		Trigger: record.TriggerTimer, Kernel: record.Kernel{Release: "6.4.0", BootTime: record.At(time.Now())}, Initrd: record.Initrd{Verdict: record.VerdictUnknown}}}
	check(t, s.Append(t.Context(), begin, end, seen))
	check(t, s.Close())
}

// altering changes a record by SQL, without its triggers, and puts these back.
func altering(query string) func(t *testing.T, root string) {
	return func(t *testing.T, root string) {
		db, err := sql.Open("sqlite3", store.Path(root))
		check(t, err)
		defer db.Close()
		db.SetMaxOpenConns(1)
		var back string
		check(t, db.QueryRow(`SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name IN ('events', 'hashes') ORDER BY name)`).Scan(&back))
		_, err = db.Exec(`DROP TRIGGER events_no_update; DROP TRIGGER events_no_delete; DROP TRIGGER hashes_no_update; DROP TRIGGER hashes_no_delete; ` + query + `; ` + back)
		check(t, err)
	}
}

func anothers(t *testing.T, root string) {
	other := t.TempDir()
	recordAt(t, other)
	record, err := os.ReadFile(store.Path(other))
	check(t, err)
	check(t, os.WriteFile(store.Path(root), record, 0o640))
}

func anothersCheckpoint(t *testing.T, root string) {
	other := t.TempDir()
	recordAt(t, other)
	recordAt(t, other)
	s, err := store.OpenReadOnly(t.Context(), store.Path(other))
	check(t, err)
	defer s.Close()
	sum, err := s.Summarize(t.Context())
	check(t, err)
	altering(fmt.Sprintf(`UPDATE checkpoint SET note = '%s'`, sum.Checkpoint))(t, root)
}

// mustBeFound demands that nobody who looks says that a record is intact, nor, if an export shows
// it, who verifies that.
func mustBeFound(t *testing.T, when, root, noted string, exported bool) {
	t.Helper()
	calls := [][]string{{"verify", "--root", root}, {"verify", "--root", root, "--key", noted}, {"check", "--root", root}}
	export := filepath.Join(t.TempDir(), "export.jsonl")
	if code, _, _ := called(t, "export", "--root", root, "-o", export); code == exitDone && exported {
		calls = append(calls, []string{"verify", "--input", export, "--key", noted})
	}
	for _, args := range calls {
		code, out, errs := called(t, args...)
		if found := code == exitAltered || code == exitTruncated || args[0] == "check" && code == 2; !found {
			t.Errorf("%s: %q: %d, %s%s", when, args, code, out, errs)
		}
	}
}
