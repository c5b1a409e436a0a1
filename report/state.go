package report

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/store"
)

// StateSchema names the form of a state in JSON.
const StateSchema = "klp-audit/state/1"

// State is what protected the machine at a moment, as far as the record says. What is null
// is not known, for the reason in Unknown; without a reason there is none of it.
type State struct {
	At            store.Timestamp  `json:"at"`
	KernelRelease *string          `json:"kernel_release"`
	BootID        *string          `json:"boot_id"`
	LivePatch     *store.LivePatch `json:"live_patch"`
	Installed     []store.Package  `json:"installed"` // kernels and live patches
	Initrd        *store.Initrd    `json:"initrd"`    // of the running kernel and its active patch
	NextBoot      *NextBoot        `json:"next_boot"`
	CoveredUntil  *string          `json:"covered_until"` // YYYY-MM-DD
	CVEs          []string         `json:"cves"`          // that the active live patch fixes
	Bugs          []string         `json:"bugs"`
	Locks         json.RawMessage  `json:"locks"` // as observed
	PendingReboot *string          `json:"pending_reboot"`
	Taint         json.RawMessage  `json:"taint"`
	Activation    json.RawMessage  `json:"activation"`
	// Confidence is that of kernel and live patch, the lower of both.
	Confidence Confidence        `json:"confidence"`
	Inferred   []string          `json:"inferred"` // parts that are not proven
	Unknown    map[string]string `json:"unknown"`  // why a part is not known, by its name
	Events     []int64           `json:"events"`   // that prove it

	Provenance *Provenance `json:"-"` // of the section when it is written alone
}

// NextBoot is what a reboot at that moment would have run.
type NextBoot struct {
	KernelRelease string  `json:"kernel_release"`
	LivePatch     *string `json:"live_patch"` // module in that kernel's initrd, where that is known
}

// NewState returns the state at a moment. What it says stands on the events around that
// moment: the last observation up to it and the first one from it on, with the journal that
// these carry. So the machine's own state is not known after the newest observation, and
// events that come later change nothing of a state between two observations.
func NewState(ctx context.Context, s *store.Store, at time.Time) (*State, error) {
	at = at.UTC().Truncate(time.Microsecond)
	w, err := newWitness(ctx, s, at)
	if err != nil {
		return nil, err
	}
	st := &State{At: stamp(at), Inferred: []string{}, Unknown: map[string]string{}}
	w.state = st
	w.kernel()
	if err := w.livePatch(); err != nil {
		return nil, err
	}
	if err := w.installed(); err != nil {
		return nil, err
	}
	w.initrd()
	w.nextBoot()
	w.parts()
	st.Events = w.proof()
	return st, nil
}

// witness is what the record has around a moment.
type witness struct {
	ctx   context.Context
	store *store.Store
	at    time.Time
	rows
	*Timeline // of that moment alone
	state     *State
	before    *store.Event // the last observation up to the moment; nil: none
	after     *store.Event // the first one from it on
	beforeSeq int64
	afterSeq  int64
	more      []int64 // other events that prove something
}

func newWitness(ctx context.Context, s *store.Store, at time.Time) (w *witness, err error) {
	w = &witness{ctx: ctx, store: s, at: at}
	if w.rows, err = readRows(ctx, s, at, at); err != nil {
		return nil, err
	}
	if w.Timeline, err = w.timeline(ctx, s, at, at.Add(instant)); err != nil {
		return nil, err
	}
	for _, o := range w.observed {
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

// event reads an event; there is none with number 0.
func (w *witness) event(seq int64) (*store.Event, error) {
	if seq == 0 {
		return nil, nil
	}
	return w.store.Event(w.ctx, seq)
}

// exact says whether the machine was observed at that very moment.
func (w *witness) exact() bool { return w.before != nil && w.beforeSeq == w.afterSeq }

// whyUnknown is the reason why something is not known at the moment.
func (w *witness) whyUnknown() string {
	switch {
	case w.before == nil && w.after == nil:
		return "The machine was never observed."
	case w.after == nil:
		return fmt.Sprintf("The machine was not observed since %s (event %d).", shortTime(w.before.Time), w.beforeSeq)
	case len(w.Gaps) > 0:
		return w.Gaps[0].Why
	case w.before == nil:
		return fmt.Sprintf("The machine was first observed later, at %s (event %d).", shortTime(w.after.Time), w.afterSeq)
	case w.exact():
		return "It could not be read."
	}
	return fmt.Sprintf("It changed, or was not read, between the observations at %s and %s (events %d and %d).",
		shortTime(w.before.Time), shortTime(w.after.Time), w.beforeSeq, w.afterSeq)
}

func (w *witness) unknown(part string) { w.state.Unknown[part] = w.whyUnknown() }

func (w *witness) kernel() {
	k := w.Kernels[0]
	w.state.Confidence = k.Confidence
	if k.Confidence == Unknown {
		w.state.Unknown["kernel_release"] = cmp.Or(w.between(), w.whyUnknown())
		return
	}
	w.state.BootID = &k.BootID
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
				short(a.BootID), shortTime(a.To), short(b.BootID), shortTime(b.From))
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
	case p.Confidence == Inferred && !w.exact():
		st.Confidence = Inferred
		st.Inferred = append(st.Inferred, "live_patch")
	}
	if p.Module == "" {
		st.CVEs, st.Bugs = []string{}, []string{}
		return nil
	}
	st.LivePatch = &store.LivePatch{
		Module: p.Module, Package: p.Package, Version: p.Version, PatchNumber: p.PatchNumber, Initial: p.Initial, Enabled: true, Since: p.Since,
	}
	if w.exact() && w.before.Observation.LivePatch != nil {
		st.LivePatch.Transition = w.before.Observation.LivePatch.Transition
	}
	return w.fixes()
}

