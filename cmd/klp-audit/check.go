package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// checkFlags are the flags of check.
type checkFlags struct {
	profile    string
	warn, crit int // days
	timeout    int // seconds
	only, skip []string
	metrics    string
	knownAt    string
}

func (a *app) checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Report status to a monitoring system, as Nagios plugins do",
		Long: `Report status to a monitoring system: one line with performance data, and below it what did
not pass and what to do.

The exit status is that of Nagios plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; 3 also
when the command is called wrongly or the record cannot be read; always 2 when the record is
altered or events are missing at its end, whatever is asked for. It is verified fully if that
takes less than 5 s; else the newest checkpoint, the key and what the daily verification found are
looked at. That the key was lost once is a finding of integrity. The newest observation on
record is judged; of the machine itself only the spool is looked at, where events wait that
the record did not take. --known-at TIME judges as of that moment, by what was recorded until then,
and looks at no spool.`,
		Example: `  klp-audit check
  klp-audit check --only coverage,patch-in-initrd --warn 30 --crit 7
  klp-audit check --metrics /var/lib/node_exporter/textfile_collector/klp-audit.prom`,
		Args:         func(cmd *cobra.Command, args []string) error { return a.unknown(cobra.NoArgs(cmd, args)) },
		SilenceUsage: true,
		Version:      version,
		RunE:         func(cmd *cobra.Command, _ []string) error { return a.unknown(a.checkInTime(cmd, &f)) },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return a.unknown(flagError(nil, err)) })
	flags := cmd.Flags()
	a.profileFlag(cmd, &f.profile)
	flags.IntVarP(&f.warn, "warn", "w", 0, "warn when the coverage ends in less than `DAYS` (as the profile says)")
	flags.IntVarP(&f.crit, "crit", "c", 0, "critical when the coverage ends in less than `DAYS` (as the profile says)")
	flags.IntVarP(&f.timeout, "timeout", "t", 0, "UNKNOWN if it takes longer than `SECONDS` (0: no limit)")
	flags.BoolP("version", "V", false, "print the version")
	flags.StringSliceVar(&f.only, "only", nil, "only the checks `ID,…`: "+strings.Join(compliance.CheckIDs(), ", "))
	flags.StringSliceVar(&f.skip, "skip", nil, "all checks but `ID,…`")
	flags.StringVar(&f.knownAt, "known-at", "", "judge as of `TIME`, and leave out what was recorded after it: "+report.TimeHelp)
	flags.StringVar(&f.metrics, "metrics", "", "write OpenMetrics text to `FILE`, too, for node_exporter's textfile collector")
	for _, name := range []string{"only", "skip"} {
		cmd.RegisterFlagCompletionFunc(name, completeList(compliance.CheckIDs()))
	}
	return cmd
}

// unknown has an error end as the status UNKNOWN, in the line that monitoring shows.
func (a *app) unknown(err error) error {
	var status exitStatus
	if err == nil || errors.As(err, &status) {
		return err
	}
	_, code := report.Nagios(compliance.NotDetermined)
	fmt.Fprintf(a.Stdout, "KLP-AUDIT UNKNOWN - %s\n", report.NagiosText(oneLine(err.Error())))
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(a.Stdout, "To do: %s\n", hint)
	}
	return exitStatus(code)
}

// critical is the answer to a record that cannot be read any more.
func (a *app) critical(in *audit.Input, metrics string) error {
	if metrics != "" {
		if err := a.writeLost(in, metrics); err != nil {
			return err
		}
	}
	_, code := report.Nagios(compliance.Fail)
	fmt.Fprintf(a.Stdout, "KLP-AUDIT CRITICAL - %s\nTo do: %s.\n", report.NagiosText(in.Warning()), compliance.ToDo(compliance.IntegrityID, compliance.Fail))
	return exitStatus(code)
}

// checkInTime is check, for no longer than it may take.
func (a *app) checkInTime(cmd *cobra.Command, f *checkFlags) error {
	switch {
	case f.timeout < 0 || f.timeout > 3600:
		return fmt.Errorf("--timeout %d: want a number of seconds up to 3600", f.timeout)
	case f.timeout == 0:
		return a.check(cmd, f)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Duration(f.timeout)*time.Second)
	defer cancel()
	cmd.SetContext(ctx)
	err := a.check(cmd, f)
	if answered := err == nil || errors.As(err, new(exitStatus)); !answered && ctx.Err() != nil {
		return fmt.Errorf("no answer within %d s", f.timeout)
	}
	return err
}

