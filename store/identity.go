package store

import (
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
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// KeyPath returns the path of the key that signs the checkpoints of the record of the
// machine whose file tree is at root.
func KeyPath(root string) string { return filepath.Join(root, "/", StateDir, "key") }

// key is the machine's private key for checkpoints.
type key struct {
	signer   note.Signer
	verifier string
}

func (k *key) sign(size int64, root tlog.Hash) (*Checkpoint, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", k.signer.Name(), size, root)
	signed, err := note.Sign(&note.Note{Text: text}, k.signer)
	if err != nil {
		return nil, fmt.Errorf("signing checkpoint: %w", err)
	}
	return &Checkpoint{Origin: k.signer.Name(), Size: size, Root: root, Note: string(signed)}, nil
}

// identify loads the key and adds the recorder event that is due: on the first event of a
// log, and whenever the program version, the machine or the key is another one. Before
// that it looks whether the log is still the one that was signed last: a new signature
// must not make good what was altered.
func (a *appender) identify(root, version string) error {
	last, err := lastIdentity(a.ctx, a.tx)
	if err != nil {
		return err
	}
	if problem := a.brokenProof(last); problem != "" {
		ev := &Event{Header: NewHeader(KindRecorder, root, version)}
		ev.Identity = &Identity{Cause: CauseProofBroken, Schema: Schema, Key: last.key, Problem: problem, Checkpoint: last.checkpoint}
		if err := a.addEvent(ev); err != nil {
			return err
		}
	}
	ev := &Event{Header: NewHeader(KindRecorder, root, version)}
	machine := ev.Host.MachineID
	// Where the machine id cannot be read for a while, nothing has changed.
	cloned := !last.fresh && machine != "" && last.machine != "" && machine != last.machine
	k, existed, err := loadKey(KeyPath(root), cloned, last.key)
	if err != nil {
		return err
	}
	a.signer = k
	ev.Identity = &Identity{Schema: Schema, Key: k.verifier}
	switch {
	case last.fresh && existed:
		ev.Identity.Cause = CauseRecordLost
	case last.fresh:
		ev.Identity.Cause = CauseInstalled
	case cloned:
		ev.Identity.Cause = CauseIdentityChanged
	case last.key != k.verifier:
		ev.Identity.Cause = CauseKeyReplaced
	case last.version != version:
		ev.Identity.Cause, ev.Identity.Previous = CauseUpgraded, last.version
	default:
		return nil
	}
	return a.addEvent(ev)
}

// identity is what the record says of its recorder.
type identity struct {
	fresh                             bool // it says nothing yet
	version, machine, key, checkpoint string
}

func lastIdentity(ctx context.Context, tx *sql.Tx) (last identity, err error) {
	err = tx.QueryRowContext(ctx, `SELECT version, coalesce((SELECT machine_id FROM recorders WHERE machine_id != '' ORDER BY event DESC LIMIT 1), ''),
		key, coalesce((SELECT note FROM checkpoint), '') FROM recorders ORDER BY event DESC LIMIT 1`).
		Scan(&last.version, &last.machine, &last.key, &last.checkpoint)
	if errors.Is(err, sql.ErrNoRows) {
		return identity{fresh: true}, nil
	}
	return last, err
}

// brokenProof says how the log differs from the one that was signed last, empty if it does
// not.
func (a *appender) brokenProof(last identity) string {
	if last.fresh {
		return ""
	}
	cp, err := ParseCheckpoint(last.checkpoint, last.key)
	if err != nil {
		return err.Error()
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

// loadKey reads the key. It makes a new one where there is none, where the old one cannot
// be read, and where a cloned machine still has its original's; what was there stays
// beside it. A new key is beside its place until the record names it: where the disk is full
// or the power fails, what it signed may not be there. existed says whether there was a file.
func loadKey(path string, cloned bool, recorded string) (k *key, existed bool, err error) {
	b, err := os.ReadFile(path)
	existed = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	if existed {
		k, err = parseKey(string(b))
		if err == nil && !(cloned && k.verifier == recorded) {
			return k, true, nil
		}
		if err := os.Rename(path, path+".old-"+newID(time.Now())); err != nil {
			return nil, true, err
		}
	}
	if b, err := os.ReadFile(path + newSuffix); err == nil && !existed {
		if k, err := parseKey(string(b)); err == nil && k.verifier == recorded {
			return k, false, errors.Join(os.Rename(path+newSuffix, path), syncDir(filepath.Dir(path)))
		}
	}
	text, err := makeKey()
	if err != nil {
		return nil, existed, err
	}
	if err := writeDurably(path+newSuffix, []byte(text+"\n"), 0o600); err != nil {
		return nil, existed, err
	}
	k, err = parseKey(text)
	return k, existed, err
}

const newSuffix = ".new"

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
// PRIVATE+KEY+name+hash+base64(algorithm, seed), is that of golang.org/x/mod/sumdb/note.
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