// fixes finds what the active patch fixes in an observation that saw it active.
func (w *witness) fixes() error {
	st := w.state
	seq, err := w.store.FirstSeen(w.ctx, *st.KernelRelease, st.LivePatch.Module)
	if err != nil {
		return err
	}
	first, err := w.event(seq)
	if err != nil {
		return err
	}
	for _, ev := range []*store.Event{w.before, w.after, first} {
		if ev == nil || ev.Observation.LivePatch == nil || ev.Observation.Kernel.Release != *st.KernelRelease {
			continue
		}
		if lp := ev.Observation.LivePatch; lp.Module == st.LivePatch.Module && lp.CVEs != nil {
			st.CVEs, st.Bugs, st.LivePatch.Forced = lp.CVEs, append([]string{}, lp.Bugs...), lp.Forced
			st.LivePatch.CVEs, st.LivePatch.Bugs = st.CVEs, st.Bugs
			return nil
		}
	}
	st.Unknown["cves"] = "No observation has the changelog of this live patch."
	st.Unknown["bugs"] = st.Unknown["cves"]
	return nil
}

func (w *witness) initrd() {
	i, st := w.Initrds[0], w.state
	switch {
	case w.exact() && w.before.Observation.LivePatch != nil:
		st.Initrd = &w.before.Observation.Initrd
	case st.LivePatch == nil && st.Unknown["live_patch"] == "":
		return // there is none to look for
	case i.Confidence == Unknown || st.LivePatch == nil || i.Module != st.LivePatch.Module:
		w.unknown("initrd")
	default: // the verdict of the observation before holds
		st.Initrd = &w.before.Observation.Initrd
		st.Inferred = append(st.Inferred, "initrd")
	}
}

func (w *witness) nextBoot() {
	next, ok := agreed(w, "next_boot", func(o *store.Observation) *store.NextBoot { return o.NextBoot })
	if !ok {
		return
	}
	w.state.NextBoot = &NextBoot{KernelRelease: next.KernelRelease}
	if v := w.state.Initrd; v != nil && v.Verdict == store.VerdictContained && v.KernelRelease == next.KernelRelease {
		w.state.NextBoot.LivePatch = &v.Patch
	}
}

// parts are what the observation before says, if the one after says the same.
func (w *witness) parts() {
	st := w.state
	if r, ok := agreed(w, "pending_reboot", func(o *store.Observation) *store.Reboot { return o.Reboot }); ok {
		st.PendingReboot = new(string(r.Pending))
	}
	for name, into := range map[string]*json.RawMessage{"locks": &st.Locks, "taint": &st.Taint, "activation": &st.Activation} {
		if v, ok := agreed(w, name, part(name)); ok {
			*into = *v
		}
	}
	if v, ok := agreed(w, "covered_until", part("coverage")); ok {
		var c struct{ Date string }
		if err := json.Unmarshal(*v, &c); err != nil || c.Date == "" {
			w.unknown("covered_until")
			return
		}
		st.CoveredUntil = &c.Date
	}
	slices.Sort(st.Inferred)
}

func part(name string) func(*store.Observation) *json.RawMessage {
	return func(o *store.Observation) *json.RawMessage {
		if v, ok := o.Parts[name]; ok {
			return &v
		}
		return nil
	}
}

// agreed is a part that both observations around the moment show, in the same boot and
// alike. If they do not, it is not known.
func agreed[T any](w *witness, name string, read func(*store.Observation) *T) (*T, bool) {
	if w.before == nil || w.after == nil {
		w.unknown(name)
		return nil, false
	}
	a, b := read(w.before.Observation), read(w.after.Observation)
	if a == nil && w.exact() {
		w.state.Unknown[name] = cmp.Or(w.before.Observation.Unknown[name], "It could not be read.")
		return nil, false
	}
	if a == nil || b == nil || w.before.BootID != w.after.BootID || !sameJSON(a, b) {
		w.unknown(name)
		return nil, false
	}
	if !w.exact() {
		w.state.Inferred = append(w.state.Inferred, name)
	}
	return a, true
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

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
