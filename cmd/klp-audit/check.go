package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// checkFlags are the flags of check.
type checkFlags struct {
	profile    string
	warn, crit int // days
	only, skip []string
	metrics    string
}

func (a *app) checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say for monitoring how it stands, as Nagios plugins do",
		Long: `Say for monitoring how it stands: one line with performance data, and below it what did
not pass and what to do.

The exit status is that of Nagios plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; 3 also
when the command is called wrongly or the record cannot be read. The newest observation on
record is judged; the machine itself is not looked at.`,
		Example: `  klp-audit check
  klp-audit check --only coverage,patch-in-initrd --warn 30 --crit 7
  klp-audit check --metrics /var/lib/node_exporter/textfile/klp-audit.prom`,
		Args:         func(cmd *cobra.Command, args []string) error { return a.unknown(cobra.NoArgs(cmd, args)) },
		SilenceUsage: true,
		RunE:         func(cmd *cobra.Command, _ []string) error { return a.unknown(a.check(cmd, &f)) },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return a.unknown(err) })
	flags := cmd.Flags()
	a.profileFlag(cmd, &f.profile)
	flags.IntVar(&f.warn, "warn", 0, "warn when the coverage ends in less than `DAYS` (as the profile says)")
	flags.IntVar(&f.crit, "crit", 0, "critical when the coverage ends in less than `DAYS` (as the profile says)")
	flags.StringSliceVar(&f.only, "only", nil, "only the checks `ID,…`: "+strings.Join(report.CheckIDs(), ", "))
	flags.StringSliceVar(&f.skip, "skip", nil, "all checks but `ID,…`")
	flags.StringVar(&f.metrics, "metrics", "", "write OpenMetrics text to `FILE`, too, for node_exporter's textfile collector")
	for _, name := range []string{"only", "skip"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(report.CheckIDs(), cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

// unknown has an error end as the status UNKNOWN, in the line that monitoring shows.
func (a *app) unknown(err error) error {
	var status exitStatus
	if err == nil || errors.As(err, &status) {
		return err
	}
	_, code := report.NotDetermined.Nagios()
	fmt.Fprintf(a.Stdout, "KLP-AUDIT UNKNOWN - %s\n", strings.ReplaceAll(report.Printable(err.Error()), "|", "/"))
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(a.Stdout, "To do: %s\n", hint)
	}
	return exitStatus(code)
}

func (a *app) check(cmd *cobra.Command, f *checkFlags) error {
	p, err := a.checkProfile(cmd, f)
	if err != nil {
		return err
	}
	s, err := a.openRecord(cmd.Context())
	if err != nil {
		return err
	}
	defer s.Close()
	c, err := a.judge(cmd.Context(), s, p, a.Now())
	if err != nil {
		return err
	}
	if f.only != nil || f.skip != nil {
		c = c.Only(slices.Concat(f.only, f.skip), f.skip != nil)
	}
	if f.metrics != "" {
		if err := a.writeMetrics(cmd.Context(), s, c, f.metrics); err != nil {
			return err
		}
	}
	if err := c.WriteCheck(a.Stdout, p); err != nil {
		return err
	}
	if _, status := c.Verdict.Nagios(); status != 0 {
		return exitStatus(status)
	}
	return nil
}

// checkProfile is the profile with what the flags say otherwise.
func (a *app) checkProfile(cmd *cobra.Command, f *checkFlags) (*report.Profile, error) {
	if f.only != nil && f.skip != nil {
		return nil, errors.New("--only and --skip: want one of them")
	}
	for _, id := range slices.Concat(f.only, f.skip) {
		if !slices.Contains(report.CheckIDs(), id) {
			return nil, fmt.Errorf("there is no check %q: want %s", id, strings.Join(report.CheckIDs(), ", "))
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
		to   *report.Period
	}{{"warn", f.warn, &c.Warn}, {"crit", f.crit, &c.Fail}} {
		if !cmd.Flags().Changed(set.name) {
			continue
		}
		if set.days < 0 || set.days > 9999 {
			return nil, fmt.Errorf("--%s %d: want a number of days up to 9999", set.name, set.days)
		}
		*set.to = report.Period(time.Duration(set.days) * 24 * time.Hour)
	}
	if c.Warn < c.Fail {
		return nil, fmt.Errorf("it would be critical %s before the end, and warn only %s before: want --warn to be more than --crit", c.Fail, c.Warn)
	}
	p.Criteria["coverage"] = c
	return p, nil
}

// writeMetrics replaces the file in one step; the collector is another user.
func (a *app) writeMetrics(ctx context.Context, s *store.Store, c *report.Compliance, path string) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("writing %q: not a regular file", path)
	}
	// Of the time since then nothing can be proven; whether it was too long is judged.
	st, err := report.NewState(ctx, s, c.Observed.Time)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := report.WriteMetrics(&b, c, st); err != nil {
		return err
	}
	return renameio.WriteFile(path, b.Bytes(), 0o644, renameio.IgnoreUmask())
}
