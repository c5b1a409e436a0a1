package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/report"
)

// fullFlags are the flags of report without a section.
type fullFlags struct {
	historyFlags
	profile string
	at      string
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

A report on what was altered, or on what lacks its end, says so in its first line, and proves
nothing; the exit status is then 4 or 5. To know that, the record is verified fully if that takes
less than 5 s; else the newest checkpoint, the key and what the daily verification found are looked
at. What --input and --db name is always verified fully. That the machine lost its key once is a
finding of the check integrity; klp-audit verify, --input and --db say ALTERED.

--format html writes one file that needs nothing else: it holds a picture of the time, shows
the newest 1,000 changes, follows the reader's choice of light or dark, and prints on A4.
--since and --until choose the time of the picture and the history; --at is the moment that
the state, the checks and the fixes are of, and the picture ends there.

` + knownHelp,
		Example: `  klp-audit report
  klp-audit report --format html --output report.html
  klp-audit report --since this-year --profile pci-dss-4.0.1 --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.full(cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "", "the time from `TIME` on: "+report.TimeHelp)
	flags.StringVar(&f.until, "until", "", "the time before `TIME`")
	flags.StringVar(&f.at, "at", "", "state, checks and fixes as of `TIME` (now, or that of --known-at)")
	a.profileFlag(cmd, &f.profile)
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
	s, err := a.openSection(cmd, &f.sectionFlags, "report")
	if err != nil {
		return err
	}
	defer s.Close()
	h := report.NewHistory(f.filter, f.format, s.provenance)
	h.Filter.Events = s.summary.Events // the rows are those of the provenance
	h.Rows = s.History(cmd.Context(), h.Filter)
	full, err := report.NewFull(cmd.Context(), s.Store, p, at, h)
	if err != nil {
		return err
	}
	a.seeSpool(full.Compliance, p, &f.sectionFlags)
	return a.write(&f.sectionFlags, full, full.Provenance)
}
