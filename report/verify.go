package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report/table"
)

// VerifySchema names the form of a verification in JSON.
const VerifySchema = "klp-audit/verify/1"

// Verified is what verify found, and how many earlier checkpoints it compared the record with.
type Verified struct {
	*proof.Verification
	Earlier int
}

func (v *Verified) forms() []form {
	return []form{{"table", v.writeTable}, object(struct {
		Schema string `json:"schema"`
		*proof.Verification
	}{VerifySchema, v.Verification})}
}

func (v *Verified) writeTable(w io.Writer, _ table.Style) error {
	var b strings.Builder
	fmt.Fprintf(&b, "The record is %s: %s", strings.ToUpper(string(v.Result)), say.Plural(int(v.TreeSize), "event"))
	if v.FirstTime != nil {
		fmt.Fprintf(&b, " from %s to %s", (*v.FirstTime).Short(), (*v.LastTime).Short())
	}
	b.WriteString("\n")
	for _, p := range v.Problems {
		fmt.Fprintf(&b, "  %s\n", say.Printable(p))
	}
	if v.RootHash != "" {
		fmt.Fprintf(&b, "Root hash  %s\n", v.RootHash)
	}
	writeKeys(&b, v.Verification)
	switch {
	case v.Result == proof.Intact && v.Earlier == 1:
		b.WriteString("The events that the earlier checkpoint covers are unchanged.\n")
	case v.Result == proof.Intact && v.Earlier > 1:
		fmt.Fprintf(&b, "The events that the %d earlier checkpoints cover are unchanged.\n", v.Earlier)
	case v.Result == proof.Intact:
		b.WriteString("A record that was written anew and signed is found only with a checkpoint that was kept\nelsewhere (--checkpoint FILE), or a key that was noted (--key).\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeKeys names the keys of a record: the one that signs it now, and those before it with how
// far each vouches.
func writeKeys(b *strings.Builder, v *proof.Verification) {
	if v.Key != "" {
		fmt.Fprintf(b, "Key        %s\n", say.Printable(v.Key))
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
		fmt.Fprintf(b, "Before it  %s\n           "+how+"\n", say.Printable(k.Key), next.Event-1)
	}
}

// Integrity is what is known of the record itself.
type Integrity struct {
	TreeSize   int64             `json:"tree_size"`
	RootHash   string            `json:"root_hash"`
	Key        string            `json:"key"`
	Checkpoint string            `json:"checkpoint"`
	Verified   *record.Timestamp `json:"verified"` // for this report, else the last full verification on record; null: none
	Result     string            `json:"result"`   // of it: intact, altered, truncated; empty: none
}

// foundFor says whether it was found out for a report how the record is, and notes it.
func (i *Integrity) foundFor(p *Provenance) bool {
	if p.Input == nil {
		return false
	}
	i.Verified, i.Result = &p.MadeAt, string(p.Input.Result)
	return true
}

// integrityFacts are what is known of the record itself.
func integrityFacts(i *Integrity) (out table.Facts) {
	out.Add("Events", "%d", i.TreeSize)
	out.Add("Root hash", "%s", cmp.Or(i.RootHash, "none"))
	out.Add("Key", "%s", say.OrUnknown(i.Key))
	out.Add("Verified", "%s", verifiedText(i))
	return out
}

func verifiedText(i *Integrity) string {
	if i.Verified == nil {
		return "no full verification on record"
	}
	return fmt.Sprintf("found %s at %s", i.Result, (*i.Verified).Short())
}

// integrityNote says what integrity means, and how to make sure oneself.
const integrityNote = "The record is tamper-evident, not tamper-proof: klp-audit verify proves it intact, and with --checkpoint FILE that an earlier checkpoint, kept elsewhere, is a prefix of it."
