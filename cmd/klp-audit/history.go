package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
)

// historyFlags are the flags of report history.
type historyFlags struct {
	sectionFlags
	since, until, outside, summary string
	filter                         record.HistoryFilter
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

If what they were made from is altered or cut, the first line says so in each format: in CSV it is a row before
the header, in JSON Lines an object with nothing but warning.

--known-at TIME leaves out what was recorded after that moment, so that its answer never
changes; known_since is when the event of a change was recorded.`,
		Example: `  klp-audit report history --since this-month
  klp-audit report history --kind livepatch --result failed
  klp-audit report history --since this-year --user 'kim*' --userdata none
  klp-audit report history --outside 'Sat 02:00-06:00 Europe/Berlin'
  klp-audit report history --format csv --output history.csv
  klp-audit report history --since this-year --format html --output changes.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.history(cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "", "only changes from `TIME` on: "+report.TimeHelp)
	flags.StringVar(&f.until, "until", "", "only changes before `TIME`")
	flags.Var(glob{&f.filter.Package}, "package", "only packages whose name matches `GLOB`")
	enumFlag(cmd, &f.filter.Kind, "kind", "only packages of this `KIND`", record.PackageKinds())
	enumFlag(cmd, &f.filter.Action, "action", "only changes with this `ACTION`", record.Actions())
	enumFlag(cmd, &f.filter.Result, "result", "only changes with this `RESULT`", record.Results())
	enumFlag(cmd, &f.filter.Source, "source", "only changes on record from this `SOURCE`", record.Sources())
	flags.Var(glob{&f.filter.User}, "user", "only changes by somebody whom `GLOB` matches: a login, a user of sudo, or an automation")
	flags.Var(glob{&f.filter.Command}, "command", "only changes by a command line that `GLOB` matches")
	flags.Var(glob{&f.filter.UserData}, "userdata", "only changes with user data, such as a ticket, that `GLOB` matches; none: without any")
	enumFlag(cmd, &f.filter.Outcome, "outcome", "only changes of commits with this `OUTCOME`", record.Outcomes())
	flags.StringVar(&f.outside, "outside", "", "only changes outside of `WINDOW`: "+record.WindowHelp)
	flags.IntVar(&f.filter.Limit, "limit", 0, "at most `N` rows (0: all; in a table 1,000)")
	flags.BoolVar(&f.filter.OldestFirst, "reverse", false, "oldest first")
	a.sectionFlags(cmd, &f.sectionFlags, report.Formats(&report.History{}))
	enumFlag(cmd, &f.summary, "summary", "only count the changes: `HOW`", report.Groupings())
	return cmd
}

func (a *app) history(cmd *cobra.Command, f *historyFlags) error {
	if err := a.times(f); err != nil {
		return usageError{err}
	}
	if f.summary != "" && f.format == "jsonl" {
		return usageError{errors.New("--summary is no rows: want --format table, json, csv or html")}
	}
	if f.filter.Limit < 0 {
		return usageError{fmt.Errorf("--limit %d: want a number of rows", f.filter.Limit)}
	}
	s, err := a.openSection(cmd, &f.sectionFlags, "history")
	if err != nil {
		return err
	}
	defer s.Close()
	format := f.format
	if f.summary != "" {
		format = "" // nothing stops it
	}
	h := report.NewHistory(f.filter, format, s.provenance)
	h.Filter.Events = s.summary.Events // the rows are those of the provenance
	h.Rows = s.History(cmd.Context(), h.Filter)
	if f.summary == "" {
		return a.write(&f.sectionFlags, h, h.Provenance)
	}
	sum, err := report.Summarize(h, f.summary)
	if err != nil {
		return err
	}
	return a.write(&f.sectionFlags, sum, h.Provenance)
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
	if !f.filter.Until.IsZero() && f.filter.Since.After(f.filter.Until) {
		return fmt.Errorf("--since %s is after --until %s", f.since, f.until)
	}
	if f.outside != "" {
		if f.filter.Outside, err = record.ParseWindow(f.outside, now.Location()); err != nil {
			return fmt.Errorf("--outside: %w", err)
		}
	}
	return nil
}
