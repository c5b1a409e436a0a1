package view

import (
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// History yields the changes that the filter selects, newest first unless it says otherwise.
func (r *Record) History(_ context.Context, f record.HistoryFilter) iter.Seq2[*record.HistoryRow, error] {
	return f.Sift(r.history)
}

func (r *Record) history(f record.HistoryFilter) iter.Seq2[*record.HistoryRow, error] {
	events := f.Events
	if events == 0 {
		events = r.size()
	}
	selects, rows := r.selector(f), slices.Backward(r.changes)
	if f.OldestFirst {
		rows = slices.All(r.changes)
	}
	return func(yield func(*record.HistoryRow, error) bool) {
		n := 0
		for _, c := range rows {
			if c.Event > events || r.announced(c, events) || !selects(c) {
				continue
			}
			row := r.historyRow(c, events)
			if f.Outcome != "" && (row.Outcome == nil || *row.Outcome != f.Outcome) {
				continue
			}
			if n++; !yield(row, nil) || n == f.Limit {
				return
			}
		}
	}
}

// selector says whether a filter selects a change.
func (r *Record) selector(f record.HistoryFilter) func(*Change) bool {
	since, until := int64(math.MinInt64), int64(math.MaxInt64)
	if !f.Since.IsZero() {
		since = f.Since.UnixMicro()
	}
	if !f.Until.IsZero() {
		until = f.Until.UnixMicro() - 1
	}
	return func(c *Change) bool {
		us := c.Time.UnixMicro()
		return since <= us && us <= until && (f.Package == "" || fitsPattern(c.Package, f.Package)) && is(c.Kind, f.Kind) &&
			is(c.Action, f.Action) && is(c.Result, f.Result) && is(c.Source, f.Source) &&
			(!f.Scripts || len(c.Scripts) > 0) && r.isOf(c, &f)
	}
}

// is says whether a value is the wanted one; an empty wanted one accepts any.
func is[T ~string](value, wanted T) bool { return wanted == "" || value == wanted }

// fitsPattern says whether a text matches a GLOB pattern.
func fitsPattern(text, pattern string) bool {
	if record.IsPattern(pattern) {
		return glob(pattern, text)
	}
	return text == pattern
}

// named says whether a text equals what a filter names, or matches it as a pattern.
func named(text, name string) bool { return text == name || fitsPattern(text, name) }

// isOf says whether a change belongs to a commit that the filter selects.
func (r *Record) isOf(c *Change, f *record.HistoryFilter) bool {
	of := r.commitOf(c)
	if of == nil {
		return f.User == "" && f.Command == "" && f.Outcome == "" && (f.UserData == "" || f.UserData == record.NoUserData)
	}
	by := func(name *string) bool { return name != nil && named(*name, f.User) }
	switch given := record.OrEmpty(of.UserData); {
	case f.UserData == record.NoUserData && given != "":
		return false
	case f.UserData != "" && f.UserData != record.NoUserData && (of.UserData == nil || !named(given, f.UserData)):
		return false
	}
	return (f.User == "" || by(of.Actor.Login) || by(of.Actor.SudoUser) || by(of.Actor.Automation)) &&
		(f.Command == "" || of.Command != nil && named(*of.Command, f.Command))
}

// historyRow returns a change with what follows from its commit. What became of the commit after
// the first events is not known then.
func (r *Record) historyRow(c *Change, events int64) *record.HistoryRow {
	row := c.HistoryRow
	of := r.commitOf(c)
	if of == nil {
		return &row
	}
	row.Actor, row.Command, row.UserData = of.Actor, of.Command, of.UserData
	switch {
	case of.EndEvent != nil && *of.EndEvent > events:
	case of.settled > events:
		row.Outcome = new(record.OutcomeStaged)
	default:
		row.Outcome = of.Outcome
	}
	return &row
}

// LastGood returns when a package was last changed successfully, up to a moment; zero if never.
// Downgrades do not count, because they improve nothing; nor do changes in a snapshot that was not
// booted.
func (r *Record) LastGood(_ context.Context, name string, at time.Time) (time.Time, error) {
	for _, c := range slices.Backward(r.changesOf[name]) {
		of := r.commitOf(c)
		elsewhere := of != nil && of.Outcome != nil && of.Outcome.Elsewhere()
		if !c.Time.After(at) && c.Result == record.ResultOK && c.Action != record.ActionDowngrade && !elsewhere {
			return c.Time.Time, nil
		}
	}
	return time.Time{}, nil
}
