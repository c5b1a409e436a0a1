package proof

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// KeyInLog is a verifier key that a record names, from one of its events on.
type KeyInLog struct {
	Key   string `json:"key"`
	Event int64  `json:"event"` // the recorder event that names it first
	// Signed says whether the key before it signed that it takes over; null of the first.
	Signed *bool `json:"signed"`
}

// A planned change of key is a checkpoint over all events before it that both keys signed, with
// one more line (C2SP tlog-checkpoint: an extension) that says which key comes next. The recorder
// event that names the new key carries it.
const nextKeyLine = "next-key "

// HandOver is the checkpoint by which one key hands over to another.
func HandOver(from, to *Key, size int64, root tlog.Hash) (string, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n%s%s\n", from.signer.Name(), size, root, nextKeyLine, to.Verifier)
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
