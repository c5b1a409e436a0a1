package proof_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/klp-audit/klp-audit/record/proof"
)

// sign signs a text with a private key.
func sign(t testing.TB, private, text string) string {
	t.Helper()
	signer, err := note.NewSigner(private)
	check(t, err)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	check(t, err)
	return string(signed)
}

func TestParseCheckpointRejects(t *testing.T) {
	const root = "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	private, public, err := note.GenerateKey(rand.Reader, "klp-audit/a")
	check(t, err)
	_, other, err := note.GenerateKey(rand.Reader, "klp-audit/a")
	check(t, err)
	good := sign(t, private, "klp-audit/a\n7"+root)
	if _, err := proof.ParseCheckpoint(good, public); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ text, key, want string }{
		"no key":             {good, "", `checkpoint key ""`},
		"another key":        {good, other, "checkpoint: "},
		"nothing":            {"", public, "checkpoint: "},
		"no signature":       {"klp-audit/a\n7" + root, public, "checkpoint: "},
		"text before":        {"x" + good, public, "checkpoint: "},
		"text after":         {good + "x", public, "checkpoint: "},
		"a changed size":     {strings.Replace(good, "\n7\n", "\n8\n", 1), public, "checkpoint: "},
		"another origin":     {sign(t, private, "klp-audit/b\n7"+root), public, "its text is not origin"},
		"two lines":          {sign(t, private, "klp-audit/a\n7\n"), public, "its text is not origin"},
		"a negative size":    {sign(t, private, "klp-audit/a\n-7"+root), public, `size "-7"`},
		"a padded size":      {sign(t, private, "klp-audit/a\n07"+root), public, `size "07"`},
		"a size with a sign": {sign(t, private, "klp-audit/a\n+7"+root), public, `size "+7"`},
		"a huge size":        {sign(t, private, "klp-audit/a\n9223372036854775808"+root), public, "size"},
		"a short root":       {sign(t, private, "klp-audit/a\n7\nAAAA\n"), public, `root hash "AAAA"`},
	} {
		if _, err := proof.ParseCheckpoint(tt.text, tt.key); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want %q", name, err, tt.want)
		}
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	private, public, err := note.GenerateKey(rand.Reader, "klp-audit/a")
	if err != nil {
		f.Fatal(err)
	}
	const text = "klp-audit/a\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	signed := sign(f, private, text)
	f.Add(signed, public)
	f.Add(text, "")
	f.Fuzz(func(t *testing.T, signed, key string) {
		proof.ParseCheckpoint(signed, key)
		if cp, err := proof.ParseCheckpoint(signed, public); err == nil && !strings.HasPrefix(signed, text) {
			t.Errorf("accepted %+v, which was never signed", cp)
		}
	})
}
