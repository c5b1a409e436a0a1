package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// patches are the live patches of all boots, each as far as it is known when that ran.
func (r *rows) patches() (spans []PatchSpan) {
	for i := range r.ran {
		b := bootEvidence{run: &r.ran[i], commits: r.commits}
		spans = append(spans, within(markLoading(b.patches()), b.run)...)
	}
	return spans
}

// markLoading marks the spans of a boot's first minutes that only lead to what its initrd loads.
func markLoading(spans []PatchSpan) []PatchSpan {
	loaded := slices.IndexFunc(spans, func(s PatchSpan) bool { return s.Phase == record.PhaseInitrd && !s.Transition })
	for i := loaded - 1; i >= 0 && spans[i].leadsTo(&spans[i+1]) && spans[loaded].From.Sub(spans[i].From.Time) < startup; i-- {
		spans[i].loading = true
	}
	return spans
}

// leadsTo says whether a live patch from the initrd is about to be loaded, or is being loaded.
func (p *PatchSpan) leadsTo(next *PatchSpan) bool {
	begun := p.Module == "" || p.Transition && p.Phase == record.PhaseInitrd
	return begun && p.To.Equal(next.From.Time) && next.Phase == record.PhaseInitrd
}

// patches turns the points of a boot into spans.
func (b *bootEvidence) patches() (spans []PatchSpan) {
	points := b.points()
	for i := range points {
		p := &points[i]
		end, next := b.to, (*point)(nil)
		if i+1 < len(points) {
			next = &points[i+1]
			end = next.at
		}
		said, c := b.between(p, next, end)
		if c == Unknown && p.seen && p.at.Before(end.Time) {
			spans = b.add(spans, *p, record.At(p.at.Add(instant)), Proven, nil)
		} else if c != Unknown {
			spans = b.add(spans, said, end, c, next)
		}
		if next != nil && next.border { // it says what is so until there
			at := next.at
			*next = said
			next.at, next.border, next.seen, next.known = at, true, false, c != Unknown
		}
	}
	return spans
}

// between decides what is so from one point until the next, or the boot's end. It follows from the journal,
// if it is complete there, else from two observations that agree, a day apart at most and
// without a commit in between.
func (b *bootEvidence) between(p, next *point, end record.Timestamp) (said point, c Confidence) {
	said = *p
	seen := next != nil && next.seen
	agree := seen && next.like(p)
	covered := b.covered(p.at, end)
	said.at = p.at
	switch {
	case p.lost, p.known && seen && !agree, p.known && p.transition && !agree && b.undated(p.module):
		return said, Unknown
	case p.known && covered && (agree || b.watched(p.module, p.at, end)):
		if !p.sure {
			return said, Inferred
		}
		return said, Proven
	case seen && next.module != "" && (covered || next.since != nil && !next.since.After(p.at.Time)):
		said = *next // which was loaded before
		said.at, said.event = p.at, p.event
		if said.sure = p.known && p.sure && p.like(next) || next.done(p.at) || b.completed(next.module, p.at); !said.sure {
			return said, Inferred
		}
		return said, Proven
	case p.known && agree && next.at.Sub(p.at.Time) <= silence && !commitIn(b.commits, p.at, next.at):
		return said, Inferred
	}
	return said, Unknown
}

// completed says whether the last load of a live patch up to a time is known to have been complete then.
func (b *bootEvidence) completed(module string, at record.Timestamp) bool {
	for _, l := range slices.Backward(b.loads()) {
		if l.Patch == module && !l.Time.After(at.Time) {
			return !l.Undated && l.Completed != nil && !l.Completed.After(at.Time)
		}
	}
	return false
}

// undated says whether the load of a live patch has an end on record, and not when that was.
func (b *bootEvidence) undated(module string) bool {
	return slices.ContainsFunc(b.loads(), func(l record.LoadRow) bool {
		return l.Patch == module && (l.Undated || l.Result == record.LoadReverted && l.Reverted == nil || l.Result == record.LoadComplete && l.Completed == nil)
	})
}

// commitIn says whether a commit began or ended within a stretch of time.
func commitIn(commits []record.CommitRow, from, to record.Timestamp) bool {
	within := func(t *record.Timestamp) bool { return t != nil && t.After(from.Time) && t.Before(to.Time) }
	return slices.ContainsFunc(commits, func(c record.CommitRow) bool { return within(c.Begin) || within(c.End) })
}

