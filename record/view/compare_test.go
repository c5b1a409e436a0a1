package view_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store/storetest"
)

var _ audit.Reader = (*view.Record)(nil)

// asked is what a record is asked about.
type asked struct {
	events                                             []int64
	moments                                            []time.Time
	ranges                                             [][2]time.Time
	packages, boots, kernels, modules, users, patterns []string
}

// about collects what to ask about a log: the moments and names in each event, and others.
func about(evs map[int64]*record.Event, most int) *asked {
	a := &asked{moments: []time.Time{{}, record.Always()}, patterns: []string{"*", "kernel-*", "*livepatch*", "kernel-[^l]*", "?ernel-default", "[", "none"}}
	names := map[*[]string]map[string]bool{&a.packages: {"none": true}, &a.boots: {"": true}, &a.kernels: {"": true}, &a.modules: {"": true}, &a.users: {"nobody": true}}
	see := func(list *[]string, name string) { names[list][name] = true }
	r, times := storetest.NewRand(7), map[time.Time]bool{}
	for seq, ev := range evs {
		a.events = append(a.events, seq, seq+1)
		times[ev.Time.Time] = true
		see(&a.boots, ev.BootID)
		for _, c := range view.Of(seq, ev).Changes {
			see(&a.packages, c.Package)
			times[c.Time.Time] = true
		}
		if ev.Begin != nil {
			see(&a.users, ev.Begin.Actor.Login)
			see(&a.users, ev.Begin.Actor.SudoUser)
		}
		if o := ev.Observation; o != nil {
			see(&a.kernels, o.Kernel.Release)
			for _, b := range o.Boots {
				times[b.First.Time] = true
				for _, l := range b.Loads {
					see(&a.modules, l.Patch)
				}
			}
			if o.LivePatch != nil {
				see(&a.modules, o.LivePatch.Module)
			}
		}
	}
	for list, of := range names {
		*list = slices.Sorted(maps.Keys(of))
	}
	slices.Sort(a.events)
	a.events = slices.Compact(a.events)
	for _, at := range slices.SortedFunc(maps.Keys(times), time.Time.Compare) {
		a.moments = append(a.moments, at, at.Add(-time.Microsecond), at.Add(time.Nanosecond))
	}
	if len(a.moments) > most {
		r.Shuffle(len(a.moments), func(i, j int) { a.moments[i], a.moments[j] = a.moments[j], a.moments[i] })
		a.moments = append(a.moments[:most], time.Time{}, record.Always())
	}
	for range most {
		a.ranges = append(a.ranges, [2]time.Time{a.moments[r.IntN(len(a.moments))], a.moments[r.IntN(len(a.moments))]})
	}
	return a
}

// question is one that a record can be asked.
type question struct {
	about string
	ask   func(ctx context.Context, r audit.Reader) (any, error)
}

// questions call every method of a Reader.
func (a *asked) questions() iter.Seq[question] {
	return func(yield func(question) bool) {
		for _, of := range [](func() iter.Seq[question]){a.always, a.aboutEvents, a.aboutMoments, a.aboutRanges, a.aboutNames, a.aboutHistory} {
			for q := range of() {
				if !yield(q) {
					return
				}
			}
		}
	}
}

type list []any

func (a *asked) always() iter.Seq[question] {
	return slices.Values([]question{
		{"Summarize", func(ctx context.Context, r audit.Reader) (any, error) { return r.Summarize(ctx) }},
		{"Extent", func(ctx context.Context, r audit.Reader) (any, error) {
			from, to, err := r.Extent(ctx)
			return list{from, to}, err
		}},
		{"LastObserved", func(ctx context.Context, r audit.Reader) (any, error) { return r.LastObserved(ctx) }},
		{"Sightings", func(ctx context.Context, r audit.Reader) (any, error) { return r.Sightings(ctx) }},
		{"Releases", func(ctx context.Context, r audit.Reader) (any, error) { return r.Releases(ctx) }},
		{"Recorders", func(ctx context.Context, r audit.Reader) (any, error) { return r.Recorders(ctx) }},
		{"RecordedAt", func(ctx context.Context, r audit.Reader) (any, error) { return r.RecordedAt(ctx) }},
		{"RecordedAt all", func(ctx context.Context, r audit.Reader) (any, error) { return r.RecordedAt(ctx, a.events...) }},
	})
}

