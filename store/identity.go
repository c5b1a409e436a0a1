package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// identify loads the key and adds the recorder event that is due: for the first event of a log, and
// whenever the program version, the machine or the key has changed. Before that it checks that the
// log is still the one that this machine's key signed last, because a new signature must not cover
// up an alteration. problem says what was wrong with the tables, if anything.
func (a *appender) identify(root, version, problem string) error {
	last, err := lastIdentity(a.ctx, a.tx)
	if err != nil {
		return err
	}
	ev := &record.Event{Header: NewHeader(record.KindRecorder, root, version)}
	old, existed, err := a.openKey(KeyPath(root), last.checkpoint)
	if err != nil {
		return err
	}
	ev.Identity = &record.Identity{Schema: Schema}
	machine := ev.Host.MachineID
	problem = cmp.Or(a.brokenProof(last, old), problem)
	switch {
	case a.size == 0 && existed:
		ev.Identity.Cause = record.CauseRecordLost
	case a.size == 0:
		ev.Identity.Cause = record.CauseInstalled
	case problem != "":
		ev.Identity.Cause, ev.Identity.Problem, ev.Identity.Checkpoint = record.CauseProofBroken, problem, last.checkpoint
	case old == nil:
		ev.Identity.Cause = record.CauseKeyReplaced
	// If the machine id cannot be read for a while, nothing has changed.
	case machine != "" && last.machine != "" && machine != last.machine:
		ev.Identity.Cause = record.CauseIdentityChanged
	case last.version != version:
		ev.Identity.Cause, ev.Identity.Previous = record.CauseUpgraded, last.version
	}
	if err := a.chooseKey(KeyPath(root), old, ev.Identity); err != nil || ev.Identity.Cause == "" {
		return err
	}
	if a.size == 0 || ev.Identity.Cause == record.CauseProofBroken {
		if err := a.clear(); err != nil {
			return err
		}
	}
	return a.addEvent(ev)
}

// clear removes remains of another log that would get in the way: rows in its views, and hashes of
// events that are gone. The event that follows says what was found.
func (a *appender) clear() error {
	if err := rebuildReadable(a.ctx, a.tx); err != nil {
		return err
	}
	surplus := fmt.Sprintf(` FROM hashes WHERE id < 0 OR id >= %d`, tlog.StoredHashCount(a.size))
	var n int64
	if err := a.tx.QueryRowContext(a.ctx, `SELECT count(*)`+surplus).Scan(&n); err != nil || n == 0 {
		return err
	}
	var trigger string
	err := a.tx.QueryRowContext(a.ctx, `SELECT sql FROM sqlite_schema WHERE name = 'hashes_no_delete'`).Scan(&trigger)
	for _, step := range []string{`DROP TRIGGER hashes_no_delete`, `DELETE` + surplus, trigger} {
		if err == nil {
			_, err = a.tx.ExecContext(a.ctx, step)
		}
	}
	return err
}

// chooseKey picks the key that signs from here on: the machine's key, or a new one if there is
// none. A cloned machine has its original's key, which hands over to a new one.
func (a *appender) chooseKey(path string, old *proof.Key, id *record.Identity) (err error) {
	a.signer = old
	if old == nil || id.Cause == record.CauseIdentityChanged {
		if a.signer, err = newKey(path); err != nil {
			return err
		}
		a.newKey = path
	}
	id.Key = a.signer.Verifier
	if id.Cause != record.CauseIdentityChanged {
		return nil
	}
	root, err := tlog.TreeHash(a.size, hashReader(a.ctx, a.tx))
	if err != nil {
		return err
	}
	a.from = old
	id.Checkpoint, err = old.HandOver(a.signer, a.size, root)
	return err
}

// identity is what the record says of its recorder.
type identity struct {
	version, machine, key, checkpoint string
}

// lastIdentity reads what the newest recorder events say. It uses the view to find them, and trusts
// it for nothing else.
func lastIdentity(ctx context.Context, tx *sql.Tx) (last identity, err error) {
	err = tx.QueryRowContext(ctx, `SELECT coalesce((SELECT note FROM checkpoint), '')`).Scan(&last.checkpoint)
	if err != nil {
		return last, err
	}
	const query = `SELECT e.body FROM recorders r JOIN events e ON e.seq = r.event ORDER BY r.event DESC LIMIT 100`
	err = sqlite.EachRow(ctx, tx, query, nil, func(c *sqlite.Cells) {
		ev, err := record.Decode(c.Bytes())
		if err != nil || ev.Identity == nil {
			return // the proof will not match then
		}
		if last.key == "" {
			last.key, last.version = ev.Identity.Key, ev.Recorder.Version
		}
		last.machine = cmp.Or(last.machine, ev.Host.MachineID)
		c.Enough = last.key != "" && last.machine != ""
	})
	return last, err
}

// brokenProof says how the log differs from the one that the machine's key signed last; empty if it
// does not. If there is no such key (nil), it uses the one that the record names.
func (a *appender) brokenProof(last identity, machine *proof.Key) string {
	trusted := last.key
	if machine != nil {
		trusted = machine.Verifier
	}
	cp, err := proof.ParseCheckpoint(last.checkpoint, trusted)
	if err != nil {
		return err.Error()
	}
	if last.key != trusted {
		return fmt.Sprintf("the record names the key %q, but the machine's key is %q", last.key, trusted)
	}
	if cp.Size != a.size {
		return fmt.Sprintf("the checkpoint covers %d events, the log has %d", cp.Size, a.size)
	}
	root, err := tlog.TreeHash(a.size, hashReader(a.ctx, a.tx))
	if err != nil {
		return err.Error()
	}
	if root != cp.Root {
		return fmt.Sprintf("the root hash is %s, the checkpoint says %s", root, cp.Root)
	}
	return ""
}

// openKey reads the machine's key, nil if there is none that can be used. existed says whether
// there was a file. A new key waits under another name until the record that it signed is on disk;
// if a writer died in between, the key is moved to its place now.
func (a *appender) openKey(path, newest string) (k *proof.Key, existed bool, err error) {
	text, err := readKeyFile(path)
	existed = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	k, parseErr := proof.ParseKey(text)
	if text, err := readKeyFile(path + newSuffix); err == nil {
		made, err := proof.ParseKey(text)
		// If there is a usable key, a new one counts only if the usable one signed, too.
		if err == nil && made.Signed(newest) && (parseErr != nil || k.Signed(newest)) {
			return made, true, placeKey(path, made)
		}
	}
	if parseErr != nil {
		return nil, existed, nil
	}
	if !isPublished(path, k) {
		if err := publishKey(path, k); err != nil {
			return nil, existed, err
		}
	}
	return k, existed, nil
}
