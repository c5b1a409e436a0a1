package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// aged is a moment long after the recorder began; the recorder writes the present time.
func aged(n int) record.Timestamp { return record.At(at(n).AddDate(20, 0, 0)) }

// long is a record of everything that a prune must handle. Its events, by number in the log: 1
// recorder, 2 and 3 a commit, 4 and 5 observations, 6 a commit without an end, 7 and 8 exceptions,
// 9 and 10 a staged commit, 11 and 12 a commit, 13 the boot of what was staged, 14 a commit without
// an end.
func long(t *testing.T) string {
	t.Helper()
	root := newRoot(t)
	first, open := begin(1, patch(record.ResultUnknown)), begin(5)
	first.Begin.Installed = []record.Package{{Name: "k", Version: "1", Arch: "x86_64"}}
	firstEnd := end(2, first, record.OutcomeCompleted, patch(record.ResultOK))
	firstEnd.End.Fixes = map[string]record.Fixes{"p-1.x86_64": {CVEs: []string{"CVE-2026-7"}}}
	firstEnd.End.Installed, firstEnd.End.Compared = first.Begin.Installed, true
	seen, again := observation(3, boot(4, true, "livepatch_5")), observation(4)
	seen.Observation.Installed, again.Observation.Installed = first.Begin.Installed, first.Begin.Installed
	seen.Observation.Compared, again.Observation.Compared = true, true
	seen.Observation.Subvolume = "/@/.snapshots/5/snapshot"
	exception := func(n int, check string, until int) *record.Event {
		return &record.Event{Header: header(record.KindException, n), Exception: &record.ExceptionChange{
			Action: record.ExceptionAdd, Check: check, Reason: "r", Until: new(aged(until))}}
	}
	second := begin(20)
	evs := slices.Concat([]*record.Event{first, firstEnd, seen, again, open, exception(6, "taint", 90), exception(7, "clock", 8)}, staged(10, "6", "k 2"),
		[]*record.Event{second, end(21, second, record.OutcomeCompleted, install("k", "3", record.ResultOK))},
		bootedInto(40, 6, "k 2 11"), []*record.Event{begin(50)})
	for _, ev := range evs {
		ev.Time.Time = ev.Time.AddDate(20, 0, 0)
		if ev.Observation != nil {
			ev.Observation.Kernel.BootTime.Time = ev.Observation.Kernel.BootTime.AddDate(20, 0, 0)
		}
	}
	write(t, root, evs...)
	return root
}

func prune(t *testing.T, root string, horizon record.Timestamp) *record.Prune {
	t.Helper()
	var p *record.Prune
	later(t, func(t *testing.T) {
		s := open(t, root)
		var err error
		p, err = s.Prune(t.Context(), horizon.Time)
		check(t, errors.Join(err, s.Close()))
	})
	return p
}

// later does something at a time when everything aged is long past.
func later(t *testing.T, do func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(aged(0).AddDate(1, 0, 0)))
		do(t)
	})
}

func bodies(t *testing.T, root string) []string {
	t.Helper()
	return query(t, raw(t, root), `SELECT seq FROM events ORDER BY seq`)
}

// What is removed, what stays, and from when on the record is complete.
func TestPrune(t *testing.T) {
	for _, tt := range []struct {
		horizon int
		through int64
		kept    []int64
		first   int // minute
	}{
		{1, 0, []int64{}, 0},
		{2, 2, []int64{1, 2}, 0}, // its end is not old enough
		{3, 3, []int64{1, 2, 3}, 0},
		{6, 6, []int64{1, 2, 3, 4, 5, 6}, 0},
		{15, 10, []int64{1, 2, 3, 4, 5, 6, 7, 9, 10}, 10},
		{30, 12, []int64{1, 2, 3, 4, 5, 6, 7, 9, 10}, 40},
		{45, 13, []int64{1, 2, 3, 4, 6, 7, 13}, 40},
	} {
		t.Run(fmt.Sprint(tt.horizon), func(t *testing.T) {
			root := long(t)
			before := verify(t, root, "")
			p := prune(t, root, aged(tt.horizon))
			gone := tt.through - int64(len(tt.kept))
			if p.Through != tt.through || p.Gone != gone || !slices.Equal(p.Kept, tt.kept) {
				t.Errorf("got %+v, want %+v", p, tt)
			}
			size := 15
			if gone == 0 {
				size = 14
			}
			if got := bodies(t, root); len(got) != size-int(gone) {
				t.Errorf("there are events %v", got)
			}
			v := verify(t, root, "")
			if v.Result != proof.Intact || v.TreeSize != int64(size) {
				t.Errorf("%+v", v)
			}
			s := open(t, root)
			sum, err := s.Summarize(t.Context())
			check(t, err)
			if tt.first > 0 && (!sum.First.Equal(aged(tt.first).Time) || !v.FirstTime.Equal(sum.First.Time)) {
				t.Errorf("it speaks from %s, verify says %s", sum.First, v.FirstTime)
			}
			if v, err := s.Verify(t.Context(), "", before.Checkpoint); err != nil || v.Result != proof.Intact {
				t.Errorf("with the checkpoint from before: %+v, %v", v, err)
			}
		})
	}
}

