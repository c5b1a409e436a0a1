package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
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
