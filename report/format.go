package report

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
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

// SectionAt is a section about a moment: its command, and how it is made.
type SectionAt struct {
	Name, Short, Long, Example string
	At                         string // what the moment is asked for
	Formats                    []string
	// Make reads the section; the moment is zero where none is asked for.
	Make func(ctx context.Context, s *store.Store, at time.Time, p *Provenance) (Section, error)
}
