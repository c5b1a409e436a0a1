package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/selftest"
	"github.com/klp-audit/klp-audit/internal/tracked"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

func (a *app) statusCommand() *cobra.Command {
	var format, input string
	var selfTest bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print what protects the machine now, and its record, on one screen",
		Long: `Print on one screen what protects the machine: the kernel, the live patch and whether the initrd
has it, what the next boot runs, which fixes are open, what the configured profile makes of the record and
what to do first, and how old the record is.

The machine itself is looked at now, as an observation after a commit does, and nothing of that is stored. Of a
copy, an export or another file tree it says what the newest observation on record saw, and when that was. The
verdict, and what is open, are always those of the record.

With --self-test it compares this machine instead with what klp-audit expects of SUSE's systems, which its makers
know only from documents: each line says "as expected", "differs" or "not known", and what was found. It
changes nothing and takes a few seconds; put its output into a bug report.`,
		Example: `  klp-audit status
  klp-audit status --db record.db
  klp-audit status --input record.jsonl --format json
  klp-audit status --self-test`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if selfTest {
				return a.selfTest(cmd.Context(), format, input)
			}
			st, in, err := a.status(cmd.Context(), input)
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
	cmd.Flags().StringVar(&input, "input", "", "read the export in `FILE`, which is verified first")
	cmd.Flags().BoolVar(&selfTest, "self-test", false, "compare this machine with what klp-audit expects of SUSE's systems")
	cmd.MarkFlagFilename("input")
	return cmd
}

// selfTest looks at the machine, and compares the record with it.
func (a *app) selfTest(ctx context.Context, format, input string) error {
	if a.db != "" || input != "" {
		return usageError{errors.New("--self-test looks at a machine: leave --db and --input out")}
	}
	db := rpm.DB{Root: a.root}
	m := &selftest.Machine{
		Root: a.root, Now: a.Now(), Changelogs: db.KernelChangelogs,
		Packages: func(ctx context.Context) ([]record.Package, error) {
			return db.Installed(ctx, nil, append(tracked.Words(), "libzypp", "zypper", "libsolv", "dracut", "transactional-update")...)
		},
	}
	if a.root != "/" {
		m.Journal = filepath.Join(a.root, "var/log/journal")
	}
	var err error
	if m.Recorded, m.Since, err = a.lastRecorded(ctx); err != nil {
		m.NoRecord = err.Error()
	}
	return report.Write(a.Stdout, &report.SelfTest{
		Schema: report.SelfTestSchema, At: record.At(a.Now()), Program: version, System: selftest.System(a.root), Kernel: selftest.Kernel(a.root), Results: selftest.Run(ctx, m),
	}, format, a.style())
}

// lastRecorded is when the plugin recorded a change of a kernel or live patch last, and when the record begins.
func (a *app) lastRecorded(ctx context.Context) (last, since *record.Timestamp, err error) {
	s, err := store.OpenReadOnly(ctx, a.recordPath())
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	sum, err := s.Summarize(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, kind := range []record.PackageKind{record.PackageKernel, record.PackageLivepatch} {
		for row, err := range s.History(ctx, record.HistoryFilter{Kind: kind, Source: record.SourcePlugin, Limit: 1}) {
			if err != nil {
				return nil, nil, err
			}
			if last == nil || row.Time.After(last.Time) {
				last = &row.Time
			}
		}
	}
	return last, sum.First, nil
}

func (a *app) status(ctx context.Context, input string) (st *report.Status, in *audit.Input, err error) {
	st = &report.Status{Schema: report.StatusSchema, Path: cmp.Or(input, a.recordPath()), Program: version, At: record.At(a.Now())}
	if input != "" && a.db != "" {
		return nil, nil, usageError{errTwoRecords}
	}
	s, in, err := a.openInput(ctx, input)
	if err != nil && !errors.Is(err, store.ErrNoRecord) {
		return nil, nil, err
	}
	if warning := in.Warning(); warning != "" {
		st.Warning = &warning
	}
	if s != nil {
		defer s.Close()
		if err := a.statusOf(ctx, s, st, in, input); err != nil && st.Warning == nil { // where it is altered, that is said
			return nil, nil, err
		}
	}
	if a.db == "" && input == "" { // after the record was brought up to date
		err = a.lookAround(ctx, st)
	}
	return st, in, err
}

// statusOf fills in what the record says.
func (a *app) statusOf(ctx context.Context, s *store.Store, st *report.Status, in *audit.Input, input string) error {
	sum, err := s.Summarize(ctx)
	if err != nil {
		return err
	}
	st.Record = sum
	if !a.isHere(input) {
		last, err := s.LastObserved(ctx)
		if err == nil && last != nil {
			st.State, err = audit.NewState(ctx, s, last.Time)
		}
		if err != nil {
			return fmt.Errorf("reading the state: %w", err)
		}
	}
	p, err := a.configuredProfile()
	if err != nil {
		a.complain("%v: the built-in profile %s judges", err, compliance.DefaultProfile)
		if p, err = compliance.LoadProfile(compliance.DefaultProfile, nil); err != nil {
			return err
		}
	}
	c, err := a.judge(ctx, s, p, st.At.Time, in)
	if err != nil {
		return fmt.Errorf("judging the record: %w", err)
	}
	a.seeSpool(c, p, &sectionFlags{input: input})
	st.Judge(c)
	return lastChanges(ctx, s, st)
}

// isHere says whether the record is that of the machine itself, which can be looked at now.
func (a *app) isHere(input string) bool { return a.root == "/" && a.db == "" && input == "" }

// lastChanges fills in the newest change of a kernel, and of a live patch.
func lastChanges(ctx context.Context, s *store.Store, st *report.Status) error {
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

// lookAround fills in what is beside the record on its machine.
func (a *app) lookAround(ctx context.Context, st *report.Status) (err error) {
	if a.isHere("") {
		// The look of the observation after a commit: what takes longer is not shown.
		ev := observe.Take(ctx, observe.Options{Root: a.root, Version: version, Trigger: record.TriggerCommit})
		st.Machine = ev.Observation
		if st.State, err = shown(ctx, ev); err != nil {
			return err
		}
	}
	_, there := os.Stat(filepath.Join(a.root, "usr/lib/zypp/plugins/commit/klp-audit"))
	st.PluginInstalled = new(there == nil)
	st.SeeSpool(store.LookAtSpool(a.root))
	return nil
}

// shown is the state that an observation shows by itself: that of a record which holds nothing else.
func shown(ctx context.Context, ev *record.Event) (*audit.State, error) {
	alone := view.New(slices.Values([]*view.Outline{view.Of(1, ev)}), view.Log{})
	st, err := audit.NewState(ctx, alone, ev.Time.Time)
	if err != nil {
		return nil, fmt.Errorf("reading the state: %w", err)
	}
	st.Events, st.KnownSince = []int64{}, nil // it is in no record
	return st, nil
}