func (a *asked) aboutEvents() iter.Seq[question] {
	return func(yield func(question) bool) {
		for _, seq := range a.events {
			_ = yield(question{fmt.Sprint("Event ", seq), func(ctx context.Context, r audit.Reader) (any, error) { return r.Event(ctx, seq) }}) &&
				yield(question{fmt.Sprint("RecordedAt ", seq), func(ctx context.Context, r audit.Reader) (any, error) { return r.RecordedAt(ctx, seq) }}) &&
				yield(question{fmt.Sprint("RecordedAt ", seq, 1), func(ctx context.Context, r audit.Reader) (any, error) { return r.RecordedAt(ctx, seq, 1) }})
		}
	}
}

func (a *asked) aboutMoments() iter.Seq[question] {
	methods := []struct {
		name string
		ask  func(ctx context.Context, r audit.Reader, at time.Time) (any, error)
	}{
		{"CommitsOpenAt", func(ctx context.Context, r audit.Reader, at time.Time) (any, error) { return r.CommitsOpenAt(ctx, at) }},
		{"CommitBefore", func(ctx context.Context, r audit.Reader, at time.Time) (any, error) {
			begin, end, seq, err := r.CommitBefore(ctx, at)
			return list{begin, end, seq}, err
		}},
		{"Exceptions", func(ctx context.Context, r audit.Reader, at time.Time) (any, error) { return r.Exceptions(ctx, at) }},
		{"LastGood", func(ctx context.Context, r audit.Reader, at time.Time) (any, error) {
			all := list{}
			for _, name := range a.packages {
				good, err := r.LastGood(ctx, name, at)
				if all = append(all, good); err != nil {
					return nil, err
				}
			}
			return all, nil
		}},
		{"PatchChanges", func(ctx context.Context, r audit.Reader, at time.Time) (any, error) {
			all := list{}
			for _, name := range a.packages {
				changes, err := r.PatchChanges(ctx, name, at)
				if all = append(all, changes); err != nil {
					return nil, err
				}
			}
			return all, nil
		}},
	}
	return func(yield func(question) bool) {
		for _, at := range a.moments {
			for _, m := range methods {
				yield(question{fmt.Sprint(m.name, " ", at), func(ctx context.Context, r audit.Reader) (any, error) { return m.ask(ctx, r, at) }})
			}
		}
	}
}

func (a *asked) aboutRanges() iter.Seq[question] {
	methods := []struct {
		name string
		ask  func(ctx context.Context, r audit.Reader, from, to time.Time) (any, error)
	}{
		{"Observations", func(ctx context.Context, r audit.Reader, from, to time.Time) (any, error) {
			return r.Observations(ctx, from, to)
		}},
		{"Boots", func(ctx context.Context, r audit.Reader, from, to time.Time) (any, error) {
			return r.Boots(ctx, from, to)
		}},
		{"Commits", func(ctx context.Context, r audit.Reader, from, to time.Time) (any, error) {
			return r.Commits(ctx, from, to)
		}},
		{"Attribution", func(ctx context.Context, r audit.Reader, from, to time.Time) (any, error) {
			return r.Attribution(ctx, from, to)
		}},
		{"LivePatches", func(ctx context.Context, r audit.Reader, from, to time.Time) (any, error) {
			return r.LivePatches(ctx, from, to)
		}},
		{"NewestPart", func(ctx context.Context, r audit.Reader, from, to time.Time) (any, error) {
			all := list{}
			for _, name := range append(record.PartNames(), "none") {
				part, err := r.NewestPart(ctx, name, from, to)
				if all = append(all, part); err != nil {
					return nil, err
				}
			}
			return all, nil
		}},
	}
	return func(yield func(question) bool) {
		for _, of := range a.ranges {
			for _, m := range methods {
				yield(question{fmt.Sprint(m.name, " ", of), func(ctx context.Context, r audit.Reader) (any, error) { return m.ask(ctx, r, of[0], of[1]) }})
			}
		}
	}
}

