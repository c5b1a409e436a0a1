package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/store"
)

// Confidence says how sure a statement about a moment is.
type Confidence string

// The confidences.
const (
	Proven   Confidence = "proven"   // an observation, a boot or a load on record says so
	Inferred Confidence = "inferred" // it follows from events before and after, and nothing on record speaks against it
	Unknown  Confidence = "unknown"  // the record does not reach that far, or has a gap there
)

// Timeline is what the record says of the machine from one moment to another: the one
// thing that a state, exposures, latencies and the picture of them are read from. The spans
// of a kind follow each other without a hole and without an overlap: what is not known is a
// span, too, of confidence unknown.
type Timeline struct {
	From    store.Timestamp `json:"from"`
	To      store.Timestamp `json:"to"`
	Kernels []KernelSpan    `json:"kernels"`
	Patches []PatchSpan     `json:"patches"`
	Initrds []InitrdSpan    `json:"initrds"`
	Gaps    []Gap           `json:"gaps"` // in the order of their beginnings; may overlap
}

// Span is a stretch of time: from From on, before To.
type Span struct {
	From store.Timestamp `json:"from"`
	To   store.Timestamp `json:"to"`
	// Open: it went on when the machine was observed last.
	Open       bool       `json:"open"`
	Confidence Confidence `json:"confidence"`
	Events     []int64    `json:"events"` // sequence numbers of events that say so, the first and the last
}

// KernelSpan is a boot: one kernel running.
type KernelSpan struct {
	Span
	BootID        string `json:"boot_id"`        // empty: it was off, or that is not known
	KernelRelease string `json:"kernel_release"` // empty: not known
}

// PatchSpan is a live patch being active within one boot, from its load on; or that none is.
type PatchSpan struct {
	Span
	BootID      string           `json:"boot_id"`
	Module      string           `json:"module"`  // empty: none is active, unless the confidence is unknown
	Package     *string          `json:"package"` // null: no package on record has this module
	Version     *string          `json:"version"`
	PatchNumber *int             `json:"patch_number"`
	Initial     *bool            `json:"initial"`
	Phase       string           `json:"phase"` // initrd, system, unknown: where it was loaded
	Since       *store.Timestamp `json:"since"` // when it was loaded; null: not on record
}

// InitrdSpan is a verdict on the initrd for the running kernel and its active patch; a reboot
// in it would have kept the fixes, or not.
type InitrdSpan struct {
	Span
	Module  string        `json:"module"` // that the verdict is about
	Verdict store.Verdict `json:"verdict"`
	Basis   store.Basis   `json:"basis"`
}

// Gap is a stretch of time in which nothing, or not everything, was recorded.
type Gap struct {
	Span
	Kind GapKind `json:"kind"`
	Why  string  `json:"why"` // in a sentence
}

// GapKind says what a gap comes from.
type GapKind string

// The kinds of gaps.
const (
	GapBefore  GapKind = "before-record" // the recorder was not installed yet
	GapSilence GapKind = "no-recorder"   // the machine ran, and was not observed for longer than a day and a half
	GapOff     GapKind = "off"           // no boot is on record for longer than a quarter of an hour
	GapCommit  GapKind = "open-commit"   // what became of a commit was not recorded
	GapBroken  GapKind = "broken-record" // the log was lost, cloned or altered
	GapAfter   GapKind = "after-record"  // the machine was not observed since
)

const (
	// silence is how long a machine with a daily observation is not observed at most.
	silence = 36 * time.Hour
	// downtime is how long no boot may be on record before that is a gap.
	downtime = 15 * time.Minute
	// instant is the shortest span: what is known of a moment alone.
	instant = time.Microsecond
)

// NewTimeline reads from the record what it says of a stretch of time, from before to.
func NewTimeline(ctx context.Context, s *store.Store, from, to time.Time) (*Timeline, error) {
	r, err := readRows(ctx, s, from, to)
	if err != nil {
		return nil, err
	}
	return r.timeline(ctx, s, from, to)
}

func (r *rows) timeline(ctx context.Context, s *store.Store, from, to time.Time) (*Timeline, error) {
	kernels := r.kernels()
	t := &Timeline{
		From: stamp(from), To: stamp(to), Gaps: clipped(r.gaps(kernels, from, to), from, to),
		Kernels: filled(kernels, from, to), Patches: filled(r.patches(kernels), from, to), Initrds: filled(r.initrds(), from, to),
	}
	return t, name(ctx, s, kernels, t.Patches)
}

