package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// sectionFlags are what all sections share: which record, and how and where to print.
type sectionFlags struct {
	input   string
	format  string
	output  string
	noColor bool
}

// sectionFlags adds the flags of a section with these formats.
func (a *app) sectionFlags(cmd *cobra.Command, f *sectionFlags, formats []string) {
	flags := cmd.Flags()
	flags.StringVar(&f.input, "input", "", "read the export in `FILE`, which is verified first")
	enumFlag(cmd, &f.format, "format", "print as `FORMAT`", formats)
	flags.StringVarP(&f.output, "output", "o", "", "write to `FILE`, which is replaced only when all is written")
	flags.BoolVar(&f.noColor, "no-color", false, "no colours (also: environment variable NO_COLOR)")
	cmd.MarkFlagFilename("input")
}

// section is an open record and what a section about it begins with.
type section struct {
	*store.Store
	summary    *store.Summary
	provenance *report.Provenance
}

// openSection opens the record that a section is to be made from.
func (a *app) openSection(cmd *cobra.Command, f *sectionFlags, name string) (*section, error) {
	switch {
	case cmd.Flags().Changed("output") && f.output == "":
		return nil, usageError{errors.New("--output: want the name of a file")}
	case f.input != "" && a.db != "":
		return nil, usageError{errors.New("--input and --db both name a record: leave one out")}
	}
	s, verified, err := a.openInput(cmd.Context(), f.input)
	if err != nil {
		return nil, err
	}
	sum, err := s.Summarize(cmd.Context())
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	p := report.NewProvenance(name, version, a.Now(), sum)
	if verified != nil {
		p.Input = &report.Input{File: f.input, Result: verified.Result, Problems: verified.Problems}
	}
	return &section{Store: s, summary: sum, provenance: p}, nil
}

// openInput opens an export, or the record if none is named.
func (a *app) openInput(ctx context.Context, input string) (*store.Store, *store.Verification, error) {
	if input == "" {
		s, err := a.openRecord(ctx)
		return s, nil, err
	}
	s, v, err := store.OpenExport(ctx, input, "")
	if err == nil && v.Result != store.Intact {
		a.complain("export %q is %s; what follows is what it says", input, v.Result)
	}
	return s, v, err
}

// at reads the value of --at, zero if there is none.
func (a *app) at(text string) (t time.Time, err error) {
	if text == "" {
		return t, nil
	}
	if t, err = report.ParseTime(text, a.Now(), a.bootTime()); err != nil {
		return t, usageError{fmt.Errorf("--at: %w", err)}
	}
	return t, nil
}

