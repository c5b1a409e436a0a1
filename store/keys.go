package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/klp-audit/klp-audit/record/proof"
)

// TrustMachine demands that the key of the machine whose file tree is at root is one of the
// record's. Where there is none, nothing vouches for the record. An error says why that cannot be
// told.
func TrustMachine(v *proof.Verification, root string) error {
	key, err := MachineKey(root)
	switch {
	case errors.Is(err, ErrNoKey):
		v.Problem(proof.Altered, "%v: nothing says that this is the record which it signed", err)
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

// ErrNoKey says that the key which signs the record of a machine is not there.
var ErrNoKey = errors.New("the key that signs the record is gone")

// MachineKey returns the verifier key of the machine whose file tree is at root, by its key file:
// what vouches for its record is this, and never a key that the record itself names. Who may not
// read that file goes by the public half beside it. The error is ErrNoKey if there is none.
func MachineKey(root string) (verifier string, err error) {
	path := KeyPath(root)
	text, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) { // made, and not yet in its place
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
