package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/config"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/report"
)

// version is set when the program is built.
var version = "devel"

// env is the world that a command runs in.
type env struct {
	Args   []string
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Now    func() time.Time
}

// app is what all commands share.
type app struct {
	env
	root    string         // file tree of the machine that is looked at
	db      string         // record to read instead of that machine's
	foreign bool           // --input names an export, maybe of another machine
	tz      string         // zone of the times that are read and shown
	color   string         // when tables have colours
	noPager bool           // long tables go to the terminal as they are
	conf    *config.Config // nil: not read yet
}

// complain prints a message for the user, on one line. What comes from outside is made printable.
func (a *app) complain(format string, args ...any) {
	fmt.Fprintln(a.Stderr, "klp-audit: "+say.Printable(oneLine(fmt.Sprintf(format, args...))))
}

// oneLine tells errors apart that were joined.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

// note says on standard error what the user should know, and what is no error.
func (a *app) note(format string, args ...any) { a.complain("note: "+format, args...) }

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

// The exit codes of all commands; what reads a record has two more.
const (
	exitDone  = 0
	exitError = 1
	exitUsage = 2
)

// exitStatus ends the program with a code of its own; what is to be said was said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usageError is a mistake in how a command was called.
type usageError struct{ error }

// Unwrap returns the mistake.
func (u usageError) Unwrap() error { return u.error }
