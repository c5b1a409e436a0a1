package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

// nearest are the observations around the moment of which something is known.
func (w *witness) nearest(known func(record.Observed) bool) (before, after *record.Observed) {
	for i, o := range w.sound {
		if !known(o) {
			continue
		}
		if !o.Time.After(w.at) {
			before = &w.sound[i]
		}
		if !o.Time.Before(w.at) && after == nil {
			after = &w.sound[i]
		}
	}
	return before, after
}

// parts are what the observation before says, if the one after says the same.
func (w *witness) parts() {
	st := w.state
	if p, ok := agreed(w, "pending_reboot", pendingReboot); ok {
		st.PendingReboot = new(string(*p))
	} else if w.exact() {
		o := w.before.Observation
		st.Unknown["pending_reboot"] = cmp.Or(o.Unknown["reboot"], o.Unknown["patches"], st.Unknown["pending_reboot"])
	}
	for name, into := range map[record.PartName]*json.RawMessage{record.PartLocks: &st.Locks, record.PartTaint: &st.Taint, record.PartActivation: &st.Activation} {
		if v, ok := agreed(w, string(name), rawPart(name)); ok {
			*into = *v
		}
	}
	w.coverage()
	slices.Sort(st.Inferred)
}

// pendingReboot is what an observation says of it, nil if it does not know.
func pendingReboot(o *record.Observation) *record.Pending {
	if p := o.PendingReboot(); p != record.PendingUnknown {
		return &p
	}
	return nil
}

// coverage depends on the kernel alone: it is the one date that is on record for it, or that which
// the observations around the moment have.
func (w *witness) coverage() {
	st := w.state
	if st.KernelRelease == nil {
		w.unknown("covered_until")
		return
	}
	ofKernel := func(o record.Observed) bool { return o.CoveredUntil != nil && o.KernelRelease == *st.KernelRelease }
	a, b := w.nearest(ofKernel)
	one := !slices.ContainsFunc(w.sound, func(o record.Observed) bool {
		return ofKernel(o) && *o.CoveredUntil != *cmp.Or(a, b).CoveredUntil
	})
	switch {
	case a == nil && b == nil:
		w.unknownPart("covered_until")
		return
	case a != nil && a == b, one, a != nil && b != nil && *a.CoveredUntil == *b.CoveredUntil:
	default:
		w.unknown("covered_until")
		return
	}
	from := cmp.Or(a, b)
	if st.CoveredUntil = from.CoveredUntil; !w.exact() || from.Event != w.beforeSeq {
		st.Inferred = append(st.Inferred, "covered_until")
		w.more = append(w.more, from.Event)
	}
}

// rawPart is a part as it was written.
func rawPart(name record.PartName) func(*record.Observation) *json.RawMessage {
	return func(o *record.Observation) *json.RawMessage {
		if v, ok := o.Parts[name]; ok {
			return &v
		}
		return nil
	}
}

// agreed is a part that both observations around the moment show, in the same boot and
// alike; of those that could not read it, the next ones count. If they do not agree, it is not known.
func agreed[T any](w *witness, name string, read func(*record.Observation) *T) (*T, bool) {
	a, before := reading(w, read, w.earlierEvents())
	b, after := reading(w, read, w.laterEvents())
	if a == nil || b == nil || w.read[before].BootID != w.read[after].BootID || w.Kernels[0].BootID == "" || !sameJSON(a, b) {
		w.unknownPart(name)
		return nil, false
	}
	if !w.exact() || before != w.beforeSeq {
		w.state.Inferred = append(w.state.Inferred, name)
	}
	w.more = append(w.more, before, after)
	return a, true
}

// tries is how many observations are asked for a part.
const tries = 16

func (w *witness) earlierEvents() (list []int64) {
	for _, o := range slices.Backward(w.sound) {
		if !o.Time.After(w.at) && len(list) < tries {
			list = append(list, o.Event)
		}
	}
	return list
}

func (w *witness) laterEvents() (list []int64) {
	for _, o := range w.sound {
		if !o.Time.Before(w.at) && len(list) < tries {
			list = append(list, o.Event)
		}
	}
	return list
}

