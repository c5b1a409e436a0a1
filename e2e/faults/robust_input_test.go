package faults

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
)

// recordSome leaves a record with commits, imports and observations, and what it is made from.
func (m *machine) recordSome() {
	m.Helper()
	m.write("/history", history(20))
	m.mustAudit("import", "/history")
	m.commit("one", around{})
	m.mustAudit("observe")
	m.commit("two", around{})
	m.mustAudit("export", "--copy", "/good.db")
	m.mustAudit("export", "-o", "/good.jsonl")
}

// changed is a copy of some bytes with a few of them changed, moved, doubled or cut off.
func changed(rnd *rand.Rand, good []byte) []byte {
	b := bytes.Clone(good)
	for range 1 + rnd.IntN(4) {
		at := rnd.IntN(len(b))
		n := min(1+rnd.IntN(64), len(b)-at)
		switch rnd.IntN(6) {
		case 0, 1:
			b[at] ^= 1 << rnd.IntN(8)
		case 2:
			b[at] = byte(rnd.IntN(256))
		case 3:
			from := b[rnd.IntN(len(b)):]
			copy(b[at:], bytes.Clone(from[:min(n, len(from))]))
		case 4:
			clear(b[at : at+n])
		case 5:
			b = b[:max(at, 1)]
		}
	}
	return b
}

// dump is what a database says to anybody who can read it; empty: nobody can.
func (m *machine) dump(path string) string {
	m.Helper()
	got := m.end(m.command("/usr/bin/sqlite3", "-readonly", path, ".dump", "PRAGMA integrity_check", "PRAGMA user_version"))
	if got.exit != 0 || got.stderr != "" {
		return ""
	}
	return got.stdout
}

// looks runs the commands that read a record, and verify.
func (m *machine) looks(args ...string) (intact bool, v verdict) {
	m.Helper()
	for _, command := range [][]string{{"report", "history", "--format", "csv"}, {"check"}, {"status"}} {
		_, w := m.try(append(command, args...)...)
		v = v.and(w)
	}
	got, w := m.try(append([]string{"verify"}, args...)...)
	return got.exit == 0, v.and(w)
}

// changeDatabase changes bytes of the file. Bytes without meaning (free space within a page) alter
// nothing: the database says the same.
func changeDatabase(m *machine, rnd *rand.Rand) verdict {
	good, err := os.ReadFile(m.root + "/good.db")
	m.check(err)
	m.check(os.WriteFile(m.root+"/bad.db", changed(rnd, good), 0o640))
	intact, v := m.looks("--db", "/bad.db")
	if intact && m.dump("/bad.db") != m.dump("/good.db") {
		v.lied, v.why = true, "intact, and another content"
	}
	return v
}

// alterDatabase changes the content, after removing the triggers.
func alterDatabase(m *machine, rnd *rand.Rand) verdict {
	const drop = `SELECT 'DROP TRIGGER ' || name || ';' FROM sqlite_schema WHERE type = 'trigger'`
	statements := []string{
		"UPDATE events SET body = replace(body, 'kernel', 'kernal') WHERE seq = %d", "DELETE FROM events WHERE seq = %d",
		"UPDATE hashes SET hash = randomblob(32) WHERE id = %d", "DELETE FROM hashes WHERE id = %d",
		"UPDATE changes SET version = version || '1' WHERE event = %d", "DELETE FROM changes WHERE event > %d", "UPDATE commits SET login = 'eve%d'",
		"INSERT INTO changes SELECT event + 1000, pos, commit_id, time + %d, time_source, utc_offset, host, boot_id, kind, action, package, arch, version, previous, kernel_release, patch_number, initial, result, source, repo, checksum, signature_key, install_time, advisories, advisory, cves_added, cves_removed, bugs_added, bugs_removed, scripts FROM changes LIMIT 1",
		"UPDATE checkpoint SET note = replace(note, '%d', '7')", "UPDATE totals SET changes = changes + %d + 1", "DELETE FROM recorders WHERE event < %d + 2",
	}
	m.check(os.WriteFile(m.root+"/bad.db", must(os.ReadFile(m.root+"/good.db")), 0o640))
	sql := fmt.Sprintf(statements[rnd.IntN(len(statements))], 1+rnd.IntN(8))
	triggers := m.end(m.command("/usr/bin/sqlite3", "/bad.db", drop)).stdout
	again := m.end(m.command("/usr/bin/sqlite3", "/bad.db", "SELECT sql || ';' FROM sqlite_schema WHERE type = 'trigger'")).stdout
	m.end(m.command("/usr/bin/sqlite3", "/bad.db", triggers+sql+";"+again))
	intact, v := m.looks("--db", "/bad.db")
	if intact && m.dump("/bad.db") != m.dump("/good.db") {
		v.lied, v.why = true, "intact after "+sql
	}
	return v
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// changeExport changes bytes of an export: every byte has a meaning.
func changeExport(m *machine, rnd *rand.Rand) verdict {
	good := must(os.ReadFile(m.root + "/good.jsonl"))
	bad := changed(rnd, good)
	m.check(os.WriteFile(m.root+"/bad.jsonl", bad, 0o640))
	got, v := m.try("verify", "--input", "/bad.jsonl")
	_, w := m.try("report", "history", "--format", "csv", "--input", "/bad.jsonl")
	v = v.and(w)
	if got.exit == 0 && !bytes.Equal(bad, good) {
		v.lied, v.why = true, "intact, and other bytes"
	}
	return v
}

// layJournal puts the journal of a real boot into the machine.
func (m *machine) layJournal() {
	m.Helper()
	dir := journaltest.Unpack(m.T, "A")
	m.copy(dir, m.root+"/good")
}

// changeJournal changes bytes of the journal's files. Whatever they say then is accepted.
func changeJournal(m *machine, rnd *rand.Rand) (v verdict) {
	m.check(os.RemoveAll(m.root + "/bad"))
	m.check(filepath.WalkDir(m.root+"/good", func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		m.write("/bad"+strings.TrimPrefix(path, m.root+"/good"), string(changed(rnd, must(os.ReadFile(path)))))
		return nil
	}))
	for _, command := range []string{"boots", "initrd"} {
		_, w := m.try(command, "--journal", "/bad")
		v = v.and(w)
	}
	return v
}

// changeImage changes bytes of an initrd image and reads it.
func changeImage(m *machine, rnd *rand.Rand) (v verdict) {
	images, err := filepath.Glob("../../internal/initrd/testdata/*.img")
	m.check(err)
	bad := changed(rnd, must(os.ReadFile(images[rnd.IntN(len(images))])))
	defer func() {
		if p := recover(); p != nil {
			v.panicked, v.why = true, fmt.Sprint(p)
		}
	}()
	ctx, cancel := context.WithTimeout(m.Context(), commandLimit)
	defer cancel()
	start := time.Now()
	initrd.Scan(ctx, bytes.NewReader(bad)) // the result does not matter
	v.late = time.Since(start) > commandLimit
	return v
}
