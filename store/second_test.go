package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// moment is a moment within the minute of event n.
func moment(n int, after time.Duration) record.Timestamp {
	return record.At(at(n).Add(after))
}

// inSecond are the rows of a history with the times that it gives them, oldest first.
func inSecond(t *testing.T, s *store.Store, f record.HistoryFilter) (got []string) {
	t.Helper()
	f.OldestFirst = true
	for _, r := range history(t, s, f) {
		got = append(got, fmt.Sprintf("%s %s %s %v", r.Source, r.Package, r.TimeSource, r.Time.Sub(epoch)))
	}
	return got
}

// rpm counts seconds, the recorder microseconds. A change found after the end of a commit comes
// after it, even in the same second.
func TestDriftInTheSecondOfACommitComesAfterIt(t *testing.T) {
	s := open(t, newRoot(t))
	b := begin(1)
	e := end(2, b, record.OutcomeCompleted, install("kernel-default", "1-1", record.ResultOK))
	e.Time = moment(2, 700*time.Millisecond)
	by := func(name string, installed record.Timestamp) record.Change {
		c := install(name, "2-1", record.ResultOK)
		c.InstallTime = &installed
		return c
	}
	d := &record.Event{Header: header(record.KindDrift, 3), Drift: &record.Drift{
		Cause: record.DriftUnrecorded, Since: e.Time, Installed: []record.Package{},
		Changes: []record.Change{
			by("same-second", moment(2, 0)), by("next-second", moment(2, time.Second)), by("older-database", moment(1, 0)),
			{Kind: "support", Action: "remove", Package: "gone", Arch: "noarch", Version: "1-1", Result: record.ResultOK},
		},
	}}
	check(t, s.Append(t.Context(), b, e, d))
	want := []string{
		"plugin kernel-default commit 2m0.7s", "drift same-second rpm 2m0.700001s", "drift next-second rpm 2m1s",
		"drift older-database found 3m0s", "drift gone found 3m0s",
	}
	if got := inSecond(t, s, record.HistoryFilter{}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	since, until := record.HistoryFilter{Since: moment(2, 700*time.Millisecond+1000).Time}, record.HistoryFilter{Until: moment(2, 700*time.Millisecond+1000).Time}
	if got := inSecond(t, s, since); !slices.Equal(got, want[1:]) {
		t.Errorf("since the end of the commit: %q", got)
	}
	if got := inSecond(t, s, until); !slices.Equal(got, want[:1]) {
		t.Errorf("until the end of the commit: %q", got)
	}
}

// A clock that was set back between the looks gives no moment after that of the finding.
func TestDriftAfterTheClockWasSetBack(t *testing.T) {
	s := open(t, newRoot(t))
	c := install("kernel-default", "2-1", record.ResultOK)
	c.InstallTime = new(at(3))
	d := &record.Event{Header: header(record.KindDrift, 3), Drift: &record.Drift{
		Cause: record.DriftUnrecorded, Since: moment(3, 700*time.Millisecond), Installed: []record.Package{}, Changes: []record.Change{c},
	}}
	d.Time = moment(3, 400*time.Millisecond)
	check(t, s.Append(t.Context(), d))
	if got, want := inSecond(t, s, record.HistoryFilter{}), []string{"drift kernel-default rpm 3m0s"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a commit installed comes after its begin.
func TestLateEndInTheSecondOfItsBeginComesAfterIt(t *testing.T) {
	s := open(t, newRoot(t))
	first, b := begin(0), begin(1)
	done := end(1, first, record.OutcomeCompleted, install("before", "1-1", record.ResultOK))
	done.Time, b.Time = moment(1, 300*time.Millisecond), moment(1, 600*time.Millisecond)
	same, later := install("kernel-default", "1-1", record.ResultOK), install("later", "1-1", record.ResultOK)
	same.InstallTime, later.InstallTime = new(at(1)), new(moment(1, 2*time.Second))
	e := end(90, b, record.OutcomeInterrupted, later, same)
	e.End.Late, e.End.Begun = true, &b.Time
	check(t, s.Append(t.Context(), first, done, b, e))
	want := []string{"plugin before commit 1m0.3s", "plugin kernel-default rpm 1m0.6s", "plugin later rpm 1m2s"}
	if got := inSecond(t, s, record.HistoryFilter{}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
