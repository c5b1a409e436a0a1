package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

// staged is a commit of events n and n+1 that installs packages "name version" in a snapshot, in
// the minute of its end, and removes those with a minus in front.
func staged(n int, snapshot string, changes ...string) []*record.Event {
	b := begin(n)
	b.BootID = strings.Repeat("a", 32)
	b.Begin.Staging = &record.Staging{Snapshot: snapshot, Root: "/tmp/x"}
	var list []record.Change
	for _, c := range changes {
		name, removed := strings.CutPrefix(c, "-")
		name, version, _ := strings.Cut(name, " ")
		change := install(name, version, record.ResultOK)
		if removed {
			change.Action = "remove"
		} else {
			change.InstallTime = new(at(n + 1))
		}
		list = append(list, change)
	}
	e := end(n+1, b, record.OutcomeStaged, list...)
	e.BootID = b.BootID
	return []*record.Event{b, e}
}

// bootedInto is event n, an observation in a separate boot that began half a minute before: in a
// snapshot with packages "name version minute". Without any, the packages are not known.
func bootedInto(n int, snapshot int, packages ...string) []*record.Event {
	o := observation(n)
	o.BootID = fmt.Sprintf("%032d", n)
	o.Observation.Kernel.BootTime = record.At(at(n).Add(-30e9))
	o.Observation.Compared = true
	o.Observation.Subvolume = fmt.Sprintf("/@/.snapshots/%d/snapshot", snapshot)
	for _, p := range packages {
		var name, version string
		var minute int
		fmt.Sscan(p, &name, &version, &minute)
		o.Observation.Installed = append(o.Observation.Installed,
			record.Package{Name: name, Version: version, Arch: "x86_64", InstallTime: at(minute).Unix()})
	}
	return []*record.Event{o}
}

// sameBoot moves observations into the boot in which commits are staged.
func sameBoot(evs []*record.Event) []*record.Event {
	for _, ev := range evs {
		ev.BootID = strings.Repeat("a", 32)
	}
	return evs
}

