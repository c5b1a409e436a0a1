package report

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/store"
)

// patches are the live patches of all boots.
func (r *rows) patches(kernels []KernelSpan) (spans []PatchSpan) {
	observed := map[string][]store.Observed{} // by boot
	for _, o := range r.observed {
		if o.Patched != nil {
			observed[o.BootID] = append(observed[o.BootID], o)
		}
	}
	for _, k := range kernels {
		b := bootEvidence{KernelSpan: k, commits: r.commits, observed: observed[k.BootID]}
		if i := r.boot(k.BootID); i >= 0 {
			b.row = &r.boots[i]
		}
		spans = append(spans, b.patches()...)
	}
	return spans
}

// bootEvidence is what is known of the live patches of one boot.
type bootEvidence struct {
	KernelSpan
	row      *store.BootRow // nil: the journal did not show it
	observed []store.Observed
	commits  []store.CommitRow
}

// point is a moment from which on a live patch is active, or none.
type point struct {
	at     store.Timestamp
	module string
	known  bool // else what is active from here on is not known
	seen   bool // by an observation
	since  *store.Timestamp
	phase  string
	event  int64
}

// patches turns the points of a boot into spans: what is between two points follows from
// the journal, if it is complete there, else from two observations that agree, a day apart
// at most and without a commit in between.
func (b *bootEvidence) patches() (spans []PatchSpan) {
	points := b.points()
	for i, p := range points {
		end, next := b.To, (*point)(nil)
		if i+1 < len(points) {
			next = &points[i+1]
			end = next.at
		}
		module, c := b.between(p, next, end)
		switch {
		case c != Unknown:
			spans = b.add(spans, p, module, end, c, next)
		case p.seen:
			spans = b.add(spans, p, p.module, stamp(p.at.Add(instant)), Proven, nil)
		}
	}
	return spans
}

// between decides which patch is active from one point until the next, or the boot's end.
func (b *bootEvidence) between(p point, next *point, end store.Timestamp) (module string, c Confidence) {
	confirmed := next != nil && next.seen && next.since != nil && !next.since.After(p.at.Time)
	switch agree := next != nil && next.seen && next.module == p.module; {
	case !p.known && confirmed:
		return next.module, Proven
	case !p.known, next != nil && next.seen && !agree:
		return "", Unknown
	case b.covered(p.at, end), agree && confirmed:
		return p.module, Proven
	case agree && next.at.Sub(p.at.Time) <= silence && !commitIn(b.commits, p.at, next.at):
		return p.module, Inferred
	}
	return "", Unknown
}

// commitIn says whether a commit began or ended within a stretch of time.
func commitIn(commits []store.CommitRow, from, to store.Timestamp) bool {
	within := func(t *store.Timestamp) bool { return t != nil && t.After(from.Time) && t.Before(to.Time) }
	return slices.ContainsFunc(commits, func(c store.CommitRow) bool { return within(c.Begin) || within(c.End) })
}

// covered says whether the journal has every load between two moments.
func (b *bootEvidence) covered(from, to store.Timestamp) bool {
	return b.row != nil && !b.row.MessagesLost && !from.Before(b.row.First.Time) && !to.After(b.row.Last.Add(instant))
}

// points are what the journal and the observations say, in the order of time.
func (b *bootEvidence) points() (points []point) {
	if b.row != nil {
		points = b.journalPoints()
	}
	for _, o := range b.observed {
		p := point{at: o.Time, known: true, seen: true, since: o.Since, phase: "unknown", event: o.Event}
		if *o.Patched && o.Module != nil {
			p.module = *o.Module
		}
		if o.Since != nil && !o.Since.Before(b.From.Time) && !slices.ContainsFunc(points, func(p point) bool { return p.at.Equal(o.Since.Time) }) {
			points = append(points, point{at: *o.Since, module: p.module, known: true, since: o.Since, phase: "unknown", event: o.Event})
		}
		points = append(points, p)
	}
	slices.SortStableFunc(points, func(p, q point) int { return p.at.Compare(q.at.Time) })
	return b.withJournalEnd(points)
}