func (a *asked) aboutNames() iter.Seq[question] {
	return func(yield func(question) bool) {
		for _, name := range a.packages {
			yield(question{"LivePatchBegin " + name, func(ctx context.Context, r audit.Reader) (any, error) { return r.LivePatchBegin(ctx, name) }})
			yield(question{"PatchesSeen " + name, func(ctx context.Context, r audit.Reader) (any, error) { return r.PatchesSeen(ctx, name) }})
		}
		for _, module := range a.modules {
			for _, kernel := range a.kernels {
				yield(question{"PatchPackage " + kernel + " " + module, func(ctx context.Context, r audit.Reader) (any, error) {
					name, version, err := r.PatchPackage(ctx, kernel, module)
					return list{name, version}, err
				}})
				yield(question{"FirstSeen " + kernel + " " + module, func(ctx context.Context, r audit.Reader) (any, error) { return r.FirstSeen(ctx, kernel, module) }})
			}
			for _, boot := range a.boots {
				yield(question{"Forced " + boot + " " + module, func(ctx context.Context, r audit.Reader) (any, error) { return r.Forced(ctx, boot, module) }})
			}
		}
	}
}

// filters are filters of a history: one at a time, and many together.
func (a *asked) filters() (filters []record.HistoryFilter) {
	add := func(f record.HistoryFilter) {
		f.OldestFirst = len(filters)%2 == 1
		filters = append(filters, f)
	}
	add(record.HistoryFilter{})
	add(record.HistoryFilter{})
	for _, of := range a.ranges[:min(len(a.ranges), 20)] {
		add(record.HistoryFilter{Since: of[0]})
		add(record.HistoryFilter{Until: of[1]})
		add(record.HistoryFilter{Since: of[0], Until: of[1], Limit: 3})
	}
	for _, name := range append(a.packages, a.patterns...) {
		add(record.HistoryFilter{Package: name})
	}
	for _, kind := range record.PackageKinds() {
		add(record.HistoryFilter{Kind: kind, Limit: 7})
	}
	for _, action := range record.Actions() {
		add(record.HistoryFilter{Action: action})
	}
	for _, result := range record.Results() {
		add(record.HistoryFilter{Result: result})
	}
	for _, source := range record.Sources() {
		add(record.HistoryFilter{Source: source, Scripts: source == "plugin"})
	}
	for _, user := range append(a.users, "*", "t*") {
		add(record.HistoryFilter{User: user})
	}
	for _, outcome := range record.Outcomes() {
		add(record.HistoryFilter{Outcome: outcome})
	}
	for _, text := range []string{"*", "*in*", "zypper*", "?*"} {
		add(record.HistoryFilter{Command: text})
		add(record.HistoryFilter{UserData: text, Limit: 4})
	}
	add(record.HistoryFilter{UserData: record.NoUserData})
	window, err := record.ParseWindow("Mon-Thu 04:00-01:00 UTC", time.UTC)
	if err != nil {
		panic(err)
	}
	add(record.HistoryFilter{Outside: window})
	add(record.HistoryFilter{Outside: window, Kind: "livepatch", Limit: 3})
	for i, n := range a.events {
		if i%(1+len(a.events)/30) == 0 {
			add(record.HistoryFilter{Events: n})
			add(record.HistoryFilter{Events: n, Outcome: record.OutcomeStaged})
			add(record.HistoryFilter{Events: n, Outcome: record.OutcomeCompleted})
			add(record.HistoryFilter{Events: n, Kind: "livepatch", Result: "ok", Limit: i % 5})
		}
	}
	return append(filters, record.HistoryFilter{Scripts: true}, record.HistoryFilter{Limit: -1})
}

func (a *asked) aboutHistory() iter.Seq[question] {
	return func(yield func(question) bool) {
		for _, f := range a.filters() {
			yield(question{fmt.Sprintf("History %+v", f), func(ctx context.Context, r audit.Reader) (any, error) {
				rows := []*record.HistoryRow{}
				for row, err := range r.History(ctx, f) {
					if err != nil {
						return nil, err
					}
					rows = append(rows, row)
				}
				return rows, nil
			}})
		}
	}
}

// sameAnswers asks both records all questions.
func sameAnswers(t *testing.T, s, m audit.Reader, a *asked) {
	t.Helper()
	n, wrong := 0, 0
	for q := range a.questions() {
		want, wantErr := q.ask(t.Context(), s)
		got, err := q.ask(t.Context(), m)
		n++
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%s: error %v, want %v", q.about, err, wantErr)
			wrong++
		} else if err == nil && !reflect.DeepEqual(want, got) {
			t.Errorf("%s (-store +memory)\n%s", q.about, cmp.Diff(want, got))
			wrong++
		}
		if wrong > 5 {
			t.Fatal("and maybe more")
		}
	}
	t.Logf("%d questions", n)
}
