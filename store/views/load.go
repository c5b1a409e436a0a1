package views

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
)

// Load builds the views of a whole log, in its order. The result is the same as adding its events
// one by one, but it takes less time: boots are combined before they are written, rows wait until
// they fill a statement, and indexes and totals come last.
type Load struct {
	tx      *sql.Tx
	boots   view.Boots
	waiting map[*table][]mutation // rows
	staged  bool                  // a commit changed a btrfs snapshot
	indexed bool                  // changes are indexed by their commit
}

// NewLoad starts with views that have no rows. They must be empty.
func NewLoad(ctx context.Context, tx *sql.Tx) (*Load, error) {
	_, err := tx.ExecContext(ctx, tables)
	return &Load{tx: tx, waiting: map[*table][]mutation{}}, err
}

// Add adds the next event.
func (l *Load) Add(ctx context.Context, o *view.Outline) error {
	if o.Observation != nil {
		for _, b := range o.Observation.Boots {
			l.boots.Add(o.Event, cloned(&b))
		}
	}
	if c := o.Commit; c != nil && c.Outcome != nil && (*c.Outcome == record.OutcomeStaged || *c.Outcome == record.OutcomeDiscarded) {
		l.staged = true
	}
	ms := applyRows(o)
	if l.staged { // else there is nothing to settle
		ms = append(ms, applyBooted(o)...)
	}
	return each(o.Event, ms, func(m mutation) (int64, error) { return l.do(ctx, m) })
}

// cloned returns a copy of a boot that does not keep the body of its event in memory; the event's
// strings are slices of it.
func cloned(b *record.Boot) *record.Boot {
	c := *b
	c.ID, c.KernelRelease = strings.Clone(b.ID), strings.Clone(b.KernelRelease)
	c.Loads, c.Builds = slices.Clone(b.Loads), slices.Clone(b.Builds)
	for i := range c.Loads {
		l := &c.Loads[i]
		l.Patch, l.Rule, l.Replaced, l.Cursor = strings.Clone(l.Patch), strings.Clone(l.Rule), strings.Clone(l.Replaced), strings.Clone(l.Cursor)
		l.Phase, l.Result = record.Phase(strings.Clone(string(l.Phase))), record.LoadResult(strings.Clone(string(l.Result)))
	}
	for i := range c.Builds {
		img := &c.Builds[i]
		img.KernelRelease, img.Image, img.Cursor = strings.Clone(img.KernelRelease), strings.Clone(img.Image), strings.Clone(img.Cursor)
	}
	return &c
}

// Finish writes the waiting rows and everything that was left for the end.
func (l *Load) Finish(ctx context.Context) error {
	defer progress.Begin(ctx, "making indexes", 0).End()
	for _, b := range l.boots.All() {
		for _, m := range boot(b) {
			if _, err := l.do(ctx, m); err != nil {
				return err
			}
		}
	}
	if err := l.widen(ctx); err != nil {
		return err
	}
	const count = `UPDATE totals SET commits = (SELECT count(*) FROM commits), changes = (SELECT count(*) FROM changes c
		WHERE NOT EXISTS (SELECT 1 FROM commits WHERE id = c.commit_id AND begin_event = c.event AND end_event IS NOT NULL))`
	_, err := l.tx.ExecContext(ctx, indexes+count)
	return err
}

// do applies what an event changes. A row waits until there are enough for a statement, or until
// something may read it.
func (l *Load) do(ctx context.Context, m mutation) (changed int64, err error) {
	if m.table == nil {
		if m.wide {
			err = l.widen(ctx)
		}
		if err == nil {
			changed, err = execute(ctx, l.tx, m)
		}
		return changed, err
	}
	waiting := append(l.waiting[m.table], m)
	if len(waiting) == rowsAtOnce {
		_, err = execute(ctx, l.tx, m.table.insertion(waiting))
		clear(waiting)
		waiting = waiting[:0]
	}
	l.waiting[m.table] = waiting
	return 1, err
}

// widen prepares the tables for a mutation that reads or changes rows of other events.
func (l *Load) widen(ctx context.Context) error {
	if err := l.write(ctx); err != nil || l.indexed {
		return err
	}
	l.indexed = true
	_, err := l.tx.ExecContext(ctx, byCommit)
	return err
}

// write writes the waiting rows table by table, in a fixed order, so that the same log always gives
// the same file.
func (l *Load) write(ctx context.Context) error {
	byText := func(a, b *table) int { return strings.Compare(a.insert, b.insert) }
	for _, t := range slices.SortedFunc(maps.Keys(l.waiting), byText) {
		waiting := l.waiting[t]
		for i := range waiting {
			if _, err := execute(ctx, l.tx, t.insertion(waiting[i:i+1])); err != nil {
				return err
			}
		}
		clear(waiting)
		l.waiting[t] = waiting[:0]
	}
	return nil
}

// The tables of boots, to which a load only adds rows.
var (
	boots       = newTable("boots", "boot_id, event, kernel_release, first, last, start_in_journal, messages_lost, incomplete")
	bootLooks   = newTable("boot_looks", "boot_id, event, first, last")
	patchLoads  = newTable("patch_loads", "boot_id, pos, patch, phase, rule, result, forced, time, completed, reverted, disabled, replaced, cursor, event, until")
	imageBuilds = newTable("image_builds", "boot_id, pos, kernel_release, image, success, time, cursor")
)

// boot returns what the views hold of a boot.
func boot(b *view.Boot) []mutation {
	ms := []mutation{boots.add(b.ID, b.Event, orNull(b.KernelRelease), b.First.UnixMicro(), b.Last.UnixMicro(), b.StartInJournal, b.MessagesLost, b.Incomplete)}
	for _, l := range b.Looks {
		ms = append(ms, bootLooks.add(b.ID, l.Event, l.First, l.Last))
	}
	for _, p := range b.Loads {
		l := p.Line
		ms = append(ms, patchLoads.add(b.ID, p.Place, l.Patch, l.Phase, l.Rule, l.Result, l.Forced, l.Time.UnixMicro(), micros(l.Completed), micros(l.Reverted),
			micros(l.Disabled), orNull(l.Replaced), l.Cursor, l.Event, l.Until.UnixMicro()))
	}
	for _, p := range b.Builds {
		img := p.Line
		ms = append(ms, imageBuilds.add(b.ID, p.Place, orNull(img.KernelRelease), orNull(img.Image), img.Success, img.Time.UnixMicro(), img.Cursor))
	}
	return ms
}
