package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// StateSchema names the form of a state in JSON.
const StateSchema = "klp-audit/state/1"

// State is what protected the machine at a moment, as far as the record says. What is null
// is not known, for the reason in Unknown; without a reason there is none of it.
type State struct {
	At            record.Timestamp  `json:"at"`
	KernelRelease *string           `json:"kernel_release"`
	BootID        *string           `json:"boot_id"`
	LivePatch     *record.LivePatch `json:"live_patch"`
	Installed     []record.Package  `json:"installed"` // kernels and live patches
	Initrd        *record.Initrd    `json:"initrd"`    // of the running kernel and its active patch
	NextBoot      *NextBoot         `json:"next_boot"`
	CoveredUntil  *string           `json:"covered_until"` // YYYY-MM-DD
	CVEs          []string          `json:"cves"`          // that the active live patch fixes
	Bugs          []string          `json:"bugs"`
	Locks         json.RawMessage   `json:"locks"` // as observed
	PendingReboot *string           `json:"pending_reboot"`
	Taint         json.RawMessage   `json:"taint"`
	Activation    json.RawMessage   `json:"activation"`
	// Confidence is the lower one of those of kernel and live patch.
	Confidence Confidence        `json:"confidence"`
	Inferred   []string          `json:"inferred"` // parts that are not proven
	Unknown    map[string]string `json:"unknown"`  // why a part is not known, by its name
	Events     []int64           `json:"events"`   // that prove it
	// KnownSince is when the last of them was recorded; null: not known, or none.
	KnownSince *record.Timestamp `json:"known_since"`
}

// NextBoot is what a reboot at that moment would have run.
type NextBoot struct {
	KernelRelease string  `json:"kernel_release"`
	LivePatch     *string `json:"live_patch"` // module in that kernel's initrd, where that is known
}

// NewState returns the state at a moment, by the whole record: kernel, live patch and initrd are those of
// the timeline. Events that came later are used, too: KnownSince says when the last of them was recorded.
// For what was known at an earlier moment, use the record as it was then, see store.KnownAt.
func NewState(ctx context.Context, s Reader, at time.Time) (*State, error) {
	at = at.UTC().Truncate(time.Microsecond)
	w, err := newWitness(ctx, s, at)
	if err != nil {
		return nil, err
	}
	st := &State{At: record.At(at), Inferred: []string{}, Unknown: map[string]string{}}
	w.state = st
	w.kernel()
	if err := w.livePatch(); err != nil {
		return nil, err
	}
	if err := w.installed(); err != nil {
		return nil, err
	}
	if err := w.initrd(); err != nil {
		return nil, err
	}
	w.nextBoot()
	w.parts()
	if w.broken != nil {
		return nil, w.broken
	}
	st.Events = w.proof()
	st.KnownSince, err = s.RecordedAt(ctx, st.Events...)
	return st, err
}

// witness is what the record has around a moment.
type witness struct {
	ctx   context.Context
	store Reader
	at    time.Time
	*rows
	*Timeline // of that moment alone
	state     *State
	sound     []record.Observed // whose time can be
	before    *record.Event     // the last observation up to the moment; nil: none
	after     *record.Event     // the first one from it on
	beforeSeq int64
	afterSeq  int64
	more      []int64 // other events that prove something
	read      map[int64]*record.Event
	broken    error // of the first event that could not be read
}

func newWitness(ctx context.Context, s Reader, at time.Time) (*witness, error) {
	r, err := readRows(ctx, s)
	if err != nil {
		return nil, err
	}
	return r.witness(ctx, s, at)
}

// witness is what rows have around a moment.
func (r *rows) witness(ctx context.Context, s Reader, at time.Time) (w *witness, err error) {
	w = &witness{ctx: ctx, store: s, at: at, rows: r, read: map[int64]*record.Event{}}
	if w.Timeline, err = w.timeline(ctx, s, at, at.Add(instant)); err != nil {
		return nil, err
	}
	w.sound = w.soundly()
	for _, o := range w.sound {
		if !o.Time.After(at) {
			w.beforeSeq = o.Event
		}
		if !o.Time.Before(at) && (w.afterSeq == 0 || o.Time.Equal(at)) {
			w.afterSeq = o.Event
		}
	}
	if w.before, err = w.event(w.beforeSeq); err != nil {
		return nil, err
	}
	w.after, err = w.event(w.afterSeq)
	return w, err
}

// soundly are the observations whose time can be, in the order of time.
func (r *rows) soundly() (list []record.Observed) {
	for i := range r.ran {
		for _, o := range r.ran[i].observed {
			if v := &r.ran[i]; !o.Time.Before(v.From.Time) && o.Time.Before(v.To.Time) {
				list = append(list, o)
			}
		}
	}
	return list
}

// event reads an event, once; there is none with number 0.
func (w *witness) event(seq int64) (ev *record.Event, err error) {
	if seq == 0 || w.read[seq] != nil {
		return w.read[seq], nil
	}
	if ev, err = w.store.Event(w.ctx, seq); err == nil {
		w.read[seq] = ev
	} else if w.broken == nil {
		w.broken = err
	}
	return ev, err
}

// exact says whether the machine was observed at that very moment.
func (w *witness) exact() bool { return w.before != nil && w.beforeSeq == w.afterSeq }

