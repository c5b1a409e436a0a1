package view_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// hosts are the machines whose records are compared.
func hosts(seeds int) map[string]func(*testing.T) *storetest.Machine {
	list := map[string]func(*testing.T) *storetest.Machine{
		"two years": storetest.TwoYears, "healthy": storetest.Healthy, "life": lifeOfMarch,
		"accepted": func(t *testing.T) *storetest.Machine {
			m := storetest.Healthy(t)
			storetest.Except("patch-loaded", "2026-02-20T00:00")(m)
			return m
		},
	}
	for seed := range uint64(seeds) {
		list[fmt.Sprint("random ", seed)] = func(t *testing.T) *storetest.Machine {
			return storetest.RandomMachine(t, storetest.NewRand(seed))
		}
	}
	return list
}

// lifeOfMarch has a boot that two looks show less and less of.
func lifeOfMarch(t *testing.T) *storetest.Machine {
	l := &storetest.Life{T: t}
	l.Sees("1 10:00", "a", "1 08:00", "l1", l.Row("a", "1 08:00", "1 10:00", l.Loads("1 08:01", "l1", "initrd")))
	storetest.HoldsPatch(l.Sees("1 12:00", "a", "1 08:00", "?", storetest.StartLost(l.Row("a", "1 09:00", "1 12:00"))))
	l.Sees("2 12:00", "b", "2 08:00", "", l.Row("b", "2 08:00", "2 12:00"))
	return l.Machine()
}

func TestAnswersAreThoseOfTheStore(t *testing.T) {
	for name, host := range hosts(storetest.Few(1, 2)) {
		t.Run(name, func(t *testing.T) { same(t, host(t).OpenRecord(), nil) })
	}
}

// A prune leaves gaps in the numbers of the events.
func TestAnswersAfterAPrune(t *testing.T) {
	for name, host := range hosts(storetest.Few(1, 2)) {
		t.Run(name, func(t *testing.T) {
			m := host(t)
			m.Flush()
			s, err := store.Open(t.Context(), m.Root, "1.0.0")
			storetest.Check(t, err)
			defer s.Close()
			from, to, err := s.Extent(t.Context())
			storetest.Check(t, err)
			pruned, err := s.Prune(t.Context(), from.Add(to.Sub(from.Time)/2))
			storetest.Check(t, err)
			same(t, s, nil)
			if pruned.Gone > 0 {
				known, err := s.KnownAt(t.Context(), to.Add(-to.Sub(from.Time)/4))
				storetest.Check(t, err)
				defer known.Close()
				same(t, known, pruned)
			}
		})
	}
}

// What was known at a moment is the beginning of a log, which may have been pruned.
func TestAnswersAboutWhatWasKnown(t *testing.T) {
	for name, host := range hosts(storetest.Few(0, 1)) {
		t.Run(name, func(t *testing.T) {
			s := host(t).OpenRecord()
			_, evs := storetest.EventsOf(t, s)
			for _, at := range about(evs, storetest.Few(2, 3)).moments {
				known, err := s.KnownAt(t.Context(), at)
				if errors.Is(err, store.ErrNothingKnown) {
					continue
				}
				storetest.Check(t, err)
				same(t, known, nil)
				storetest.Check(t, known.Close())
			}
		})
	}
}

// same asks a stored record and one in memory everything.
func same(t *testing.T, s *store.Store, pruned *record.Prune) {
	t.Helper()
	m := storetest.InMemory(t, s, pruned)
	_, evs := storetest.EventsOf(t, s)
	a := about(evs, storetest.Few(15, 25))
	sameReports(t, s, m, a)
	sameAnswers(t, s, m, a) // making reports has changed nothing
}

// sameReports makes the same reports from both.
func sameReports(t *testing.T, s, m audit.Reader, a *asked) {
	t.Helper()
	profile, err := compliance.LoadProfile(compliance.DefaultProfile, nil)
	storetest.Check(t, err)
	reports := []question{{"timeline", func(ctx context.Context, r audit.Reader) (any, error) { return audit.WholeTimeline(ctx, r) }}}
	for _, at := range a.moments[:min(len(a.moments), storetest.Few(3, 5))] {
		reports = append(reports,
			question{fmt.Sprint("state ", at), func(ctx context.Context, r audit.Reader) (any, error) { return audit.NewState(ctx, r, at) }},
			question{fmt.Sprint("exposures ", at), func(ctx context.Context, r audit.Reader) (any, error) { return exposures(ctx, r, at) }},
			question{fmt.Sprint("compliance ", at), func(ctx context.Context, r audit.Reader) (any, error) {
				return compliance.Judge(ctx, r, profile, at)
			}})
	}
	for _, q := range reports {
		want, wantErr := q.ask(t.Context(), s)
		got, err := q.ask(t.Context(), m)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%s: error %v, want %v", q.about, err, wantErr)
		} else if !reflect.DeepEqual(want, got) {
			t.Errorf("%s (-store +memory)\n%s", q.about, cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })))
		}
	}
}

func exposures(ctx context.Context, r audit.Reader, at time.Time) ([]audit.Exposure, error) {
	t, err := audit.TimelineUntil(ctx, r, at)
	if err != nil {
		return nil, err
	}
	return audit.NewExposures(ctx, r, t, at, nil)
}
