package audit

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

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
