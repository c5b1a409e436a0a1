package store_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// sign signs a text with a private key.
func sign(t testing.TB, private, text string) string {
	t.Helper()
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func TestCheckpointIsANoteThatTheRecordersKeyOpens(t *testing.T) {
	root := sample(t)
	v := verify(t, root, "")
	var ev record.Event
	check(t, json.Unmarshal([]byte(query(t, raw(t, root), `SELECT body FROM events WHERE seq = 1`)[0]), &ev))
	if ev.Identity.Key != v.Key {
		t.Errorf("key %q, in the recorder event %q", v.Key, ev.Identity.Key)
	}
	verifier, err := note.NewVerifier(ev.Identity.Key)
	check(t, err)
	n, err := note.Open([]byte(v.Checkpoint), note.VerifierList(verifier))
	check(t, err)
	form := regexp.MustCompile(`^klp-audit/[0-9a-f]{16}\n7\n[A-Za-z0-9+/]{43}=\n$`)
	if !form.MatchString(n.Text) || !strings.HasPrefix(n.Text, verifier.Name()+"\n") {
		t.Errorf("text %q", n.Text)
	}
	cp, err := proof.ParseCheckpoint(v.Checkpoint, v.Key)
	check(t, err)
	if cp.Origin != verifier.Name() || cp.Size != 7 || cp.Root.String() != v.RootHash || cp.Note != v.Checkpoint {
		t.Errorf("got %+v", cp)
	}
}

func TestRecorderEventsSayWhatChanged(t *testing.T) {
	keyFile := func(root string) string { return filepath.Join(root, store.StateDir, "key") }
	for name, tt := range map[string]struct {
		change  func(t *testing.T, root string)
		version string
		want    []string
		newKey  bool
		result  proof.Integrity
	}{
		"nothing":             {func(*testing.T, string) {}, program, []string{"installed"}, false, proof.Intact},
		"the program version": {func(*testing.T, string) {}, "1.1.0", []string{"installed", "upgraded"}, false, proof.Intact},
		"the key lost": {func(t *testing.T, root string) { check(t, os.Remove(keyFile(root))) }, program,
			[]string{"installed", "key-replaced"}, true, proof.Altered},
		"another machine": {func(t *testing.T, root string) { put(t, filepath.Join(root, "etc/machine-id"), "m2\n") }, program,
			[]string{"installed", "identity-changed"}, true, proof.Intact},
		"another machine with an upgrade": {func(t *testing.T, root string) { put(t, filepath.Join(root, "etc/machine-id"), "m2\n") }, "1.1.0",
			[]string{"installed", "identity-changed"}, true, proof.Intact},
	} {
		t.Run(name, func(t *testing.T) {
			root := sample(t)
			before := verify(t, root, "").Key
			tt.change(t, root)
			for n := range 2 { // the second time nothing is new
				s, err := store.Open(t.Context(), root, tt.version)
				check(t, err)
				check(t, s.Append(t.Context(), begin(10+n)))
				check(t, s.Close())
			}
			if got := causes(t, root); !slices.Equal(got, tt.want) {
				t.Errorf("recorder events %q, want %q", got, tt.want)
			}
			v := verify(t, root, "")
			if v.Result != tt.result || (v.Key != before) != tt.newKey {
				t.Errorf("%s %q, key before %q, now %q", v.Result, v.Problems, before, v.Key)
			}
		})
	}
}

func TestUpgradeNamesThePreviousVersion(t *testing.T) {
	root := sample(t)
	s, err := store.Open(t.Context(), root, "1.1.0")
	check(t, err)
	defer s.Close()
	check(t, s.Append(t.Context()))
	var ev record.Event
	check(t, json.Unmarshal([]byte(query(t, raw(t, root), `SELECT body FROM events WHERE seq = 8`)[0]), &ev))
	if ev.Identity.Previous != program || ev.Recorder.Version != "1.1.0" || ev.Identity.Schema != store.Schema {
		t.Errorf("got %+v by %+v", ev.Identity, ev.Recorder)
	}
}

// An unusable key does not stop recording: it is set aside, and the log says that another key signs
// from here on.
func TestUnusableKeyIsReplaced(t *testing.T) {
	root := sample(t)
	path := store.KeyPath(root)
	s := open(t, root)
	for i, text := range []string{"", "garbage", "PRIVATE+KEY+a+00000000+AQ==\n", "\x00\xff"} {
		put(t, path, text)
		check(t, s.Append(t.Context(), begin(9+i)))
		causes := query(t, raw(t, root), `SELECT cause FROM recorders ORDER BY event DESC LIMIT 1`)
		if causes[0] != string(record.CauseKeyReplaced) {
			t.Errorf("key %q: %s", text, causes[0])
		}
	}
	if old, err := filepath.Glob(path + ".old-*"); err != nil || len(old) != 4 {
		t.Errorf("old keys %q, %v", old, err)
	}
	if v := verify(t, root, ""); v.Result != proof.Altered || len(v.Problems) != 4 || len(v.Keys) != 5 {
		t.Errorf("%s %q", v.Result, v.Problems)
	}
}

func TestKeyThatCannotBeOpened(t *testing.T) {
	root := sample(t)
	path := store.KeyPath(root)
	s := open(t, root)
	check(t, os.Remove(path))
	check(t, os.Mkdir(path, 0o700))
	if err := s.Append(t.Context(), begin(9)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("folder as key: %v", err)
	}
}

// While the machine id cannot be read, as in early boot, nothing has changed.
func TestMissingMachineIDIsNoChange(t *testing.T) {
	root := sample(t)
	key := query(t, raw(t, root), `SELECT key FROM recorders ORDER BY event DESC LIMIT 1`)[0]
	id := filepath.Join(root, "etc/machine-id")
	text, err := os.ReadFile(id)
	check(t, err)
	check(t, os.Remove(id))
	write(t, root, begin(9))
	put(t, id, string(text))
	write(t, root, begin(10))
	if got := query(t, raw(t, root), `SELECT key FROM recorders ORDER BY event DESC LIMIT 1`)[0]; got != key {
		t.Errorf("key %s, want %s", got, key)
	}
}
