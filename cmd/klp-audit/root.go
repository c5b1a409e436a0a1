package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/config"
	"github.com/klp-audit/klp-audit/internal/recorder"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/store"
)

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

// app is what all commands share.
type app struct {
	env
	root string         // file tree of the machine that is looked at
	db   string         // record to read instead of that machine's
	conf *config.Config // nil: not read yet
}

func run(ctx context.Context, e env) int {
	a := &app{env: e}
	cmd := a.command()
	cmd.SetArgs(e.Args)
	cmd.SetOut(e.Stdout)
	cmd.SetErr(e.Stderr)
	called, err := cmd.ExecuteContextC(ctx)
	var status exitStatus
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	}
	a.complain("%v", err)
	if hint := hintFor(err); hint != "" {
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
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			cmd.Annotations = map[string]string{startedKey: "yes"}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&a.root, "root", "/", "look at the machine whose file tree is at `DIR`")
	cmd.PersistentFlags().StringVar(&a.db, "db", "", "read the copy of a record in `FILE`, which reports verify first")
	cmd.MarkPersistentFlagDirname("root")
	cmd.AddCommand(a.statusCommand(), a.reportCommand(), a.verifyCommand(), a.importCommand(), a.exportCommand(), a.rebuildCommand(), a.pruneCommand(), a.versionCommand(),
		a.observeCommand(), a.bootsCommand(), a.initrdCommand(), a.dracutLogCommand(),
		a.checkCommand(), a.exceptionCommand(), a.configCommand())
	a.completeFromRecord(cmd)
	refuseEmpty(cmd)
	return cmd
}

// openRecord opens the record that the flags name, for reading. The machine's own record
// is brought up to date first, as far as the user may. verify does not use it: it must see
// the record before anything is added.
func (a *app) openRecord(ctx context.Context) (*store.Store, error) {
	a.catchUp(ctx)
	return a.open(ctx)
}

func (a *app) recordPath() string {
	if a.db != "" {
		return a.db
	}
	return store.Path(a.root)
}

// catchUp takes in what waits in the spool and closes interrupted commits, if this is the
// machine's own record and the user is root.
func (a *app) catchUp(ctx context.Context) {
	if a.db != "" || a.root != "/" || os.Geteuid() != 0 {
		return
	}
	rec := recorder.New(a.root, version, a.Getenv, recorder.NewLog(a.Stderr))
	if err := rec.CatchUp(ctx); err != nil {
		a.complain("bringing the record up to date: %v", err)
	}
}

// complain prints a message for the user. What comes from outside is made printable.
func (a *app) complain(format string, args ...any) {
	fmt.Fprintln(a.Stderr, "klp-audit: "+say.Printable(fmt.Sprintf(format, args...)))
}

// hintFor says what to do about an error, if there is something to do.
func hintFor(err error) string {
	var m mistaken
	switch {
	case errors.As(err, &m):
		return m.hint()
	case errors.As(err, new(badKey)):
		return "a key looks like klp-audit/0123456789abcdef+01234567+A…, as `klp-audit verify` prints it"
	case errors.As(err, new(config.Problem)):
		return "`klp-audit config` names all that is wrong; klp-audit.toml(5) explains the keys"
	case errors.Is(err, store.ErrNoRecord):
		return "the record begins with the first kernel or live patch change that zypper makes while the plugin is installed"
	case errors.Is(err, store.ErrNewer):
		return "update klp-audit"
	case errors.Is(err, store.ErrUnfinished):
		return "a writer was interrupted; run `klp-audit status` once as root"
	case errors.Is(err, store.ErrDamaged):
		return "keep the file as it is for examination; events go to the spool meanwhile"
	case errors.Is(err, os.ErrPermission):
		return "root and members of the group klp-audit may read the record"
	}
	return ""
}
