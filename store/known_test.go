package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// known is everything that a record says as it was known at a moment.
func known(t *testing.T, root string, at time.Time) []string {
	t.Helper()
	s := open(t, root)
	defer s.Close()
	part, err := s.KnownAt(t.Context(), at)
	if errors.Is(err, store.ErrNothingKnown) {
		return nil
	}
	check(t, err)
	defer part.Close()
	sum, err := part.Summarize(t.Context())
	check(t, err)
	all := []string{fmt.Sprintf("%+v", sum)}
	for n := range sum.Events {
		if ev, err := part.Event(t.Context(), n+1); err == nil {
			all = append(all, fmt.Sprintf("%+v", ev.Header))
		}
	}
	from, to, err := part.Extent(t.Context())
	check(t, err)
	return append(all, fmt.Sprint(history(t, part, record.HistoryFilter{}), from, to))
}

// What was known at a moment never changes, whatever comes later, including events that waited in
// the spool or were written after the clock was set back.
func TestKnownAtStays(t *testing.T) {
	root := newRoot(t)
	var before [][]string
	var moments []time.Time
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for n := range 12 {
			time.Sleep(time.Hour)
			ev := observation(n)
			ev.ID, ev.Time = fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", n), record.At(time.Now().UTC())
			ev.BoottimeUS = time.Since(start).Microseconds()
			s := open(t, root)
			if n == 5 { // taken in an hour later
				check(t, store.Spool(root, ev, errors.New("held"), false))
			} else {
				if n == 8 { // the clock is wrong
					ev.Time.Time = ev.Time.Add(-6 * time.Hour)
				}
				check(t, s.Append(t.Context(), ev))
			}
			check(t, s.Close())
			moments = append(moments, time.Now())
			for i, at := range moments {
				now := known(t, root, at)
				if i == len(before) {
					before = append(before, now)
				} else if diff := cmp.Diff(before[i], now); diff != "" {
					t.Errorf("what was known after %s, asked after %s (-then +now): %s", at.Sub(start), time.Since(start), diff)
				}
			}
		}
	})
	if n := len(slices.CompactFunc(slices.Clone(before), slices.Equal)); n != 11 {
		t.Errorf("%d different answers", n)
	}
}

// Nothing is known before the first event, nor about what was pruned.
func TestNothingKnown(t *testing.T) {
	root := long(t)
	s := open(t, root)
	if _, err := s.KnownAt(t.Context(), time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)); !errors.Is(err, store.ErrNothingKnown) {
		t.Errorf("before the record: %v", err)
	}
	prune(t, root, aged(30))
	if _, err := s.KnownAt(t.Context(), aged(15).Time); !errors.Is(err, store.ErrKnownPruned) {
		t.Errorf("before the horizon: %v", err)
	}
	part, err := s.KnownAt(t.Context(), aged(45).Time)
	check(t, err)
	defer part.Close()
	if from, _, err := part.Extent(t.Context()); err != nil || !from.Equal(aged(30).Time) {
		t.Errorf("it speaks from %s, %v", from, err)
	}
}

// It is known when an event entered the log, even if it waited.
func TestRecordedAt(t *testing.T) {
	root := newRoot(t)
	synctest.Test(t, func(t *testing.T) {
		ev := observation(1)
		check(t, store.Spool(root, ev, errors.New("held"), false))
		time.Sleep(24 * time.Hour)
		s := open(t, root)
		defer s.Close()
		check(t, s.Append(t.Context()))
		at, err := s.RecordedAt(t.Context(), 1, 2)
		check(t, err)
		if at == nil || !at.Equal(time.Now()) {
			t.Errorf("recorded at %v, want %s", at, time.Now())
		}
	})
}