// whyUnknown is the reason why something is not known at the moment.
func (w *witness) whyUnknown() string {
	switch {
	case w.before == nil && w.after == nil:
		return "The machine was never observed."
	case w.after == nil:
		return fmt.Sprintf("The machine was not observed since %s (event %d).", w.before.Time.Short(), w.beforeSeq)
	case len(w.Gaps) > 0:
		return w.Gaps[0].Why
	case w.before == nil:
		return fmt.Sprintf("The machine was first observed later, at %s (event %d).", w.after.Time.Short(), w.afterSeq)
	case w.exact():
		return "It could not be read."
	}
	return fmt.Sprintf("It changed, or was not read, between the observations at %s and %s (events %d and %d).",
		w.before.Time.Short(), w.after.Time.Short(), w.beforeSeq, w.afterSeq)
}

func (w *witness) unknown(part string) { w.state.Unknown[part] = w.whyUnknown() }

func (w *witness) kernel() {
	k := w.Kernels[0]
	w.state.Confidence = k.Confidence
	if k.Confidence == Unknown {
		w.state.Unknown["kernel_release"] = cmp.Or(w.between(), w.whyUnknown())
		return
	}
	if k.Confidence == Inferred {
		w.state.Inferred = append(w.state.Inferred, "kernel_release")
	}
	w.state.BootID = &k.BootID
	for i := range w.ran { // after the last event of a boot its journal tells
		if v := &w.ran[i]; v.BootID == k.BootID && v.row != nil && !w.at.Before(v.seenTo.Time) && w.at.Before(v.To.Time) {
			w.more = append(w.more, v.row.Event)
		}
	}
	if k.KernelRelease == "" {
		w.state.Confidence = Unknown
		w.state.Unknown["kernel_release"] = "The journal and the observations of that boot do not name it."
		return
	}
	w.state.KernelRelease = &k.KernelRelease
}

// between names the boots that the moment is between, empty if it is not between two.
func (w *witness) between() string {
	spans := w.kernels()
	for i := 1; i < len(spans); i++ {
		if a, b := spans[i-1], spans[i]; !a.To.After(w.at) && b.From.After(w.at) {
			return fmt.Sprintf("No boot is on record at that moment: boot %s is known until %s, boot %s from %s on.",
				say.ID(a.BootID), a.To.Short(), say.ID(b.BootID), b.From.Short())
		}
	}
	return ""
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
	if w.after != nil && w.after.Observation.Patches == nil && !w.shows(w.after, &p) {
		w.more = append(w.more, w.laterLook(p.BootID))
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
		loaded := p.Module == "" || slices.ContainsFunc(b.Loads, func(l record.Load) bool { return l.Patch == p.Module })
		return b.ID == p.BootID && loaded && !b.Incomplete && !b.MessagesLost && !b.First.After(w.at) && !b.Last.Before(w.at)
	})
}

// laterLook is the first observation of a boot from the moment on that could read live patches; 0: there is none.
func (w *witness) laterLook(boot string) int64 {
	for _, o := range w.sound {
		if !o.Time.Before(w.at) && o.BootID == boot && o.Patched != nil {
			return o.Event
		}
	}
	return 0
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

func (w *witness) initrd() error {
	i, st := w.Initrds[0], w.state
	switch {
	case w.exact() && w.Kernels[0].Confidence == Proven && w.before.Observation.Initrd.Reason == record.ReasonNoImage && !w.staged(st.At):
		st.Initrd = &w.before.Observation.Initrd // live patch or not
	case st.LivePatch == nil && st.Unknown["live_patch"] == "":
		return nil // there is none to look for
	case w.staged(st.At):
		st.Unknown["initrd"] = stagedText
	case w.exact() && w.before.Observation.LivePatch != nil && w.Kernels[0].Confidence == Proven:
		st.Initrd = &w.before.Observation.Initrd
	case i.Confidence == Unknown || st.LivePatch == nil || i.Module != st.LivePatch.Module:
		w.unknown("initrd")
	default:
		seq := i.by
		if w.says(w.before, i) {
			seq = w.beforeSeq
		}
		ev, err := w.event(seq)
		if err != nil {
			return err
		}
		st.Initrd = &record.Initrd{KernelRelease: *st.KernelRelease, Patch: i.Module, Verdict: i.Verdict, Basis: i.Basis, Evidence: []record.Evidence{}}
		if ev != nil {
			st.Initrd = &ev.Observation.Initrd
		}
		st.Inferred = append(st.Inferred, "initrd")
		w.more = append(append(w.more, seq), i.Events...)
	}
	return nil
}

// says tells whether an observation has the verdict of a span.
func (w *witness) says(ev *record.Event, i InitrdSpan) bool {
	return ev != nil && ev.BootID == w.Kernels[0].BootID && ev.Observation.Initrd.Verdict == i.Verdict && ev.Observation.Initrd.Patch == i.Module
}

const stagedText = "An update waits in another snapshot, which the next boot is of."

// proof are the events that the state stands on.
func (w *witness) proof() []int64 {
	events := map[int64]bool{}
	for _, seq := range append(w.more, w.beforeSeq, w.afterSeq) {
		if seq > 0 {
			events[seq] = true
		}
	}
	if len(events) == 0 {
		return []int64{}
	}
	return slices.Sorted(maps.Keys(events))
}
