package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/report"
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
	if err := a.print(&out, format); err != nil {
		return err
	}
	if len(c.Problems) > 0 {
		return exitStatus(exitError)
	}
	return nil
}
