package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// profileDir holds profiles of one's own, below the root of the machine.
const profileDir = "etc/klp-audit/profiles"

// complianceFlags are the flags of report compliance.
type complianceFlags struct {
	sectionFlags
	profile string
	at      string
}

func (a *app) complianceCommand() *cobra.Command {
	var f complianceFlags
	cmd := &cobra.Command{
		Use:   "compliance",
		Short: "Judge the record by a profile: the verdict, and every check",
		Long: `Judge the record by a profile: the verdict first, which is the worst of all checks, then
every check, the weightiest first. Each says in a sentence what it found, names the events
that say so, and what to do. What is not known is unknown, and never passes. If the newest
observation is too old to judge by, a table has one finding for all checks that need a newer one;
in JSON and CSV, hangs_on names the check that each of them hangs on.
klp-audit help checks lists the checks, and klp-audit help CHECK explains one.

Profiles of your own are in /etc/klp-audit/profiles/NAME.toml; what they do not say is as the
profile default has it. Exceptions for a check (see klp-audit exception) stand beside its result; they
change nothing in it. Numbers that somebody accepts are left out of updates, residual and latency,
which say so.

` + knownHelp,
		Example: `  klp-audit report compliance
  klp-audit report compliance --profile pci-dss-4.0.1 --format json
  klp-audit report compliance --at 2026-06-30 --format csv --output june.csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.compliance(cmd, &f) },
	}
	flags := cmd.Flags()
	a.profileFlag(cmd, &f.profile)
	flags.StringVar(&f.at, "at", "", "as of `TIME` (now, or that of --known-at): "+report.TimeHelp)
	a.sectionFlags(cmd, &f.sectionFlags, report.Formats(&report.ComplianceSection{}))
	return cmd
}

func (a *app) profileFlag(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "profile", "", "judge by the profile `NAME`: "+strings.Join(compliance.Profiles(), ", ")+", or one in /"+profileDir+" (as klp-audit.toml says, else "+compliance.DefaultProfile+")")
	cmd.RegisterFlagCompletionFunc("profile", a.completeProfiles)
}

// loadProfile reads a profile, the configured one if none is named. Profiles of one's own are read from
// the machine.
func (a *app) loadProfile(name string) (*compliance.Profile, error) {
	if name == "" {
		return a.configuredProfile()
	}
	p, err := a.profileNamed(name)
	if err != nil {
		return nil, usageError{fmt.Errorf("--profile: %w", err)}
	}
	return p, nil
}

func (a *app) profileNamed(name string) (*compliance.Profile, error) {
	return compliance.LoadProfile(name, os.DirFS(filepath.Join(a.root, "/", profileDir)))
}

func (a *app) configuredProfile() (*compliance.Profile, error) {
	c, err := a.configured()
	if err != nil {
		return nil, err
	}
	p, err := a.profileNamed(c.Profile)
	if err != nil {
		return nil, fmt.Errorf("the configured profile: %v", err)
	}
	return p, nil
}

func (a *app) compliance(cmd *cobra.Command, f *complianceFlags) error {
	at, err := f.sectionFlags.at(a, f.at, "now")
	if err != nil {
		return err
	}
	p, err := a.loadProfile(f.profile)
	if err != nil {
		return err
	}
	s, err := a.openSection(cmd, &f.sectionFlags, "compliance")
	if err != nil {
		return err
	}
	defer s.Close()
	c, err := a.judge(cmd.Context(), s.Store, p, at, s.provenance.Input)
	if err != nil {
		return err
	}
	a.seeSpool(c, p, &f.sectionFlags)
	section := report.ComplianceSection{Summary: c, Provenance: a.complianceProvenance(s, c)}
	return a.write(&f.sectionFlags, &section, section.Provenance)
}

// complianceProvenance says what a summary was made from.
func (a *app) complianceProvenance(s *section, c *compliance.Summary) *report.Provenance {
	from := report.NewProvenance("compliance", version, a.Now(), c.Record)
	from.Input, from.Since, from.Until = s.provenance.Input, &c.Since, &c.At
	maps.Copy(from.Filters, s.provenance.Filters)
	from.Filters["profile"] = c.Profile
	return from
}

// judge returns a compliance summary of an input.
func (a *app) judge(ctx context.Context, s *store.Store, p *compliance.Profile, at time.Time, in *audit.Input) (*compliance.Summary, error) {
	c, err := compliance.Judge(ctx, s, p, at)
	if err != nil {
		return nil, err
	}
	c.Distrust(in)
	return c, nil
}

// seeSpool adds to a summary of the machine's own record what there is to see of its spool.
func (a *app) seeSpool(c *compliance.Summary, p *compliance.Profile, f *sectionFlags) {
	if a.db == "" && f.input == "" && f.knownAt == "" {
		c.SeeSpool(store.LookAtSpool(a.root), p)
	}
}
