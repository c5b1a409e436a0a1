package proof

import (
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

// gaps are the events of a log that have no body, and what prune events say of that.
type gaps struct {
	seqs   []int64
	looks  []int64       // the events that say what the machine showed
	pruned *record.Prune // by the prune event that goes farthest
	since  *record.Prune // the same, with what came in while the log was read: bodies may have gone meanwhile
}

// MaxLooks is by how many more events of the kinds observation and drift stay than events go at most.
// Those that stay are few: the newest that could read a part, and what a keeper keeps of live patches and
// boots. Where more of them stay, not all that was old went, but what somebody chose.
const MaxLooks = 5

// see takes in event number seq.
func (g *gaps) see(seq int64, ev *record.Event) {
	if ev.Kind == record.KindObservation || ev.Kind == record.KindDrift {
		g.looks = append(g.looks, seq)
	}
	g.pruned = farther(g.pruned, ev.Prune)
	g.seeLate(ev)
}

// seeLate takes in an event that came in while the log was read.
func (g *gaps) seeLate(ev *record.Event) { g.since = farther(g.since, ev.Prune) }

// farther is the one of two prunes, in the order of the log, that goes farther.
func farther(first, second *record.Prune) *record.Prune {
	if second == nil || first != nil && first.Through > second.Through {
		return first
	}
	return second
}

// check reports the events that no prune event explains, and a prune event that explains one
// event between others.
func (g *gaps) check(v *Verification) {
	for _, seq := range g.seqs {
		if !g.since.Took(seq) {
			v.Problem(Altered, "event %d is missing", seq)
		}
	}
	if len(g.seqs) == 0 || g.pruned == nil {
		return
	}
	if old, _ := slices.BinarySearch(g.looks, g.pruned.Through+1); old > MaxLooks+len(g.seqs) {
		v.Problem(Altered, "events up to %d were pruned, but only %d went and %d observations among them stayed: not what was old went, but what was chosen",
			g.pruned.Through, len(g.seqs), old)
	}
}
