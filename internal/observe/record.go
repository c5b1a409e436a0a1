package observe

import (
	"context"
	"errors"
	"time"

	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/store"
)

// storeTime bounds how long an observation waits for the record.
const storeTime = 2 * time.Second

// Record takes an observation and appends it to the record, or puts it into the spool
// where the record cannot be written.
func Record(ctx context.Context, o Options) (*store.Observation, error) {
	s, err := store.Open(ctx, o.Root, o.Version)
	var size int64
	if err == nil {
		defer s.Close()
		if err = s.TakeIn(ctx); err == nil {
			size, err = s.Size(ctx)
		}
	}
	if err == nil {
		s.AnnounceIf(func() bool { return !o.Quiet })
		if known, err := s.KnownBoots(ctx); err == nil {
			o.Known = known
		}
		if o.Trigger == store.TriggerTimer {
			o.Verify = func(ctx context.Context) (any, error) { return s.Verify(ctx, "") }
		}
	}
	ev := Take(ctx, o)
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err() // it is not what the machine shows
	}
	if err == nil {
		// Taking it may have used up ctx; storing it has a time of its own.
		keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
		defer cancel()
		err = snapshot.Append(keep, s, o.Root, o.Version, size, snapshot.Installed(ev.Observation.Installed), ev)
	}
	if err != nil {
		ev.Observation.Compared = false
		if spoolErr := store.Spool(o.Root, ev, err, false); spoolErr != nil {
			return ev.Observation, errors.Join(err, spoolErr)
		}
	}
	return ev.Observation, nil
}
