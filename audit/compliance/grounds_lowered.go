package compliance

import (
	"context"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
)

// lowered is a downgrade or a removal, with what the kernel had said before.
type lowered struct {
	*record.HistoryRow
	warnings *record.Part[record.Warnings] // nil: not on record
	taint    *record.Part[record.Taint]    // likewise
}

// readLowered reads downgrades, and removals of live patches whose kernel stayed.
func (g *grounds) readLowered(ctx context.Context, s audit.Reader) error {
	var rows []*record.HistoryRow
	kernels, err := g.history(ctx, s, record.HistoryFilter{Kind: record.PackageKernel, Result: record.ResultOK})
	if err != nil {
		return err
	}
	kernels = slices.DeleteFunc(kernels, isElsewhere)
	for _, action := range []record.Action{record.ActionDowngrade, record.ActionRemove} {
		list, err := g.history(ctx, s, record.HistoryFilter{Action: action})
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(row *record.HistoryRow) bool { return row.Result != record.ResultOK })
		rows = append(rows, list...)
	}
	for _, row := range rows {
		switch {
		case row.Kind != record.PackageKernel && row.Kind != record.PackageLivepatch:
		case isElsewhere(row):
		case row.Action == record.ActionRemove && (row.Kind == record.PackageKernel || !stayed(kernels, row)):
		default:
			low := lowered{HistoryRow: row}
			if err := low.read(ctx, s, len(g.lowered)); err != nil {
				return err
			}
			g.lowered = append(g.lowered, low)
		}
	}
	drift, err := g.history(ctx, s, record.HistoryFilter{Source: record.SourceDrift})
	g.drift = slices.DeleteFunc(drift, func(row *record.HistoryRow) bool { return row.Result != record.ResultOK })
	return err
}

// stayed says whether the kernel of a live patch was there when that was removed, by the changes of
// kernels, the newest first.
func stayed(kernels []*record.HistoryRow, removed *record.HistoryRow) bool {
	for _, k := range kernels {
		if record.OrEmpty(k.KernelRelease) == record.OrEmpty(removed.KernelRelease) && !k.Time.After(removed.Time.Time) {
			return k.Action != record.ActionRemove
		}
	}
	return true
}

// read finds what the kernel had said before the newest few.
func (l *lowered) read(ctx context.Context, s audit.Reader, n int) (err error) {
	if n >= 3 {
		return nil
	}
	before := l.Time.Add(-time.Microsecond)
	if l.warnings, err = audit.NewestPart[record.Warnings](ctx, s, before.Add(-2*24*time.Hour), before); err != nil {
		return err
	}
	l.taint, err = audit.NewestPart[record.Taint](ctx, s, before.Add(-2*24*time.Hour), before)
	return err
}
