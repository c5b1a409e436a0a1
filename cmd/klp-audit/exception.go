package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/recorder"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// maxReason and maxAdvisory are how many bytes the reason of an exception, and the id of an advisory, may have.
const (
	maxReason   = 2000
	maxAdvisory = 128
)

func (a *app) exceptionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exception",
		Short: "Note that a finding or an open CVE number is accepted for a while, and by whom",
		Long: `Note what is accepted for a while, why, and by whom: the finding of a check, or that a CVE number,
or all numbers that an advisory names, are open on this machine. That is an event of the record. One
that ran out counts for nothing, and is a finding itself, until it is ended.

Reports show that for a check beside its result, which stays as it is. Numbers that are accepted are
left out of the checks updates, residual and latency, which say how many, and by whose exception.
Their status stays what it is: accepting does not fix. A live patch that the vendor took back is a
finding all the same, and so is a fix that was late before anybody accepted that.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("exception: want a subcommand: add, list or end")}
		},
	}
	cmd.AddCommand(a.exceptionAddCommand(), a.exceptionListCommand(), a.exceptionEndCommand())
	return cmd
}

func (a *app) exceptionAddCommand() *cobra.Command {
	x := &record.ExceptionChange{Action: record.ExceptionAdd}
	var reason, until string
	cmd := &cobra.Command{
		Use:   "add --check ID|--cve NUMBER|--advisory ID --reason TEXT --until DATE",
		Short: "Accept the finding of a check, or open CVE numbers, for a while",
		Example: `  klp-audit exception add --check coverage --reason 'CHG-4711: kernel update in May' --until 2026-05-31
  klp-audit exception add --cve CVE-2025-21999 --reason 'RISK-12: module is not loaded' --until 2026-05-31`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			x.Reason = strings.TrimSpace(reason)
			err := readAbout(x)
			if err == nil {
				err = a.readUntil(x, until)
			}
			if err != nil {
				return usageError{err}
			}
			id, err := a.appendException(cmd.Context(), x)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Exception %s for %s, until %s.\n", id, aboutOf(x), x.Until.Short())
			return err
		},
	}
	enumFlag(cmd, &x.Check, "check", "the finding of the check with this `ID`", compliance.CheckIDs())
	cmd.Flags().StringVar(&x.CVE, "cve", "", "that the CVE `NUMBER` is open")
	cmd.Flags().StringVar(&x.Advisory, "advisory", "", "that all numbers are open which the advisory with this `ID` names; report cve shows ids")
	cmd.Flags().StringVar(&reason, "reason", "", "why it is accepted, a `TEXT` for auditors")
	cmd.Flags().StringVar(&until, "until", "", "it is accepted until `DATE`: "+report.TimeHelp+"; a date is its first moment where you are")
	return cmd
}

// aboutOf is what an exception is about, in words.
func aboutOf(x *record.ExceptionChange) string {
	return (&audit.Exception{Check: x.Check, CVE: x.CVE, Advisory: x.Advisory}).About()
}

// readAbout checks what an exception is about.
func readAbout(x *record.ExceptionChange) (err error) {
	given := 0
	for _, flag := range []string{x.Check, x.CVE, x.Advisory} {
		if flag != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return fmt.Errorf("--check: want one of %s; or --cve, or --advisory", strings.Join(compliance.CheckIDs(), ", "))
	case given > 1:
		return errors.New("want only one of --check, --cve and --advisory: each may be an exception of its own")
	case x.CVE != "":
		if x.CVE, err = audit.ParseCVE(x.CVE); err != nil {
			return fmt.Errorf("--cve %w", err)
		}
	case len(x.Advisory) > maxAdvisory:
		return fmt.Errorf("--advisory: want at most %d bytes", maxAdvisory)
	case x.Advisory != say.Printable(x.Advisory) || strings.TrimSpace(x.Advisory) != x.Advisory:
		return fmt.Errorf("--advisory %q: want an id such as SUSE-SLE-Module-Live-Patching-15-SP6-2026-1234, as report cve shows it", x.Advisory)
	}
	return nil
}

// readUntil checks what an exception needs, and sets its end.
func (a *app) readUntil(x *record.ExceptionChange, until string) error {
	end, err := report.ParseTime(until, a.Now(), a.bootTime())
	switch {
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
	if x.Advisory != "" {
		err = a.seeAdvisory(ctx, s, x.Advisory)
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

// seeAdvisory says if no release that is on record has an advisory's id: it may be known by another one, or come yet.
func (a *app) seeAdvisory(ctx context.Context, s *store.Store, id string) error {
	offers, err := audit.ReadOffers(ctx, s, record.Always())
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(offers.All(), func(o audit.Offered) bool { return o.ID == id }) {
		a.complain("no release on record has an advisory %q: report cve shows their ids", id)
	}
	return nil
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
		Example: `  klp-audit exception list
  klp-audit exception list --format csv`,
		Args: cobra.NoArgs,
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
			if err := a.print(&report.Exceptions{List: list, At: a.Now(), From: in}, format); err != nil {
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
		Use:               "end ID",
		Short:             "End an exception before its time, or after it expired",
		ValidArgsFunction: a.completeExceptions,
		Args:              exactlyOne("the id of an exception, as `klp-audit exception list` shows it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.appendException(cmd.Context(), &record.ExceptionChange{Action: record.ExceptionEnd, Exception: args[0]})
			return err
		},
	}
}
