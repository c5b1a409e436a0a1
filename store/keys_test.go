package store_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// cloned is the record of a machine that was cloned after seven events, and the key of the
// original.
func cloned(t *testing.T) (root, original string) {
	t.Helper()
	root = sample(t)
	original = verify(t, root, "").Key
	put(t, filepath.Join(root, "etc/machine-id"), "m2\n")
	write(t, root, begin(20))
	return root, original
}

// A clone has its own key, which the original's key signs: whoever noted the original's key, or has
// a checkpoint of it, can continue to use that.
func TestCloneIsSignedFor(t *testing.T) {
	root, original := cloned(t)
	for _, v := range asList(foundWith(t, root, original)) {
		if v.Result != proof.Intact || len(v.Keys) != 2 || v.Keys[0] != (record.VerifiedKey{Key: original, Event: 1}) ||
			v.Keys[1].Key != v.Key || v.Keys[1].Event != 8 || !*v.Keys[1].Signed || v.Key == original {
			t.Errorf("%+v", v)
		}
	}
	var ev record.Event
	check(t, json.Unmarshal([]byte(query(t, raw(t, root), `SELECT body FROM events WHERE seq = 8`)[0]), &ev))
	for _, key := range []string{original, ev.Identity.Key} {
		v, err := note.NewVerifier(key)
		check(t, err)
		n, err := note.Open([]byte(ev.Identity.Checkpoint), note.VerifierList(v))
		check(t, err)
		if !strings.HasSuffix(n.Text, "\nnext-key "+ev.Identity.Key+"\n") {
			t.Errorf("text %q", n.Text)
		}
	}
}

// The newest checkpoint right after a planned change of key carries both signatures.
func TestPlannedChangeIsSignedByBoth(t *testing.T) {
	root, original := sample(t), ""
	original = verify(t, root, "").Key
	put(t, filepath.Join(root, "etc/machine-id"), "m2\n")
	s := open(t, root)
	check(t, s.Append(t.Context()))
	text := query(t, raw(t, root), `SELECT note FROM checkpoint`)[0]
	for _, key := range []string{original, verify(t, root, "").Key} {
		v, err := note.NewVerifier(key)
		check(t, err)
		if _, err := note.Open([]byte(text), note.VerifierList(v)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// A hand-over is valid only for the log that it was made for, and for the key that it names.
func TestForgedHandOver(t *testing.T) {
	private, public := strangersKey(t)
	for name, change := range map[string]func(from string, id *record.Identity){
		"none": func(_ string, id *record.Identity) { id.Checkpoint = "" },
		"of the strangers alone": func(_ string, id *record.Identity) {
			id.Checkpoint = sign(t, private, handOverText(id.Checkpoint, public))
		},
		"to another": func(_ string, id *record.Identity) {
			id.Checkpoint = strings.Replace(id.Checkpoint, "next-key ", "next-key x", 1)
		},
		"of the clone's": func(string, *record.Identity) {},
	} {
		root, original := cloned(t)
		rewritten(t, root, private, func(bodies []string) []string {
			var ev record.Event
			check(t, json.Unmarshal([]byte(bodies[7]), &ev))
			change(original, ev.Identity)
			ev.Identity.Key = public
			b, err := json.Marshal(&ev)
			check(t, err)
			return append(bodies[:7:7], string(b))
		})
		for _, v := range asList(foundWith(t, root, original)) {
			if v.Result != proof.Altered || !strings.Contains(strings.Join(v.Problems, "\n"), "did not sign that") {
				t.Errorf("%s: %+v", name, v)
			}
		}
	}
}

// handOverText is the text of a hand-over, to another key.
func handOverText(signed, to string) string {
	text, _, _ := strings.Cut(signed, "next-key ")
	return text + "next-key " + to + "\n"
}

// A machine's key is the one in its file; whoever may not read it uses the public half next to it.
func TestMachineKey(t *testing.T) {
	root := sample(t)
	write(t, root, begin(20))
	path, want := store.KeyPath(root), verify(t, root, "").Key
	if got, err := store.MachineKey(root); err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	public, err := os.ReadFile(path + ".pub")
	check(t, err)
	info, err := os.Stat(path + ".pub")
	check(t, err)
	if string(public) != want+"\n" || info.Mode().Perm() != 0o640 {
		t.Errorf("public half %q, %s", public, info.Mode())
	}
	put(t, path+".pub", "another")
	write(t, root, begin(21)) // repairs it
	if public, err := os.ReadFile(path + ".pub"); err != nil || string(public) != want+"\n" {
		t.Errorf("public half %q, %v", public, err)
	}
	for _, text := range []string{"", "garbage"} {
		put(t, path, text)
		if got, err := store.MachineKey(root); !errors.Is(err, store.ErrNoKey) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	check(t, os.Remove(path))
	if got, err := store.MachineKey(root); !errors.Is(err, store.ErrNoKey) {
		t.Errorf("without a file: got %q, %v", got, err)
	}
}

// A writer that dies after making a new key and before putting it in its place has lost nothing.
func TestNewKeyIsPutInItsPlace(t *testing.T) {
	for name, die := range map[string]func(path string, old []byte){
		"before the old one went": func(path string, old []byte) {
			check(t, os.Rename(path, path+".new"))
			check(t, os.WriteFile(path, old, 0o600))
		},
		"between the two": func(path string, _ []byte) { check(t, os.Rename(path, path+".new")) },
	} {
		root := sample(t)
		old, err := os.ReadFile(store.KeyPath(root))
		check(t, err)
		put(t, filepath.Join(root, "etc/machine-id"), "m2\n")
		s := open(t, root)
		check(t, s.Append(t.Context()))
		check(t, s.Close())
		die(store.KeyPath(root), old)
		key := verify(t, root, "").Key
		write(t, root, begin(20))
		v := verify(t, root, key)
		machine, err := store.MachineKey(root)
		if err != nil || v.Result != proof.Intact || machine != key || len(v.Keys) != 2 {
			t.Errorf("%s: %+v, %q, %v", name, v, machine, err)
		}
	}
}
