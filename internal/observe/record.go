package observe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/klp-audit/klp-audit/internal/releases"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/internal/zyppimport"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// storeTime bounds how long an observation waits for the record.
const storeTime = 2 * time.Second

// Record takes an observation and appends it to the record, or puts it into the spool if the record
// cannot be written.
func Record(ctx context.Context, o Options) (*record.Observation, error) {
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
		o.Fixes, _ = snapshot.Remembered(ctx, s, o.Version)
		if !s.Awaits(ctx) {
			o.Compare = func(ctx context.Context) (*record.HistoryComparison, error) { return compareHistory(ctx, s, o) }
		}
		if o.Trigger == record.TriggerCommit {
			o.Installed, _ = snapshot.Still(ctx, s, o.Root, o.Version)
		} else {
			o.Before = lookedBefore(ctx, s, o.Version)
		}
		if o.Trigger == record.TriggerTimer {
			o.Verify = func(ctx context.Context) (*Verified, error) { return Verify(ctx, s, o.Root, "") }
		}
	}
	var offer *releases.Offer
	o.Offered = func(is *releases.Offer) { offer = is }
	ev := Take(ctx, o)
	var news []*record.Release
	if err == nil && offer != nil {
		var newsErr error
		if news, newsErr = released(ctx, s, o, offer, ev.Observation); newsErr != nil {
			ev.Observation.Unknown["releases"] = newsErr.Error()
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err() // it does not show the machine's state
	}
	if err == nil {
		// Taking it may have used up ctx, so storing it has its own time limit.
		keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
		defer cancel()
		installed := rpm.Snapshot{Packages: ev.Observation.Installed, Stamp: rpm.Stamp(ev.Observation.RPMDB)}
		err = snapshot.Append(keep, s, o.Root, o.Version, size, installed, ev)
	}
	if err != nil {
		ev.Observation.Compared = false
		if spoolErr := store.Spool(o.Root, ev, err, false); spoolErr != nil {
			return ev.Observation, errors.Join(err, spoolErr)
		}
		return ev.Observation, nil // the next observation will find what is on offer
	}
	return ev.Observation, appendReleases(ctx, s, o, news)
}

// lookedBefore returns what is on record about the repositories; nothing if that cannot be read.
func lookedBefore(ctx context.Context, s *store.Store, version string) (b releases.Before) {
	rows, err := s.Releases(ctx)
	if err != nil {
		return b
	}
	b.Version, b.Known = version, record.NewReleases(rows)
	read, err := record.PartFrom[record.RepositoriesRead](s.LastPart(ctx, record.PartRepositoriesRead))
	if read == nil || err != nil {
		return b
	}
	found, err := record.PartFrom[record.Repositories](s.LastPart(ctx, record.PartRepositories))
	if found == nil || err != nil || found.Event != read.Event {
		return b
	}
	if b.Repositories, err = found.Value(); err == nil {
		b.Read, _ = read.Value() // another form was written by another program
	}
	return b
}

// released returns what part of an offer, and of installed kernels, is not on record yet. The
// observation says what was read.
func released(ctx context.Context, s *store.Store, o Options, offer *releases.Offer, seen *record.Observation) ([]*record.Release, error) {
	known := o.Before.Known
	if known == nil {
		rows, err := s.Releases(ctx)
		if err != nil {
			return nil, err
		}
		known = record.NewReleases(rows)
	}
	kernels, err := releases.Kernels(ctx, o.Root, seen.Installed, known)
	news := releases.News(offer, kernels, known)
	return news, errors.Join(err, record.SetPart(seen, offer.Marks(known)))
}

// appendReleases appends them in one transaction. If that fails, the next observation tries again.
func appendReleases(ctx context.Context, s *store.Store, o Options, news []*record.Release) error {
	if len(news) == 0 {
		return nil
	}
	var evs []*record.Event
	for _, payload := range news {
		evs = append(evs, &record.Event{Header: store.NewHeader(record.KindRelease, o.Root, o.Version), Release: payload})
	}
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	if err := s.Append(keep, evs...); err != nil {
		return fmt.Errorf("recording what the vendor has released: %w", err)
	}
	return nil
}

// compareHistory compares libzypp's history with the record. A missing change may be drift that
// nobody has looked for yet: then drift is recorded first, and the history is compared again.
func compareHistory(ctx context.Context, s *store.Store, o Options) (*record.HistoryComparison, error) {
	how := zyppimport.CompareOptions{Root: o.Root, Now: time.Now(), Redact: o.Redact, NoUserData: o.NoUserData}
	found, err := zyppimport.Compare(ctx, s, how)
	if err != nil || len(found.Missing) == 0 {
		return found, err
	}
	size, err := s.Size(ctx)
	if err != nil {
		return nil, err
	}
	if installed, err := snapshot.Take(ctx, o.Root); err == nil {
		err = snapshot.Append(ctx, s, o.Root, o.Version, size, installed, nil)
		if err != nil {
			return nil, err
		}
	}
	return zyppimport.Compare(ctx, s, how)
}
