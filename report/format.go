package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/report/table"
)

// Section is what a command prints.
type Section interface {
	// forms are the section in each of its formats, the default first.
	forms() []form
}

// form is a section in one format.
type form struct {
	format string
	write  func(w io.Writer, style table.Style) error
}

// Formats returns the formats of a section, the default first.
func Formats(s Section) (formats []string) {
	for _, f := range s.forms() {
		formats = append(formats, f.format)
	}
	return formats
}

// Write renders a section in one of its formats.
func Write(w io.Writer, s Section, format string, style table.Style) error {
	for _, f := range s.forms() {
		if f.format == format {
			return f.write(w, style)
		}
	}
	return fmt.Errorf("format %q: want %s", format, strings.Join(Formats(s), ", "))
}

// object is the form of a value in JSON.
func object(v any) form {
	return form{"json", func(w io.Writer, _ table.Style) error { return WriteObject(w, v) }}
}

// SelfContained says whether a format carries its provenance itself. The others have
// nothing but rows, for the programs that read them.
func SelfContained(format string) bool {
	return slices.Contains([]string{"table", "json", "html"}, format)
}
