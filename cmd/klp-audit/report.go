package main

import (
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

func (a *app) reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report SECTION",
		Short: "Print reports from the record",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{errors.New("report: which section? There is: history")}
		},
	}
	cmd.AddCommand(a.historyCommand())
	return cmd
}

// historyFlags are the flags of report history.
type historyFlags struct {
	since, until string
	filter       store.HistoryFilter
	format       string
	output       string
	noColor      bool
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
	enumFlag(cmd, &f.format, "format", "print as `FORMAT`", report.Formats())
	flags.StringVarP(&f.output, "output", "o", "", "write to `FILE`, which is replaced only when all is written")
	flags.BoolVar(&f.noColor, "no-color", false, "no colours (also: environment variable NO_COLOR)")
	return cmd
}

func (a *app) history(cmd *cobra.Command, f *historyFlags) error {
	if err := a.times(f); err != nil {
		return usageError{err}
	}
	if f.filter.Limit < 0 {
		return usageError{fmt.Errorf("--limit %d: want a number of rows", f.filter.Limit)}
	}
	if cmd.Flags().Changed("output") && f.output == "" {
		return usageError{errors.New("--output: want the name of a file")}
	}
	s, err := a.openRecord(cmd.Context())
	if err != nil {
		return err
	}
	defer s.Close()
	sum, err := s.Summarize(cmd.Context())
	if err != nil {
		return err
	}
	h := report.NewHistory(f.filter, f.format, report.NewProvenance("history", version, a.Now(), sum))
	h.Filter.Events = sum.Events // the rows are those of the provenance
	h.Rows = s.History(cmd.Context(), h.Filter)
	return a.write(f, func(w io.Writer, style report.Style) error { return h.Write(w, f.format, style) }, h.Provenance)
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
func (a *app) write(f *historyFlags, render func(io.Writer, report.Style) error, p *report.Provenance) error {
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
