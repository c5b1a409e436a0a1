package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/report"
)

// fullFlags are the flags of report without a section.
type fullFlags struct {
	historyFlags
	profile string
	at      string
	bundle  string
}

// reportCommand is the whole report; its sections are commands below it.
func (a *app) reportCommand() *cobra.Command {
	var f fullFlags
	cmd := &cobra.Command{
		Use:   "report [SECTION]",
		Short: "Print the whole report, or a section of it, from the record",
		Long: `Print the whole report for an auditor: verdict and scope first, then the state now, the
compliance checks, exposure and latency of fixes, the history, gaps of the recorder and what
they mean, integrity, and what the report was made from.

A report on a record that was altered, or that lacks its end, says so in its first line, and proves
nothing; the exit status is then 4 or 5. To know that, the record is verified fully if that takes
less than 5 s; else the newest checkpoint, the key and what the daily verification found are looked
at. What --input and --db name is always verified fully. That the machine lost its key once is a
finding of the check integrity; klp-audit verify, --input and --db say ALTERED.

--format html writes one file that needs nothing else: it holds a picture of the time and the same
in words, shows the newest 1,000 changes, follows the reader's choice of light or dark, and prints on
A4. Parts that are folded are printed only if you open them first. A section alone is such a page, too.
--since and --until choose the time of the picture and the history; --at is the moment that
the state, the checks and the fixes are of, and the picture ends there.

--bundle writes the papers of an audit, as a zip archive: an export of the record, the report as
a page, the history and the checks as CSV, the checkpoint, a program that checks the export
without klp-audit, and a README.txt that says how to check all of it, step by step. All of it is
made from that export, which is verified first. Its times are UTC, whatever --tz says.

` + knownHelp,
		Example: `  klp-audit report
  klp-audit report --format html --output report.html
  klp-audit report --since this-year --profile pci-dss-4.0.1 --format json
  klp-audit report --since this-year --bundle papers.zip`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.full(cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "", "the time from `TIME` on: "+report.TimeHelp)
	flags.StringVar(&f.until, "until", "", "the time before `TIME`")
	flags.StringVar(&f.at, "at", "", "state, checks and fixes as of `TIME` (now, or that of --known-at)")
	a.profileFlag(cmd, &f.profile)
	flags.StringVar(&f.bundle, "bundle", "", "write an archive to `FILE`, with all that an auditor needs to check the report elsewhere")
	a.sectionFlags(cmd, &f.sectionFlags, report.Formats(&report.Full{}))
	cmd.AddCommand(a.historyCommand(), a.timelineCommand(), a.complianceCommand(), a.cveCommand())
	for _, s := range report.SectionsAt() {
		cmd.AddCommand(a.sectionAtCommand(&s))
	}
	return cmd
}

func (a *app) full(cmd *cobra.Command, f *fullFlags) error {
	if err := a.times(&f.historyFlags); err != nil {
		return usageError{err}
	}
	at, err := f.sectionFlags.at(a, f.at, "now")
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("at") && f.filter.Since.After(at) {
		return usageError{fmt.Errorf("--since %s is after --at %s", f.since, f.at)}
	}
	p, err := a.loadProfile(f.profile)
	if err != nil {
		return err
	}
	if f.bundle != "" {
		if err := a.checkBundle(cmd, f); err != nil {
			return err
		}
		return a.bundle(cmd, f, p, at)
	}
	s, err := a.openSection(cmd, &f.sectionFlags, "report")
	if err != nil {
		return err
	}
	defer s.Close()
	full, err := a.makeFull(cmd.Context(), s, f, f.format, p, at)
	if err != nil {
		return err
	}
	return a.write(&f.sectionFlags, full, full.Provenance)
}

// makeFull makes the whole report.
func (a *app) makeFull(ctx context.Context, s *section, f *fullFlags, format string, p *compliance.Profile, at time.Time) (*report.Full, error) {
	h := report.NewHistory(f.filter, format, s.provenance)
	h.Filter.Events = s.summary.Events // the rows are those of the provenance
	h.Rows = s.History(ctx, h.Filter)
	full, err := report.NewFull(ctx, s.Store, p, at, h)
	if err == nil {
		a.seeSpool(full.Compliance, p, &f.sectionFlags)
	}
	return full, err
}

func (a *app) timelineCommand() *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:   "timeline [LIST...]",
		Short: "Print boots and live patches over time, and when something was wrong",
		Long: `Print boots and live patches over time, and when something was wrong. Name the lists that you
want; without a name, all are printed. Each is in the order of time:

  boots          which kernel ran, and which live patch was active in the end
  patches        which live patch was active, in which boot, and whether the initrd loaded it
  not-active     a live patch was installed, and fixes of it were not active, and why
  not-in-initrd  a live patch was active, and not in the initrd: a reboot would have lost it
  gaps           times that were not, or not wholly, recorded

proven means that the record shows it, inferred that it follows from what came before and after,
and unknown that it is neither. not-active also lists the live patch of a kernel that was not
booted yet. It leaves out a kernel that ran earlier, while another one runs: there is nothing to
protect. Loading a live patch takes seconds: less than a minute is left out.`,
		Example: `  klp-audit report timeline patches --since this-year
  klp-audit report timeline not-active not-in-initrd
  klp-audit report timeline boots --format csv --output boots.csv`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			left := slices.DeleteFunc(report.TimelineLists(), func(l string) bool { return slices.Contains(args, l) })
			return left, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.timeline(cmd, &f, args) },
	}
	cmd.Flags().StringVar(&f.since, "since", "", "only from `TIME` on: "+report.TimeHelp)
	cmd.Flags().StringVar(&f.until, "until", "", "only before `TIME`")
	a.sectionFlags(cmd, &f.sectionFlags, report.Formats(&report.Timeline{}))
	return cmd
}

func (a *app) timeline(cmd *cobra.Command, f *historyFlags, lists []string) error {
	for _, l := range lists {
		if known := report.TimelineLists(); !slices.Contains(known, l) {
			return usageError{fmt.Errorf("list %q: want %s", l, strings.Join(known, ", "))}
		}
	}
	if err := a.times(f); err != nil {
		return usageError{err}
	}
	s, err := a.openSection(cmd, &f.sectionFlags, "timeline")
	if err != nil {
		return err
	}
	defer s.Close()
	t, err := report.NewTimeline(cmd.Context(), s.Store, f.filter.Since, f.filter.Until, lists, s.provenance)
	if err != nil {
		return err
	}
	return a.write(&f.sectionFlags, t, s.provenance)
}
