package main

import (
	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/report"
)

// stateFlags are the flags of report state.
type stateFlags struct {
	sectionFlags
	at string
}

func (a *app) stateCommand() *cobra.Command {
	var f stateFlags
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Print what protected the machine at a moment",
		Long: `Print what protected the machine at a moment: the kernel that ran, the active live patch, since
when and what it fixes, whether the initrd held it, what was installed, and how sure all that
is.

Sections read the same timeline, so they say the same.
What is proven follows from an observation at that very moment, or from the journal that
observations carry. A boot that nobody looked at while it ran is inferred: its clock may have
been set. What else is inferred follows from what was before and after, where nothing on
record speaks against it. Else it is unknown, with the reason: before the recorder was
installed, in a gap, between two boots, where the clock was set, while a commit was changing
packages, and after the newest observation. While an update waits in another snapshot, next
boot and initrd are unknown. A live patch whose load is not complete fixes nothing yet.

` + knownHelp,
		Example: `  klp-audit report state
  klp-audit report state --at 2026-03-11T20:00:00Z
  klp-audit report state --at yesterday --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.state(cmd, &f) },
	}
	cmd.Flags().StringVar(&f.at, "at", "", "the state at `TIME` (when the machine was observed last): "+report.TimeHelp)
	a.sectionFlags(cmd, &f.sectionFlags, report.Formats(&report.StateSection{}))
	return cmd
}

func (a *app) state(cmd *cobra.Command, f *stateFlags) error {
	at, err := a.moment("--at", f.at)
	if err != nil {
		return err
	}
	s, err := a.openSection(cmd, &f.sectionFlags, "state")
	if err != nil {
		return err
	}
	defer s.Close()
	st, err := s.state(cmd.Context(), at)
	if err != nil {
		return err
	}
	section := report.StateSection{State: st, Provenance: s.provenance}
	return a.write(&f.sectionFlags, &section, s.provenance)
}