// points are what the journal and the observations say, in the order of time.
func (b *bootEvidence) points() []point {
	points := b.journalPoints()
	for _, o := range b.observed {
		if o.Patched == nil {
			continue
		}
		p := point{at: o.Time, known: true, seen: true, sure: true, phase: record.PhaseUnknown, event: o.Event}
		if *o.Patched && o.Module != nil {
			p.module, p.transition = *o.Module, o.Transition != nil && *o.Transition
			b.loadOf(&p, o)
		}
		if l := orTime(p.completed, p.since); !l.IsZero() && !slices.ContainsFunc(points, func(q point) bool { return q.module == p.module && q.at.Equal(l.Time) }) {
			loaded := p
			loaded.at, loaded.seen, loaded.sure = l, false, p.transition || p.completed != nil
			points = append(points, loaded)
		}
		points = append(points, p)
	}
	slices.SortStableFunc(points, func(p, q point) int {
		return cmp.Or(p.at.Compare(q.at.Time), cmp.Compare(p.rank(), q.rank()))
	})
	return b.withBorders(points)
}

// rank orders points of one time: an observation that saw a load under way has its time from its
// beginning, and the load ended after that.
func (p *point) rank() int {
	if p.seen && p.transition {
		return 0
	}
	return 1
}

// loadOf says of a live patch that an observation saw when it was loaded, and what it replaces.
func (b *bootEvidence) loadOf(p *point, o record.Observed) {
	if o.Since == nil || o.Since.Before(b.from.Time) || o.Since.After(o.Time.Add(LongestObservation)) {
		return
	}
	p.since, p.at = o.Since, later(p.at, *o.Since) // an observation has its time from its beginning
	for i, l := range b.loads() {
		if l.Patch == p.module && l.Time.Equal(o.Since.Time) {
			p.replaces = b.replacedBy(i)
			if l.Completed != nil && !l.Undated && !p.transition && !l.Completed.After(o.Time.Add(LongestObservation)) {
				p.completed, p.at = l.Completed, later(p.at, *l.Completed)
			}
		}
	}
}

func orTime(a, b *record.Timestamp) (t record.Timestamp) {
	switch {
	case a != nil:
		return *a
	case b != nil:
		return *b
	}
	return t
}

// withBorders adds where what the journal shows begins and ends, so that each stretch is judged
// on its own.
func (b *bootEvidence) withBorders(points []point) []point {
	if len(points) == 0 || points[0].at.After(b.from.Time) { // what is seen later may show it
		points = slices.Insert(points, 0, point{at: b.from, event: b.Events[0]})
	}
	if b.row == nil {
		return points
	}
	add := func(at record.Timestamp) {
		if at.After(points[0].at.Time) && at.Before(b.to.Time) {
			points = append(points, point{at: at, border: true})
		}
	}
	for _, l := range b.row.Looks {
		add(l.First)
		add(record.At(l.Last.Add(instant)))
	}
	for _, l := range b.row.Loads {
		add(record.At(l.Until.Add(instant)))
	}
	slices.SortStableFunc(points, func(p, q point) int { return p.at.Compare(q.at.Time) })
	return slices.CompactFunc(points, func(p, q point) bool { return (p.border || q.border) && p.at.Equal(q.at.Time) }) // it is parted there already
}

// add appends a span, or lengthens the last one if it says the same.
func (b *bootEvidence) add(spans []PatchSpan, p point, to record.Timestamp, c Confidence, next *point) []PatchSpan {
	if !p.at.Before(to.Time) {
		return spans
	}
	if p.since == nil && next != nil && next.like(&p) && next.since != nil && !next.since.After(p.at.Time) {
		p.since, p.completed = next.since, next.completed
	}
	events := ends(nil, p.event)
	if next != nil && next.seen {
		events = ends(events, next.event)
	}
	s := PatchSpan{
		Span: Span{From: p.at, To: to, Confidence: c, Events: events}, BootID: b.BootID,
		Module: p.module, Transition: p.transition, Replaces: p.replaces, Since: p.since, Completed: p.completed, Phase: p.phase, unsure: !p.sure,
	}
	if n := len(spans) - 1; n >= 0 && spans[n].same(&s) && spans[n].To.Equal(p.at.Time) {
		spans[n].To, spans[n].Events = to, ends(spans[n].Events, events...)
		return spans
	}
	return append(spans, s)
}

func (p *PatchSpan) same(q *PatchSpan) bool {
	return p.Module == q.Module && p.Transition == q.Transition && p.Confidence == q.Confidence && p.unsure == q.unsure && orZero(p.Since).Equal(orZero(q.Since))
}

// name finds the packages of the modules.
func name(ctx context.Context, s Reader, kernels []KernelSpan, spans []PatchSpan) error {
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
		if n := PatchNumberOf(version); n > 0 {
			p.PatchNumber, p.Initial = &n, new(n == 1)
		}
	}
	return nil
}

// PatchNumberOf is the number of the live patch in a package of a version, 0 if that has none.
func PatchNumberOf(version string) int {
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
