package store

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
)

// KeyPath returns the path of the key that signs the checkpoints of the record of the
// machine whose file tree is at root.
func KeyPath(root string) string { return filepath.Join(root, "/", StateDir, "key") }

// key is the machine's private key for checkpoints.
type key struct {
	signer   note.Signer
	verifier string
}

// sign signs a checkpoint; from is the key that hands over to this one, nil if none does.
func (k *key) sign(size int64, root tlog.Hash, from *key) (*Checkpoint, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", k.signer.Name(), size, root)
	signers := []note.Signer{k.signer}
	if from != nil {
		signers = append(signers, from.signer)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return nil, fmt.Errorf("signing checkpoint: %w", err)
	}
	return &Checkpoint{Origin: k.signer.Name(), Size: size, Root: root, Note: string(signed)}, nil
}

// identify loads the key and adds the recorder event that is due: on the first event of a
// log, and whenever the program version, the machine or the key is another one. Before that it
// looks whether the log is still the one that this machine's key signed last: a new signature
// must not make good what was altered. problem says what was wrong with its tables, if anything was.
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
	// Where the machine id cannot be read for a while, nothing has changed.
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

// clear takes away what is left of another log and would be in the way of what comes: rows of its
// views, and hashes of events that are gone. What was found is said in the event that follows.
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

// chooseKey decides on the key that signs from here on: the machine's, or a new one where there
// is none, or where a cloned machine has its original's, which then hands over to it.
func (a *appender) chooseKey(path string, old *key, id *record.Identity) (err error) {
	a.signer = old
	if old == nil || id.Cause == record.CauseIdentityChanged {
		if a.signer, err = newKey(path); err != nil {
			return err
		}
		a.newKey = path
	}
	id.Key = a.signer.verifier
	if id.Cause != record.CauseIdentityChanged {
		return nil
	}
	root, err := tlog.TreeHash(a.size, hashReader(a.ctx, a.tx))
	if err != nil {
		return err
	}
	a.from = old
	id.Checkpoint, err = handOver(old, a.signer, a.size, root)
	return err
}

// identity is what the record says of its recorder.
type identity struct {
	version, machine, key, checkpoint string
}

// lastIdentity reads what the newest recorder events say. The view tells where they are, and is not
// believed otherwise.
func lastIdentity(ctx context.Context, tx *sql.Tx) (last identity, err error) {
	err = tx.QueryRowContext(ctx, `SELECT coalesce((SELECT note FROM checkpoint), '')`).Scan(&last.checkpoint)
	if err != nil {
		return last, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT e.body FROM recorders r JOIN events e ON e.seq = r.event ORDER BY r.event DESC LIMIT 100`)
	if err != nil {
		return last, err
	}
	defer rows.Close()
	for rows.Next() && (last.key == "" || last.machine == "") {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return last, err
		}
		ev, err := record.Decode(body)
		if err != nil || ev.Identity == nil {
			continue // the proof does not fit then
		}
		if last.key == "" {
			last.key, last.version = ev.Identity.Key, ev.Recorder.Version
		}
		last.machine = cmp.Or(last.machine, ev.Host.MachineID)
	}
	return last, rows.Err()
}

// brokenProof says how the log differs from the one that the machine's key signed last, empty
// if it does not. Without that key (nil) it goes by the one that the record names.
func (a *appender) brokenProof(last identity, machine *key) string {
	trusted := last.key
	if machine != nil {
		trusted = machine.verifier
	}
	cp, err := ParseCheckpoint(last.checkpoint, trusted)
	if err != nil {
		return err.Error()
	}
	if last.key != trusted {
		return fmt.Sprintf("the record names the key %q, and the machine's is %q", last.key, trusted)
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

const (
	newSuffix    = ".new"
	publicSuffix = ".pub"
)

// openKey reads the machine's key, nil where there is none or none that can be used. existed
// says whether there was a file. A new key is beside its place until the record that it signed
// is on the disk; where a writer died then, it is put in its place now.
func (a *appender) openKey(path, newest string) (k *key, existed bool, err error) {
	text, err := readKeyFile(path)
	existed = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	k, parseErr := parseKey(text)
	if text, err := readKeyFile(path + newSuffix); err == nil {
		made, err := parseKey(text)
		// Beside a key that can be used, only what that one has signed, too.
		if err == nil && noteSignedBy(newest, made) && (parseErr != nil || noteSignedBy(newest, k)) {
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

// noteSignedBy says whether a key is one of those that signed a checkpoint.
func noteSignedBy(checkpoint string, k *key) bool {
	v, err := note.NewVerifier(k.verifier)
	if err != nil {
		return false
	}
	_, err = note.Open([]byte(checkpoint), note.VerifierList(v))
	return err == nil
}

// newKey makes a key, and keeps it beside its place.
func newKey(path string) (*key, error) {
	text, err := makeKey()
	if err != nil {
		return nil, err
	}
	if err := writeDurably(path+newSuffix, []byte(text+"\n"), 0o600); err != nil {
		return nil, err
	}
	return parseKey(text)
}

// placeKey puts a new key in its place. What was there stays beside it.
func placeKey(path string, k *key) error {
	err := os.Rename(path, path+".old-"+newID(time.Now()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(os.Rename(path+newSuffix, path), syncDir(filepath.Dir(path)), publishKey(path, k))
}

// publishKey writes the public half of a key for those who may read the record and not the key:
// the group of the folder.
func publishKey(path string, k *key) error {
	public := path + publicSuffix
	if err := writeDurably(public, []byte(k.verifier+"\n"), 0o640); err != nil {
		return err
	}
	f, err := os.OpenFile(public, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(chownGroup(f, int(groupOf(filepath.Dir(path)))), f.Close())
}

// isPublished says whether the public half of a key is there for the group.
func isPublished(path string, k *key) bool {
	public, err := readKeyFile(path + publicSuffix)
	return err == nil && public == k.verifier+"\n" && groupOf(path+publicSuffix) == groupOf(filepath.Dir(path))
}

// groupOf is the group of a file; who cannot see it gets root's.
func groupOf(path string) uint32 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	return info.Sys().(*syscall.Stat_t).Gid
}

func parseKey(text string) (*key, error) {
	text = strings.TrimSpace(text)
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	verifier, err := verifierOf(text)
	return &key{signer, verifier}, err
}

func makeKey() (string, error) {
	id := make([]byte, 8)
	rand.Read(id)
	skey, _, err := note.GenerateKey(rand.Reader, "klp-audit/"+hex.EncodeToString(id))
	return skey, err
}

// verifierOf returns the verifier key that belongs to a signer key. Its form,
// PRIVATE+KEY+name+hash+base64(algorithm, seed), is the one of golang.org/x/mod/sumdb/note.
func verifierOf(skey string) (string, error) {
	f := strings.SplitN(skey, "+", 5)
	if len(f) != 5 {
		return "", errors.New("key: not a signer key")
	}
	b, err := base64.StdEncoding.DecodeString(f[4])
	if err != nil || len(b) != 1+ed25519.SeedSize {
		return "", errors.New("key: not an Ed25519 signer key")
	}
	public := ed25519.NewKeyFromSeed(b[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(f[2], public)
}