func (a *app) check(cmd *cobra.Command, f *checkFlags) error {
	if f.metrics == "-" {
		return errors.New("--metrics: want the name of a file: standard output has the answer of check")
	}
	p, err := a.checkProfile(cmd, f)
	if err != nil {
		return err
	}
	section := sectionFlags{knownAt: f.knownAt}
	at, err := section.at(a, "", "now")
	if err != nil {
		return err
	}
	s, in, err := a.openFound(cmd.Context())
	if err != nil {
		return err
	}
	if s == nil {
		return a.critical(in, f.metrics)
	}
	c, s, err := a.judgeKnown(cmd.Context(), s, p, at, in, f.knownAt)
	if err != nil && in.Warning() != "" {
		return a.critical(in, f.metrics)
	} else if err != nil {
		return err
	}
	defer s.Close()
	a.seeSpool(c, p, &section)
	if f.only != nil || f.skip != nil {
		c = c.Only(slices.Concat(f.only, f.skip), f.skip != nil)
	}
	if f.metrics != "" {
		if err := a.writeMetrics(cmd.Context(), s, c, f.metrics); err != nil {
			return err
		}
	}
	if err := report.WriteCheck(a.Stdout, c, p); err != nil {
		return err
	}
	if _, status := report.Nagios(c.Verdict); status != 0 {
		return exitStatus(status)
	}
	return nil
}

// judgeKnown judges by what was known at a moment, and closes the record if that fails.
func (a *app) judgeKnown(ctx context.Context, s *store.Store, p *compliance.Profile, at time.Time, in *audit.Input, known string) (*compliance.Summary, *store.Store, error) {
	s, err := a.knownAt(ctx, s, known)
	if err != nil {
		return nil, nil, err
	}
	c, err := a.judge(ctx, s, p, at, in)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return c, s, nil
}

// checkProfile returns the profile, changed as the flags say.
func (a *app) checkProfile(cmd *cobra.Command, f *checkFlags) (*compliance.Profile, error) {
	if f.only != nil && f.skip != nil {
		return nil, errors.New("--only and --skip: want one of them")
	}
	flag := "--only"
	if f.skip != nil {
		flag = "--skip"
	}
	for _, id := range slices.Concat(f.only, f.skip) {
		if !slices.Contains(compliance.CheckIDs(), id) {
			return nil, fmt.Errorf("%s: there is no check %q: want %s", flag, id, strings.Join(compliance.CheckIDs(), ", "))
		}
	}
	p, err := a.loadProfile(f.profile)
	if err != nil {
		return nil, err
	}
	c := p.Criteria["coverage"]
	for _, set := range []struct {
		name string
		days int
		to   *compliance.Period
	}{{"warn", f.warn, &c.Warn}, {"crit", f.crit, &c.Fail}} {
		if !cmd.Flags().Changed(set.name) {
			continue
		}
		if set.days < 0 || set.days > 9999 {
			return nil, fmt.Errorf("--%s %d: want a number of days up to 9999", set.name, set.days)
		}
		*set.to = compliance.Period(time.Duration(set.days) * 24 * time.Hour)
	}
	if c.Warn < c.Fail {
		return nil, fmt.Errorf("it would be critical %s before the end, and warn only %s before: want --warn to be more than --crit", c.Fail, c.Warn)
	}
	p.Criteria["coverage"] = c
	return p, nil
}

// writeLost writes the metrics of a record that cannot be judged: those from before would say that all is well.
func (a *app) writeLost(in *audit.Input, path string) error {
	warning := in.Warning()
	c := &compliance.Summary{
		Verdict: compliance.Fail, Checks: []compliance.CheckResult{{ID: compliance.IntegrityID, Result: compliance.Fail}}, At: record.At(a.Now()),
		Open: &audit.Open{Unknown: warning}, Record: &record.Summary{}, Warning: warning,
	}
	return place(path, 0o644, true, func(w io.Writer) error { return report.WriteMetrics(w, c, &audit.State{Confidence: audit.Unknown}) })
}

// writeMetrics replaces the file in one step; the collector is another user.
func (a *app) writeMetrics(ctx context.Context, s *store.Store, c *compliance.Summary, path string) error {
	// Of the time since then nothing can be proven; whether it was too long is judged.
	st, err := audit.NewState(ctx, s, c.Observed.Time)
	if err != nil {
		return err
	}
	return place(path, 0o644, true, func(w io.Writer) error { return report.WriteMetrics(w, c, st) })
}