// The state at the horizon does not change: everything recorded later builds on it.
func TestPruneKeepsTheState(t *testing.T) {
	root := long(t)
	state := func() (state []string) {
		s := open(t, root)
		defer s.Close()
		last, err := s.LastSnapshot(t.Context())
		check(t, err)
		fixes, err := s.LastFixes(t.Context(), store.AllEvents)
		check(t, err)
		commits, err := s.OpenCommits(t.Context())
		check(t, err)
		for _, c := range commits {
			state = append(state, c.Begin.ID)
		}
		exceptions, err := s.Exceptions(t.Context(), aged(45).Time)
		check(t, err)
		active, err := s.Observations(t.Context(), aged(45).Time, aged(45).Time)
		check(t, err)
		state = append(state, fmt.Sprint(last, fixes, exceptions[0].ID, *active[0].Module))
		return append(state, query(t, raw(t, root), `SELECT * FROM patch_loads ORDER BY boot_id, pos`)...)
	}
	want := state()
	prune(t, root, aged(45))
	if diff := cmp.Diff(want, state()); diff != "" {
		t.Error(diff)
	}
	views := query(t, raw(t, root), `SELECT * FROM commits ORDER BY id`)
	check(t, open(t, root).Rebuild(t.Context()))
	if diff := cmp.Diff(views, query(t, raw(t, root), `SELECT * FROM commits ORDER BY id`)); diff != "" {
		t.Error(diff)
	}
	// The record continues as before.
	b := begin(60)
	b.Time = aged(60)
	write(t, root, b)
	if v := verify(t, root, ""); v.Result != proof.Intact || v.TreeSize != 16 {
		t.Errorf("%+v", v)
	}
}

// A staged commit that is older than everything left can still be booted.
func TestPruneKeepsWhatIsStaged(t *testing.T) {
	root := newRoot(t)
	evs := slices.Concat(staged(10, "6", "k 1"), []*record.Event{begin(20)})
	boot := bootedInto(30, 6, "k 1 11")
	for _, ev := range append(slices.Clone(evs), boot...) {
		ev.Time.Time = ev.Time.AddDate(20, 0, 0)
	}
	boot[0].Observation.Kernel.BootTime = aged(30)
	write(t, root, evs...)
	s := open(t, root)
	if p, err := s.Prune(t.Context(), aged(15).Time); err != nil || p.Gone != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	check(t, s.Close())
	write(t, root, boot...)
	if got := query(t, raw(t, root), `SELECT outcome FROM commits WHERE snapshot = 6`); !slices.Equal(got, []string{"completed"}) {
		t.Errorf("%v", got)
	}
}

// If a staged commit stays, what became of it stays, too.
func TestPruneKeepsWhatBecameOfAStagedCommit(t *testing.T) {
	root := newRoot(t)
	evs := staged(10, "6", "p 1")
	evs[1].End.Changes[0].Kind, evs[1].End.Changes[0].Added = "livepatch", record.Fixes{CVEs: []string{"CVE-2026-7"}}
	evs = append(evs, bootedInto(30, 6, "p 1 11")...)
	for n := range 12 {
		evs = append(evs, bootedInto(40+n, 7, "k 1 11")...)
	}
	for _, ev := range evs {
		ev.Time.Time = ev.Time.AddDate(20, 0, 0)
		if ev.Observation != nil {
			ev.Observation.LivePatch = nil
			ev.Observation.Kernel.BootTime.Time = ev.Observation.Kernel.BootTime.AddDate(20, 0, 0)
		}
	}
	write(t, root, evs...)
	outcome := func() []string { return query(t, raw(t, root), `SELECT outcome, effective FROM commits`) }
	before := outcome()
	if p := prune(t, root, aged(51)); p.Gone == 0 {
		t.Errorf("%+v", p)
	}
	if diff := cmp.Diff(before, outcome()); diff != "" {
		t.Error(diff)
	}
}

