package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
)

// sectionFlags are what all sections share: which record, and how and where to print.
type sectionFlags struct {
	input   string
	format  string
	output  string
	knownAt string
}

// knownHelp says what --at and --known-at mean, in each section.
const knownHelp = `--at TIME says what was so then by the whole record, also by events that came later; known_since
is when the last event that an answer needs was recorded. --known-at TIME leaves out
what was recorded after that moment, so that its answer never changes.`

// sectionFlags adds the flags of a section with these formats.
func (a *app) sectionFlags(cmd *cobra.Command, f *sectionFlags, formats []string) {
	flags := cmd.Flags()
	flags.StringVar(&f.input, "input", "", "read the export in `FILE`, which is verified first")
	enumFlag(cmd, &f.format, "format", "print as `FORMAT`", formats)
	flags.StringVarP(&f.output, "output", "o", "", outputHelp)
	flags.StringVar(&f.knownAt, "known-at", "", "leave out what was recorded after `TIME`")
}

// at reads the value of --at; without one, what was known at a moment is asked for as of then, and
// else it is the default.
func (f *sectionFlags) at(a *app, text, otherwise string) (time.Time, error) {
	if text == "" && f.knownAt != "" {
		return a.moment("--known-at", f.knownAt)
	}
	return a.moment("--at", cmp.Or(text, otherwise))
}

// exactly is a moment that was asked for, as the provenance has it.
func exactly(t time.Time) string { return t.Format(time.RFC3339Nano) }

// errTwoRecords says what does not go together.
var errTwoRecords = errors.New("--input and --db both name a record: leave one out")

// section is an open record and what a section about it begins with.
type section struct {
	*store.Store
	summary    *record.Summary
	provenance *report.Provenance
}

// openSection opens the record that a section is to be made from.
func (a *app) openSection(cmd *cobra.Command, f *sectionFlags, name string) (*section, error) {
	if f.input != "" && a.db != "" {
		return nil, usageError{errTwoRecords}
	}
	debug.SetGCPercent(40) // memory matters more than the last percents of time: what is audited works meanwhile
	s, in, err := a.openInput(cmd.Context(), f.input)
	if err != nil {
		return nil, err
	}
	return a.beginSection(cmd.Context(), f, name, s, in)
}

// beginSection begins a section on what was opened, as it was found.
func (a *app) beginSection(ctx context.Context, f *sectionFlags, name string, s *store.Store, in *audit.Input) (*section, error) {
	if warning := in.Warning(); warning != "" {
		a.complain("%s", warning)
	}
	if s == nil {
		return nil, exit(in)
	}
	s, err := a.knownAt(ctx, s, f.knownAt)
	if err != nil {
		return nil, err
	}
	sum, err := s.Summarize(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	p := report.NewProvenance(name, version, a.Now(), sum)
	p.Input = in
	if at, err := a.moment("--known-at", f.knownAt); err == nil && !at.IsZero() {
		p.Filters["known_at"] = exactly(at)
	}
	return &section{Store: s, summary: sum, provenance: p}, nil
}

// knownAt is an open record as it was known at a moment, the record itself if none is named.
func (a *app) knownAt(ctx context.Context, s *store.Store, text string) (*store.Store, error) {
	at, err := a.moment("--known-at", text)
	if err != nil || at.IsZero() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
		return s, err
	}
	part, err := s.KnownAt(ctx, at)
	if err != nil {
		err = fmt.Errorf("--known-at %s: %w", exactly(at), err)
	}
	return part, errors.Join(err, s.Close())
}

// write renders to the output that the flags name. The exit status says what the report was
// made from was found to be.
func (a *app) write(f *sectionFlags, section report.Section, p *report.Provenance) error {
	err := a.render(f, section, p)
	if errors.Is(err, report.ErrDistrusted) {
		a.complain("%v", err)
		err = nil
	}
	if err != nil {
		return err
	}
	return exit(p.Input)
}

// render renders, and puts the provenance beside the output if the format has no place for it.
func (a *app) render(f *sectionFlags, section report.Section, p *report.Provenance) error {
	if f.output == "" || f.output == "-" {
		if err := a.print(section, f.format); err != nil {
			return err
		}
		if report.SelfContained(f.format) {
			return nil
		}
		return report.WriteObject(a.Stderr, p)
	}
	err := writeFile(f.output, func(w io.Writer) error {
		return report.Write(w, section, f.format, table.Style{Color: a.color == colorAlways})
	})
	if err != nil || report.SelfContained(f.format) {
		return err
	}
	return writeFile(f.output+".provenance.json", func(w io.Writer) error { return report.WriteObject(w, p) })
}

// atFlags are the flags of a section about a moment.
type atFlags struct {
	sectionFlags
	at string
}

// sectionAtCommand is the command of a section that asks for nothing but a moment.
func (a *app) sectionAtCommand(d *report.SectionAt) *cobra.Command {
	var f atFlags
	cmd := &cobra.Command{
		Use: d.Name, Short: d.Short, Long: d.Long + "\n\n" + knownHelp, Example: d.Example,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.sectionAt(cmd, &f, d) },
	}
	cmd.Flags().StringVar(&f.at, "at", "", d.At+": "+report.TimeHelp)
	a.sectionFlags(cmd, &f.sectionFlags, d.Formats)
	return cmd
}

func (a *app) sectionAt(cmd *cobra.Command, f *atFlags, d *report.SectionAt) error {
	at, err := a.moment("--at", f.at)
	if err != nil {
		return err
	}
	s, err := a.openSection(cmd, &f.sectionFlags, d.Name)
	if err != nil {
		return err
	}
	defer s.Close()
	made, err := d.Make(cmd.Context(), s.Store, at, s.provenance)
	if err != nil {
		return err
	}
	return a.write(&f.sectionFlags, made, s.provenance)
}
