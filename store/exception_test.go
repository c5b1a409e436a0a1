package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/store"
)

func exceptionEvent(n int, x store.ExceptionChange) *store.Event {
	return &store.Event{Header: header(store.KindException, n), Exception: &x}
}

// An exception is what it was at the moment that is asked for, whatever came after.
func TestExceptionsAsOfAMoment(t *testing.T) {
	root := newRoot(t)
	tux := store.Actor{Login: "tux", SudoUser: "alice"}
	added := exceptionEvent(3, store.ExceptionChange{Action: store.ExceptionAdd, Actor: tux, Check: "coverage", Reason: "r\x1b", Until: new(at(9))})
	write(t, root, added,
		exceptionEvent(4, store.ExceptionChange{Action: store.ExceptionAdd, Check: "clock"}), // without an end: not one
		exceptionEvent(5, store.ExceptionChange{Action: store.ExceptionEnd, Exception: "nosuch"}),
		exceptionEvent(6, store.ExceptionChange{Action: store.ExceptionEnd, Actor: store.Actor{Login: "root"}, Exception: added.ID}),
		exceptionEvent(7, store.ExceptionChange{Action: store.ExceptionEnd, Exception: added.ID})) // too late
	s := open(t, root)
	want := store.Exception{ID: added.ID, Event: 2, Time: at(3), Check: "coverage", Reason: "r\x1b", Until: at(9),
		By: store.RowActor{Login: new("tux"), SudoUser: new("alice")}}
	ended := want
	ended.Ended, ended.EndedIn, ended.EndedBy = new(at(6)), 5, &store.RowActor{Login: new("root")}
	for _, tt := range []struct {
		at   time.Time
		want []store.Exception
	}{
		{at(2).Time, nil},
		{at(3).Time, []store.Exception{want}},
		{at(5).Time, []store.Exception{want}},
		{at(6).Time, []store.Exception{ended}},
		{at(99).Time, []store.Exception{ended}},
	} {
		got, err := s.Exceptions(t.Context(), tt.at)
		check(t, err)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("at %s: %s", tt.at, diff)
		}
	}
	if v := verify(t, root, ""); v.Result != store.Intact {
		t.Errorf("record: %q", v.Problems)
	}
}