// If a boot has an earlier time than the one before it, one of their clocks was wrong: the record
// must still be able to say so.
func TestPruneKeepsAReasonToDoubtAClock(t *testing.T) {
	root := newRoot(t)
	var evs []*record.Event
	for n := range 30 {
		ev := bootedInto(n, 6, "k 1 11")[0]
		ev.Time.Time, ev.Observation.LivePatch, ev.Observation.Kernel.BootTime = ev.Time.AddDate(20, 0, 0), nil, aged(0)
		if ev.BootID = strings.Repeat("a", 32); n > 5 {
			ev.BootID, ev.Time.Time = strings.Repeat("b", 32), ev.Time.Add(-90*time.Second)
		}
		evs = append(evs, ev)
	}
	write(t, root, evs...)
	clocks := func() []string { return query(t, raw(t, root), `SELECT event FROM sightings ORDER BY event`) }
	seen := clocks()
	if p := prune(t, root, aged(27)); p.Gone < 15 {
		t.Errorf("%+v", p)
	}
	if left := clocks(); !slices.Contains(left, seen[5]) || !slices.Contains(left, seen[6]) {
		t.Errorf("of %v there are %v", seen, left)
	}
}

// If nearly all looks would stay, none is removed: what is removed would look hand-picked.
func TestPruneOfLittle(t *testing.T) {
	root := newRoot(t)
	var evs []*record.Event
	for n := range 14 {
		o := observation(n + 1)
		o.Time = aged(n)
		o.Observation.Parts = map[record.PartName]json.RawMessage{record.PartTaint: json.RawMessage("0")}
		if n < 12 {
			o.Observation.Parts[record.PartName(fmt.Sprintf("part-%d", n))] = json.RawMessage("0")
		}
		evs = append(evs, o)
	}
	write(t, root, evs...)
	if p := prune(t, root, aged(13)); p.Gone != 0 || len(bodies(t, root)) != 15 {
		t.Errorf("%+v", p)
	}
}

// A second prune continues after the first one; an earlier horizon changes nothing.
func TestPruneAgain(t *testing.T) {
	root := long(t)
	prune(t, root, aged(15))
	for _, earlier := range []int{5, 15} {
		if p := prune(t, root, aged(earlier)); p.Gone != 0 {
			t.Errorf("horizon %d: %+v", earlier, p)
		}
	}
	p := prune(t, root, aged(45))
	if v := verify(t, root, ""); v.Result != proof.Intact || v.TreeSize != 16 || p.Gone == 0 {
		t.Errorf("%+v, %+v", p, v)
	}
	if causes := query(t, raw(t, root), `SELECT json_extract(body, '$.kind') FROM events WHERE seq > 14`); !slices.Equal(causes, []string{"prune", "prune"}) {
		t.Errorf("%v", causes)
	}
}

// Removed data cannot be read in the file.
func TestPrunedBytesAreGone(t *testing.T) {
	root := long(t)
	secret := []byte("nobody is to know this any more; ")
	old := &record.Event{Header: header(record.KindException, 9), Exception: &record.ExceptionChange{
		Action: record.ExceptionAdd, Check: "clock", Reason: strings.Repeat(string(secret), 10000), Until: new(aged(8))}}
	old.ID, old.Time = "019ca8d5-0000-7000-8000-000000000999", aged(9)
	write(t, root, old)
	count := func() int {
		b, err := os.ReadFile(store.Path(root))
		check(t, err)
		return bytes.Count(b, secret)
	}
	if count() < 9000 {
		t.Fatal("the test looks for the wrong thing")
	}
	if prune(t, root, aged(60)); count() > 0 {
		t.Error("it is in the file still")
	}
}

// An altered event is not removed: that would hide the alteration.
func TestPruneLeavesEvidence(t *testing.T) {
	root := long(t)
	db := attack(t, root)
	exec(t, db, `UPDATE events SET body = json_set(body, '$.exception.reason', 'x') WHERE seq = 8`)
	check(t, db.Close())
	later(t, func(t *testing.T) {
		s := open(t, root)
		defer s.Close()
		if _, err := s.Prune(t.Context(), aged(45).Time); !errors.Is(err, store.ErrUnproven) || !strings.Contains(err.Error(), "event 8") {
			t.Errorf("got %v", err)
		}
	})
	if got := bodies(t, root); len(got) != 15 { // with the event that says that the triggers were gone
		t.Errorf("there are events %v", got)
	}
}

