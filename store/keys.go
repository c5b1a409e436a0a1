package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/klp-audit/klp-audit/record/proof"
)

// KeyPath returns the path of the key that signs the checkpoints of the record of the
// machine whose file tree is at root.
func KeyPath(root string) string { return filepath.Join(root, "/", StateDir, "key") }

// Files next to the key: a new key until the record that it signed is on disk, and the public half.
const (
	newSuffix    = ".new"
	publicSuffix = ".pub"
)

func readKeyFile(path string) (string, error) { return readAtMost(path, maxSmall) }

// TrustMachine demands that the key of the machine whose file tree is at root is one of the
// record's. If the machine has no key, nothing vouches for the record. An error says why the key
// cannot be compared.
func TrustMachine(v *proof.Verification, root string) error {
	key, err := MachineKey(root)
	switch {
	case errors.Is(err, ErrNoKey):
		v.Problem(proof.Altered, "%v: nothing shows that it signed this record", err)
		return nil
	case err != nil:
		return err
	}
	v.Trust(key)
	for i := len(v.Keys) - 1; i > 0 && v.Keys[i].Key != key; i-- {
		if !*v.Keys[i].Signed {
			v.Problem(proof.Altered, "event %d: the machine's key %q did not hand over to %q", v.Keys[i].Event, key, v.Keys[i].Key)
			break
		}
	}
	return nil
}

// ErrNoKey says that the key that signs a machine's record is missing.
var ErrNoKey = errors.New("the key that signs the record is gone")

// MachineKey returns the verifier key of the machine whose file tree is at root, from its key file.
// This key vouches for the record, never one that only the record names. Whoever may not read that
// file uses the public half next to it. The error is ErrNoKey if there is none.
func MachineKey(root string) (verifier string, err error) {
	path := KeyPath(root)
	text, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) { // made, but not in its place yet
		text, err = readKeyFile(path + newSuffix)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		text, err = readKeyFile(path + publicSuffix)
		return strings.TrimSpace(text), err
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: there is no %q", ErrNoKey, path)
	case err != nil:
		return "", err
	}
	k, err := proof.ParseKey(text)
	if err != nil {
		return "", fmt.Errorf("%w: %q: %w", ErrNoKey, path, err)
	}
	return k.Verifier, nil
}

// newKey makes a key and stores it next to its future place.
func newKey(path string) (*proof.Key, error) {
	text, err := proof.MakeKey()
	if err != nil {
		return nil, err
	}
	if err := writeDurably(path+newSuffix, []byte(text+"\n"), 0o600); err != nil {
		return nil, err
	}
	return proof.ParseKey(text)
}

// placeKey moves a new key to its place. The old file is kept next to it.
func placeKey(path string, k *proof.Key) error {
	err := os.Rename(path, path+".old-"+newID(time.Now()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(os.Rename(path+newSuffix, path), syncDir(filepath.Dir(path)), publishKey(path, k))
}

// publishKey writes the public half of a key for those who may read the record but not the key: the
// group of the folder.
func publishKey(path string, k *proof.Key) error {
	public := path + publicSuffix
	if err := writeDurably(public, []byte(k.Verifier+"\n"), 0o640); err != nil {
		return err
	}
	f, err := os.OpenFile(public, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(chownGroup(f, int(groupOf(filepath.Dir(path)))), f.Close())
}

// isPublished says whether the group can read the public half of a key.
func isPublished(path string, k *proof.Key) bool {
	public, err := readKeyFile(path + publicSuffix)
	return err == nil && public == k.Verifier+"\n" && groupOf(path+publicSuffix) == groupOf(filepath.Dir(path))
}

// groupOf returns the group of a file, or root's for those who cannot look it up.
func groupOf(path string) uint32 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	return info.Sys().(*syscall.Stat_t).Gid
}
