package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/klp-audit/klp-audit/record/proof"
)

// KeyPath returns the path of the key that signs the checkpoints of the record of the
// machine whose file tree is at root.
func KeyPath(root string) string { return filepath.Join(root, "/", StateDir, "key") }

// newKey makes a key, and keeps it beside its place.
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

// placeKey puts a new key in its place. What was there stays beside it.
func placeKey(path string, k *proof.Key) error {
	err := os.Rename(path, path+".old-"+newID(time.Now()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(os.Rename(path+newSuffix, path), syncDir(filepath.Dir(path)), publishKey(path, k))
}

// publishKey writes the public half of a key for those who may read the record and not the key:
// the group of the folder.
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

// isPublished says whether the public half of a key is there for the group.
func isPublished(path string, k *proof.Key) bool {
	public, err := readKeyFile(path + publicSuffix)
	return err == nil && public == k.Verifier+"\n" && groupOf(path+publicSuffix) == groupOf(filepath.Dir(path))
}

// groupOf is the group of a file; who cannot see it gets root's.
func groupOf(path string) uint32 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	return info.Sys().(*syscall.Stat_t).Gid
}

const (
	newSuffix    = ".new"
	publicSuffix = ".pub"
)

func readKeyFile(path string) (string, error) { return readAtMost(path, maxSmall) }
