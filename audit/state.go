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
	// ObservedAt is when the machine was observed last, up to the moment; null: never.
	ObservedAt *record.Timestamp `json:"observed_at"`
}

// NextBoot is what a reboot at that moment would have run.
type NextBoot struct {
	KernelRelease string  `json:"kernel_release"`
	LivePatch     *string `json:"live_patch"` // module in that kernel's initrd, where that is known
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

// witness is what rows have around a moment.
func (r *rows) witness(ctx context.Context, s Reader, at time.Time) (w *witness, err error) {
	w = &witness{ctx: ctx, store: s, at: at, rows: r, read: map[int64]*record.Event{}}
	if w.Timeline, err = w.timeline(ctx, s, at, at.Add(instant)); err != nil {
		return nil, err
	}
	w.sound = w.spans.sound
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

// unknownPart says why a part is not known: what the observation of that moment says, or what is known of others.
func (w *witness) unknownPart(name string) {
	w.unknown(name)
	if w.exact() {
		w.state.Unknown[name] = cmp.Or(w.before.Observation.Unknown[name], "It could not be read.")
	}
}

// NewState returns the state at a moment, by the whole record: kernel, live patch and initrd are those of
// the timeline. Events that came later are used, too: KnownSince says when the last of them was recorded.
// For what was known at an earlier moment, use the record as it was then, see store.KnownAt.
func NewState(ctx context.Context, s Reader, at time.Time) (*State, error) {
	r, err := readRows(ctx, s)
	if err != nil {
		return nil, err
	}
	return r.state(ctx, s, at)
}

// State is the state at a moment, as NewState returns it: the record is not read again.
func (t *Timeline) State(ctx context.Context, s Reader, at time.Time) (*State, error) {
	return t.rows.state(ctx, s, at)
}

// state is what rows say of a moment.
func (r *rows) state(ctx context.Context, s Reader, at time.Time) (*State, error) {
	at = at.UTC().Truncate(time.Microsecond)
	w, err := r.witness(ctx, s, at)
	if err != nil {
		return nil, err
	}
	st := &State{At: record.At(at), Inferred: []string{}, Unknown: map[string]string{}}
	w.state = st
	if w.before != nil {
		st.ObservedAt = &w.before.Time
	}
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
	spans := w.spans.kernels
	for i := 1; i < len(spans); i++ {
		if a, b := spans[i-1], spans[i]; !a.To.After(w.at) && b.From.After(w.at) {
			return fmt.Sprintf("No boot is on record at that moment: boot %s is known until %s, boot %s from %s on.",
				say.ID(a.BootID), a.To.Short(), say.ID(b.BootID), b.From.Short())
		}
	}
	return ""
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
