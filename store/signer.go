package store

import (
	"crypto/ed25519"
	"crypto/rand"
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

// noteSignedBy says whether a key is one of those that signed a checkpoint.
func noteSignedBy(checkpoint string, k *key) bool {
	v, err := note.NewVerifier(k.verifier)
	if err != nil {
		return false
	}
	_, err = note.Open([]byte(checkpoint), note.VerifierList(v))
	return err == nil
}

const (
	newSuffix    = ".new"
	publicSuffix = ".pub"
)

func readKeyFile(path string) (string, error) { return readAtMost(path, maxSmall) }

// A planned change of key is a checkpoint over all events before it that both keys signed, with
// one more line (C2SP tlog-checkpoint: an extension) that says which key comes next. The recorder
// event that names the new key carries it.
const nextKeyLine = "next-key "

// handOver is the checkpoint by which one key hands over to another.
func handOver(from, to *key, size int64, root tlog.Hash) (string, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n%s%s\n", from.signer.Name(), size, root, nextKeyLine, to.verifier)
	signed, err := note.Sign(&note.Note{Text: text}, from.signer, to.signer)
	return string(signed), err
}

// handedOver says whether a text is the checkpoint by which one key handed a log of this size
// and root over to another.
func handedOver(text, from, to string, size int64, root tlog.Hash) bool {
	cp, err := ParseCheckpoint(text, from)
	if err != nil || cp.Size != size || cp.Root != root {
		return false
	}
	v, err := note.NewVerifier(to)
	if err != nil {
		return false
	}
	n, err := note.Open([]byte(text), note.VerifierList(v))
	return err == nil && strings.HasSuffix(n.Text, "\n"+root.String()+"\n"+nextKeyLine+to+"\n")
}