func stamp(t time.Time) store.Timestamp { return store.Timestamp{Time: t.UTC()} }

// rows are the rows of the record about a stretch of time, and the next ones before and
// behind it.
type rows struct {
	observed  []store.Observed
	boots     []store.BootRow
	commits   []store.CommitRow
	recorders []store.RecorderRow
}

func readRows(ctx context.Context, s *store.Store, from, to time.Time) (r rows, err error) {
	if r.observed, err = s.Observations(ctx, from, to); err != nil {
		return r, fmt.Errorf("reading observations: %w", err)
	}
	if r.boots, err = s.Boots(ctx, from, to); err != nil {
		return r, fmt.Errorf("reading boots: %w", err)
	}
	if r.commits, err = s.Commits(ctx, from, to); err != nil {
		return r, fmt.Errorf("reading commits: %w", err)
	}
	if r.recorders, err = s.Recorders(ctx); err != nil {
		return r, fmt.Errorf("reading recorder events: %w", err)
	}
	return r, nil
}

// boot is the place of a boot among those that the journal showed, -1 if it did not.
func (r *rows) boot(id string) int {
	return slices.IndexFunc(r.boots, func(b store.BootRow) bool { return b.ID == id })
}

// kernels are the boots, each as far as the journal, observations and commits show it.
func (r *rows) kernels() []KernelSpan {
	byID := map[string]*KernelSpan{}
	see := func(id, release string, from, to store.Timestamp, event int64) {
		k := byID[id]
		if k == nil {
			k = &KernelSpan{Span: Span{From: from, To: to, Confidence: Proven}, BootID: id}
			byID[id] = k
		}
		k.From, k.To = earlier(k.From, from), later(k.To, stamp(to.Add(instant)))
		k.KernelRelease = cmp.Or(k.KernelRelease, release)
		k.Events = ends(k.Events, event)
	}
	for _, b := range r.boots {
		see(b.ID, b.KernelRelease, b.First, b.Last, b.Event)
	}
	for _, o := range r.observed {
		from := o.Time
		if byID[o.BootID] == nil { // the journal did not show it
			from = earlier(o.BootTime, o.Time)
		}
		see(o.BootID, o.KernelRelease, from, o.Time, o.Event)
	}
	for _, c := range r.commits {
		if c.Begin != nil {
			see(c.BootID, "", *c.Begin, *c.Begin, *c.BeginEvent)
		}
	}
	delete(byID, "") // where /proc did not say
	return inOrder(byID)
}

// inOrder sorts boots. Where two overlap, for the clock was wrong, neither is known.
func inOrder(byID map[string]*KernelSpan) []KernelSpan {
	var list []KernelSpan
	for _, k := range byID {
		list = append(list, *k)
	}
	slices.SortFunc(list, func(a, b KernelSpan) int {
		return cmp.Or(a.From.Compare(b.From.Time), cmp.Compare(a.BootID, b.BootID))
	})
	for i := 1; i < len(list); i++ {
		if before, k := &list[i-1], &list[i]; before.To.After(k.From.Time) {
			before.To, k.From = k.From, before.To
			k.To = later(k.To, k.From)
		}
	}
	list = slices.DeleteFunc(list, func(k KernelSpan) bool { return !k.From.Before(k.To.Time) })
	if len(list) > 0 {
		list[len(list)-1].Open = true
	}
	return list
}

// patches are the live patches of all boots.
func (r *rows) patches(kernels []KernelSpan) (spans []PatchSpan) {
	observed := map[string][]store.Observed{} // by boot
	for _, o := range r.observed {
		if o.Patched != nil {
			observed[o.BootID] = append(observed[o.BootID], o)
		}
	}
	for _, k := range kernels {
		b := bootEvidence{KernelSpan: k, commits: r.commits, observed: observed[k.BootID]}
		if i := r.boot(k.BootID); i >= 0 {
			b.row = &r.boots[i]
		}
		spans = append(spans, b.patches()...)
	}
	return spans
}

// bootEvidence is what is known of the live patches of one boot.
type bootEvidence struct {
	KernelSpan
	row      *store.BootRow // nil: the journal did not show it
	observed []store.Observed
	commits  []store.CommitRow
}

