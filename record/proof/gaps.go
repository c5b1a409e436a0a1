package proof

import (
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

// gaps are the events of a log without a body, and what prune events say about them.
type gaps struct {
	withheld func(seq int64) bool // says of an event that somebody answers for its body; nil: nobody does
	after    int64                // the number of the last event before those that are seen
	seqs     []int64
	looks    []int64       // the observation and drift events
	pruned   *record.Prune // from the prune event that goes farthest
	since    *record.Prune // the same, for events added while the log was read: they may have removed bodies meanwhile
}

// MaxLooks is by how many the observation and drift events that a prune leaves may exceed the
// events it removes. A prune leaves few: the newest that could read each part, and those a keeper
// needs for live patches and boots. If more are left, somebody chose which events to remove.
const MaxLooks = 5

// see notes event number seq.
func (g *gaps) see(seq int64, ev *record.Event) {
	if ev.Kind == record.KindObservation || ev.Kind == record.KindDrift {
		g.looks = append(g.looks, seq)
	}
	g.pruned = farther(g.pruned, ev.Prune)
	g.seeLate(ev)
}

// seeLate notes an event that was added while the log was read.
func (g *gaps) seeLate(ev *record.Event) { g.since = farther(g.since, ev.Prune) }

// farther returns the one of two prunes that goes farther; they are in the order of the log.
func farther(first, second *record.Prune) *record.Prune {
	if second == nil || first != nil && first.Through > second.Through {
		return first
	}
	return second
}

// check reports events that are missing without a prune event that explains it, and a prune event
// that took single events from between others. Only a whole log tells the latter: the observations
// that a prune leaves stand close together. Whoever answers for bodies keeps more of them than the
// host: there it tells nothing.
func (g *gaps) check(v *Verification) {
	for _, seq := range g.seqs {
		if !g.since.Took(seq) && (g.withheld == nil || !g.withheld(seq)) {
			v.Problem(Altered, "event %d is missing", seq)
		}
	}
	if len(g.seqs) == 0 || g.pruned == nil || g.after > 0 || g.withheld != nil {
		return
	}
	if old, _ := slices.BinarySearch(g.looks, g.pruned.Through+1); old > MaxLooks+len(g.seqs) {
		v.Problem(Altered, "events up to %d were pruned, but only %d were removed and %d observations among them stayed: somebody chose what to remove",
			g.pruned.Through, len(g.seqs), old)
	}
}
