package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// observedFrom returns the event numbers of the observations in a stretch of time; the recorder's
// is 1.
func observedFrom(t *testing.T, s *store.Store, from, to time.Time) (events []int64) {
	t.Helper()
	list, err := s.Observations(t.Context(), from, to)
	check(t, err)
	for _, o := range list {
		events = append(events, o.Event)
	}
	return events
}

// A reader gets the rows within a stretch of time, both ends included, and their neighbours.
func TestRowsOfAStretchOfTimeWithTheirNeighbours(t *testing.T) {
	root := newRoot(t)
	var evs []*record.Event
	for n := 1; n <= 5; n++ {
		b := boot(n, true)
		b.ID, b.First, b.Last = fmt.Sprintf("%032d", n), at(n), at(n)
		evs = append(evs, observation(n, b))
	}
	c, d := begin(2), begin(4)
	c.ID, d.ID = "019ca8d5-0000-7000-8000-000000000102", "019ca8d5-0000-7000-8000-000000000104"
	e := end(3, c, record.OutcomeCompleted)
	e.ID = "019ca8d5-0000-7000-8000-000000000103"
	write(t, root, append(evs, c, e, d)...)
	s := open(t, root)
	us := time.Microsecond
	for _, tt := range []struct {
		from, to time.Time
		want     []int64
	}{
		{at(3).Time, at(3).Time, []int64{3, 4, 5}},
		{at(2).Time, at(4).Time, []int64{2, 3, 4, 5, 6}},
		{at(2).Add(us), at(3).Add(-us), []int64{3, 4}},
		{at(0).Time, at(0).Time, []int64{2}},
		{at(9).Time, at(9).Time, []int64{6}},
	} {
		if diff := cmp.Diff(tt.want, observedFrom(t, s, tt.from, tt.to)); diff != "" {
			t.Errorf("observations from %s to %s: %s", tt.from, tt.to, diff)
		}
		boots, err := s.Boots(t.Context(), tt.from, tt.to)
		check(t, err)
		var numbers []int64
		for _, b := range boots {
			numbers = append(numbers, b.Event)
		}
		if diff := cmp.Diff(tt.want, numbers); diff != "" {
			t.Errorf("boots from %s to %s: %s", tt.from, tt.to, diff)
		}
	}
	commits, err := s.Commits(t.Context(), at(3).Time, at(3).Time)
	check(t, err)
	if len(commits) != 2 || commits[0].ID != c.ID || commits[0].End == nil || commits[1].ID != d.ID || commits[1].End != nil {
		t.Errorf("commits: %+v", commits)
	}
	from, to, err := s.Extent(t.Context())
	check(t, err)
	if !from.Equal(at(1).Time) || to.Before(at(5).Time) {
		t.Errorf("extent %s to %s", from, to)
	}
}

// More rows than fit on a page all come, once each, even those of the same moment.
func TestRowsComePageByPage(t *testing.T) {
	root := newRoot(t)
	var evs []*record.Event
	for n := 1; n <= 1203; n++ {
		o := observation(n)
		o.Time = at(n / 700) // many at the same moment
		evs = append(evs, o)
	}
	write(t, root, evs...)
	events := observedFrom(t, open(t, root), at(0).Time, at(2).Time)
	if len(events) != 1203 || events[0] != 2 || events[1202] != 1204 {
		t.Errorf("%d observations, %d to %d", len(events), events[0], events[len(events)-1])
	}
}
