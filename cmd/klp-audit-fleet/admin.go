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
		Long: `Make the tables of the collector in the database, or bring older ones to this version. All of it
is done or nothing, so after an error the older version of the program still runs. It is done
once, however many programs try, and does nothing if there is nothing to do.

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
			text := fmt.Sprintf("brought the tables from version %d to %d", before, after)
			switch before {
			case after:
				text = fmt.Sprintf("nothing to do: the tables have version %d", after)
			case 0:
				text = fmt.Sprintf("made the tables, version %d", after)
			}
			if citus {
				text += "; they are distributed by log"
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
their first upload: one key a line, as klp-audit verify prints it; what follows it on the line is
yours, such as the host's name. Lines that begin with # are skipped. If a line is wrong, or the
database fails, nobody is enrolled. A retired host stays retired. With --tenant, hosts that are
approved already go to that tenant, too.`,
		Example: `  klp-audit-fleet enroll keys.txt
  ssh web1 cat /var/lib/klp-audit/key.pub | klp-audit-fleet enroll -`,
		Args: cobra.ExactArgs(1),
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
			return a.enroll(cmd.Context(), db, keys, tenant, cmd.Flags().Changed("tenant"))
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
	seen := map[string]bool{}
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") || seen[words[0]] {
			continue
		}
		if err := proof.CheckVerifierKey(words[0]); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		seen[words[0]] = true
		keys = append(keys, words[0])
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading keys from %q: %w", path, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%q holds no key", path)
	}
	return keys, nil
}

func (a *app) enroll(ctx context.Context, db *pg.DB, keys []string, tenant int, move bool) error {
	a.ifStopped = "nobody was enrolled"
	var logs []*pg.Log
	for _, key := range keys {
		l := pg.NewLog(key, pg.Approved, "enrolled", a.Now())
		l.Tenant = tenant
		logs = append(logs, l)
	}
	n, err := db.Enroll(ctx, logs, move)
	if err != nil {
		return fmt.Errorf("enrolling %s, of which none is now: %w", say.Plural(len(keys), "host"), err)
	}
	text := fmt.Sprintf("%s enrolled", say.Plural(n.Approved, "host"))
	if n.Moved > 0 {
		text += fmt.Sprintf(", %d moved to tenant %d", n.Moved, tenant)
	}
	if known := len(keys) - n.Approved - n.Moved - n.Retired; known > 0 {
		text += fmt.Sprintf(", %d approved already", known)
	}
	if n.Retired > 0 {
		text += fmt.Sprintf(", %d retired: approve takes them back", n.Retired)
	}
	_, err = fmt.Fprintln(a.Stdout, text)
	return err
}

func (a *app) approveCommand() *cobra.Command {
	return a.stateCommand(pg.Approved, &cobra.Command{
		Use:   "approve HOST...",
		Short: "Make hosts part of the population",
		Long: `Approve hosts that wait after their first upload, or that were retired. Compare the key that show
HOST prints with the one that klp-audit verify prints on the host: anybody may have sent that
upload, under any name.`,
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
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if state == pg.Retired && strings.TrimSpace(reason) == "" {
			return errNoReason
		}
		db, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer db.Close()
		var failed error
		for _, host := range args {
			failed = errors.Join(failed, a.setState(cmd.Context(), db, host, state, reason))
		}
		return failed
	}
	return cmd
}

// errNoReason says that somebody who asks later would find no reason.
var errNoReason = usageError{errors.New("--reason is missing: say why, for whoever asks later")}

func (a *app) setState(ctx context.Context, db *pg.DB, host string, state pg.State, reason string) error {
	l, err := one(ctx, db, host)
	switch {
	case err != nil:
		return err
	case l.State == state:
		_, err = fmt.Fprintf(a.Stdout, "%s: %s already, since %s\n", called(l), state, short(l.StateSince))
		return err
	}
	if err := db.SetState(ctx, l, state, reason, a.Now()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "%s: %s\n", called(l), state)
	return err
}

func (a *app) acceptCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "accept-fork HOST BRANCH",
		Short: "Say which history of a host counts from now on",
		Long: `Make BRANCH, whose number show prints, the history of HOST that counts. The other stays evidence.
A branch that counts already can be named, too: it goes on to count, and the others have been
looked at.

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
			if strings.TrimSpace(reason) == "" {
				return errNoReason
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
	return cmd
}

func (a *app) accept(ctx context.Context, db *pg.DB, l *pg.Log, number int, reason string) error {
	others := undecided(l)
	switch b := l.At(number); {
	case b == nil:
		return noBranch(l, number)
	case number == l.Branch && len(others) == 0:
		return fmt.Errorf("branch %d of host %s counts already, and there is no other to decide about", number, called(l))
	case !l.Whole(number):
		return fmt.Errorf("branch %d of host %s is not whole: its events %d to %d were never sent: let the host send its export from the first event on", number, called(l), *b.Common+1, b.Since)
	}
	if err := db.Accept(ctx, l, number, reason, a.Now()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.Stdout, "%s: branch %d counts, the others stay as evidence\n", called(l), number)
	return err
}

// noBranch says which branches there are.
func noBranch(l *pg.Log, number int) error {
	return fmt.Errorf("host %s has no branch %d: its branches are %s", called(l), number, branches(l))
}

// branches are the numbers of a log's branches.
func branches(l *pg.Log) string {
	var list []string
	for _, b := range l.Branches {
		list = append(list, strconv.Itoa(b.Number))
	}
	return say.Join(list)
}