// point is a moment from which on a live patch is active, or none.
type point struct {
	at     store.Timestamp
	module string
	known  bool // else what is active from here on is not known
	seen   bool // by an observation
	since  *store.Timestamp
	phase  string
	event  int64
}

// patches turns the points of a boot into spans: what is between two points follows from
// the journal, if it is complete there, else from two observations that agree, a day apart
// at most and without a commit in between.
func (b *bootEvidence) patches() (spans []PatchSpan) {
	points := b.points()
	for i, p := range points {
		end, next := b.To, (*point)(nil)
		if i+1 < len(points) {
			next = &points[i+1]
			end = next.at
		}
		module, c := b.between(p, next, end)
		switch {
		case c != Unknown:
			spans = b.add(spans, p, module, end, c, next)
		case p.seen:
			spans = b.add(spans, p, p.module, stamp(p.at.Add(instant)), Proven, nil)
		}
	}
	return spans
}

// between decides which patch is active from one point until the next, or the boot's end.
func (b *bootEvidence) between(p point, next *point, end store.Timestamp) (module string, c Confidence) {
	confirmed := next != nil && next.seen && next.since != nil && !next.since.After(p.at.Time)
	switch agree := next != nil && next.seen && next.module == p.module; {
	case !p.known && confirmed:
		return next.module, Proven
	case !p.known, next != nil && next.seen && !agree:
		return "", Unknown
	case b.covered(p.at, end), agree && confirmed:
		return p.module, Proven
	case agree && next.at.Sub(p.at.Time) <= silence && !commitIn(b.commits, p.at, next.at):
		return p.module, Inferred
	}
	return "", Unknown
}

// commitIn says whether a commit began or ended within a stretch of time.
func commitIn(commits []store.CommitRow, from, to store.Timestamp) bool {
	within := func(t *store.Timestamp) bool { return t != nil && t.After(from.Time) && t.Before(to.Time) }
	return slices.ContainsFunc(commits, func(c store.CommitRow) bool { return within(c.Begin) || within(c.End) })
}

// covered says whether the journal has every load between two moments.
func (b *bootEvidence) covered(from, to store.Timestamp) bool {
	return b.row != nil && !b.row.MessagesLost && !from.Before(b.row.First.Time) && !to.After(b.row.Last.Add(instant))
}

// points are what the journal and the observations say, in the order of time.
func (b *bootEvidence) points() (points []point) {
	if b.row != nil {
		points = b.journalPoints()
	}
	for _, o := range b.observed {
		p := point{at: o.Time, known: true, seen: true, since: o.Since, phase: "unknown", event: o.Event}
		if *o.Patched && o.Module != nil {
			p.module = *o.Module
		}
		if o.Since != nil && !o.Since.Before(b.From.Time) && !slices.ContainsFunc(points, func(p point) bool { return p.at.Equal(o.Since.Time) }) {
			points = append(points, point{at: *o.Since, module: p.module, known: true, since: o.Since, phase: "unknown", event: o.Event})
		}
		points = append(points, p)
	}
	slices.SortStableFunc(points, func(p, q point) int { return p.at.Compare(q.at.Time) })
	return b.withJournalEnd(points)
}

// journalPoints are the loads of a boot; at its start, none is active.
func (b *bootEvidence) journalPoints() (points []point) {
	if b.row.StartInJournal {
		points = append(points, point{at: b.row.First, known: !b.row.MessagesLost, event: b.row.Event})
	}
	for i, l := range b.row.Loads {
		if l.Result == "failed" {
			continue
		}
		points = append(points, point{at: l.Time, module: l.Patch, known: l.Result == "complete", since: &l.Time, phase: l.Phase, event: b.row.Event})
		newer := slices.ContainsFunc(b.row.Loads[i+1:], func(n store.Load) bool { return n.Result == "complete" && !n.Time.After(orZero(l.Disabled)) })
		if l.Disabled != nil && l.Replaced == "" && !newer {
			points = append(points, point{at: *l.Disabled, known: true, event: b.row.Event})
		}
	}
	return points
}

