package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/report"
)

func (a *app) timelineCommand() *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:   "timeline [LIST...]",
		Short: "Print boots and live patches over time, and when what was amiss",
		Long: `Print from when to when what was so, oldest first, in lists, all of them or those that are named:

  boots          which kernel ran, and which live patch was active in the end
  patches        which live patch was active, in which boot, and whether the initrd loaded it
  not-active     a live patch was installed, and fixes of it were not active, and why
  not-in-initrd  a live patch was active, and not in the initrd: a reboot would have lost it
  gaps           what was not, or not wholly, recorded

proven says that the record shows it, inferred that it follows from what was before and after, and
unknown that it is neither. A live patch of another kernel is not active while that kernel was
never booted; after it has run, and another one runs, it has nothing to protect. How long a live
patch takes to be loaded is not listed if that is less than a minute.`,
		Example: `  klp-audit report timeline patches --since this-year
  klp-audit report timeline not-active not-in-initrd
  klp-audit report timeline boots --format csv --output boots.csv`,
		ValidArgs: report.TimelineLists(),
		RunE:      func(cmd *cobra.Command, args []string) error { return a.timeline(cmd, &f, args) },
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
