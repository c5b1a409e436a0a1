package faults

import (
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/store"
)

// An older copy takes the place of the record, from a backup or by somebody with something to hide.
// It matches its own checkpoint: without one that was noted since, nobody can tell, and the manual
// says so. With one, verify can tell, even if commits were added on top.
func TestOlderRecordInItsPlace(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	older, err := os.ReadFile(m.root + recordPath)
	m.check(err)
	m.commit("hidden", around{})
	m.write("/noted", m.verification().Checkpoint)
	m.check(os.WriteFile(m.root+recordPath, older, 0o640))
	m.intact()
	m.says(m.audit("verify", "--help"), 0, "rolled back to an older copy")
	m.refuses(5, []string{"TRUNCATED", "rolled back or replaced"}, "verify", "--checkpoint", "/noted")
	m.commit("next", around{})
	m.settle("first", "next")
	m.refuses(4, []string{"ALTERED", "not those of the earlier checkpoint"}, "verify", "--checkpoint", "/noted")
}

// The record of another machine takes its place: commits are added to it, and it says for ever that
// it was not the one that this machine's key had signed.
func TestOtherRecordInItsPlace(t *testing.T) {
	t.Parallel()
	m, other := newMachine(t), newMachine(t)
	other.write("/etc/machine-id", strings.Repeat("f", 32)+"\n")
	other.commit("other", around{})
	m.commit("first", around{})
	m.write("/noted", m.verification().Checkpoint)
	record, err := os.ReadFile(other.root + recordPath)
	m.check(err)
	m.check(os.WriteFile(m.root+recordPath, record, 0o640))
	m.commit("next", around{})
	m.once(m.recorded(), "other", "next")
	if causes := m.causes(); !slices.Equal(causes, []string{"installed", "proof-broken"}) {
		t.Errorf("recorder events: %q", causes)
	}
	m.refuses(4, []string{"ALTERED", "the recorder found that the log was not the one it had signed"}, "verify")
	m.refuses(4, []string{"ALTERED", "not those of the earlier checkpoint"}, "verify", "--checkpoint", "/noted")
}

// Somebody replaces the record between the begin and the end of a commit. The end is kept, and
// shown without what only its begin knew.
func TestRecordReplacedInACommit(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	older, err := os.ReadFile(m.root + recordPath)
	m.check(err)
	m.commit("torn", around{frame: func(command string) {
		if command == "COMMITEND" {
			m.check(os.WriteFile(m.root+recordPath, older, 0o640))
		}
	}})
	m.settle("first")
	if ends := slices.DeleteFunc(m.recorded(), func(ev event) bool { return ev.Kind != "commit-end" }); len(ends) != 2 {
		t.Errorf("%d ends, want 2", len(ends))
	}
}

// Root changes an event, rebuilds the tree, the views and the signature with the machine's own key,
// and restores the triggers. The record is consistent; only what was noted before reveals it.
func TestRewrittenRecord(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	noted := m.verification()
	m.write("/noted", noted.Checkpoint)
	m.rewrite("kernel-default", "kernel-rt")
	m.mustAudit("rebuild")
	m.intact("--key", noted.Key)
	m.says(m.audit("report", "history"), 0, "kernel-rt")
	m.refuses(4, []string{"ALTERED", "not those of the earlier checkpoint"}, "verify", "--checkpoint", "/noted")
	m.commit("next", around{})
	m.refuses(4, []string{"not those of the earlier checkpoint"}, "verify", "--checkpoint", "/noted")
}

// A quick look at the machine's own record is enough to see that it is not what was signed last:
// each report says so in its first line.
func TestReportOnAlteredRecord(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	m.sqlite3("UPDATE checkpoint SET note = replace(note, 'klp-audit', 'klp-audot')")
	m.beginsWith("ALTERED: ", 4)
	// The recorder continues, and says for ever what it found.
	m.commit("next", around{})
	m.beginsWith("ALTERED: ", 4)
	m.refuses(4, []string{"the recorder found that the log was not the one"}, "report", "history", "--format", "csv")
}

// The same for a record whose end is missing.
func TestReportOnCutRecord(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	m.sqlite3("DROP TRIGGER events_no_delete; DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)")
	m.beginsWith("ALTERED: ", 4)
}

// beginsWith demands a word at the beginning of all reports, an exit status, and that monitoring is
// alerted.
func (m *machine) beginsWith(word string, exit int) {
	m.Helper()
	for _, command := range [][]string{{"report"}, {"report", "history", "--format", "csv"}, {"report", "state"}, {"report", "compliance"}, {"status"}} {
		got := m.audit(command...)
		if got.exit != exit || !strings.HasPrefix(strings.TrimPrefix(got.stdout, `"`), word) {
			m.Errorf("%q: exit %d, %.200q, %.200q", command, got.exit, got.stdout, got.stderr)
		}
	}
	if got := m.audit("check", "--only", "clock"); got.exit != 2 || !strings.HasPrefix(got.stdout, "KLP-AUDIT CRITICAL - "+word) {
		m.Errorf("check: %+v", got)
	}
}

// rewrite replaces a text in all events and signs the result.
func (m *machine) rewrite(from, to string) {
	m.Helper()
	db, err := sql.Open("sqlite3", m.root+recordPath)
	m.check(err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	exec := func(query string, args ...any) {
		m.Helper()
		_, err := db.Exec(query, args...)
		m.check(err)
	}
	texts := func(query string) (texts []string) {
		m.Helper()
		rows, err := db.Query(query)
		m.check(err)
		defer rows.Close()
		for rows.Next() {
			var text string
			m.check(rows.Scan(&text))
			texts = append(texts, text)
		}
		return texts
	}
	triggers := texts(`SELECT sql FROM sqlite_schema WHERE type = 'trigger'`)
	for _, name := range texts(`SELECT name FROM sqlite_schema WHERE type = 'trigger'`) {
		exec(`DROP TRIGGER ` + name)
	}
	exec(`UPDATE events SET body = replace(body, ?, ?)`, from, to)
	exec(`DELETE FROM hashes`)
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(ids []int64) (found []tlog.Hash, err error) {
		for _, id := range ids {
			found = append(found, hashes[id])
		}
		return found, nil
	})
	bodies := texts(`SELECT body FROM events ORDER BY seq`)
	for i, body := range bodies {
		added, err := tlog.StoredHashes(int64(i), []byte(body), read)
		m.check(err)
		for _, h := range added {
			exec(`INSERT INTO hashes (id, hash) VALUES (?, ?)`, len(hashes), h[:])
			hashes = append(hashes, h)
		}
	}
	root, err := tlog.TreeHash(int64(len(bodies)), read)
	m.check(err)
	exec(`UPDATE checkpoint SET note = ?`, m.sign(int64(len(bodies)), root))
	for _, trigger := range triggers {
		exec(trigger)
	}
}

// sign signs a checkpoint with the machine's key.
func (m *machine) sign(size int64, root tlog.Hash) string {
	m.Helper()
	key, err := os.ReadFile(store.KeyPath(m.root))
	m.check(err)
	signer, err := note.NewSigner(strings.TrimSpace(string(key)))
	m.check(err)
	text, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), size, root)}, signer)
	m.check(err)
	return string(text)
}
