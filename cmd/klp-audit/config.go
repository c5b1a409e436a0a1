package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/config"
	"github.com/klp-audit/klp-audit/internal/recorder"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

func (a *app) configCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the effective configuration, and where each value comes from",
		Long: `Print the effective configuration, with the file and line that each value comes from. See
klp-audit.toml(5) for the files and their keys.

What is wrong in a file is named on standard error, and in JSON in problems. It is left out,
the rest applies, and the exit status is 1.`,
		Example: `  klp-audit config
  klp-audit config --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.db != "" {
				return usageError{errors.New("a machine is configured, not the record in --db")}
			}
			return a.printConfig(format)
		},
	}
	enumFlag(cmd, &format, "format", "print as `FORMAT`", report.Formats(&report.Configuration{}))
	return cmd
}

func (a *app) printConfig(format string) error {
	c := a.config()
	out := report.Configuration{Schema: report.ConfigurationSchema, Settings: c.Settings, Problems: []string{}}
	for _, p := range c.Problems {
		out.Problems = append(out.Problems, p.Error())
		a.complain("%v", p)
	}
	if err := report.Write(a.Stdout, &out, format, a.style(false)); err != nil {
		return err
	}
	if len(c.Problems) > 0 {
		return exitStatus(exitError)
	}
	return nil
}

// config returns the configuration of the machine that is looked at.
func (a *app) config() *config.Config {
	if a.conf == nil {
		a.conf = config.Read(a.root)
	}
	return a.conf
}

// configured is the configuration, for what depends on a value in it: where there are mistakes,
// another value may be meant.
func (a *app) configured() (*config.Config, error) {
	if c := a.config(); len(c.Problems) == 0 {
		return c, nil
	}
	return nil, a.conf.Problems[0]
}

// openWriter opens the machine's record to write to it.
func (a *app) openWriter(ctx context.Context) (*store.Store, error) {
	if err := a.keeps(); err != nil {
		return nil, err
	}
	if err := a.misplaced(); err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, a.root, version)
	if err != nil {
		return nil, err
	}
	s.AnnounceIf(func() bool { return a.config().CheckpointsToJournal })
	return s, nil
}

// keeps is an error where what is recorded is lost.
func (a *app) keeps() error {
	if a.root == "/" && recorder.New(a.root, version, a.Getenv, a.Stderr).InSnapshot() {
		return errors.New("this is a snapshot that transactional-update prepares, and what is recorded in it is lost: work on the record in the running system")
	}
	return nil
}