// After a prune the log is as append-only as before.
func TestPrunedLogRefusesChanges(t *testing.T) {
	root := long(t)
	prune(t, root, aged(15))
	db := raw(t, root)
	for _, sql := range []string{`DELETE FROM events WHERE seq = 1`, `DELETE FROM events WHERE seq = 7`, `DELETE FROM events WHERE seq = 11`, `DELETE FROM events`} {
		if _, err := db.Exec(sql); err == nil || !strings.Contains(err.Error(), "append only") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// A prune hides nothing.
func TestTamperingWithAPrunedRecord(t *testing.T) {
	template := long(t)
	body := query(t, raw(t, template), `SELECT body FROM events WHERE seq = 8`)[0]
	prune(t, template, aged(45))
	for name, tt := range map[string]struct{ sql, problem string }{
		"an event that stayed":      {`DELETE FROM events WHERE seq = 7`, "event 7 is missing"},
		"an event after it":         {`DELETE FROM events WHERE seq = 14`, "event 14 is missing"},
		"the prune event":           {`DELETE FROM events WHERE seq = 15`, "the checkpoint covers 15 events"},
		"the hash of one that went": {`UPDATE hashes SET hash = zeroblob(32) WHERE id = 11`, "its hash is"}, // of event 8, which covers 7 and 8
		"the leaf of one that went": {`UPDATE hashes SET hash = zeroblob(32) WHERE id = 10`, ""},
		"no hash of one that went":  {`DELETE FROM hashes WHERE id = 10`, ""},
		"one that went is back":     {`INSERT INTO events VALUES (8, '` + body + `')`, "there are 10 events, numbered up to 15"},
		"more went":                 {`UPDATE events SET body = json_set(body, '$.prune.kept', json('[1]')) WHERE seq = 15; DELETE FROM events WHERE seq = 7`, "event 15: its hash is"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			check(t, os.CopyFS(root, os.DirFS(template)))
			db := attack(t, root)
			exec(t, db, tt.sql)
			check(t, db.Close())
			if v := verify(t, root, ""); v.Result == proof.Intact || !strings.Contains(strings.Join(v.Problems, "\n"), tt.problem) {
				t.Errorf("%s: %q", v.Result, v.Problems)
			}
		})
	}
}

// The export of a pruned record gives the same verification and the same content as the record.
func TestExportOfAPrunedRecord(t *testing.T) {
	root := long(t)
	prune(t, root, aged(45))
	for since := range int64(16) {
		export, want := exported(t, root, since)
		got := verifyExport(t, export, "")
		if got.Result != proof.Intact || got.RootHash != want.RootHash {
			t.Errorf("since %d: %+v", since, got)
		}
	}
	export, _ := exported(t, root, 0)
	if n := bytes.Count(export, []byte(`,"event":`)); n != 9 || bytes.Count(export, []byte("\n")) != 17 {
		t.Errorf("%d events in\n%s", n, export)
	}
	lines := bytes.SplitAfter(export, []byte("\n"))
	for seq, problem := range map[int]string{7: "event 7 is missing", 14: "event 14 is missing"} { // the body of an event that stayed is cut out
		l := slices.Clone(lines)
		head, _, _ := bytes.Cut(l[seq], []byte(`,"event":`))
		l[seq] = append(slices.Clone(head), "}\n"...)
		if v := verifyExport(t, bytes.Join(l, nil), ""); v.Result != proof.Altered || !strings.Contains(strings.Join(v.Problems, "\n"), problem) {
			t.Errorf("without the body of %d: %+v", seq, v)
		}
	}
	path := filepath.Join(t.TempDir(), "export")
	check(t, os.WriteFile(path, export, 0o600))
	s, v, err := store.OpenExport(t.Context(), path, "")
	check(t, err)
	defer s.Close()
	original := open(t, root)
	if diff := cmp.Diff(history(t, original, record.HistoryFilter{}), history(t, s, record.HistoryFilter{}), rowOpts); diff != "" || v.Result != proof.Intact {
		t.Errorf("%+v\n%s", v, diff)
	}
}

// A history that reaches back before the horizon does not bring back what was pruned.
func TestPrunedImport(t *testing.T) {
	root := long(t)
	s := open(t, root)
	im, err := s.Imported(t.Context())
	check(t, err)
	if im.Pruned(at(0).Time) {
		t.Error("nothing was pruned")
	}
	prune(t, root, aged(45))
	im, err = s.Imported(t.Context())
	check(t, err)
	if !im.Pruned(aged(44).Time) || im.Pruned(aged(45).Time) {
		t.Error("what is before the horizon is pruned, and nothing else")
	}
	if from, _, err := s.Extent(t.Context()); err != nil || !from.Equal(aged(45).Time) {
		t.Errorf("the record speaks from %s, %v", from, err)
	}
}

// A prune during a verification is not a finding.
func TestVerifyWhileEventsGo(t *testing.T) {
	root := newRoot(t)
	var evs []*record.Event
	for n := 1; n < 1200; n++ {
		o := observation(n)
		o.Time = aged(n)
		evs = append(evs, o)
	}
	write(t, root, evs...)
	done := make(chan error)
	go later(t, func(t *testing.T) {
		s := open(t, root)
		var err error
		for n := 300; n < 1200 && err == nil; n += 300 { // fewer than the attempts of verify
			_, err = s.Prune(t.Context(), aged(n).Time)
		}
		done <- errors.Join(err, s.Close())
	})
	for {
		if v := verify(t, root, ""); v.Result != proof.Intact {
			t.Errorf("size %d: %q", v.TreeSize, v.Problems)
		}
		select {
		case err := <-done:
			check(t, err)
			return
		default:
		}
	}
}
