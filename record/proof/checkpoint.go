package proof

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is a signed statement of a log's size and root hash (C2SP tlog-checkpoint: origin,
// size and base64 root hash, one a line, in a signed note).
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
	Note   string // the signed text
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
	cp, err := parseBody(n.Text, text)
	if err == nil && cp.Origin != v.Name() {
		err = fmt.Errorf("checkpoint: its text is not origin %q, size and root hash", v.Name())
	}
	// The last base64 digit has spare bits: insist that a signature has one spelling only.
	if _, bad := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err == nil && bad != nil {
		err = fmt.Errorf("checkpoint: its signature: %w", bad)
	}
	return cp, err
}

// IsCheckpoint says whether a text has the form of a checkpoint, whoever signed it.
func IsCheckpoint(text string) bool {
	_, err := parseBody(text, text)
	return err == nil
}

// parseBody reads the text of a checkpoint, whoever signed it.
func parseBody(body, signed string) (*Checkpoint, error) {
	lines := strings.Split(body, "\n")
	if len(lines) < 4 {
		return nil, fmt.Errorf("checkpoint: its text is not origin, size and root hash, but %.80q", body)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return nil, fmt.Errorf("checkpoint: size %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return nil, fmt.Errorf("checkpoint: root hash %q", lines[2])
	}
	return &Checkpoint{Origin: lines[0], Size: size, Root: root, Note: signed}, nil
}

// ParseWithAny reads a checkpoint and demands that one of these keys signed it.
func ParseWithAny(note string, keys map[string]bool) (cp *Checkpoint, err error) {
	err = errors.New("checkpoint: there is no key to check it with")
	for key := range keys {
		if cp, err = ParseCheckpoint(note, key); err == nil {
			return cp, nil
		}
	}
	return nil, err
}