// state is the state at a moment; a zero one is when the machine was observed last.
func (s *section) state(ctx context.Context, at time.Time) (*report.State, error) {
	if !at.IsZero() {
		s.provenance.Filters["at"] = at.Format(time.RFC3339Nano)
		return report.NewState(ctx, s.Store, at)
	}
	last, err := s.LastObserved(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range []*store.Timestamp{last, s.summary.Last, &s.provenance.MadeAt} {
		if t != nil {
			return report.NewState(ctx, s.Store, t.Time)
		}
	}
	return nil, nil
}

// historyFlags are the flags of report history.
type historyFlags struct {
	sectionFlags
	since, until string
	filter       store.HistoryFilter
}

func (a *app) historyCommand() *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Print every recorded change of kernels and live patches",
		Long: `Print every recorded change of kernels and live patches, newest first.

A table stops at 1,000 rows unless --limit says otherwise. Tables and JSON carry what they
were made from; CSV and JSON Lines hold nothing but rows, and that goes to stderr, or with
--output FILE to FILE.provenance.json.`,
		Example: `  klp-audit report history --since this-month
  klp-audit report history --kind livepatch --result failed
  klp-audit report history --format csv --output history.csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.history(cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "", "only changes from `TIME` on: "+report.TimeHelp)
	flags.StringVar(&f.until, "until", "", "only changes before `TIME`")
	flags.StringVar(&f.filter.Package, "package", "", "only packages whose name matches `GLOB`")
	enumFlag(cmd, &f.filter.Kind, "kind", "only packages of this `KIND`", kinds())
	enumFlag(cmd, &f.filter.Action, "action", "only changes with this `ACTION`", actions())
	enumFlag(cmd, &f.filter.Result, "result", "only changes with this `RESULT`", results())
	flags.StringVar(&f.filter.User, "user", "", "only changes by `NAME`, as login or through sudo")
	flags.IntVar(&f.filter.Limit, "limit", 0, "at most `N` rows (0: all; in a table 1,000)")
	flags.BoolVar(&f.filter.OldestFirst, "reverse", false, "oldest first")
	a.sectionFlags(cmd, &f.sectionFlags, report.Formats())
	return cmd
}

func (a *app) history(cmd *cobra.Command, f *historyFlags) error {
	if err := a.times(f); err != nil {
		return usageError{err}
	}
	if f.filter.Limit < 0 {
		return usageError{fmt.Errorf("--limit %d: want a number of rows", f.filter.Limit)}
	}
	s, err := a.openSection(cmd, &f.sectionFlags, "history")
	if err != nil {
		return err
	}
	defer s.Close()
	h := report.NewHistory(f.filter, f.format, s.provenance)
	h.Filter.Events = s.summary.Events // the rows are those of the provenance
	h.Rows = s.History(cmd.Context(), h.Filter)
	return a.write(&f.sectionFlags, func(w io.Writer, style report.Style) error { return h.Write(w, f.format, style) }, h.Provenance)
}

// times reads the moments of --since and --until.
func (a *app) times(f *historyFlags) (err error) {
	now, boot := a.Now(), a.bootTime()
	if f.since != "" {
		if f.filter.Since, err = report.ParseTime(f.since, now, boot); err != nil {
			return fmt.Errorf("--since: %w", err)
		}
	}
	if f.until != "" {
		if f.filter.Until, err = report.ParseTime(f.until, now, boot); err != nil {
			return fmt.Errorf("--until: %w", err)
		}
	}
	return nil
}

// bootTime is when this machine was booted, zero if the record is another one's.
func (a *app) bootTime() time.Time {
	var ts unix.Timespec
	if a.db != "" || a.root != "/" || unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return time.Time{}
	}
	return a.Now().Add(-time.Duration(ts.Nano()))
}

// write renders to the output that the flags name, and puts the provenance beside it if
// the format has no place for it.
func (a *app) write(f *sectionFlags, render func(io.Writer, report.Style) error, p *report.Provenance) error {
	if f.output == "" {
		if err := render(a.Stdout, a.style(f.noColor)); err != nil {
			return err
		}
		if report.SelfContained(f.format) {
			return nil
		}
		return report.WriteObject(a.Stderr, p)
	}
	err := writeFile(f.output, func(w io.Writer) error { return render(w, report.Style{}) })
	if err != nil || report.SelfContained(f.format) {
		return err
	}
	return writeFile(f.output+".provenance.json", func(w io.Writer) error { return report.WriteObject(w, p) })
}

// writeFile replaces a file in one step, when all of it is written. It replaces nothing
// but plain files: devices and links are worth more than a report.
func writeFile(path string, write func(io.Writer) error) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("writing %q: not a regular file", path)
	}
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o640))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := write(f); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// style is how stdout wants a table.
func (a *app) style(noColor bool) report.Style {
	var s report.Style
	s.Width, _ = strconv.Atoi(a.Getenv("COLUMNS"))
	out, ok := a.Stdout.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) {
		return s
	}
	if w, _, err := term.GetSize(int(out.Fd())); err == nil && w > 0 {
		s.Width = w
	}
	s.Color = !noColor && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
	return s
}

// enum is a flag value out of a closed set.
type enum struct {
	value *string
	set   []string
}

// enumFlag adds a flag that accepts the words of a set; "format" defaults to the first.
func enumFlag(cmd *cobra.Command, value *string, name, usage string, set []string) {
	if name == "format" {
		*value = set[0]
	}
	cmd.Flags().Var(&enum{value, set}, name, usage+": "+strings.Join(set, ", "))
	cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(set, cobra.ShellCompDirectiveNoFileComp))
}

// String implements pflag.Value.
func (e *enum) String() string { return *e.value }

// Type implements pflag.Value.
func (e *enum) Type() string { return "string" }

// Set implements pflag.Value.
func (e *enum) Set(s string) error {
	if !slices.Contains(e.set, s) {
		return fmt.Errorf("want one of %s", strings.Join(e.set, ", "))
	}
	*e.value = s
	return nil
}

func kinds() []string   { return words(livepatch.Kinds()) }
func actions() []string { return words(rpm.Actions()) }
func results() []string { return words(store.Results()) }

func words[T ~string](values []T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}
