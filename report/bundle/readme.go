package bundle

import (
	_ "embed"
	"io"
	"strings"
	"text/template"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report"
)

// Papers are what the papers say of themselves.
type Papers struct {
	*proof.Verification
	Provenance *report.Provenance // of the report
	Again      string             // the flags that make the report again
	OwnProfile string             // by which it judges, and which klp-audit does not bring along; empty: it does
}

//go:embed readme.txt
var readme string

var readmeText = template.Must(template.New("").Funcs(template.FuncMap{"upper": strings.ToUpper, "plain": say.Printable}).Parse(readme))

// WriteReadme says what the papers are, and how to check them.
func (p *Papers) WriteReadme(w io.Writer) error { return readmeText.Execute(w, p) }

// Intact says whether there is nothing wrong with the record.
func (p *Papers) Intact() bool { return p.Result == proof.Intact }
