package report

import (
	"slices"

	"github.com/klp-audit/klp-audit/store"
)

// initrds are the verdicts of the observations. Each is taken to hold until something is on
// record that may have changed it, if what comes next does not speak against it.
func (r *rows) initrds() (spans []InitrdSpan) {
	for i, o := range r.observed {
		if o.Verdict == store.VerdictUnknown || o.Module == nil {
			continue
		}
		s := InitrdSpan{
			Span:   Span{From: o.Time, To: stamp(o.Time.Add(instant)), Confidence: Proven, Events: []int64{o.Event}},
			Module: *o.Module, Verdict: o.Verdict, Basis: o.Basis,
		}
		if to, event, ok := r.holds(o, r.observed[i+1:]); ok && to.After(s.To.Time) {
			s.To, s.Confidence, s.Events = to, Inferred, ends(s.Events, event)
		}
		spans = addInitrd(spans, s)
	}
	return spans
}

func addInitrd(spans []InitrdSpan, s InitrdSpan) []InitrdSpan {
	if n := len(spans) - 1; n >= 0 && spans[n].To.Equal(s.From.Time) && spans[n].Module == s.Module && spans[n].Verdict == s.Verdict && spans[n].Basis == s.Basis {
		if spans[n].Confidence == Inferred {
			spans[n].To, spans[n].Events = s.To, ends(spans[n].Events, s.Events...)
			return spans
		}
	}
	return append(spans, s)
}

// holds says until when the verdict of an observation is taken to hold, and by which event:
// until the next image is built for that kernel, the next load, the next observation or the
// end of the boot, whatever comes first.
func (r *rows) holds(o store.Observed, later []store.Observed) (to store.Timestamp, event int64, ok bool) {
	i := r.boot(o.BootID)
	if len(later) > 0 && later[0].BootID == o.BootID {
		next := later[0]
		if i >= 0 && r.boots[i].Last.Before(next.Time.Time) {
			return next.Time, next.Event, agree(o, next) && len(changesIn(r.boots[i], o, next.Time)) == 0
		}
		if i < 0 {
			return next.Time, next.Event, agree(o, next) && next.Time.Sub(o.Time.Time) <= silence
		}
		if changes := changesIn(r.boots[i], o, next.Time); len(changes) > 0 {
			return changes[0], next.Event, true
		}
		return next.Time, next.Event, agree(o, next)
	}
	if i < 0 || len(later) == 0 {
		return o.Time, 0, false
	}
	end := stamp(r.boots[i].Last.Add(instant))
	if changes := changesIn(r.boots[i], o, end); len(changes) > 0 {
		return changes[0], later[0].Event, true
	}
	return end, later[0].Event, r.bootAgrees(o, i+1)
}

func agree(o, next store.Observed) bool {
	return o.Verdict == next.Verdict && orEmpty(o.Module) == orEmpty(next.Module)
}

// bootAgrees says whether the next boot loaded from the initrd what the verdict says.
func (r *rows) bootAgrees(o store.Observed, next int) bool {
	if next >= len(r.boots) || r.boots[next].KernelRelease != o.KernelRelease || !r.boots[next].StartInJournal || r.boots[next].MessagesLost {
		return false
	}
	loaded := slices.ContainsFunc(r.boots[next].Loads, func(l store.Load) bool { return l.Patch == *o.Module && l.Phase == "initrd" })
	undecided := slices.ContainsFunc(r.boots[next].Loads, func(l store.Load) bool { return l.Patch == *o.Module && l.Phase == "unknown" })
	return !undecided && loaded == (o.Verdict == store.VerdictContained)
}

// changesIn are the moments after an observation and before another one at which the journal
// shows what may change a verdict on the initrd, in their order.
func changesIn(b store.BootRow, o store.Observed, before store.Timestamp) (moments []store.Timestamp) {
	for _, l := range b.Loads {
		moments = append(moments, l.Time)
		if l.Disabled != nil {
			moments = append(moments, *l.Disabled)
		}
	}
	for _, img := range b.Builds {
		if img.KernelRelease == o.KernelRelease || img.KernelRelease == "" {
			moments = append(moments, img.Time)
		}
	}
	moments = slices.DeleteFunc(moments, func(t store.Timestamp) bool { return !t.After(o.Time.Time) || !t.Before(before.Time) })
	slices.SortFunc(moments, func(a, b store.Timestamp) int { return a.Compare(b.Time) })
	return moments
}
