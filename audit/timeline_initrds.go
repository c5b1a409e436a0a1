package audit

import (
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// initrds are the verdicts of the observations, and of boots, whose initrds held what they loaded. Each
// is taken to hold from the last thing on record that may have changed it until the next one, if what
// comes next does not speak against it.
func (r *rows) initrds() (spans []InitrdSpan) {
	for i := range r.ran {
		spans = append(spans, within(r.initrdsOf(i), &r.ran[i])...)
	}
	return spans
}

func (r *rows) initrdsOf(i int) (spans []InitrdSpan) {
	v := &r.ran[i]
	list, boot := v.observed, v.booted()
	if boot != nil {
		list = slices.Insert(slices.Clone(list), 0, *boot)
	}
	for j, o := range list {
		if o.Verdict == record.VerdictUnknown || o.Module == nil || r.stagedAt(o.Time) {
			continue
		}
		s := InitrdSpan{
			Span:   Span{From: o.Time, To: record.At(o.Time.Add(instant)), Confidence: Proven, Events: []int64{o.Event}},
			Module: *o.Module, Verdict: o.Verdict, Basis: o.Basis,
		}
		if boot == nil || j > 0 {
			s.by = o.Event
			if from, ok := r.held(v, list, j); ok && from.Before(o.Time.Time) {
				before := s
				before.From, before.To, before.Confidence = from, o.Time, Inferred
				spans = addInitrd(spans, before)
			}
		}
		if to, event, ok := r.holds(i, o, list[j+1:]); ok && to.After(s.To.Time) {
			s.To, s.Confidence, s.Events = to, Inferred, ends(s.Events, event)
		}
		spans = addInitrd(spans, s)
	}
	return spans
}

// booted is a boot's own verdict on the initrd that it came from, nil if that loaded no live patch, or nobody knows.
func (v *run) booted() *record.Observed {
	if !v.started {
		return nil
	}
	for _, l := range v.row.Loads {
		if l.Phase == record.PhaseInitrd && l.Result == record.LoadComplete && !l.Time.Before(v.from.Time) && l.Time.Before(v.from.Add(startup)) {
			return &record.Observed{Event: l.Event, Time: l.Time, BootID: v.BootID, KernelRelease: v.KernelRelease, Module: &l.Patch, Verdict: record.VerdictContained, Basis: record.BasisBoot}
		}
	}
	return nil
}

// stagedAt says whether at a moment an update waits in another snapshot: the next boot is of that,
// and what the running system says of its own boot entries and images says nothing of it.
func (r *rows) stagedAt(at record.Timestamp) bool {
	return slices.ContainsFunc(r.staged, func(c record.CommitRow) bool { return r.waits(c, at) })
}

// waits says whether at a moment what a commit made in another snapshot has not been booted yet.
func (r *rows) waits(c record.CommitRow, at record.Timestamp) bool {
	return !c.End.After(at.Time) && !slices.ContainsFunc(r.ran, func(v run) bool {
		return v.From.After(c.End.Time) && !v.From.After(at.Time)
	})
}

// isStaged says whether a commit went to another snapshot, whatever became of that.
func isStaged(c *record.CommitRow) bool {
	return c.End != nil && (c.Effective != nil || c.Outcome != nil && c.Outcome.Elsewhere())
}

// addInitrd appends a span after what is known already. If the last one says the same it lasts until then:
// whichever of two images was there while a build wrote the second.
func addInitrd(spans []InitrdSpan, s InitrdSpan) []InitrdSpan {
	if len(spans) == 0 {
		return append(spans, s)
	}
	last := &spans[len(spans)-1]
	if s.From = later(s.From, last.To); !s.From.Before(s.To.Time) {
		return spans
	}
	if s.From.Sub(last.To.Time) <= writing && last.lasts(&s) {
		last.To = s.From
	}
	return append(spans, s)
}

// lasts says whether a verdict may be taken to be still so in a later span.
func (s *InitrdSpan) lasts(next *InitrdSpan) bool {
	return s.Confidence == Inferred && s.Module == next.Module && s.Verdict == next.Verdict && s.Basis == next.Basis
}

// joined makes one span of those that follow each other and say the same, each by events of its own.
func joined(spans []InitrdSpan) (list []InitrdSpan) {
	list = []InitrdSpan{}
	for i := range spans {
		s := &spans[i]
		if n := len(list) - 1; n >= 0 && list[n].To.Equal(s.From.Time) && list[n].lasts(s) {
			list[n].To, list[n].Events = s.To, ends(list[n].Events, s.Events...)
			continue
		}
		list = append(list, *s)
	}
	return list
}

// briefly is for how long an image is taken not to be changed by hand before somebody looks.
const briefly = time.Hour

// held says since when the verdict of an observation holds: since the last thing on record that may
// have changed it after the verdict before, or in the boot. What an image was read to hold does not say
// which build wrote it, nor when.
func (r *rows) held(v *run, list []record.Observed, j int) (from record.Timestamp, ok bool) {
	o, after := list[j], v.from
	for _, before := range list[:j] {
		if before.Verdict != record.VerdictUnknown {
			after = before.Time
		}
	}
	changes := r.changesIn(v.row, o.KernelRelease, after, o.Time)
	if o.Basis == record.BasisImage || len(changes) == 0 {
		return from, false
	}
	from = changes[len(changes)-1].at
	return from, v.covered(from, o.Time) && o.Time.Sub(from.Time) <= briefly && !r.begun(from, o.Time)
}

// holds says until when the verdict of an observation is taken to hold, and by which event:
// until the next image is built for that kernel, the next load, the next observation or the
// end of the boot, whatever comes first.
func (r *rows) holds(i int, o record.Observed, later []record.Observed) (to record.Timestamp, event int64, ok bool) {
	v := &r.ran[i]
	if i := slices.IndexFunc(later, func(n record.Observed) bool { return n.Verdict != record.VerdictUnknown }); i >= 0 && agree(o, later[i]) {
		next := later[i]
		if whole := v.covered(o.Time, next.Time) || next.Time.Sub(o.Time.Time) <= silence; whole && len(r.changesIn(v.row, o.KernelRelease, o.Time, next.Time)) == 0 {
			return next.Time, next.Event, true
		}
	}
	if next := nextVerdict(later); next != nil {
		changes := r.changesIn(v.row, o.KernelRelease, o.Time, next.Time)
		if len(changes) == 0 || !v.covered(o.Time, next.Time) {
			return o.Time, 0, false
		}
		return changes[0].from, next.Event, true
	}
	changes := r.changesIn(v.row, o.KernelRelease, o.Time, v.to)
	switch {
	case len(changes) > 0:
		return changes[0].from, v.Events[len(v.Events)-1], v.covered(o.Time, changes[0].at)
	case !v.last || !v.covered(o.Time, v.to) || i+1 == len(r.ran):
		return o.Time, 0, false
	}
	next := &r.ran[i+1]
	return v.to, next.Events[0], next.agrees(o)
}

// nextVerdict is the next observation that could look for the live patch and its load.
func nextVerdict(list []record.Observed) *record.Observed {
	for i, o := range list {
		switch o.Reason {
		case record.ReasonPatchesUnknown, record.ReasonNoJournal, record.ReasonJournalUnread:
		default:
			return &list[i]
		}
	}
	return nil
}

func agree(o, next record.Observed) bool {
	return o.Verdict == next.Verdict && record.OrEmpty(o.Module) == record.OrEmpty(next.Module)
}

// agrees says whether a boot loaded from the initrd what the verdict says.
func (v *run) agrees(o record.Observed) bool {
	if !v.started || v.KernelRelease != o.KernelRelease || !v.covered(v.from, record.At(v.from.Add(instant))) {
		return false
	}
	loaded := slices.ContainsFunc(v.row.Loads, func(l record.LoadRow) bool { return l.Patch == *o.Module && l.Phase == record.PhaseInitrd })
	undecided := slices.ContainsFunc(v.row.Loads, func(l record.LoadRow) bool { return l.Patch == *o.Module && l.Phase == record.PhaseUnknown })
	return !undecided && loaded == (o.Verdict == record.VerdictContained)
}

// imageChange is something on record that may change a verdict on an initrd.
type imageChange struct {
	from record.Timestamp // at the earliest
	at   record.Timestamp // at the latest
}

// writing is how long before its last line a build may have written its image.
const writing = 10 * time.Second

// changesIn are the changes within a stretch of time that may concern the initrd of a kernel, in their order.
func (r *rows) changesIn(b *record.BootRow, kernel string, after, before record.Timestamp) (changes []imageChange) {
	add := func(at record.Timestamp, before time.Duration) {
		changes = append(changes, imageChange{record.At(at.Add(-before)), at})
	}
	if b != nil {
		for _, l := range b.Loads {
			add(l.Time, 0)
			if l.Disabled != nil {
				add(*l.Disabled, 0)
			}
		}
		for _, img := range b.Builds {
			if img.KernelRelease == kernel || img.KernelRelease == "" {
				add(img.Time, writing)
			}
		}
	}
	for _, c := range r.staged {
		add(*c.End, 0)
	}
	changes = slices.DeleteFunc(changes, func(c imageChange) bool { return !c.at.After(after.Time) || !c.at.Before(before.Time) })
	slices.SortFunc(changes, func(a, b imageChange) int { return a.at.Compare(b.at.Time) })
	return changes
}
