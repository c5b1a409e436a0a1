package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

func (a *app) statusCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print what protects the machine now, and its record, on one screen",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := a.status(cmd.Context())
			if err != nil {
				return err
			}
			return st.Write(a.Stdout, format, a.style(false))
		},
	}
	enumFlag(cmd, &format, "format", "print as `FORMAT`", report.StatusFormats())
	return cmd
}

func (a *app) status(ctx context.Context) (*report.Status, error) {
	st := &report.Status{Schema: report.StatusSchema, Path: a.recordPath(), Program: version}
	defer a.lookAround(ctx, st) // after the record was brought up to date
	s, err := a.openRecord(ctx)
	if errors.Is(err, store.ErrNoRecord) {
		return st, nil
	} else if err != nil {
		return nil, err
	}
	defer s.Close()
	if st.Record, err = s.Summarize(ctx); err != nil {
		return nil, err
	}
	for _, last := range []struct {
		kind string
		into **store.HistoryRow
	}{{"kernel", &st.Kernel}, {"livepatch", &st.LivePatch}} {
		for row, err := range s.History(ctx, store.HistoryFilter{Kind: last.kind, Result: "ok", Limit: 1}) {
			if err != nil {
				return nil, fmt.Errorf("reading newest %s change: %w", last.kind, err)
			}
			*last.into = row
		}
	}
	return st, nil
}

// lookAround fills in what is beside the record on its machine; of a copy, nothing is.
func (a *app) lookAround(ctx context.Context, st *report.Status) {
	if a.db != "" {
		return
	}
	if a.root == "/" {
		// The look of the observation after a commit: what takes longer is not shown.
		st.Machine = observe.Take(ctx, observe.Options{Root: a.root, Version: version, Trigger: store.TriggerCommit}).Observation
	}
	_, err := os.Stat(filepath.Join(a.root, "usr/lib/zypp/plugins/commit/klp-audit"))
	st.PluginInstalled, st.Waiting, st.SetAside = new(err == nil), new(store.Waiting(a.root)), new(store.SetAside(a.root))
	st.WaitingReason = store.WaitingReason(a.root)
}
