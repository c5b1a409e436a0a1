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
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
)

func (a *app) pruneCommand() *cobra.Command {
	var keep string
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what is older than the record has to reach back",
		Long: `Remove the events that are older than --keep says, or else the configuration. Their hashes stay, so that the record can
be verified as before, and so do the events that make up the state at that moment: who
recorded, commits without an end, the last packages, live patches and boot on record,
accepted findings; and of each live patch the first observation that saw it active, for it may be
loaded again. What a report says of the time since does not change. An event says for ever what
went.

It cannot be undone, so it asks first; where nobody can be asked it needs --yes. An export or
a copy from before keeps everything, and can be verified on its own.`,
		Example: `  klp-audit prune --dry-run
  klp-audit prune --keep 7y
  klp-audit prune --keep 2024-01-01 --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.db != "" {
				return usageError{errors.New("prune works on a machine's record, not on --db")}
			}
			if !cmd.Flags().Changed("keep") {
				c, err := a.configured()
				if err != nil {
					return err
				}
				keep = c.Retention
			}
			horizon, err := horizon(keep, a.Now())
			if err != nil {
				return usageError{err}
			}
			s, err := a.openRecord(cmd.Context()) // makes no new one
			if err != nil {
				return err
			}
			defer s.Close()
			plan, err := s.PlanPrune(cmd.Context(), horizon)
			if err == nil && plan.Gone > 0 && !dryRun {
				if err = a.agree(cmd.Context(), plan, yes); err == nil {
					plan, err = a.prune(cmd, horizon)
				}
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.Stdout, pruned(plan, dryRun))
			return err
		},
	}
	cmd.Flags().StringVar(&keep, "keep", "", "keep what is younger than `AGE`, like 5y, 18m or 400d, or since a date (default: as configured, else 5y)")
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "only say what would go")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

var errNotAgreed = errors.New("nothing was removed")

// agree asks whether events may go, unless the answer was given before.
func (a *app) agree(ctx context.Context, plan *record.Prune, yes bool) error {
	if yes {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return usageError{fmt.Errorf("prune removes %s for good: look with --dry-run, then add --yes", say.Plural(int(plan.Gone), "event"))}
	}
	fmt.Fprintf(a.Stderr, "From before %s %s will be gone for good; %d stay as the state at that moment.\nGo on? [y/N] ",
		plan.Horizon.Short(), say.Plural(int(plan.Gone), "event"), len(plan.Kept))
	answer, err := answer(ctx)
	if err != nil {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errNotAgreed
	}
	return nil
}

// answer reads a line that somebody types, as long as ctx lasts.
func answer(ctx context.Context) (string, error) {
	type line struct {
		text string
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(os.Stdin).ReadString('\n')
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		if l.err == io.EOF {
			l.err = nil
		}
		return l.text, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (a *app) prune(cmd *cobra.Command, horizon time.Time) (*record.Prune, error) {
	s, err := a.openWriter(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Prune(cmd.Context(), horizon)
}

func pruned(p *record.Prune, dryRun bool) string {
	at, went := p.Horizon.Short(), "were removed"
	if p.Gone == 1 {
		went = "was removed"
	}
	switch {
	case p.Gone == 0:
		return fmt.Sprintf("From before %s there is nothing to remove", at)
	case dryRun:
		went = "would be removed"
	}
	return fmt.Sprintf("From before %s %s %s; %d stay as the state at that moment", at, say.Plural(int(p.Gone), "event"), went, len(p.Kept))
}

// horizon is the moment from which on events are kept: an age like 5y, or a time.
func horizon(keep string, now time.Time) (time.Time, error) {
	digits := strings.TrimRightFunc(keep, unicode.IsLetter)
	if n, err := strconv.ParseUint(digits, 10, 12); err == nil && n > 0 {
		switch strings.TrimPrefix(keep, digits) {
		case "y":
			return now.AddDate(-int(n), 0, 0), nil
		case "m":
			return now.AddDate(0, -int(n), 0), nil
		case "d":
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	at, err := report.ParseTime(keep, now, time.Time{})
	switch {
	case err != nil:
		return at, fmt.Errorf("--keep %q: want an age like 5y, 18m or 400d, or %s", keep, report.TimeHelp)
	case at.After(now):
		return at, fmt.Errorf("--keep %q: that is in the future", keep)
	}
	return at, nil
}
