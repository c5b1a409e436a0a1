package audit

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

const (
	// even is by how much two looks at a clock may differ, for they are not taken at once.
	even = 10 * time.Second
	// startup is how long a kernel runs at most until its first line is in the journal.
	startup = 5 * time.Minute
)

// run is a stretch of a boot in which the clock was not set, so that times tell its order. The
// clock since the start of the boot shows where it was: a machine that is set back to its memory
// of days ago, or that hears of the time after it started, has two runs in one boot. Its span is
// what may be said of it; what is known of the boot may reach further.
type run struct {
	KernelSpan
	row      *record.BootRow // nil: the journal did not show the boot
	from, to record.Timestamp
	seenTo   record.Timestamp // its last event; the journal may reach further
	began    time.Time        // when the boot did, by this clock
	first    bool             // it is the oldest of its boot
	started  bool             // it begins with the boot, as the journal shows
	last     bool             // it is the newest of its boot: the clock was not set since
	set      bool             // the clock was set in the boot before it
	sure     record.Timestamp // when it was set, the first event after that: the clock may not have shown earlier times
	seen     []record.Sighting
	observed []record.Observed // in it
	// Numbers of its first and last event; none of one that only the journal of others showed.
	firstEvent, lastEvent int64
}

// ofJournal is the run of a boot that only the journal shows, none if its clock was set.
func ofJournal(row *record.BootRow) []run {
	at := row.First
	for _, l := range row.Loads {
		if l.Undated || l.Time.Before(at.Time) {
			return nil
		}
		at = l.Time
	}
	if row.Last.Before(at.Time) {
		return nil
	}
	r := run{KernelSpan: KernelSpan{BootID: row.ID, KernelRelease: row.KernelRelease}, row: row, began: row.First.Time, first: true, started: row.StartInJournal, last: true}
	r.span(row.First, record.At(row.Last.Add(instant)), row.Event)
	r.Confidence = Inferred // that the clock was not set in it is not on record
	return []run{r}
}

func (r *run) span(from, to record.Timestamp, events ...int64) {
	r.Span = Span{From: from, To: to, Confidence: Proven, Events: ends(nil, events...)}
	r.from, r.to, r.seenTo = from, to, to
}

// ofBoot are the runs of a boot that events were written in, in their order.
func ofBoot(row *record.BootRow, seen []record.Sighting, observed map[int64]record.Observed) (list []run) {
	for _, part := range byClock(seen) {
		r := run{KernelSpan: KernelSpan{BootID: part[0].BootID}, row: row, seen: part, began: part[0].Began()}
		from, to := part[0].Time, part[0].Time
		for _, v := range part {
			from, to = earlier(from, v.Time), later(to, v.Time)
			if !v.Spooled {
				r.firstEvent, r.lastEvent = cmp.Or(min(r.firstEvent, v.Event), v.Event), max(r.lastEvent, v.Event)
			}
			if o, ok := observed[v.Event]; ok {
				r.observed = append(r.observed, o)
				r.KernelRelease = cmp.Or(r.KernelRelease, o.KernelRelease)
				if v.Boottime == 0 && o.BootTime.Unix() > 0 && o.BootTime.Before(r.began) {
					r.began = o.BootTime.Time
				}
			}
			r.Events = ends(r.Events, v.Event)
		}
		if row != nil {
			r.KernelRelease = cmp.Or(r.KernelRelease, row.KernelRelease)
			r.Events = ends(r.Events, row.Event)
		}
		slices.SortFunc(r.observed, func(a, b record.Observed) int {
			return cmp.Or(a.Time.Compare(b.Time.Time), cmp.Compare(a.Event, b.Event))
		})
		r.span(from, record.At(to.Add(instant)), r.Events...)
		list = append(list, r)
	}
	list[0].begin()
	list[len(list)-1].end()
	for i := range list {
		list[i].set = i > 0 || list[i].setBefore()
		if i == 0 && list[i].set {
			list[i].sure = list[i].seen[0].Time
		}
	}
	return settled(list)
}

// named is an event that says which kernel runs.
func (r *run) named() int64 {
	for _, o := range r.observed {
		if o.KernelRelease != "" {
			return o.Event
		}
	}
	if r.row != nil && r.row.KernelRelease != "" {
		return r.row.Event
	}
	return r.Events[0]
}

