package views

import (
	"database/sql"
	"encoding/json"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
)

// applyCommit writes what an event says about a commit, and the changes that it reports.
func applyCommit(o *view.Outline) []mutation {
	switch c := o.Commit; {
	case c == nil:
		return rowsOf(o.Changes)
	case o.Header.Kind == record.KindImport:
		return applyImport(o)
	case c.BeginEvent != nil:
		return applyBegin(o)
	}
	return applyEnd(o)
}

func applyBegin(o *view.Outline) []mutation {
	c, by := o.Commit, o.Whole.Begin.Libzypp
	return append([]mutation{{
		// The end may be there already: the spool is in order, but a file may have waited longer.
		query: `INSERT INTO commits (id, begin_event, begin_time, boot_id, pid, start_ticks, login, sudo_user, exe, tty,
			session, automation, command, userdata, snapshot) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET begin_event = excluded.begin_event, begin_time = excluded.begin_time,
			boot_id = excluded.boot_id, pid = excluded.pid, start_ticks = excluded.start_ticks, login = excluded.login,
			sudo_user = excluded.sudo_user, exe = excluded.exe, tty = excluded.tty, session = excluded.session,
			automation = excluded.automation, command = excluded.command, userdata = excluded.userdata,
			snapshot = excluded.snapshot`,
		args: []any{c.ID, o.Event, micros(c.Begin), c.BootID, by.PID, int64(by.StartTicks), valueOf(c.Actor.Login), valueOf(c.Actor.SudoUser),
			valueOf(c.Actor.Exe), valueOf(c.Actor.TTY), valueOf(c.Actor.Session), valueOf(c.Actor.Automation), valueOf(c.Command),
			valueOf(c.UserData), numberOrNull(c.StagedIn)},
	}}, rowsOf(o.Changes)...)
}

func applyEnd(o *view.Outline) []mutation {
	c := o.Commit
	return append([]mutation{
		{query: `INSERT OR IGNORE INTO commits (id, boot_id) VALUES (?, ?)`, args: []any{c.ID, c.BootID}},
		{query: `UPDATE commits SET end_event = ?, end_time = ?, outcome = ? WHERE id = ? AND end_event IS NULL`,
			args: []any{o.Event, micros(c.End), *c.Outcome, c.ID}, guard: true},
	}, rowsOf(o.Changes)...)
}

// applyImport writes the changes of an import into the views. Later imports add to the same commit.
// A commit that was completely on record stays as it was recorded.
func applyImport(o *view.Outline) (m []mutation) {
	c := o.Commit
	if c.EndEvent != nil {
		m = append(m, mutation{
			query: `INSERT INTO commits (id, end_event, begin_time, end_time, boot_id, command, userdata) VALUES (?, ?, ?, ?, '', ?, ?)
				ON CONFLICT (id) DO UPDATE SET end_time = max(end_time, excluded.end_time)`,
			args: []any{c.ID, o.Event, micros(c.Begin), micros(c.End), valueOf(c.Command), valueOf(c.UserData)},
		})
	}
	m = append(m, rowsOf(o.Changes)...)
	if c.Outcome != nil {
		m = append(m, mutation{query: `UPDATE commits SET outcome = ? WHERE id = ? AND begin_event IS NULL`, args: []any{*c.Outcome, c.ID}})
	}
	if len(o.Applied) > 0 {
		m = append(m, mutation{
			query: `UPDATE changes SET advisories = ? WHERE commit_id = ? AND source = 'import' AND result = 'ok' AND action NOT IN ('remove', 'downgrade')`,
			args:  []any{list(o.Applied), c.ID}, wide: true,
		})
	}
	// An import of the rest of a commit may show that this change was not the only one.
	return append(m, mutation{
		query: `UPDATE changes SET advisory = CASE WHEN result = 'ok' AND action NOT IN ('remove', 'downgrade') THEN ? END
			WHERE commit_id = ? AND source = 'import'`,
		args: []any{valueOf(o.Advisory), c.ID}, wide: true,
	})
}

