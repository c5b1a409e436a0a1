package proof

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// algorithmEd25519 is the first byte of the material of a verifier key.
const algorithmEd25519 = 1

// CheckVerifierKey says what is wrong with a verifier key, NAME+ID+MATERIAL, that somebody typed;
// nil if it is valid. It quotes nothing of it, because it may be a private key.
func CheckVerifierKey(key string) error {
	f := strings.SplitN(key, "+", 3)
	switch {
	case strings.HasPrefix(key, "PRIVATE+KEY+"):
		return errors.New("that is a private key, which signs: want the verifier key")
	case len(f) != 3 || f[0] == "" || len(f[1]) != 8 || strings.ContainsAny(key, " \t\r\n"):
		return errors.New("it is not a verifier key, NAME+ID+MATERIAL")
	}
	material, err := base64.StdEncoding.DecodeString(f[2])
	switch {
	case err != nil || len(material) == 0:
		return errors.New("its last part is not base64: is it whole?")
	case material[0] != algorithmEd25519:
		return fmt.Errorf("its algorithm is not known (%d): want Ed25519 (%d)", material[0], algorithmEd25519)
	case len(material) != 1+ed25519.PublicKeySize:
		return fmt.Errorf("its last part has %d bytes, want %d: is it whole?", len(material), 1+ed25519.PublicKeySize)
	}
	canonical, err := note.NewEd25519VerifierKey(f[0], material[1:])
	if err != nil {
		return errors.New("its name is not valid for a key")
	}
	switch _, id, _ := strings.Cut(canonical, "+"); {
	case canonical == key:
		return nil
	case !strings.EqualFold(id[:8], f[1]):
		return errors.New("its ID does not match the rest: a character is wrong")
	}
	return errors.New("it is not written the way klp-audit writes it")
}
