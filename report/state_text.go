package report

import (
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/report/table"
)

// StateSection is a state as a section of its own.
type StateSection struct {
	*audit.State
	Provenance *Provenance
}

func (s *StateSection) forms() []form {
	return []form{{"table", s.writeTable}, object(struct {
		Schema     string      `json:"schema"`
		Warning    *string     `json:"warning"`
		Provenance *Provenance `json:"provenance"`
		*audit.State
	}{audit.StateSchema, orNull(s.Provenance.Warning()), s.Provenance, s.State})}
}

func (s *StateSection) writeTable(w io.Writer, style table.Style) error {
	style = style.Sized()
	if err := writeWarning(w, s.Provenance.Warning(), style); err != nil {
		return err
	}
	if err := table.WriteParagraphs(w, []string{"State at " + asOf(s.At) + ": " + strings.ToUpper(string(s.Confidence)) + ".", ""}, style); err != nil {
		return err
	}
	out := stateFacts(s.State)
	for i, p := range s.Installed {
		out.Add(once(i, "Installed"), "%s-%s.%s", p.Name, p.Version, p.Arch)
	}
	if len(s.CVEs) > 0 {
		out.Add("Fixes", "%s", strings.Join(s.CVEs, " "))
	}
	if len(s.Inferred) > 0 {
		out.Add("Inferred", "%s: observations before and after agree, and nothing on record speaks against it", strings.Join(s.Inferred, ", "))
	}
	if len(s.Events) > 0 {
		out.Add("Proof", "events %s", numbers(s.Events))
	}
	if err := out.Write(w, style); err != nil {
		return err
	}
	if s.Provenance == nil {
		return nil
	}
	return table.WriteParagraphs(w, append([]string{""}, s.Provenance.lines()...), style)
}

// once names the first of several facts.
func once(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}
