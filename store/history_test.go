package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

var rowOpts = cmpopts.IgnoreUnexported(record.HistoryRow{})

// patchRow is the row of patch in the commit of begin(1), at its end.
func patchRow() *record.HistoryRow {
	actor := record.RowActor{Login: new("tux"), SudoUser: new("tux"), Exe: new("/usr/bin/zypper"), TTY: new("pts/0"), Session: new("3")}
	return &record.HistoryRow{
		Time: at(2), TimeSource: "commit", UTCOffset: "+01:00", Commit: new(begin(1).ID), Event: 3, Host: "sles",
		BootID: "0123456789abcdef0123456789abcdef", Kind: "livepatch", Action: "upgrade",
		Package: "kernel-livepatch-6_4_0-150600_21-default", Arch: "x86_64", Version: "5-150600.2.1", Previous: new("4-150600.2.1"),
		KernelRelease: new("6.4.0-150600.21-default"), PatchNumber: new(5), Initial: new(false), Result: record.ResultOK,
		Outcome: new(record.OutcomeCompleted), Source: "plugin", Actor: actor, Command: new("zypper in 'a b'"),
		UserData: new("change:4711"), Repo: new("updates"), Checksum: new("abc"), SignatureKey: new("f74f09bc3fa1d6ce"),
		Advisories: []string{"SUSE-2026-1"}, CVEsAdded: []string{"CVE-2026-1", "CVE-2026-2"}, CVEsRemoved: []string{"CVE-2025-9"},
		BugsAdded: []string{"bsc#1"}, BugsRemoved: []string{}, Scripts: []record.Script{}, KnownSince: new(at(2)),
	}
}

func TestCommitIsOpenUntilItsEnd(t *testing.T) {
	s := open(t, newRoot(t))
	b := begin(1, patch(record.ResultUnknown), install("kernel-default", "1-1", record.ResultUnknown))
	check(t, s.Append(t.Context(), b))

	announced := patchRow()
	announced.Time, announced.Event, announced.Result = at(1), 2, record.ResultUnknown
	announced.Outcome, announced.Advisories, announced.KnownSince = nil, []string{}, new(at(1))
	got := history(t, s, record.HistoryFilter{OldestFirst: true})
	if len(got) != 2 || !cmp.Equal(got[0], announced, rowOpts) {
		t.Errorf("open commit: %d rows, -want +got\n%s", len(got), cmp.Diff(announced, got[0], rowOpts))
	}
	commits, err := s.OpenCommits(t.Context())
	check(t, err)
	if want := []record.OpenCommit{{Event: 2, Begin: b}}; !cmp.Equal(commits, want) {
		t.Error(cmp.Diff(want, commits))
	}

	check(t, s.Append(t.Context(), end(2, b, record.OutcomeCompleted, patch(record.ResultOK))))
	if diff := cmp.Diff([]*record.HistoryRow{patchRow()}, history(t, s, record.HistoryFilter{}), rowOpts); diff != "" {
		t.Errorf("ended commit, -want +got\n%s", diff)
	}
	if commits, err = s.OpenCommits(t.Context()); err != nil || len(commits) != 0 {
		t.Errorf("open commits after the end: %v, %v", commits, err)
	}
}

func TestSecondEndOfACommitIsNotAdded(t *testing.T) {
	root := newRoot(t)
	b := begin(1)
	write(t, root, b, end(2, b, record.OutcomeCompleted), end(3, b, record.OutcomeInterrupted), b)
	if got := logged(t, root); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("events in the log: %v", got)
	}
}

func TestEndWithoutABeginIsShown(t *testing.T) {
	s := open(t, newRoot(t))
	check(t, s.Append(t.Context(), end(2, begin(1), record.OutcomeCompleted, patch(record.ResultOK))))
	want := patchRow()
	want.Event, want.Actor, want.Command, want.UserData = 2, record.RowActor{}, nil, nil
	if diff := cmp.Diff([]*record.HistoryRow{want}, history(t, s, record.HistoryFilter{}), rowOpts); diff != "" {
		t.Error(diff)
	}
}

