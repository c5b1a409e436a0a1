package audit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

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