func numberOrNull(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// settleStaged settles what became of staged commits when a btrfs snapshot is booted.
//
// Commits to that snapshot are completed, and effective since the boot; commits to a later snapshot
// are discarded, as this one cannot contain them. Commits to an earlier snapshot may be in this one
// or not: the installed packages prove it, or nothing does. Numbers alone prove little: the snapshot
// of a failed update is deleted, and the next one gets its number.
//
// CROSS JOIN and the pluses make SQLite start with the staged commits, which are few however long
// the record is.
const settleStaged = `
	WITH
	installed AS (
		SELECT value ->> 'name' AS name, value ->> 'version' AS version, value ->> 'arch' AS arch, value ->> 'install_time' AS install_time
		FROM json_each(:installed)
	),
	unsettled AS MATERIALIZED (
		SELECT * FROM commits INDEXED BY commits_staged WHERE outcome IN ('staged', 'discarded') AND snapshot IS NOT NULL AND boot_id <> :boot
	),
	-- An installed package shows if the exact installation is there; a removed one shows if it is absent.
	done AS (
		SELECT u.id, c.action <> 'remove' AND c.install_time IS NOT NULL AS unique_to_it,
			(c.action = 'remove') <> EXISTS (SELECT 1 FROM installed i WHERE i.name = c.package AND i.version = c.version AND i.arch = c.arch
				AND (c.action = 'remove' OR c.install_time IS NULL OR i.install_time = c.install_time)) AS shows
		FROM unsettled u CROSS JOIN changes c ON c.event = u.end_event AND c.commit_id = u.id
		WHERE +c.result = 'ok' AND :installed IS NOT NULL
	),
	-- Kept: every change shows, and at least one installation is unmistakable. Lost: none shows.
	evidence AS (
		SELECT id, min(shows) AND max(unique_to_it) AS kept, NOT max(shows) AS lost FROM done GROUP BY id
	),
	candidates AS MATERIALIZED (
		SELECT u.*, coalesce(e.kept, FALSE) AS kept, coalesce(e.lost, FALSE) AS lost FROM unsettled u LEFT JOIN evidence e ON e.id = u.id
	),
	settled AS (
		SELECT id, 'completed' AS outcome, :boot_time AS effective FROM candidates
		WHERE (outcome = 'staged' OR settled_event IS NOT NULL) -- it returns if it was discarded because of another boot in between
			AND (snapshot = :booted AND NOT lost OR snapshot < :booted AND end_time <= :boot_time AND kept)
		UNION ALL
		SELECT id, 'discarded', NULL FROM candidates AS t
		WHERE outcome = 'staged' AND end_time <= :boot_time
			AND (snapshot > :booted OR lost AND NOT EXISTS ( -- a later commit may have changed the same packages again
				SELECT 1 FROM commits l JOIN changes n ON n.event = l.end_event AND n.commit_id = l.id
				WHERE l.end_event > t.end_event AND l.snapshot <= :booted AND n.package IN (
					SELECT package FROM changes WHERE event = t.end_event AND commit_id = t.id AND +result = 'ok')))
	)
	UPDATE commits SET outcome = s.outcome, effective = s.effective, settled_event = :event FROM settled s WHERE commits.id = +s.id`

// applyBooted settles what became of staged commits, from an observation of a booted snapshot.
func applyBooted(o *view.Outline) []mutation {
	of := o.Observation
	if of == nil || of.Booted == 0 {
		return nil
	}
	var installed any
	if of.Installed != nil {
		installed = identified(of.Installed)
	}
	return []mutation{{query: settleStaged, wide: true, args: []any{
		sql.Named("booted", of.Booted), sql.Named("boot", of.BootID), sql.Named("boot_time", of.BootTime.UnixMicro()),
		sql.Named("installed", installed), sql.Named("event", o.Event),
	}}}
}

// identified returns packages with what distinguishes one installation from another, in JSON.
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
