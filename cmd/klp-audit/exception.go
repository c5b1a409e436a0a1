package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/recorder"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// maxReason is how many bytes the reason of an exception may have.
const maxReason = 2000

func (a *app) exceptionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exception",
		Short: "Note that a finding is accepted for a while, and by whom",
		Long: `Note that the finding of a check is accepted for a while, why, and by whom. That is an
event of the record. Reports show it beside the result, which stays as it is; one that ran
out is a finding itself, until it is ended.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("exception: want a subcommand: add, list or end")}
		},
	}
	cmd.AddCommand(a.exceptionAddCommand(), a.exceptionListCommand(), a.exceptionEndCommand())
	return cmd
}

func (a *app) exceptionAddCommand() *cobra.Command {
	var check, reason, until string
	cmd := &cobra.Command{
		Use:     "add --check ID --reason TEXT --until TIME",
		Short:   "Accept the finding of a check for a while",
		Example: `  klp-audit exception add --check coverage --reason 'CHG-4711: kernel update in May' --until 2026-05-31`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			x := &record.ExceptionChange{Action: record.ExceptionAdd, Check: check, Reason: strings.TrimSpace(reason)}
			if err := a.readUntil(x, until); err != nil {
				return usageError{err}
			}
			id, err := a.appendException(cmd.Context(), x)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Exception %s for %s, until %s.\n", id, check, x.Until.Short())
			return err
		},
	}
	enumFlag(cmd, &check, "check", "the check with this `ID`", compliance.CheckIDs())
	cmd.Flags().StringVar(&reason, "reason", "", "why it is accepted, a `TEXT` for auditors")
	cmd.Flags().StringVar(&until, "until", "", "until when: "+report.TimeHelp+"; a date is its first moment where you are")
	return cmd
}

// readUntil checks what an exception needs, and sets its end.
func (a *app) readUntil(x *record.ExceptionChange, until string) error {
	end, err := report.ParseTime(until, a.Now(), a.bootTime())
	switch {
	case x.Check == "":
		return fmt.Errorf("--check: want one of %s", strings.Join(compliance.CheckIDs(), ", "))
	case err != nil:
		return fmt.Errorf("--until: %w", err)
	case !end.After(a.Now()):
		return fmt.Errorf("--until %s: that is over already", until)
	case x.Reason == "":
		return errors.New("--reason: want a text")
	case len(x.Reason) > maxReason:
		return fmt.Errorf("--reason: want at most %d bytes", maxReason)
	}
	x.Until = new(record.At(end))
	return nil
}

// appendException adds an event to the record, which must be there, and returns its id.
func (a *app) appendException(ctx context.Context, x *record.ExceptionChange) (id string, err error) {
	switch {
	case a.db != "":
		return "", usageError{errors.New("exceptions are events of a machine's record, not of --db")}
	case a.root == "/" && os.Geteuid() != 0:
		return "", fmt.Errorf("exceptions are events of the record, which only root writes: %w", os.ErrPermission)
	}
	s, err := a.open(ctx) // makes no new one
	if err != nil {
		return "", err
	}
	if x.Action == record.ExceptionEnd {
		err = a.running(ctx, s, x.Exception)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return "", err
	}
	if s, err = a.openWriter(ctx); err != nil {
		return "", err
	}
	ev := &record.Event{Header: store.NewHeader(record.KindException, a.root, version), Exception: x}
	x.Actor = recorder.WhoRuns(a.root, a.Getenv)
	return ev.ID, errors.Join(s.Append(ctx, ev), s.Close())
}

// running checks that there is an exception that can be ended.
func (a *app) running(ctx context.Context, s *store.Store, id string) error {
	list, err := s.Exceptions(ctx, a.Now())
	for _, x := range list {
		switch {
		case x.ID != id:
		case x.Ended != nil:
			return fmt.Errorf("exception %q was ended at %s", id, x.Ended.Short())
		default:
			return err
		}
	}
	return errors.Join(err, fmt.Errorf("there is no exception %q: see `klp-audit exception list`", id))
}

func (a *app) exceptionListCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print all exceptions on record, ended ones included",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, in, err := a.openFound(cmd.Context())
			if err != nil {
				return err
			}
			if s == nil {
				a.complain("%s", in.Warning())
				return exit(in)
			}
			defer s.Close()
			list, err := s.Exceptions(cmd.Context(), a.Now())
			if err != nil {
				return err
			}
			if err := report.Write(a.Stdout, &report.Exceptions{List: list, At: a.Now(), From: in}, format, a.style(false)); err != nil {
				return err
			}
			return exit(in)
		},
	}
	enumFlag(cmd, &format, "format", "print as `FORMAT`", report.Formats(&report.Exceptions{}))
	return cmd
}

func (a *app) exceptionEndCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "end ID",
		Short: "End an exception before its time, or after it expired",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.appendException(cmd.Context(), &record.ExceptionChange{Action: record.ExceptionEnd, Exception: args[0]})
			return err
		},
	}
}