func TestStagedCommits(t *testing.T) {
	type events = [][]*record.Event
	for name, tt := range map[string]struct {
		events events
		want   []string // for each commit: outcome, and the minute since which it is effective
	}{
		"not booted yet":                  {events{staged(10, "6", "k 1")}, []string{"staged"}},
		"still in the old one":            {events{staged(10, "6", "k 1"), sameBoot(bootedInto(12, 5, "k 0 1"))}, []string{"staged"}},
		"booted":                          {events{staged(10, "6", "k 1"), bootedInto(20, 6, "k 1 11")}, []string{"completed 19"}},
		"booted, packages not known":      {events{staged(10, "6", "k 1"), bootedInto(20, 6)}, []string{"completed 19"}},
		"nothing known of its changes":    {events{staged(10, "6"), bootedInto(20, 6, "k 1 11")}, []string{"completed 19"}},
		"the first boot counts":           {events{staged(10, "6", "k 1"), bootedInto(20, 6, "k 1 11"), bootedInto(30, 6, "k 1 11")}, []string{"completed 19"}},
		"an older one booted":             {events{staged(10, "6", "k 1"), bootedInto(20, 5, "k 0 1")}, []string{"discarded"}},
		"an older one, and then its own":  {events{staged(10, "6", "k 1"), bootedInto(20, 5, "k 0 1"), bootedInto(30, 6, "k 1 11")}, []string{"completed 29"}},
		"effective, then rolled back":     {events{staged(10, "6", "k 1"), bootedInto(20, 6, "k 1 11"), bootedInto(30, 5, "k 0 1")}, []string{"completed 19"}},
		"a later one based on it":         {events{staged(10, "6", "k 1"), staged(12, "7", "l 1"), bootedInto(20, 7, "k 1 11", "l 1 13")}, []string{"completed 19", "completed 19"}},
		"a later one not based on it":     {events{staged(10, "6", "k 1"), staged(12, "7", "l 1"), bootedInto(20, 7, "k 0 1", "l 1 13")}, []string{"discarded", "completed 19"}},
		"the same again in a later one":   {events{staged(10, "6", "k 1"), staged(12, "7", "k 1"), bootedInto(20, 7, "k 1 13")}, []string{"staged", "completed 19"}},
		"a later one, packages not known": {events{staged(10, "6", "k 1"), staged(12, "7", "l 1"), bootedInto(20, 7)}, []string{"staged", "completed 19"}},
		"half of it is there":             {events{staged(10, "6", "k 1", "l 1"), bootedInto(20, 8, "k 1 11")}, []string{"staged"}},
		"removed, and gone":               {events{staged(10, "6", "k 1", "-l 1"), bootedInto(20, 8, "k 1 11")}, []string{"completed 19"}},
		"removed, and there":              {events{staged(10, "6", "-l 1"), bootedInto(20, 8, "l 1 1")}, []string{"discarded"}},
		"a removal alone proves little":   {events{staged(10, "6", "-l 1"), bootedInto(20, 8, "k 1 1")}, []string{"staged"}},
		"its number was given again":      {events{staged(10, "6", "k 1"), staged(12, "6", "l 1"), bootedInto(20, 6, "k 0 1", "l 1 13")}, []string{"discarded", "completed 19"}},
		"no number":                       {events{staged(10, "", "k 1"), bootedInto(20, 6, "k 1 11")}, []string{"staged"}},
		"no snapshot booted": {events{staged(10, "6", "k 1"), func() []*record.Event {
			o := bootedInto(20, 6, "k 0 1")
			o[0].Observation.Subvolume = "/@"
			return o
		}()}, []string{"staged"}},
		"seen before it, spooled": {events{staged(10, "6", "k 1"), bootedInto(2, 5, "k 0 1")}, []string{"staged"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			write(t, root, slices.Concat(tt.events...)...)
			const outcomes = `SELECT outcome || coalesce(' ' || ((effective / 1000000 - 1772366400) / 60), '') FROM commits ORDER BY begin_event`
			db := raw(t, root)
			if got := query(t, db, outcomes); !cmp.Equal(tt.want, got) {
				t.Error(cmp.Diff(tt.want, got))
			}
			if v := verify(t, root, ""); v.Result != proof.Intact {
				t.Errorf("a rebuild gives something else: %q", v.Problems)
			}
		})
	}
}

// A report about a moment does not know what came later.
func TestStagedAsOfThen(t *testing.T) {
	root := newRoot(t)
	write(t, root, slices.Concat(staged(10, "6", "k 1"), bootedInto(20, 6, "k 1 11"))...)
	s := open(t, root)
	for events, want := range map[int64]record.Outcome{3: record.OutcomeStaged, 4: record.OutcomeCompleted, 0: record.OutcomeCompleted} {
		if rows := history(t, s, record.HistoryFilter{Events: events}); len(rows) != 1 || *rows[0].Outcome != want {
			t.Errorf("after %d events: %+v, want %s", events, rows, want)
		}
	}
	commits, err := s.Commits(t.Context(), at(0).Time, at(30).Time)
	check(t, err)
	if len(commits) != 1 || commits[0].Effective == nil || commits[0].Effective.Before(at(19).Time) {
		t.Errorf("%+v", commits)
	}
}

// What a commit found in a snapshot is not what the running system has.
func TestStagedPackagesAreNoSnapshotOfTheSystem(t *testing.T) {
	root := newRoot(t)
	c := staged(10, "6", "k 1")
	c[0].Begin.Installed, c[1].End.Installed = []record.Package{{Name: "k"}}, []record.Package{{Name: "k"}}
	c[1].End.Compared = true
	write(t, root, c...)
	if last, err := open(t, root).LastSnapshot(t.Context()); last != nil || err != nil {
		t.Errorf("%+v, %v", last, err)
	}
}
