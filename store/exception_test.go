package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

func exceptionEvent(n int, x record.ExceptionChange) *record.Event {
	return &record.Event{Header: header(record.KindException, n), Exception: &x}
}

// An exception is reported as it was at the moment asked for, whatever came later.
func TestExceptionsAsOfAMoment(t *testing.T) {
	root := newRoot(t)
	tux := record.Actor{Login: "tux", SudoUser: "alice"}
	added := exceptionEvent(3, record.ExceptionChange{Action: record.ExceptionAdd, Actor: tux, Check: "coverage", Reason: "r\x1b", Until: new(at(9))})
	write(t, root, added,
		exceptionEvent(4, record.ExceptionChange{Action: record.ExceptionAdd, Check: "clock"}), // without an end date: not an exception
		exceptionEvent(5, record.ExceptionChange{Action: record.ExceptionEnd, Exception: "nosuch"}),
		exceptionEvent(6, record.ExceptionChange{Action: record.ExceptionEnd, Actor: record.Actor{Login: "root"}, Exception: added.ID}),
		exceptionEvent(7, record.ExceptionChange{Action: record.ExceptionEnd, Exception: added.ID})) // too late
	s := open(t, root)
	want := record.Exception{ID: added.ID, Event: 2, Time: at(3), Check: "coverage", Reason: "r\x1b", Until: at(9),
		By: record.RowActor{Login: new("tux"), SudoUser: new("alice")}}
	ended := want
	ended.Ended, ended.EndedIn, ended.EndedBy = new(at(6)), 5, &record.RowActor{Login: new("root")}
	for _, tt := range []struct {
		at   time.Time
		want []record.Exception
	}{
		{at(2).Time, nil},
		{at(3).Time, []record.Exception{want}},
		{at(5).Time, []record.Exception{want}},
		{at(6).Time, []record.Exception{ended}},
		{at(99).Time, []record.Exception{ended}},
	} {
		got, err := s.Exceptions(t.Context(), tt.at)
		check(t, err)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("at %s: %s", tt.at, diff)
		}
	}
	if v := verify(t, root, ""); v.Result != proof.Intact {
		t.Errorf("record: %q", v.Problems)
	}
}
