package observe

import (
	"context"
	"errors"
	"time"

	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/store"
)

// storeTime bounds how long an observation waits for the record.
const storeTime = 3 * time.Second

// Record takes an observation and appends it to the record, or puts it into the spool
// where the record cannot be written.
func Record(ctx context.Context, o Options) (*store.Observation, error) {
	s, openErr := store.Open(ctx, o.Root, o.Version)
	if openErr == nil {
		defer s.Close()
		known, err := s.KnownBoots(ctx)
		if err == nil {
			o.Known = known
		}
		if o.Trigger == store.TriggerTimer {
			o.Verify = func(ctx context.Context) (any, error) { return s.Verify(ctx, "") }
		}
	}
	ev := Take(ctx, o)
	err := openErr
	if err == nil {
		// Taking it may have used up ctx; storing it has a time of its own.
		keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
		defer cancel()
		err = s.Append(keep, append(drift(keep, s, ev, o), ev)...)
	}
	if err != nil {
		if spoolErr := store.Spool(o.Root, ev, err, false); spoolErr != nil {
			return ev.Observation, errors.Join(err, spoolErr)
		}
	}
	return ev.Observation, nil
}

// drift returns the event that says that packages changed without a recorded commit, if
// the observation shows that.
func drift(ctx context.Context, s *store.Store, obs *store.Event, o Options) []*store.Event {
	installed := snapshot.Installed(obs.Observation.Installed)
	if installed == nil {
		return nil
	}
	ev, err := snapshot.Drift(ctx, s, o.Root, o.Version, installed)
	if err != nil {
		obs.Observation.Unknown["drift"] = err.Error()
	}
	if ev == nil {
		return nil
	}
	return []*store.Event{ev}
}
