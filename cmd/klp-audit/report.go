package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
)

// sectionFlags are what all sections share: which record, and how and where to print.
type sectionFlags struct {
	input   string
	format  string
	output  string
	noColor bool
	knownAt string
}

// knownHelp says what --at and --known-at mean, in each section.
const knownHelp = `--at TIME says what was so then by the whole record, also by events that came later; known_since
is when the last of the events was recorded that something needs. --known-at TIME leaves out
what was recorded after that moment, so that its answer never changes.`

// sectionFlags adds the flags of a section with these formats.
func (a *app) sectionFlags(cmd *cobra.Command, f *sectionFlags, formats []string) {
	flags := cmd.Flags()
	flags.StringVar(&f.input, "input", "", "read the export in `FILE`, which is verified first")
	enumFlag(cmd, &f.format, "format", "print as `FORMAT`", formats)
	flags.StringVarP(&f.output, "output", "o", "", "write to `FILE`, which is replaced only when all is written")
	flags.StringVar(&f.knownAt, "known-at", "", "leave out what was recorded after `TIME`: "+report.TimeHelp)
	flags.BoolVar(&f.noColor, "no-color", false, "no colours (also: environment variable NO_COLOR)")
	cmd.MarkFlagFilename("input")
}

// moment reads the value of a flag, zero if there is none.
func (a *app) moment(flag, text string) (t time.Time, err error) {
	if text == "" {
		return t, nil
	}
	if t, err = report.ParseTime(text, a.Now(), a.bootTime()); err != nil {
		return t, usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	return t, nil
}

// exactly is a moment that was asked for, as the provenance has it.
func exactly(t time.Time) string { return t.Format(time.RFC3339Nano) }

// at reads the value of --at; without one, what was known at a moment is asked for as of then, and
// else it is the default.
func (f *sectionFlags) at(a *app, text, otherwise string) (time.Time, error) {
	if text == "" && f.knownAt != "" {
		return a.moment("--known-at", f.knownAt)
	}
	return a.moment("--at", cmp.Or(text, otherwise))
}

// state is the state at a moment; a zero one is when the machine was observed last.
func (s *section) state(ctx context.Context, at time.Time) (*audit.State, error) {
	if !at.IsZero() {
		s.provenance.Filters["at"] = exactly(at)
		return audit.NewState(ctx, s.Store, at)
	}
	last, err := s.LastObserved(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range []*record.Timestamp{last, s.summary.Last, &s.provenance.MadeAt} {
		if t != nil {
			return audit.NewState(ctx, s.Store, t.Time)
		}
	}
	return nil, nil
}

// historyFlags are the flags of report history.
type historyFlags struct {
	sectionFlags
	since, until string
	filter       record.HistoryFilter
}

func (a *app) historyCommand() *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Print every recorded change of kernels and live patches",
		Long: `Print every recorded change of kernels and live patches, newest first.

A table stops at 1,000 rows unless --limit says otherwise. Tables and JSON carry what they
were made from; CSV and JSON Lines hold nothing but rows, and that goes to stderr, or with
--output FILE to FILE.provenance.json.

If that is altered or cut, the first line says so in each format: in CSV it is a row before
the header, in JSON Lines an object with nothing but warning.

--known-at TIME leaves out what was recorded after that moment, so that its answer never
changes; known_since is when the event of a change was recorded.`,
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
	enumFlag(cmd, &f.filter.Kind, "kind", "only packages of this `KIND`", record.PackageKinds())
	enumFlag(cmd, &f.filter.Action, "action", "only changes with this `ACTION`", record.Actions())
	enumFlag(cmd, &f.filter.Result, "result", "only changes with this `RESULT`", record.Results())
	enumFlag(cmd, &f.filter.Source, "source", "only changes on record from this `SOURCE`", record.Sources())
	flags.StringVar(&f.filter.User, "user", "", "only changes by `NAME`, as login or through sudo")
	flags.IntVar(&f.filter.Limit, "limit", 0, "at most `N` rows (0: all; in a table 1,000)")
	flags.BoolVar(&f.filter.OldestFirst, "reverse", false, "oldest first")
	a.sectionFlags(cmd, &f.sectionFlags, report.Formats(&report.History{}))
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
	return a.write(&f.sectionFlags, h, h.Provenance)
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
	if f.output == "" {
		if err := report.Write(a.Stdout, section, f.format, a.style(f.noColor)); err != nil {
			return err
		}
		if report.SelfContained(f.format) {
			return nil
		}
		return report.WriteObject(a.Stderr, p)
	}
	err := writeFile(f.output, func(w io.Writer) error { return report.Write(w, section, f.format, report.Style{}) })
	if err != nil || report.SelfContained(f.format) {
		return err
	}
	return writeFile(f.output+".provenance.json", func(w io.Writer) error { return report.WriteObject(w, p) })
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
type enum[T ~string] struct {
	value *T
	set   []T
}

// enumFlag adds a flag that accepts the words of a set; "format" defaults to the first.
func enumFlag[T ~string](cmd *cobra.Command, value *T, name, usage string, set []T) {
	if name == "format" {
		*value = set[0]
	}
	cmd.Flags().Var(&enum[T]{value, set}, name, usage+": "+strings.Join(words(set), ", "))
	cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words(set), cobra.ShellCompDirectiveNoFileComp))
}

// String implements pflag.Value.
func (e *enum[T]) String() string { return string(*e.value) }

// Type implements pflag.Value.
func (e *enum[T]) Type() string { return "string" }

// Set implements pflag.Value.
func (e *enum[T]) Set(s string) error {
	if !slices.Contains(e.set, T(s)) {
		return fmt.Errorf("want one of %s", strings.Join(words(e.set), ", "))
	}
	*e.value = T(s)
	return nil
}

func words[T ~string](values []T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}
