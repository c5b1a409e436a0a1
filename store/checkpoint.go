package store

import (
	"bytes"
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
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is a signed statement about the log: its size and its root hash (C2SP
// tlog-checkpoint: origin, size and base64 root hash, a line each, as a signed note).
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
	Note   string // the signed text
}

// checkpointMessageID marks the journal entries that carry a checkpoint.
const checkpointMessageID = "0a5f4ee7f0c34e3c8b7f0c5a6e2d9b41"

// announceTimeout bounds the wait for a journal that does not take messages.
const announceTimeout = 300 * time.Millisecond

// announce sends the checkpoint to the journal, so that a copy of it is outside the
// database. It is a courtesy: no journal, no announcement.
func (c *Checkpoint) announce() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		journal.Send(fmt.Sprintf("klp-audit record: %d events, root %s", c.Size, c.Root), journal.PriInfo, map[string]string{
			"MESSAGE_ID":        checkpointMessageID,
			"SYSLOG_IDENTIFIER": "klp-audit",
			"KLP_CHECKPOINT":    c.Note,
		})
	}()
	select {
	case <-done:
	case <-time.After(announceTimeout):
	}
}

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

// ParseCheckpoint reads a signed checkpoint and checks its signature with a verifier key.
func ParseCheckpoint(text, verifierKey string) (*Checkpoint, error) {
	v, err := note.NewVerifier(verifierKey)
	if err != nil {
		return nil, fmt.Errorf("checkpoint key %q: %w", verifierKey, err)
	}
	n, err := note.Open([]byte(text), note.VerifierList(v))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 || lines[0] != v.Name() {
		return nil, fmt.Errorf("checkpoint: its text is not origin %q, size and root hash", v.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return nil, fmt.Errorf("checkpoint: size %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return nil, fmt.Errorf("checkpoint: root hash %q", lines[2])
	}
	return &Checkpoint{Origin: lines[0], Size: size, Root: root, Note: text}, nil
}

// identify loads the key and returns the recorder event that is due: on the first event
// of a log, and whenever the program version, the machine or the key is another one.
func (s *Store) identify(ctx context.Context, tx *sql.Tx) (*Event, *key, error) {
	var last struct{ version, machine, key string }
	err := tx.QueryRowContext(ctx, `SELECT version, machine_id, key FROM recorders ORDER BY event DESC LIMIT 1`).
		Scan(&last.version, &last.machine, &last.key)
	fresh := errors.Is(err, sql.ErrNoRows)
	if err != nil && !fresh {
		return nil, nil, err
	}
	ev := &Event{Header: NewHeader(KindRecorder, s.root, s.version)}
	cloned := !fresh && last.machine != ev.Host.MachineID
	k, err := loadKey(filepath.Join(s.root, "/", StateDir, "key"), cloned)
	if err != nil {
		return nil, nil, err
	}
	ev.Identity = &Identity{Schema: Schema, Key: k.verifier}
	switch {
	case fresh:
		ev.Identity.Cause = CauseInstalled
	case cloned:
		ev.Identity.Cause = CauseIdentityChanged
	case last.key != k.verifier:
		ev.Identity.Cause = CauseKeyReplaced
	case last.version != s.version:
		ev.Identity.Cause, ev.Identity.Previous = CauseUpgraded, last.version
	default:
		return nil, k, nil
	}
	return ev, k, nil
}

// loadKey reads the key, and makes one where there is none or a new one is asked for.
func loadKey(path string, renew bool) (*key, error) {
	b, err := os.ReadFile(path)
	if renew || errors.Is(err, fs.ErrNotExist) {
		if b, err = makeKey(); err != nil {
			return nil, err
		}
		if err = writeDurably(path, b, 0o600); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(b))
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", path, err)
	}
	verifier, err := verifierOf(text)
	return &key{signer, verifier}, err
}

func makeKey() ([]byte, error) {
	id := make([]byte, 8)
	rand.Read(id)
	skey, _, err := note.GenerateKey(rand.Reader, "klp-audit/"+hex.EncodeToString(id))
	return []byte(skey + "\n"), err
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

// writeDurably replaces a file so that after a power cut either the old or the whole new
// one is there.
func writeDurably(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.ReadFrom(bytes.NewReader(data))
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