// journalPoints are the loads of a boot; at its start, none is active.
func (b *bootEvidence) journalPoints() (points []point) {
	if b.row.StartInJournal {
		points = append(points, point{at: b.row.First, known: !b.row.MessagesLost, event: b.row.Event})
	}
	for i, l := range b.row.Loads {
		if l.Result == "failed" {
			continue
		}
		points = append(points, point{at: l.Time, module: l.Patch, known: l.Result == "complete", since: &l.Time, phase: l.Phase, event: b.row.Event})
		newer := slices.ContainsFunc(b.row.Loads[i+1:], func(n store.Load) bool { return n.Result == "complete" && !n.Time.After(orZero(l.Disabled)) })
		if l.Disabled != nil && l.Replaced == "" && !newer {
			points = append(points, point{at: *l.Disabled, known: true, event: b.row.Event})
		}
	}
	return points
}

func orZero(t *store.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// withJournalEnd adds where the journal ends, so that what follows is judged on its own.
func (b *bootEvidence) withJournalEnd(points []point) []point {
	if b.row == nil || b.row.MessagesLost {
		return points
	}
	end := stamp(b.row.Last.Add(instant))
	for i := len(points) - 1; i >= 0; i-- {
		if p := points[i]; p.at.Before(end.Time) {
			p.at, p.seen = end, false
			return slices.Insert(points, i+1, p)
		}
	}
	return points
}

// add appends a span, or lengthens the last one if it says the same.
func (b *bootEvidence) add(spans []PatchSpan, p point, module string, to store.Timestamp, c Confidence, next *point) []PatchSpan {
	if !p.at.Before(to.Time) {
		return spans
	}
	since := p.since
	if since == nil && module != "" && next != nil {
		since = next.since
	}
	events := ends(nil, p.event)
	if next != nil && next.seen {
		events = ends(events, next.event)
	}
	open := b.Open && !to.Before(b.To.Time)
	if n := len(spans) - 1; n >= 0 && spans[n].same(module, since, c) && spans[n].To.Equal(p.at.Time) {
		spans[n].To, spans[n].Open, spans[n].Events = to, open, ends(spans[n].Events, events...)
		return spans
	}
	return append(spans, PatchSpan{
		Span: Span{From: p.at, To: to, Open: open, Confidence: c, Events: events}, BootID: b.BootID, Module: module, Since: since, Phase: p.phase,
	})
}

func (p *PatchSpan) same(module string, since *store.Timestamp, c Confidence) bool {
	return p.Module == module && p.Confidence == c && orZero(p.Since).Equal(orZero(since))
}

// name finds the packages of the modules.
func name(ctx context.Context, s *store.Store, kernels []KernelSpan, spans []PatchSpan) error {
	release := map[string]string{} // by boot
	for _, k := range kernels {
		release[k.BootID] = k.KernelRelease
	}
	type patch struct{ kernel, module string }
	known := map[patch][2]string{}
	for i := range spans {
		p := &spans[i]
		if p.Module == "" {
			continue
		}
		of := patch{release[p.BootID], p.Module}
		if _, asked := known[of]; !asked {
			name, version, err := s.PatchPackage(ctx, of.kernel, of.module)
			if err != nil {
				return fmt.Errorf("looking for the package of %q: %w", p.Module, err)
			}
			known[of] = [2]string{name, version}
		}
		name, version := known[of][0], known[of][1]
		if name == "" {
			continue
		}
		p.Package, p.Version = &name, &version
		if n := patchNumberOf(version); n > 0 {
			p.PatchNumber, p.Initial = &n, new(n == 1)
		}
	}
	return nil
}

// patchNumberOf is the number of the live patch in a package of a version, 0 if that has none.
func patchNumberOf(version string) int {
	if _, after, ok := strings.Cut(version, ":"); ok { // an epoch
		version = after
	}
	text, _, _ := strings.Cut(version, "-")
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0
	}
	return n
}