func TestTimeOfAChangeInACommitClosedLateIsItsInstallTime(t *testing.T) {
	s := open(t, newRoot(t))
	installed, lost := patch(record.ResultOK), patch(record.ResultNotDone)
	installed.InstallTime = new(at(7))
	ev := end(90, begin(1), record.OutcomeInterrupted, installed, lost)
	ev.End.Late = true
	check(t, s.Append(t.Context(), ev))
	var got []string
	for _, r := range history(t, s, record.HistoryFilter{OldestFirst: true}) {
		got = append(got, fmt.Sprint(r.Time.Sub(epoch), " ", r.TimeSource, " ", r.Result))
	}
	if want := []string{"7m0s rpm ok", "1h30m0s commit not-done"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestHistoryKeys compares the published form with its documentation.
func TestHistoryKeys(t *testing.T) {
	const documented = `time time_source utc_offset commit event host boot_id kind action package arch version previous
		kernel_release patch_number initial result outcome source actor command userdata repo checksum signature_key
		advisories advisory cves_added cves_removed bugs_added bugs_removed scripts known_since`
	if diff := cmp.Diff(strings.Fields(documented), keys(t, patchRow())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(strings.Fields("login sudo_user exe tty session automation"), keys(t, record.RowActor{})); diff != "" {
		t.Error(diff)
	}
}

// keys returns the keys of a struct's JSON in their order.
func keys(t *testing.T, v any) (keys []string) {
	t.Helper()
	text, err := json.Marshal(v)
	check(t, err)
	d := json.NewDecoder(bytes.NewReader(text))
	_, err = d.Token()
	check(t, err)
	for d.More() {
		key, err := d.Token()
		check(t, err)
		var value json.RawMessage
		check(t, d.Decode(&value))
		keys = append(keys, key.(string))
	}
	return keys
}

func TestHistoryFilters(t *testing.T) {
	s := open(t, newRoot(t))
	a, b := begin(1), begin(3)
	b.Begin.Actor.Login, b.Begin.Actor.SudoUser = "root", ""
	removed := install("kernel-default", "3", record.ResultFailed)
	removed.Action = "remove"
	check(t, s.Append(t.Context(), a, end(2, a, record.OutcomeCompleted, install("kernel-default", "1", record.ResultOK),
		install("kernel-rt", "2", record.ResultOK)), b, end(4, b, record.OutcomeFailed, removed, patch(record.ResultOK))))
	for _, tt := range []struct {
		name   string
		filter record.HistoryFilter
		want   string
	}{
		{"everything, newest first", record.HistoryFilter{}, "5-150600.2.1 3 2 1"},
		{"oldest first", record.HistoryFilter{OldestFirst: true}, "1 2 3 5-150600.2.1"},
		{"since includes its moment", record.HistoryFilter{Since: at(4).Time}, "5-150600.2.1 3"},
		{"until excludes its moment", record.HistoryFilter{Until: at(4).Time}, "2 1"},
		{"a moment in another zone", record.HistoryFilter{Until: at(4).In(time.FixedZone("", 3600))}, "2 1"},
		{"package", record.HistoryFilter{Package: "kernel-rt"}, "2"},
		{"package pattern", record.HistoryFilter{Package: "kernel-[dr]*"}, "3 2 1"},
		{"package pattern is no SQL", record.HistoryFilter{Package: "x' OR 1 --"}, ""},
		{"kind", record.HistoryFilter{Kind: "livepatch"}, "5-150600.2.1"},
		{"action", record.HistoryFilter{Action: "remove"}, "3"},
		{"result", record.HistoryFilter{Result: "failed"}, "3"},
		{"login", record.HistoryFilter{User: "root"}, "5-150600.2.1 3"},
		{"login or sudo user", record.HistoryFilter{User: "tux"}, "2 1"},
		{"limit", record.HistoryFilter{Limit: 3}, "5-150600.2.1 3 2"},
		{"limit of the oldest", record.HistoryFilter{Limit: 1, OldestFirst: true}, "1"},
		{"all at once", record.HistoryFilter{User: "tux", Kind: "kernel", Package: "*-default", Limit: 9}, "1"},
	} {
		var got []string
		for _, r := range history(t, s, tt.filter) {
			got = append(got, r.Version)
		}
		if diff := cmp.Diff(strings.Fields(tt.want), got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
}

// many appends commits with enough changes to fill several pages, and returns the versions of the
// changes, oldest first.
func many(t *testing.T, s *store.Store) (versions []string) {
	t.Helper()
	for n := range 3 {
		var changes []record.Change
		for range 420 {
			versions = append(versions, fmt.Sprint(len(versions)))
			changes = append(changes, install("kernel-default", versions[len(versions)-1], record.ResultOK))
		}
		ev := end(2, begin(10+n), record.OutcomeCompleted, changes...)
		ev.ID = header("", 20+n).ID // all at the same time: the log decides the order
		check(t, s.Append(t.Context(), ev))
	}
	return versions
}

func TestPagesLoseAndRepeatNothing(t *testing.T) {
	s := open(t, newRoot(t))
	want := many(t, s)
	check(t, s.Append(t.Context(), end(1, begin(30), record.OutcomeCompleted, install("kernel-rt", "before", record.ResultOK)),
		end(3, begin(31), record.OutcomeCompleted, install("kernel-rt", "after", record.ResultOK))))
	for _, filter := range []record.HistoryFilter{
		{Since: at(2).Time, Until: at(3).Time}, {Package: "kernel-default"}, {Package: "kernel-d*"}, {Package: "*l?", Since: at(1).Time},
	} {
		for _, filter.OldestFirst = range []bool{true, false} {
			expect := slices.Clone(want)
			if !filter.OldestFirst {
				slices.Reverse(expect)
			}
			for _, filter.Limit = range []int{0, 5000, 501, 500, 3} {
				if filter.Limit > 0 {
					expect = expect[:min(filter.Limit, len(expect))]
				}
				var got []string
				for _, r := range history(t, s, filter) {
					got = append(got, r.Version)
				}
				if diff := cmp.Diff(expect, got); diff != "" {
					t.Errorf("%+v:\n%s", filter, diff)
				}
			}
		}
	}
}

func TestHistoryDoesNotShowWhatComesInMeanwhile(t *testing.T) {
	root := newRoot(t)
	s, writer := open(t, root), open(t, root)
	want := len(many(t, s))
	got := 0
	for _, err := range s.History(t.Context(), record.HistoryFilter{OldestFirst: true}) {
		check(t, err)
		if got++; got == 100 {
			check(t, writer.Append(t.Context(), end(50, begin(40), record.OutcomeCompleted, patch(record.ResultOK))))
		}
	}
	if got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
	if got := len(history(t, s, record.HistoryFilter{})); got != want+1 {
		t.Errorf("%d rows afterwards, want %d", got, want+1)
	}
}

func TestHistoryStopsWhereItsReaderStops(t *testing.T) {
	s := open(t, sample(t))
	for range s.History(t.Context(), record.HistoryFilter{}) {
		break
	}
	check(t, s.Append(t.Context(), begin(9))) // nothing is kept open
}

func TestSummary(t *testing.T) {
	root := newRoot(t)
	s := open(t, root)
	empty, err := s.Summarize(t.Context())
	check(t, err)
	if empty.Events != 1 || empty.Changes != 0 || empty.Commits != 0 || empty.LastCommit != nil {
		t.Errorf("empty record: %+v", empty)
	}
	b := begin(1)
	check(t, s.Append(t.Context(), b, end(2, b, record.OutcomeAborted, patch(record.ResultNotDone)), begin(3)))
	got, err := s.Summarize(t.Context())
	check(t, err)
	v := verify(t, root, "")
	want := &record.Summary{
		Events: 4, Changes: 1, Commits: 2, Open: 1, First: v.FirstTime, Last: new(at(3)), Host: record.Host{MachineID: "m1", Hostname: "sles"},
		RootHash: v.RootHash, Key: v.Key, Checkpoint: v.Checkpoint, RecordedBy: program,
		LastOutcome: new(record.OutcomeAborted), LastCommit: new(at(2)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A commit that ends while a long listing is read appears once, as it was at the start.
func TestCommitEndsWhileHistoryIsRead(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	var many []record.Change
	for range 600 {
		many = append(many, patch(record.ResultOK))
	}
	first, last := begin(1), begin(3, patch(record.ResultUnknown))
	check(t, s.Append(t.Context(), first, end(2, first, record.OutcomeCompleted, many...), last))
	reader, err := store.OpenReadOnly(t.Context(), store.Path(root))
	check(t, err)
	defer reader.Close()
	rows := map[string]int{}
	for row, err := range reader.History(t.Context(), record.HistoryFilter{OldestFirst: true}) {
		check(t, err)
		if rows[*row.Commit]++; rows[first.ID] == 1 && *row.Commit == first.ID {
			check(t, s.Append(t.Context(), end(4, last, record.OutcomeCompleted, patch(record.ResultOK))))
		}
		if *row.Commit == last.ID && (row.Result != record.ResultUnknown || row.Outcome != nil) {
			t.Errorf("the open commit shows as %s, %v", row.Result, row.Outcome)
		}
	}
	if rows[first.ID] != 600 || rows[last.ID] != 1 {
		t.Errorf("got %d and %d rows, want 600 and 1", rows[first.ID], rows[last.ID])
	}
}

// An end that comes out of the spool before its begin is not lost and loses nothing.
func TestEndBeforeItsBegin(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	b := begin(1, patch(record.ResultUnknown))
	check(t, s.Append(t.Context(), end(2, b, record.OutcomeCompleted, patch(record.ResultOK))))
	check(t, s.Append(t.Context(), b))
	var got []string
	for row, err := range s.History(t.Context(), record.HistoryFilter{}) {
		check(t, err)
		got = append(got, fmt.Sprint(row.Result, " ", *row.Outcome, " ", *row.UserData))
	}
	if len(got) != 1 || got[0] != "ok completed change:4711" {
		t.Errorf("got %q", got)
	}
	sum, err := s.Summarize(t.Context())
	check(t, err)
	if sum.Changes != 1 || sum.Commits != 1 {
		t.Errorf("%d changes in %d commits are counted, want one", sum.Changes, sum.Commits)
	}
}
