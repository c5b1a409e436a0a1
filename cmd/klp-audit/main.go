// Command klp-audit reports which kernel and which live patch protected a machine, from
// the record that its libzypp plugin keeps.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	_ "time/tzdata" // a host may have no zones

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/scratch"
	"github.com/klp-audit/klp-audit/internal/stop"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	stop.Watch(cancel)
	line, ctx := progressLine(ctx)
	e := env{Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now}
	if line != nil {
		e.Stderr = line
	}
	scratch.SweepTemp()
	code := run(ctx, e)
	if line != nil {
		line.Close()
	}
	stop.End(code)
	os.Exit(code)
}

func run(ctx context.Context, e env) int {
	a := &app{env: e}
	cmd := a.command()
	a.fitHelp(cmd)
	cmd.SetArgs(e.Args)
	cmd.SetOut(e.Stdout)
	cmd.SetErr(e.Stderr)
	called, err := cmd.ExecuteContextC(ctx)
	if word := called.Flags().Arg(0); err == nil && word != "" && called.HasSubCommands() { // cobra printed help
		err = usageError{fmt.Errorf("unknown command %q for %q", word, called.CommandPath())} // as cobra says
	}
	var status exitStatus
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	}
	if s := stop.By(ctx, err); s != 0 {
		if s != syscall.SIGPIPE { // who read it does not want to know more
			a.complain("stopped by %s", unix.SignalName(s))
		}
		return stop.Exit + int(s)
	}
	a.complain("%v", err)
	if hint := cmp.Or(hintFor(err), didYouMean(called, err)); hint != "" {
		fmt.Fprintf(e.Stderr, "klp-audit: hint: %s\n", hint)
	}
	if errors.As(err, new(usageError)) || !started(called) {
		fmt.Fprintf(e.Stderr, "klp-audit: hint: see `%s --help`\n", called.CommandPath())
		return exitUsage
	}
	return exitError
}

// started says whether cobra got as far as running the command: its own errors, about
// flags and arguments, come before.
func started(cmd *cobra.Command) bool { return cmd.Annotations[startedKey] != "" }

const startedKey = "started"

func (a *app) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "klp-audit",
		Short: "Which kernel and which live patch protected this machine, and when",
		Long: `klp-audit reports on the record that its libzypp plugin keeps of every change of
kernels and kernel live patches on this machine.`,
		Args:          cobra.NoArgs,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Annotations = map[string]string{startedKey: "yes"}
			a.foreign = cmd.Flags().Changed("input")
			return a.useZone(cmd)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(flagError)
	cmd.SetVersionTemplate("klp-audit {{.Version}}\n")
	cmd.PersistentFlags().StringVar(&a.root, "root", "/", "look at the machine whose file tree is at `DIR`")
	cmd.PersistentFlags().StringVar(&a.db, "db", "", "read the copy of a record in `FILE`, which reports verify first")
	cmd.PersistentFlags().StringVar(&a.tz, "tz", "", "read and show times in `ZONE`: Europe/Berlin, +01:00, local or UTC (shown in UTC, read in your own)")
	cmd.RegisterFlagCompletionFunc("tz", cobra.FixedCompletions([]string{"local", "UTC"}, cobra.ShellCompDirectiveNoFileComp))
	a.outputFlags(cmd)
	cmd.AddCommand(a.statusCommand(), a.reportCommand(), a.showCommand(), a.verifyCommand(), a.importCommand(), a.exportCommand(), a.rebuildCommand(), a.pruneCommand(), a.versionCommand(),
		a.observeCommand(), a.bootsCommand(), a.initrdCommand(), a.dracutLogCommand(),
		a.checkCommand(), a.exceptionCommand(), a.configCommand())
	help := a.helpCommand()
	cmd.AddCommand(help)
	cmd.SetHelpCommand(help)
	a.complete(cmd)
	refuseEmpty(cmd)
	return cmd
}
