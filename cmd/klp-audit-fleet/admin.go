package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record/proof"
)

// oneLine tells errors apart that were joined.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "; ")
}

func (a *app) migrateCommand() *cobra.Command {
	var citus bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make the database's tables, or bring them to this version",
		Long: `Make the tables of the collector in the database, or bring older ones to this version. Each step
is done whole or not at all, so after an error the older version of the program still runs. It
is done once, however many programs try, and does nothing if there is nothing to do.

With --citus, distribute the tables over the workers of Citus as well. Later calls then do that
without it, too.`,
		Example: `  createdb klp_audit_fleet
  klp-audit-fleet migrate`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			before, after, err := pg.Migrate(cmd.Context(), a.dsn)
			if err == nil && citus {
				err = pg.Distribute(cmd.Context(), a.dsn)
			}
			if err != nil {
				return err
			}
			text := fmt.Sprintf("the tables have version %d, from %d", after, before)
			if before == after {
				text = fmt.Sprintf("the tables have version %d already", after)
			}
			if citus {
				text += ", and are distributed by log"
			}
			_, err = fmt.Fprintln(a.Stdout, text)
			return err
		},
	}
	cmd.Flags().BoolVar(&citus, "citus", false, "distribute the tables over the workers of Citus")
	return cmd
}

func (a *app) enrollCommand() *cobra.Command {
	var tenant int
	cmd := &cobra.Command{
		Use:   "enroll FILE",
		Short: "Approve the hosts whose keys are in a file",
		Long: `Approve the hosts whose verifier keys are in FILE (-: standard input), before they send or after
their first upload: one key a line, as klp-audit verify prints it, then the host's name if you
like. Lines that begin with # are skipped. If a line is wrong, nobody is enrolled.`,
		Example: `  klp-audit-fleet enroll keys.txt`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := a.readKeys(args[0])
			if err != nil {
				return err
			}
			db, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			return a.enroll(cmd.Context(), db, keys, tenant)
		},
	}
	cmd.Flags().IntVar(&tenant, "tenant", 0, "the hosts belong to tenant `NUMBER`")
	return cmd
}

// readKeys reads a file of verifier keys.
func (a *app) readKeys(path string) (keys []string, err error) {
	in := a.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(io.LimitReader(in, 64<<20))
	for n := 1; lines.Scan(); n++ {
		key, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if key == "" || strings.HasPrefix(key, "#") {
			continue
		}
		if err := proof.CheckVerifierKey(key); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading keys from %q: %w", path, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%q holds no key", path)
	}
	return keys, nil
}

func (a *app) enroll(ctx context.Context, db *pg.DB, keys []string, tenant int) error {
	changed := 0
	for _, key := range keys {
		name, _, _ := strings.Cut(key, "+")
		ok, err := db.Enroll(ctx, &pg.Log{ID: pg.IDOf(key), Tenant: tenant, Name: name, Key: key, State: pg.Approved, StateSince: a.Now(), Reason: "enrolled"})
		if err != nil {
			return fmt.Errorf("enrolling %q after %d others: %w", name, changed, err)
		}
		if ok {
			changed++
		}
	}
	_, err := fmt.Fprintf(a.Stdout, "%s enrolled, %d known already\n", say.Plural(changed, "host"), len(keys)-changed)
	return err
}

func (a *app) approveCommand() *cobra.Command {
	return a.stateCommand(pg.Approved, &cobra.Command{
		Use:   "approve HOST...",
		Short: "Make hosts part of the population",
		Long: `Approve hosts that wait after their first upload, or that were retired. Compare the key that show
prints with the one that klp-audit verify prints on the host: anybody may have sent that upload.`,
		Example: `  klp-audit-fleet show --state pending
  klp-audit-fleet approve web1`,
	})
}

func (a *app) retireCommand() *cobra.Command {
	return a.stateCommand(pg.Retired, &cobra.Command{
		Use:   "retire HOST...",
		Short: "Take hosts out of the population",
		Long: `Retire hosts that send no more: what they sent stays, and further uploads are refused. approve
takes them back.`,
		Example: `  klp-audit-fleet retire web1 --reason "sold, ticket 4711"`,
	})
}

// stateCommand completes a command that gives logs a state.
func (a *app) stateCommand(state pg.State, cmd *cobra.Command) *cobra.Command {
	var reason string
	cmd.Args = cobra.MinimumNArgs(1)
	cmd.Flags().StringVar(&reason, "reason", "", "the reason, for whoever asks later: `TEXT`")
	if state == pg.Retired {
		cmd.MarkFlagRequired("reason")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		db, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer db.Close()
		var failed error
		for _, host := range args {
			l, err := one(cmd.Context(), db, host)
			if err == nil {
				err = db.SetState(cmd.Context(), l, state, reason, a.Now())
			}
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			fmt.Fprintf(a.Stdout, "%s: %s\n", say.Printable(l.Name), state)
		}
		return failed
	}
	return cmd
}

func (a *app) acceptCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "accept-fork HOST BRANCH",
		Short: "Say which history of a host counts from now on",
		Long: `Make BRANCH, whose number show prints, the history of HOST that counts. The other stays evidence.

A host whose history differs from what it sent before was restored from a snapshot or a backup,
or somebody rewrote its record: the bytes look the same. Find out which, and say it as the reason.`,
		Example: `  klp-audit-fleet show web1
  klp-audit-fleet accept-fork web1 1 --reason "restored from the snapshot of Monday, ticket 4711"`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.Atoi(args[1])
			if err != nil {
				return usageError{fmt.Errorf("branch %q is not a number", args[1])}
			}
			db, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			l, err := one(cmd.Context(), db, args[0])
			if err != nil {
				return err
			}
			return a.accept(cmd.Context(), db, l, number, reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why this history is the right one: `TEXT`")
	cmd.MarkFlagRequired("reason")
	return cmd
}

func (a *app) accept(ctx context.Context, db *pg.DB, l *pg.Log, number int, reason string) error {
	switch b := l.At(number); {
	case b == nil:
		return fmt.Errorf("host %s has no branch %d: it has %s", l.Name, number, say.Plural(len(l.Branches), "branch"))
	case number == l.Branch:
		return fmt.Errorf("branch %d of host %s counts already", number, l.Name)
	case !l.Whole(number):
		return fmt.Errorf("branch %d of host %s is not whole: its events %d to %d were never sent: let the host send its export from the first event on", number, l.Name, *b.Common+1, b.Since)
	case strings.TrimSpace(reason) == "":
		return usageError{errors.New("--reason is empty")}
	}
	if err := db.Accept(ctx, l, number, reason, a.Now()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.Stdout, "%s: branch %d counts, branch %d stays as evidence\n", say.Printable(l.Name), number, l.Branch)
	return err
}
