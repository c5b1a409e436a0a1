package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

func (a *app) statusCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print what protects the machine now, and its record, on one screen",
		Example: `  klp-audit status
  klp-audit status --db record.db`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, in, err := a.status(cmd.Context())
			if err != nil {
				return err
			}
			if err := a.print(st, format); err != nil {
				return err
			}
			return exit(in)
		},
	}
	enumFlag(cmd, &format, "format", "print as `FORMAT`", report.Formats(&report.Status{}))
	return cmd
}

func (a *app) status(ctx context.Context) (st *report.Status, in *audit.Input, err error) {
	st = &report.Status{Schema: report.StatusSchema, Path: a.recordPath(), Program: version}
	defer a.lookAround(ctx, st) // after the record was brought up to date
	s, in, err := a.openFound(ctx)
	if errors.Is(err, store.ErrNoRecord) {
		return st, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	if warning := in.Warning(); warning != "" {
		st.Warning = &warning
	}
	if s == nil {
		return st, in, nil
	}
	defer s.Close()
	if err := recorded(ctx, s, st, a.Now()); err != nil && st.Warning == nil { // where it is altered, that is said
		return nil, nil, err
	}
	return st, in, nil
}

// recorded fills in what the record says.
func recorded(ctx context.Context, s *store.Store, st *report.Status, now time.Time) error {
	sum, err := s.Summarize(ctx)
	if err != nil {
		return err
	}
	st.Record = sum
	if st.Open, err = audit.OpenNow(ctx, s, now); err != nil {
		return fmt.Errorf("reading what is open: %w", err)
	}
	for _, last := range []struct {
		kind record.PackageKind
		into **record.HistoryRow
	}{{record.PackageKernel, &st.Kernel}, {record.PackageLivepatch, &st.LivePatch}} {
		for row, err := range s.History(ctx, record.HistoryFilter{Kind: last.kind, Result: record.ResultOK, Limit: 1}) {
			if err != nil {
				return fmt.Errorf("reading newest %s change: %w", last.kind, err)
			}
			*last.into = row
		}
	}
	return nil
}

// lookAround fills in what is beside the record on its machine; of a copy, nothing is.
func (a *app) lookAround(ctx context.Context, st *report.Status) {
	if a.db != "" {
		return
	}
	if a.root == "/" {
		// The look of the observation after a commit: what takes longer is not shown.
		st.Machine = observe.Take(ctx, observe.Options{Root: a.root, Version: version, Trigger: record.TriggerCommit}).Observation
	}
	_, err := os.Stat(filepath.Join(a.root, "usr/lib/zypp/plugins/commit/klp-audit"))
	st.PluginInstalled = new(err == nil)
	st.SeeSpool(store.LookAtSpool(a.root))
}
