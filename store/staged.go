package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// snapshotNumber is N of a root directory in /.snapshots/N/snapshot, 0 of any other one.
func snapshotNumber(subvolume string) int64 {
	rest, ok := strings.CutSuffix(subvolume, "/snapshot")
	_, number, found := cutLast(rest, "/.snapshots/")
	if !ok || !found {
		return 0
	}
	return parseSnapshot(number)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// parseSnapshot reads the number of a snapshot, 0 if it is none.
func parseSnapshot(number string) int64 {
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0
	}
	return int64(n)
}

// stagedIn is the snapshot that a commit went to, null for the running system.
func stagedIn(b *record.CommitBegin) any {
	if b.Staging == nil {
		return nil
	}
	if n := parseSnapshot(b.Staging.Snapshot); n > 0 {
		return n
	}
	return nil
}

// What the statements below ask of a staged commit t. A change shows in a system if what it
// brought is installed there, by the very same installation, or what it removed is not.
const (
	stagedChanges = `FROM changes c WHERE c.event = t.end_event AND c.commit_id = t.id AND c.result = 'ok'`
	shows         = `(EXISTS (SELECT 1 FROM json_each(?5) p WHERE p.value ->> 'name' = c.package AND p.value ->> 'arch' = c.arch
		AND p.value ->> 'version' = c.version AND (c.action = 'remove' OR c.install_time IS NULL OR p.value ->> 'install_time' = c.install_time))
		<> (c.action = 'remove'))`
	// lost: nothing of it shows. A later commit may have changed the same packages again.
	lost = `(?5 IS NOT NULL AND EXISTS (SELECT 1 ` + stagedChanges + `) AND NOT EXISTS (SELECT 1 ` + stagedChanges + ` AND ` + shows + `))`
	// kept: all of it shows, and at least one installation can be told from any other.
	kept = `(EXISTS (SELECT 1 ` + stagedChanges + ` AND c.action <> 'remove' AND c.install_time IS NOT NULL)
		AND NOT EXISTS (SELECT 1 ` + stagedChanges + ` AND NOT ` + shows + `))`
	overwritten = `EXISTS (SELECT 1 FROM commits l JOIN changes n ON n.event = l.end_event AND n.commit_id = l.id WHERE l.end_event > t.end_event
		AND l.snapshot <= ?1 AND n.package IN (SELECT c.package ` + stagedChanges + `))`
	unsettled = `t.outcome IN ('staged', 'discarded') AND t.boot_id <> ?3`
)

// applyBooted settles what became of staged commits, from an observation of a booted
// snapshot. What went to that snapshot is completed, and effective since the boot; what went
// to a later one is discarded, for it cannot be in this one. A snapshot may contain what
// went to one before it, or not: that is proven by the installed packages, or not at all.
// Numbers alone prove little: the snapshot of a failed update is deleted, and the next one
// gets its number.
func applyBooted(seq int64, ev *record.Event) []mutation {
	o := ev.Observation
	booted := snapshotNumber(o.Subvolume)
	if booted == 0 {
		return nil
	}
	var installed any
	if o.Installed != nil {
		installed = identified(o.Installed)
	}
	args := []any{booted, o.Kernel.BootTime.UnixMicro(), ev.BootID, seq, installed}
	return []mutation{
		{
			// A discarded one comes back if it was discarded for what was booted in between.
			query: `UPDATE commits AS t SET outcome = 'completed', effective = ?2, settled_event = ?4 WHERE ` + unsettled + `
				AND (t.outcome = 'staged' OR t.settled_event IS NOT NULL)
				AND (t.snapshot = ?1 AND NOT ` + lost + ` OR t.snapshot < ?1 AND t.end_time <= ?2 AND ?5 IS NOT NULL AND ` + kept + `)`,
			args: args,
		},
		{
			query: `UPDATE commits AS t SET outcome = 'discarded', settled_event = ?4 WHERE ` + unsettled + ` AND t.outcome = 'staged'
				AND t.end_time <= ?2 AND (t.snapshot > ?1 OR t.snapshot <= ?1 AND ` + lost + ` AND NOT ` + overwritten + `)`,
			args: args,
		},
	}
}

// identified are packages with what tells one installation from another, in JSON.
func identified(installed []record.Package) string {
	type installation struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Arch    string `json:"arch"`
		Time    int64  `json:"install_time"`
	}
	list := []installation{}
	for _, p := range installed {
		list = append(list, installation{p.Name, p.Version, p.Arch, p.InstallTime})
	}
	b, _ := json.Marshal(list)
	return string(b)
}

// StagedChanges returns what commits did, as the rpm database showed it, that went to a
// snapshot or to one before it, and that event number since did not know of yet. A reader
// that finds these packages changed after a boot need not wonder by what.
func (s *Store) StagedChanges(ctx context.Context, subvolume string, since int64) ([]record.Change, error) {
	const query = `SELECT e.body FROM commits t JOIN events e ON e.seq = t.end_event WHERE t.outcome IN ('staged', 'discarded', 'completed')
		AND (t.outcome <> 'discarded' AND t.snapshot <= ?1 OR t.snapshot = ?1) AND (t.outcome <> 'completed' OR t.settled_event > ?2) ORDER BY t.end_event`
	booted := snapshotNumber(subvolume)
	if booted == 0 {
		return nil, nil
	}
	ends, err := collect(ctx, s.db, query, []any{booted, since}, func(rows *sql.Rows) (ev *record.Event, err error) {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		return record.Decode(body)
	})
	var changes []record.Change
	for _, ev := range ends {
		for _, c := range ev.End.Changes {
			if c.Result == record.ResultOK {
				changes = append(changes, c)
			}
		}
	}
	return changes, err
}
