package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/record/proof"
)

// VerifySchema names the form of a verification in JSON.
const VerifySchema = "klp-audit/verify/1"

// WriteVerification renders what verify found.
func WriteVerification(w io.Writer, format string, v *proof.Verification) error {
	if format == "json" {
		return WriteObject(w, struct {
			Schema string `json:"schema"`
			*proof.Verification
		}{VerifySchema, v})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "The record is %s: %d events", strings.ToUpper(string(v.Result)), v.TreeSize)
	if v.FirstTime != nil {
		fmt.Fprintf(&b, " from %s to %s", shortTime(*v.FirstTime), shortTime(*v.LastTime))
	}
	b.WriteString("\n")
	for _, p := range v.Problems {
		fmt.Fprintf(&b, "  %s\n", Printable(p))
	}
	if v.RootHash != "" {
		fmt.Fprintf(&b, "Root hash  %s\n", v.RootHash)
	}
	writeKeys(&b, v)
	if v.Result == proof.Intact {
		b.WriteString("A record that was written anew and signed is found only with a checkpoint that was kept\nelsewhere (--checkpoint FILE), or a key that was noted (--key).\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeKeys names the keys of a record: the one that signs it now, and those before it with how
// far each vouches.
func writeKeys(b *strings.Builder, v *proof.Verification) {
	if v.Key != "" {
		fmt.Fprintf(b, "Key        %s\n", Printable(v.Key))
	}
	for i, k := range v.Keys {
		if i+1 == len(v.Keys) {
			break
		}
		next := v.Keys[i+1]
		how := "vouches up to event %d, and signed for the next key"
		if !*next.Signed {
			how = "is named up to event %d, and did not sign for the next key"
		}
		fmt.Fprintf(b, "Before it  %s\n           "+how+"\n", Printable(k.Key), next.Event-1)
	}
}