// reading is the first observation of some that could read a part.
func reading[T any](w *witness, read func(*record.Observation) *T, events []int64) (v *T, event int64) {
	for _, seq := range events {
		ev, err := w.event(seq)
		if err != nil {
			return nil, 0 // and no state
		}
		if v := read(ev.Observation); v != nil {
			return v, seq
		}
	}
	return nil, 0
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// livePatch fills in the active patch, and what it fixes.
func (w *witness) livePatch() error {
	p, st := w.Patches[0], w.state
	switch {
	case p.Confidence == Unknown:
		st.Confidence = Unknown
		for _, part := range []string{"live_patch", "cves", "bugs"} {
			st.Unknown[part] = cmp.Or(st.Unknown["kernel_release"], w.whyUnknown())
		}
		return nil
	case p.Confidence == Inferred && (!w.exact() || w.Kernels[0].Confidence == Inferred):
		st.Confidence = Inferred
		st.Inferred = append(st.Inferred, "live_patch")
	}
	if w.after != nil && !w.shows(w.after, &p) {
		w.more = append(w.more, w.shownBy(&p)...)
	}
	if p.Module != "" {
		st.LivePatch = &record.LivePatch{
			Module: p.Module, Package: p.Package, Version: p.Version, PatchNumber: p.PatchNumber, Initial: p.Initial, Enabled: true,
			Transition: p.Transition, Since: p.Since,
		}
	}
	return w.fixes(p)
}

// shows says whether an observation read all of the journal of a boot around the moment, and so what became
// of the live patch of that span.
func (w *witness) shows(ev *record.Event, p *PatchSpan) bool {
	return slices.ContainsFunc(ev.Observation.Boots, func(b record.Boot) bool {
		loaded := p.Module == "" || slices.ContainsFunc(b.Loads, func(l record.Load) bool { return l.Patch == p.Module && !l.Time.After(w.at) })
		return b.ID == p.BootID && loaded && !b.Incomplete && !b.MessagesLost && !b.First.After(w.at) && !b.Last.Before(w.at)
	})
}

// shownBy is the first observation from the moment on that shows the live patch of a span: its journal has all
// of it, or it saw that, where no more is said than follows from it.
func (w *witness) shownBy(p *PatchSpan) []int64 {
	saw := p.Confidence == Inferred || p.Replaces == nil && (p.Module != "" || w.exact())
	reads := 0
	for _, o := range w.sound {
		if o.Time.Before(w.at) {
			continue
		}
		if saw && o.BootID == p.BootID && o.Patched != nil && record.OrEmpty(o.Module) == p.Module && (o.Transition != nil && *o.Transition) == p.Transition {
			return []int64{o.Event}
		}
		if reads++; reads > mostReads {
			break
		}
		if ev, err := w.event(o.Event); err == nil && ev != nil && w.shows(ev, p) {
			return []int64{o.Event}
		}
	}
	return p.Events // by several looks together
}

// fixes finds what is fixed in a span: what each of the live patches fixes that tasks may run.
func (w *witness) fixes(p PatchSpan) error {
	st, modules := w.state, []string{p.Module}
	if p.Transition && p.Replaces != nil {
		modules = append(modules, *p.Replaces)
	}
	if p.Module != "" && st.KernelRelease != nil {
		lp, err := w.described(p.Module)
		if err != nil {
			return err
		}
		if lp != nil {
			st.LivePatch.CVEs, st.LivePatch.Bugs, st.LivePatch.Forced = lp.CVEs, append([]string{}, lp.Bugs...), lp.Forced
		}
	}
	switch {
	case p.unsure:
		w.noFixes("Whether its load was complete is not known.")
		return nil
	case p.Transition && p.Replaces == nil:
		w.noFixes("Its load was not complete, and which live patch was active before is not known.")
		return nil
	case slices.Contains(modules, ""):
		st.CVEs, st.Bugs = []string{}, []string{}
		return nil
	case st.KernelRelease == nil:
		w.noFixes(st.Unknown["kernel_release"])
		return nil
	}
	for i, module := range modules {
		lp, err := w.described(module)
		switch {
		case err != nil:
			return err
		case lp == nil:
			st.CVEs, st.Bugs = nil, nil
			w.noFixes(fmt.Sprintf("No observation has the changelog of %s.", module))
			return nil
		case i == 0:
			st.CVEs, st.Bugs = append([]string{}, lp.CVEs...), append([]string{}, lp.Bugs...)
		default:
			st.CVEs, st.Bugs = common(st.CVEs, lp.CVEs), common(st.Bugs, lp.Bugs)
		}
	}
	return nil
}

func (w *witness) noFixes(why string) { w.state.Unknown["cves"], w.state.Unknown["bugs"] = why, why }

// common is what is in both lists.
func common(a, b []string) []string {
	return slices.DeleteFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

// described is a live patch of the running kernel as an observation has it that knew what it
// fixes, nil if none did.
func (w *witness) described(module string) (*record.LivePatch, error) {
	seq, err := w.store.FirstSeen(w.ctx, *w.state.KernelRelease, module)
	if err != nil {
		return nil, err
	}
	for _, seq := range []int64{w.beforeSeq, w.afterSeq, seq} {
		ev, err := w.event(seq)
		if err != nil {
			return nil, err
		}
		if ev == nil || ev.Observation.LivePatch == nil || ev.Observation.Kernel.Release != *w.state.KernelRelease {
			continue
		}
		if lp := ev.Observation.LivePatch; lp.Module == module && lp.CVEs != nil {
			w.more = append(w.more, seq)
			return lp, nil
		}
	}
	w.more = append(w.more, seq) // which has its package
	return nil, nil
}
