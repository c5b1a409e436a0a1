package audit

import (
	"cmp"
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

func (w *witness) initrd() error {
	i, st := w.Initrds[0], w.state
	switch {
	case w.exact() && w.Kernels[0].Confidence == Proven && w.before.Observation.Initrd.Reason == record.ReasonNoImage && !w.stagedAt(st.At):
		st.Initrd = &w.before.Observation.Initrd // live patch or not
	case st.LivePatch == nil && st.Unknown["live_patch"] == "":
		return nil // there is none to look for
	case w.stagedAt(st.At):
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

// nextBoot is what was seen of it on both sides of the moment, if that is alike: by observations, and by boots, which
// ran what was to be booted when they began. It is so if kernels neither came nor went on one of both sides.
func (w *witness) nextBoot() {
	st := w.state
	a, b := w.nextSeen()
	switch {
	case w.kernelStaged(st.At):
		st.Unknown["next_boot"] = stagedText
		return
	case a == nil, b == nil, a.kernel != b.kernel, w.kernelsChanged(a.at, st.At) && w.kernelsChanged(st.At, b.at):
		w.unknownPart("next_boot")
		return
	}
	if !w.exact() || a.event != w.beforeSeq {
		st.Inferred = append(st.Inferred, "next_boot")
		w.more = append(w.more, a.event, b.event)
	}
	st.NextBoot = &NextBoot{KernelRelease: a.kernel}
	if v := st.Initrd; v != nil && v.Verdict == record.VerdictContained && v.KernelRelease == a.kernel {
		st.NextBoot.LivePatch = &v.Patch
	}
}

// nextBootSeen is a kernel that was to be booted next, as an observation or a boot shows.
type nextBootSeen struct {
	at     record.Timestamp
	event  int64
	kernel string
}

// nextSeen is what was seen last up to the moment, and first from it on; nil: nothing.
func (w *witness) nextSeen() (before, after *nextBootSeen) {
	add := func(s nextBootSeen) {
		if !s.at.After(w.at) && (before == nil || !s.at.Before(before.at.Time)) {
			before = &s
		}
		if !s.at.Before(w.at) && (after == nil || s.at.Before(after.at.Time)) {
			after = &s
		}
	}
	for _, v := range w.ran {
		if v.first && v.KernelRelease != "" {
			add(nextBootSeen{v.From, v.named(), v.KernelRelease})
		}
	}
	for _, o := range w.sound {
		if o.NextKernel != nil {
			add(nextBootSeen{o.Time, o.Event, *o.NextKernel})
		}
	}
	return before, after
}

// kernelsChanged says whether a commit within a stretch of time brought or took kernels.
func (w *witness) kernelsChanged(from, to record.Timestamp) bool {
	return slices.ContainsFunc(w.commits, func(c record.CommitRow) bool {
		return commitIn([]record.CommitRow{c}, from, to) && w.changesKernels(c)
	})
}

// kernelStaged says whether an update of kernels waits in another snapshot at a moment.
func (w *witness) kernelStaged(at record.Timestamp) bool {
	return slices.ContainsFunc(w.staged, func(c record.CommitRow) bool { return w.waits(c, at) && w.changesKernels(c) })
}

// changesKernels says whether a commit brought or took kernels, or was about to if its end is not on record.
func (w *witness) changesKernels(c record.CommitRow) bool {
	ev, err := w.event(*cmp.Or(c.EndEvent, c.BeginEvent, new(int64)))
	if err != nil || ev == nil { // the event is there, or the record is altered
		return true
	}
	changes, _ := ev.Changes()
	return slices.ContainsFunc(changes, func(c record.Change) bool { return c.Kind == record.PackageKernel })
}
