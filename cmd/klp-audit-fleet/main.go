// Command klp-audit-fleet keeps the records of many hosts in PostgreSQL, and shows a host that
// rewrites its past.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/internal/stop"
)

// version is set when the program is built.
var version = "devel"

// The exit codes, which are those of klp-audit.
const (
	exitDone      = 0
	exitError     = 1
	exitUsage     = 2
	exitAltered   = 4
	exitTruncated = 5
)

// env is the world that a command runs in.
type env struct {
	Args   []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Now    func() time.Time
}

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	stop.Watch(cancel)
	code := run(ctx, env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now})
	stop.End(code)
	os.Exit(code)
}

// exitStatus is an exit code whose cause has been said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError is a wrong call.
type usageError struct{ error }

func run(ctx context.Context, e env) int {
	a := &app{env: e}
	cmd := a.command()
	cmd.SetArgs(e.Args)
	cmd.SetIn(e.Stdin)
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
	if s := stop.By(ctx, err); s != 0 {
		if s != syscall.SIGPIPE { // who read it does not want to know more
			a.complain("stopped by %s%s", unix.SignalName(s), and(a.ifStopped))
		}
		return stop.Exit + int(s)
	}
	a.complain("%v", err)
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(e.Stderr, "klp-audit-fleet: hint: %s\n", hint)
	}
	if errors.As(err, new(usageError)) || !a.started {
		fmt.Fprintf(e.Stderr, "klp-audit-fleet: hint: see `%s --help`\n", called.CommandPath())
		return exitUsage
	}
	return exitError
}

// and is a text after a colon, if there is one.
func and(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// hintFor says what helps against an error: a SQLSTATE of the server says most.
func hintFor(err error) string {
	said := func(state string) bool { return strings.Contains(err.Error(), "SQLSTATE "+state) }
	switch {
	case errors.Is(err, pg.ErrVersion):
		return ""
	case errors.Is(err, pg.ErrNoCitus):
		return "install Citus, and run CREATE EXTENSION citus in the database"
	case said("3D000"):
		return "make the database with createdb, and its tables with `klp-audit-fleet migrate`"
	case said("28000"), said("28P01"):
		return "by default the database's user is the one who runs this: run it as the user whose role may connect, or name another with --db or PGUSER"
	case said("42501"):
		return "the database's user may not do this: whoever owns the tables may, or has to grant it"
	case errors.Is(err, pg.ErrConnect):
		return "does the server run? --db names the database, and so do libpq's variables, such as PGHOST and PGDATABASE"
	}
	return ""
}

// app is what all commands share.
type app struct {
	env
	dsn     string // where the database is; empty: libpq's variables say it
	keyFile string
	started bool // cobra got as far as running a command: its own errors, about flags, come before
	// ifStopped says what is so if a signal stops the command.
	ifStopped string
}

// complain prints a message for the user on one line. What comes from outside is made printable.
func (a *app) complain(format string, args ...any) {
	fmt.Fprintln(a.Stderr, "klp-audit-fleet: "+say.Printable(oneLine(fmt.Sprintf(format, args...))))
}

func (a *app) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "klp-audit-fleet",
		Short: "Keep the records of many hosts, and show a host that rewrites its past",
		Long: `klp-audit-fleet keeps the records of many hosts in PostgreSQL: the exports that klp-audit
export writes, however they travelled. It gives them back byte for byte, and a host that
rewrites what it has sent is found.

A HOST is a host's name, its machine id, a verifier key, a key's name such as
klp-audit/0123456789abcdef, or the beginning of a log's id.`,
		Args:          cobra.NoArgs,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.started = true
		},
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.SetVersionTemplate("klp-audit-fleet {{.Version}}\n")
	cmd.PersistentFlags().StringVar(&a.dsn, "db", "", "connect to the database at `ADDRESS`: a URI or keywords, as psql takes them (default: libpq's variables, the server's socket, and the database "+pg.DefaultDatabase+")")
	cmd.PersistentFlags().StringVar(&a.keyFile, "key", "/var/lib/klp-audit-fleet/key", "the collector's own key is in `FILE`; prune makes it")
	cmd.AddCommand(a.migrateCommand(), a.enrollCommand(), a.approveCommand(), a.retireCommand(), a.acceptCommand(),
		a.ingestCommand(), a.exportCommand(), a.showCommand(), a.inventoryCommand(), a.verifyCommand(), a.pruneCommand())
	return cmd
}

// open connects to the database.
func (a *app) open(ctx context.Context) (*pg.DB, error) { return pg.Open(ctx, a.dsn) }

// one returns the log that a person means by a text.
func one(ctx context.Context, db *pg.DB, text string) (*pg.Log, error) {
	list, err := db.Matching(ctx, text)
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, fmt.Errorf("host %q is not known here: `klp-audit-fleet show` lists those that are", text)
	case len(list) > 1:
		names := make([]string, len(list))
		for i, l := range list {
			names[i] = fmt.Sprintf("%s (%s, %s)", l.Name, l.State, lastHeard(l.Current()))
		}
		return nil, fmt.Errorf("%q are %d hosts: %s: name one by its key", text, len(list), say.Some(names))
	}
	return list[0], nil
}

// lastHeard says when a host last sent its log.
func lastHeard(b *pg.Branch) string {
	if b.Size == 0 {
		return "never heard"
	}
	return "last heard " + short(b.Heard)
}

// called is how people call a log: its host's name, which it gave itself, and its key.
func called(l *pg.Log) string {
	return say.Printable(cmp.Or(l.Current().Hostname, "a host that has sent nothing") + " (" + l.Name + ")")
}

// short is a moment for people, in UTC.
func short(t time.Time) string { return t.UTC().Format(time.RFC3339) }
