package audit

import (
	"iter"
	"math"
	"slices"
)

// pair are two runs that cannot both have been, by their places.
type pair struct{ a, b int }

// possible leaves what can be of runs that are in the order of time: no two boots run at once,
// and the log has boots in their order. Where two cannot both be, the clock was wrong in one of
// them: in the one in which it was set later, or that nobody looked at, or that cannot be with
// more of the others. Else neither is sure, and what is between the two is not known.
func possible(list []run) []run {
	n := 0
	for p := range conflicts(list) {
		a, b := &list[p.a], &list[p.b]
		a.retreat(b)
		b.retreat(a)
		if n++; n > most {
			break
		}
	}
	var pairs []pair
	involved, wrong := make([]bool, len(list)), make([]bool, len(list))
	for p := range conflicts(list) {
		involved[p.a], involved[p.b] = true, true
		if len(pairs) > most {
			continue
		}
		pairs = append(pairs, p)
		a, b := list[p.a].trust(), list[p.b].trust()
		wrong[p.a], wrong[p.b] = wrong[p.a] || a < b, wrong[p.b] || b < a
	}
	if len(pairs) > most {
		return sure(list, involved)
	}
	pairs = slices.DeleteFunc(pairs, func(p pair) bool { return wrong[p.a] || wrong[p.b] })
	for _, p := range pairs {
		list[p.a].Confidence, list[p.b].Confidence = Inferred, Inferred
	}
	doubt(pairs, wrong)
	for _, p := range pairs {
		if wrong[p.a] || wrong[p.b] {
			continue
		}
		a, b := &list[p.a], &list[p.b]
		if precedes(b, a) {
			a, b = b, a
		}
		a.To, b.From = earlier(a.To, b.from), later(b.From, a.to)
	}
	return sure(list, wrong)
}

// most is how many contradictions are weighed. A record with more of them says nothing of when the
// boots ran that contradict any other.
const most = 1 << 20

// sure are the runs that are not wrong, and not empty.
func sure(list []run, wrong []bool) []run {
	kept := list[:0]
	for i, r := range list {
		if !wrong[i] && !r.empty() {
			kept = append(kept, r)
		}
	}
	return kept
}

// retreat takes from a run what only the journal shows of its end, where another boot began before
// that: the clock was set after its last event, or one of both was wrong.
func (r *run) retreat(other *run) {
	if r.last && other.last && !other.From.Before(r.seenTo.Time) {
		r.To, r.to = r.seenTo, r.seenTo
		r.Confidence, other.Confidence = Inferred, Inferred
	}
}

// trust is the higher the more is known of the clock of a run.
func (r *run) trust() int {
	switch {
	case !r.last:
		return 0
	case r.firstEvent == 0: // nothing in the journal says that it was not set
		return 1
	}
	return 2
}

// conflicts are the pairs of runs, in the order of time, that cannot both have been. Of each run
// only those are looked at that begin before its end, or that have one after them that the log may
// have before it.
func conflicts(list []run) iter.Seq[pair] {
	ended := make([]int64, len(list)+1) // by which event at the earliest a run from here on was over
	ended[len(list)] = math.MaxInt64
	for i := range slices.Backward(list) {
		ended[i] = min(ended[i+1], list[i].overBy())
	}
	return func(yield func(pair) bool) {
		for i := range list {
			a := &list[i]
			for j := i + 1; j < len(list) && (a.To.After(list[j].From.Time) || ended[j] <= a.lastEvent); j++ {
				b := &list[j]
				if (a.To.After(b.From.Time) || precedes(b, a)) && a.BootID != b.BootID && !yield(pair{i, j}) {
					return
				}
			}
		}
	}
}

// overBy is the event by which a run was over, or that shows it; the highest if none does.
func (r *run) overBy() int64 {
	switch {
	case r.firstEvent > 0:
		return r.lastEvent
	case r.row != nil:
		return r.row.Event
	}
	return math.MaxInt64
}

// precedes says whether the log has one run before another of another boot.
func precedes(a, b *run) bool {
	if a.firstEvent == 0 { // only the journal of a later boot shows it
		return b.firstEvent > 0 && a.row != nil && a.row.Event <= b.lastEvent
	}
	return a.lastEvent < b.firstEvent
}

// doubt adds to the wrong runs those that cannot be with more of the others than any of these, the
// most doubted first.
func doubt(pairs []pair, wrong []bool) {
	against, doubts := make([][]int, len(wrong)), make([]int, len(wrong))
	for _, p := range pairs {
		against[p.a], against[p.b] = append(against[p.a], p.b), append(against[p.b], p.a)
		doubts[p.a]++
		doubts[p.b]++
	}
	for len(doubts) > 0 {
		worst := slices.Index(doubts, slices.Max(doubts))
		equal := func(other int) bool { return !wrong[other] && doubts[other] == doubts[worst] }
		if doubts[worst] < 2 || slices.ContainsFunc(against[worst], equal) {
			return
		}
		for _, other := range against[worst] {
			doubts[other]--
		}
		wrong[worst], doubts[worst] = true, 0
	}
}
