package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/plugin"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// waitStep is how often it is looked whether a transition has ended.
const waitStep = 10 * time.Second

// observeFlags are the flags of observe.
type observeFlags struct {
	trigger      string
	wait, within time.Duration
	format       string
}

func (a *app) observeCommand() *cobra.Command {
	f := observeFlags{trigger: string(store.TriggerManual)}
	cmd := &cobra.Command{
		Use:   "observe",
		Short: "Record what the machine shows now",
		Long: `Record what the machine shows now: the running kernel, the active live patch, whether the
initrd holds it, and what compliance checks need. The services do this at boot and daily,
and after a commit until a transition to another live patch has ended.

What cannot be read is recorded as unknown, with the reason.`,
		Example: `  klp-audit observe
  klp-audit observe --trigger commit --wait 15m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			obs, err := a.observe(cmd.Context(), &f)
			if err != nil {
				return err
			}
			return report.WriteObservation(a.Stdout, f.format, obs, a.style(false))
		},
	}
	enumFlag(cmd, &f.format, "format", "print as `FORMAT`", report.StatusFormats())
	enumFlag(cmd, &f.trigger, "trigger", "note this `REASON` of the observation", words(store.Triggers()))
	cmd.Flags().DurationVar(&f.wait, "wait", 0, "observe again until a transition has ended, for at most `TIME`")
	cmd.Flags().DurationVar(&f.within, "within", 0, "look around for at most `TIME`, and leave what is left to the service (0: as long as it takes)")
	return cmd
}

// observe takes observations until no transition is left to wait for.
func (a *app) observe(ctx context.Context, f *observeFlags) (*store.Observation, error) {
	if a.db != "" || a.root != "/" {
		return nil, usageError{fmt.Errorf("observe: only this machine can be observed: leave --db and --root out")}
	}
	a.catchUp(ctx)
	for deadline := a.Now().Add(f.wait); ; {
		obs, finished, err := a.observeOnce(ctx, f)
		if err != nil {
			return nil, err
		}
		changing := obs.LivePatch != nil && obs.LivePatch.Transition
		switch {
		case changing && a.Now().Before(deadline):
			if err := sleep(ctx, waitStep); err != nil {
				return nil, err
			}
			continue
		case f.within > 0 && (changing || !finished):
			return obs, plugin.RequestObservation(a.root)
		}
		return obs, nil
	}
}

func (a *app) observeOnce(ctx context.Context, f *observeFlags) (obs *store.Observation, finished bool, err error) {
	if f.within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.within)
		defer cancel()
	}
	obs, err = observe.Record(ctx, observe.Options{Root: a.root, Version: version, Trigger: store.Trigger(f.trigger)})
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