// byClock groups what was seen of a boot by when that began, by the clock of then: in the order in
// which it was seen, for a clock may be set back again, and a machine to its memory of before.
func byClock(seen []record.Sighting) (parts [][]record.Sighting) {
	if slices.ContainsFunc(seen, func(v record.Sighting) bool { return v.Boottime == 0 }) {
		return [][]record.Sighting{seen} // it did not say
	}
	seen = asSeen(seen)
	for i, v := range seen {
		if i == 0 || v.Began().Sub(seen[i-1].Began()).Abs() > even {
			parts = append(parts, nil)
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], v)
	}
	return parts
}

// asSeen has events in the order of the log, and those that waited in the spool where they belong
// by the boot's time.
func asSeen(seen []record.Sighting) (list []record.Sighting) {
	var late []record.Sighting
	for _, v := range seen {
		if v.Spooled {
			late = append(late, v)
		}
	}
	slices.SortStableFunc(late, func(a, b record.Sighting) int { return cmp.Compare(a.Boottime, b.Boottime) })
	for _, v := range seen {
		if v.Spooled {
			continue
		}
		n := 0
		for n < len(late) && late[n].Boottime < v.Boottime {
			n++
		}
		list, late = append(append(list, late[:n]...), v), late[n:]
	}
	return append(list, late...)
}

// begin has the first run begin with the boot: with the first line of the journal, if the clock
// was not set since, and else when the boot began by the clock of the run.
func (r *run) begin() {
	from := earlier(record.At(r.began), r.from)
	r.first, r.started = true, r.row != nil && r.row.StartInJournal
	if r.started && r.fits(r.row.First) {
		from = r.row.First
	}
	r.From, r.from = from, from
}

// fits says whether the first line of a boot can be of a moment.
func (r *run) fits(first record.Timestamp) bool {
	d := first.Sub(r.began)
	return d > -even && d < startup && !first.After(r.from.Time)
}

// has says whether what an event has for the first time may have been in this run. The number of
// an event that waited in the spool says nothing of when it was written.
func (r *run) has(event int64) bool {
	return r.firstEvent == 0 || event >= r.firstEvent || slices.ContainsFunc(r.seen, func(v record.Sighting) bool { return v.Event == event })
}

// wasAhead says whether the clock was ahead when the boot began, and all lines of the journal may be of
// then: before the first event by the clock of now.
func (r *run) wasAhead() bool {
	ahead, last := r.row.First.Sub(r.began), r.row.Last
	return r.row.StartInJournal && ahead >= startup && !last.Before(r.row.First.Time) && !last.After(r.seen[0].Time.Add(ahead+even))
}

// setBefore says whether the journal shows that the clock was set before the first event of a boot.
func (r *run) setBefore() bool {
	return r.row != nil && (r.row.StartInJournal && !r.fits(r.row.First) || r.row.First.Sub(r.began) < -even)
}

// end has the last run end with the last line of the journal, if it was read since the clock was set,
// and is not of before that.
func (r *run) end() {
	r.last = true
	if r.row != nil && r.has(r.row.Event) && !r.wasAhead() {
		r.to = later(r.to, record.At(r.row.Last.Add(instant)))
		r.To = r.to
	}
}

// settled takes from runs what the clock said before it was set: a later run of the boot
// counts, and whether the clock was right before is not sure.
func settled(list []run) []run {
	for i := range len(list) - 1 {
		list[i].Confidence = Inferred
		for _, after := range list[i+1:] {
			list[i].To = earlier(list[i].To, after.From)
		}
	}
	return slices.DeleteFunc(list, func(r run) bool { return r.empty() })
}

func (r *run) empty() bool { return !r.From.Before(r.To.Time) }

// within are the spans of a run that can be, and no surer than it.
func within[T any, P spanned[T]](spans []T, r *run) []T {
	doubted := clipped[T, P](spans, r.From.Time, earlier(r.sure, r.To).Time)
	spans = append(doubted, clipped[T, P](spans, later(r.From, r.sure).Time, r.To.Time)...)
	for i := range spans {
		s := P(&spans[i]).span()
		if s.Open = r.Open && !s.To.Before(r.To.Time); r.Confidence == Inferred || i < len(doubted) {
			s.Confidence = Inferred
		}
	}
	return spans
}

// covered says whether the journal has every load between two moments.
func (r *run) covered(from, to record.Timestamp) bool {
	return r.row != nil && slices.ContainsFunc(r.row.Looks, func(l record.Look) bool {
		return !from.Before(l.First.Time) && !to.After(l.Last.Add(instant))
	})
}

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
