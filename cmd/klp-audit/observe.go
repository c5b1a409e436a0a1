package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/internal/recorder"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
)

// waitStep is how often observe looks whether a transition has ended.
const waitStep = 10 * time.Second

// observeFlags are the flags of observe.
type observeFlags struct {
	trigger      record.Trigger
	wait, within time.Duration
	format       string
}

func (a *app) observeCommand() *cobra.Command {
	f := observeFlags{trigger: record.TriggerManual}
	cmd := &cobra.Command{
		Use:   "observe",
		Short: "Record what the machine shows now",
		Long: `Record what the machine shows now: the running kernel, the active live patch, whether the
initrd holds it, and what compliance checks need. The services do this at boot and daily,
and after a commit until a transition to another live patch has ended. All but those after a
commit compare libzypp's history with the record: changes of kernels and live patches that the
history has and the record has not are listed, from the recorder's installation on.

What cannot be read is recorded as unknown, with the reason.`,
		Example: `  klp-audit observe
  klp-audit observe --trigger commit --wait 15m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			obs, err := a.observe(cmd.Context(), &f)
			if err != nil {
				return err
			}
			return a.print(&report.Machine{Observation: obs, At: a.Now()}, f.format)
		},
	}
	enumFlag(cmd, &f.format, "format", "print as `FORMAT`", report.Formats(&report.Machine{}))
	enumFlag(cmd, &f.trigger, "trigger", "note this `REASON` of the observation", record.Triggers())
	cmd.Flags().DurationVar(&f.wait, "wait", 0, "observe again until a transition has ended, for at most `TIME`")
	cmd.Flags().DurationVar(&f.within, "within", 0, "look around for at most `TIME`, and leave what is left to the service (0: as long as it takes)")
	return cmd
}

// observe takes an observation, and another one when the transition that it shows has ended.
func (a *app) observe(ctx context.Context, f *observeFlags) (*record.Observation, error) {
	if a.db != "" || a.root != "/" {
		return nil, usageError{errors.New("observe: only this machine can be observed: leave --db and --root out")}
	}
	if err := a.keeps(); err != nil {
		return nil, err
	}
	deadline := a.Now().Add(f.wait)
	obs, finished, err := a.observeOnce(ctx, f)
	if err == nil && record.InTransition(obs.Patches) && f.wait > 0 {
		if err = a.settled(ctx, deadline); err == nil {
			obs, finished, err = a.observeOnce(ctx, f)
		}
	}
	if err == nil && f.within > 0 && (!finished || record.InTransition(obs.Patches)) {
		err = recorder.RequestObservation(a.root)
	}
	return obs, err
}

// settled waits until no live patch is in transition any more, or until a deadline.
func (a *app) settled(ctx context.Context, deadline time.Time) error {
	for a.Now().Before(deadline) {
		patches, err := livepatch.Loaded(a.root)
		if err != nil || !slices.ContainsFunc(patches, func(p record.LoadedPatch) bool { return p.Transition }) {
			return nil // what there is to see, the observation sees
		}
		if err := sleep(ctx, waitStep); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) observeOnce(ctx context.Context, f *observeFlags) (obs *record.Observation, finished bool, err error) {
	if f.within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.within)
		defer cancel()
	}
	a.catchUp(ctx)
	obs, err = observe.Record(ctx, observe.Options{
		Root: a.root, Version: version, Trigger: f.trigger, Quiet: !a.config().CheckpointsToJournal,
		Redact: a.config().Redact, NoUserData: !a.config().UserData,
	})
	if err != nil {
		return nil, false, fmt.Errorf("recording the observation: %w", err)
	}
	return obs, ctx.Err() == nil, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
