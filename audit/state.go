package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

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
