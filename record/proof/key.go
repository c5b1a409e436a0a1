package proof

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Key is a machine's private key, which signs checkpoints.
type Key struct {
	Verifier string // the matching verifier key
	signer   note.Signer
}

// Sign signs a checkpoint; from is the key that hands over to this one, or nil.
func (k *Key) Sign(size int64, root tlog.Hash, from *Key) (*Checkpoint, error) {
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

// SignText signs a text as a note. The text ends with a newline.
func (k *Key) SignText(text string) (string, error) {
	signed, err := note.Sign(&note.Note{Text: text}, k.signer)
	return string(signed), err
}

// Signed says whether the key is one of those that signed a checkpoint.
func (k *Key) Signed(checkpoint string) bool {
	v, err := note.NewVerifier(k.Verifier)
	if err != nil {
		return false
	}
	_, err = note.Open([]byte(checkpoint), note.VerifierList(v))
	return err == nil
}

// ParseKey reads a private key, as MakeKey writes it.
func ParseKey(text string) (*Key, error) {
	text = strings.TrimSpace(text)
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	verifier, err := verifierOf(text)
	return &Key{Verifier: verifier, signer: signer}, err
}

// MakeKey makes a private key with a name of its own.
func MakeKey() (string, error) {
	id := make([]byte, 8)
	rand.Read(id)
	skey, _, err := note.GenerateKey(rand.Reader, "klp-audit/"+hex.EncodeToString(id))
	return skey, err
}

// verifierOf returns the verifier key that matches a signer key. Its form,
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
