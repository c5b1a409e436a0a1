package keep

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/klp-audit/klp-audit/fleet/pg"
)

// each does something for each log, several at a time, and hands over what it gives, one at a time.
func each[T any](ctx context.Context, workers int, logs []*pg.Log, do func(context.Context, *pg.Log) T, found func(T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, workers))
	var one sync.Mutex
	for _, l := range logs {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			res := do(ctx, l)
			one.Lock()
			defer one.Unlock()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return found(res)
		})
	}
	return g.Wait()
}