func orZero(t *store.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// withJournalEnd adds where the journal ends, so that what follows is judged on its own.
func (b *bootEvidence) withJournalEnd(points []point) []point {
	if b.row == nil || b.row.MessagesLost {
		return points
	}
	end := stamp(b.row.Last.Add(instant))
	for i := len(points) - 1; i >= 0; i-- {
		if p := points[i]; p.at.Before(end.Time) {
			p.at, p.seen = end, false
			return slices.Insert(points, i+1, p)
		}
	}
	return points
}

// add appends a span, or lengthens the last one if it says the same.
func (b *bootEvidence) add(spans []PatchSpan, p point, module string, to store.Timestamp, c Confidence, next *point) []PatchSpan {
	if !p.at.Before(to.Time) {
		return spans
	}
	since := p.since
	if since == nil && module != "" && next != nil {
		since = next.since
	}
	events := ends(nil, p.event)
	if next != nil && next.seen {
		events = ends(events, next.event)
	}
	open := b.Open && !to.Before(b.To.Time)
	if n := len(spans) - 1; n >= 0 && spans[n].same(module, since, c) && spans[n].To.Equal(p.at.Time) {
		spans[n].To, spans[n].Open, spans[n].Events = to, open, ends(spans[n].Events, events...)
		return spans
	}
	return append(spans, PatchSpan{
		Span: Span{From: p.at, To: to, Open: open, Confidence: c, Events: events}, BootID: b.BootID, Module: module, Since: since, Phase: p.phase,
	})
}

func (p *PatchSpan) same(module string, since *store.Timestamp, c Confidence) bool {
	return p.Module == module && p.Confidence == c && orZero(p.Since).Equal(orZero(since))
}

// name finds the packages of the modules.
func name(ctx context.Context, s *store.Store, kernels []KernelSpan, spans []PatchSpan) error {
	release := map[string]string{} // by boot
	for _, k := range kernels {
		release[k.BootID] = k.KernelRelease
	}
	type patch struct{ kernel, module string }
	known := map[patch][2]string{}
	for i := range spans {
		p := &spans[i]
		if p.Module == "" {
			continue
		}
		of := patch{release[p.BootID], p.Module}
		if _, asked := known[of]; !asked {
			name, version, err := s.PatchPackage(ctx, of.kernel, of.module)
			if err != nil {
				return fmt.Errorf("looking for the package of %q: %w", p.Module, err)
			}
			known[of] = [2]string{name, version}
		}
		name, version := known[of][0], known[of][1]
		if name == "" {
			continue
		}
		p.Package, p.Version = &name, &version
		if n := patchNumberOf(version); n > 0 {
			p.PatchNumber, p.Initial = &n, new(n == 1)
		}
	}
	return nil
}

// patchNumberOf is the number of the live patch in a package of a version, 0 if that has none.
func patchNumberOf(version string) int {
	if _, after, ok := strings.Cut(version, ":"); ok { // an epoch
		version = after
	}
	text, _, _ := strings.Cut(version, "-")
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// initrds are the verdicts of the observations. Each is taken to hold until something is on
// record that may have changed it, if what comes next does not speak against it.
func (r *rows) initrds() (spans []InitrdSpan) {
	for i, o := range r.observed {
		if o.Verdict == store.VerdictUnknown || o.Module == nil {
			continue
		}
		s := InitrdSpan{
			Span:   Span{From: o.Time, To: stamp(o.Time.Add(instant)), Confidence: Proven, Events: []int64{o.Event}},
			Module: *o.Module, Verdict: o.Verdict, Basis: o.Basis,
		}
		if to, event, ok := r.holds(o, r.observed[i+1:]); ok && to.After(s.To.Time) {
			s.To, s.Confidence, s.Events = to, Inferred, ends(s.Events, event)
		}
		spans = addInitrd(spans, s)
	}
	return spans
}

func addInitrd(spans []InitrdSpan, s InitrdSpan) []InitrdSpan {
	if n := len(spans) - 1; n >= 0 && spans[n].To.Equal(s.From.Time) && spans[n].Module == s.Module && spans[n].Verdict == s.Verdict && spans[n].Basis == s.Basis {
		if spans[n].Confidence == Inferred {
			spans[n].To, spans[n].Events = s.To, ends(spans[n].Events, s.Events...)
			return spans
		}
	}
	return append(spans, s)
}

// holds says until when the verdict of an observation is taken to hold, and by which event:
// until the next image is built for that kernel, the next load, the next observation or the
// end of the boot, whatever comes first.
func (r *rows) holds(o store.Observed, later []store.Observed) (to store.Timestamp, event int64, ok bool) {
	i := r.boot(o.BootID)
	if len(later) > 0 && later[0].BootID == o.BootID {
		next := later[0]
		if i >= 0 && r.boots[i].Last.Before(next.Time.Time) {
			return next.Time, next.Event, agree(o, next) && len(changesIn(r.boots[i], o, next.Time)) == 0
		}
		if i < 0 {
			return next.Time, next.Event, agree(o, next) && next.Time.Sub(o.Time.Time) <= silence
		}
		if changes := changesIn(r.boots[i], o, next.Time); len(changes) > 0 {
			return changes[0], next.Event, true
		}
		return next.Time, next.Event, agree(o, next)
	}
	if i < 0 || len(later) == 0 {
		return o.Time, 0, false
	}
	end := stamp(r.boots[i].Last.Add(instant))
	if changes := changesIn(r.boots[i], o, end); len(changes) > 0 {
		return changes[0], later[0].Event, true
	}
	return end, later[0].Event, r.bootAgrees(o, i+1)
}

func agree(o, next store.Observed) bool {
	return o.Verdict == next.Verdict && orEmpty(o.Module) == orEmpty(next.Module)
}

// bootAgrees says whether the next boot loaded from the initrd what the verdict says.
func (r *rows) bootAgrees(o store.Observed, next int) bool {
	if next >= len(r.boots) || r.boots[next].KernelRelease != o.KernelRelease || !r.boots[next].StartInJournal || r.boots[next].MessagesLost {
		return false
	}
	loaded := slices.ContainsFunc(r.boots[next].Loads, func(l store.Load) bool { return l.Patch == *o.Module && l.Phase == "initrd" })
	undecided := slices.ContainsFunc(r.boots[next].Loads, func(l store.Load) bool { return l.Patch == *o.Module && l.Phase == "unknown" })
	return !undecided && loaded == (o.Verdict == store.VerdictContained)
}

// changesIn are the moments after an observation and before another one at which the journal
// shows what may change a verdict on the initrd, in their order.
func changesIn(b store.BootRow, o store.Observed, before store.Timestamp) (moments []store.Timestamp) {
	for _, l := range b.Loads {
		moments = append(moments, l.Time)
		if l.Disabled != nil {
			moments = append(moments, *l.Disabled)
		}
	}
	for _, img := range b.Builds {
		if img.KernelRelease == o.KernelRelease || img.KernelRelease == "" {
			moments = append(moments, img.Time)
		}
	}
	moments = slices.DeleteFunc(moments, func(t store.Timestamp) bool { return !t.After(o.Time.Time) || !t.Before(before.Time) })
	slices.SortFunc(moments, func(a, b store.Timestamp) int { return a.Compare(b.Time) })
	return moments
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// gaps are when not everything was recorded.
func (r *rows) gaps(kernels []KernelSpan, from, to time.Time) (gaps []Gap) {
	add := func(kind GapKind, from, to store.Timestamp, why string, events ...int64) {
		gaps = append(gaps, Gap{Span: Span{From: from, To: to, Confidence: Unknown, Events: ends(nil, events...)}, Kind: kind, Why: why})
	}
	if len(r.recorders) > 0 {
		first := r.recorders[0]
		add(GapBefore, stamp(from), first.Time, "The recorder was not installed yet; only the journal and imports can tell of that time.", first.Event)
	}
	for _, rec := range r.recorders {
		if why := brokenText[rec.Cause]; why != "" {
			add(GapBroken, r.observedBefore(rec.Time, from), stamp(rec.Time.Add(instant)), why, rec.Event)
		}
	}
	for i := 1; i < len(kernels); i++ {
		if a, b := kernels[i-1], kernels[i]; b.From.Sub(a.To.Time) > downtime {
			add(GapOff, a.To, b.From, "No boot is on record: the machine was off, or its journal is lost.", a.Events[len(a.Events)-1], b.Events[0])
		}
	}
	for i := 1; i < len(r.observed); i++ {
		if a, b := r.observed[i-1], r.observed[i]; b.Time.Sub(a.Time.Time) > silence && ran(kernels, a.Time, b.Time) {
			add(GapSilence, a.Time, b.Time, "The machine ran without being observed, as it is daily: the recorder did not work.", a.Event, b.Event)
		}
	}
	for _, c := range r.commits {
		if c.Begin != nil && c.End == nil {
			add(GapCommit, *c.Begin, r.observedAfter(*c.Begin, to), "A commit began here and has no end on record.", *c.BeginEvent)
		}
	}
	if n := len(r.observed); n == 0 {
		add(GapAfter, stamp(from), stamp(to), "The machine was not observed in this time.")
	} else if last := r.observed[n-1]; last.Time.Before(to) {
		add(GapAfter, stamp(last.Time.Add(instant)), stamp(to), "The machine was not observed since.", last.Event)
	}
	slices.SortStableFunc(gaps, func(a, b Gap) int { return a.From.Compare(b.From.Time) })
	return gaps
}

var brokenText = map[store.Cause]string{
	store.CauseRecordLost:      "An earlier record was lost.",
	store.CauseIdentityChanged: "The machine id changed: the machine was cloned or restored from a copy.",
	store.CauseProofBroken:     "The log was not the one that was signed last.",
}

func (r *rows) observedBefore(at store.Timestamp, from time.Time) store.Timestamp {
	before := stamp(from)
	for _, o := range r.observed {
		if o.Time.Before(at.Time) {
			before = o.Time
		}
	}
	return before
}

func (r *rows) observedAfter(at store.Timestamp, to time.Time) store.Timestamp {
	for _, o := range r.observed {
		if o.Time.After(at.Time) {
			return o.Time
		}
	}
	return stamp(to)
}

// ran says whether the machine is known to have run for longer than a day and a half of a
// stretch of time.
func ran(kernels []KernelSpan, from, to store.Timestamp) bool {
	var total time.Duration
	for _, k := range kernels {
		if d := earlier(k.To, to).Sub(later(k.From, from).Time); d > 0 {
			total += d
		}
	}
	return total > silence
}

// spanned is a pointer to what has a span.
type spanned[T any] interface {
	*T
	span() *Span
}

func (s *Span) span() *Span { return s }

// clipped are the spans within a stretch of time.
func clipped[T any, P spanned[T]](spans []T, from, to time.Time) []T {
	list := []T{}
	for _, v := range spans {
		s := P(&v).span()
		if s.From, s.To = later(s.From, stamp(from)), earlier(s.To, stamp(to)); s.From.Before(s.To.Time) {
			list = append(list, v)
		}
	}
	return list
}

// filled are the spans within a stretch of time, with unknown ones where there are none.
func filled[T any, P spanned[T]](spans []T, from, to time.Time) []T {
	list, at := []T{}, stamp(from)
	unknown := func(until store.Timestamp) {
		if at.Before(until.Time) {
			var v T
			*P(&v).span() = Span{From: at, To: until, Confidence: Unknown, Events: []int64{}}
			list = append(list, v)
		}
	}
	for _, v := range clipped[T, P](spans, from, to) {
		s := P(&v).span()
		unknown(s.From)
		list, at = append(list, v), s.To
	}
	unknown(stamp(to))
	return list
}

func earlier(a, b store.Timestamp) store.Timestamp {
	if b.Before(a.Time) {
		return b
	}
	return a
}

func later(a, b store.Timestamp) store.Timestamp {
	if b.After(a.Time) {
		return b
	}
	return a
}

// ends keeps the first and the last of the numbers.
func ends(list []int64, more ...int64) []int64 {
	all := append(slices.Clone(list), more...)
	if len(all) == 0 {
		return []int64{}
	}
	low, high := slices.Min(all), slices.Max(all)
	if low == high {
		return []int64{low}
	}
	return []int64{low, high}
}

// WholeTimeline is the timeline from the first thing on record to the newest observation.
func WholeTimeline(ctx context.Context, s *store.Store) (*Timeline, error) {
	return TimelineUntil(ctx, s, forever)
}

// forever is later than whatever is on record.
var forever = time.Unix(1<<40, 0)

// TimelineUntil is the timeline from the first thing on record to the last one before a
// moment, and empty where the record begins later.
func TimelineUntil(ctx context.Context, s *store.Store, at time.Time) (*Timeline, error) {
	from, to, err := s.Extent(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the extent of the record: %w", err)
	}
	to = earlier(to, stamp(at))
	return NewTimeline(ctx, s, from.Time, later(from, to).Add(instant))
}
