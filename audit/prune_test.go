package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// pruneUntil removes what is older than a moment from a machine's record.
func pruneUntil(m *storetest.Machine, horizon time.Time) {
	m.T.Helper()
	m.Flush()
	synctest.Test(m.T, func(t *testing.T) {
		time.Sleep(time.Until(m.Now))
		s, err := store.Open(t.Context(), m.Root, "1.0.0")
		storetest.Check(t, err)
		p, err := s.Prune(t.Context(), horizon)
		storetest.Check(t, err)
		if p.Gone == 0 {
			t.Error("nothing went")
		}
		storetest.Check(t, s.Close())
	})
}

// answers are all that a record says of some moments after a horizon, but which events say so.
func answers(t *testing.T, s *store.Store, horizon time.Time, moments []time.Time) (all []string) {
	t.Helper()
	when := func(at *record.Timestamp) string {
		switch {
		case at == nil:
			return "none"
		case at.Before(horizon):
			return "before"
		}
		return at.String()
	}
	for _, at := range moments {
		st, err := NewState(t.Context(), s, at)
		storetest.Check(t, err)
		st.Events, st.KnownSince, st.ObservedAt = nil, nil, nil
		said, err := json.Marshal(st)
		storetest.Check(t, err)
		all = append(all, string(said))
		for _, e := range exposuresAt(t, s, at) {
			all = append(all, fmt.Sprintf("%s: %s %s of %s %s: %s %v, active %s", at, e.CVE, e.Status, e.Package, e.Version, e.Reason,
				e.Active != nil && e.Seconds != nil, when(e.Active)))
			if e.Lost != nil && !e.Lost.Before(horizon) {
				all = append(all, fmt.Sprintf("%s: %s lost by %s at %s, back %s", at, e.CVE, e.LostBy, when(e.Lost), when(e.Back)))
			}
		}
	}
	return all
}

// tellNewest changes what was written so far.
func tellNewest(m *storetest.Machine, change func(ev *record.Event)) {
	for _, ev := range m.Written {
		change(ev)
	}
}

// unreadInitrd has what was written so far not know of which package a live patch is.
func unreadInitrd(m *storetest.Machine) {
	tellNewest(m, func(ev *record.Event) {
		if o := ev.Observation; o != nil && o.LivePatch != nil {
			o.LivePatch.Package, o.LivePatch.Version, o.LivePatch.PatchNumber, o.LivePatch.CVEs = nil, nil, nil, nil
		}
	})
}

// A prune changes no answer about what came after its horizon.
func TestPruneChangesNoAnswer(t *testing.T) {
	for name, story := range map[string]func(m *storetest.Machine){
		"a patch that stays loaded while newer ones come": func(m *storetest.Machine) {
			storetest.Unloaded(m, storetest.PatchPackage(storetest.ReleaseA, 3))
			m.Until("2025-03-01T09:00:00Z")
			storetest.Unloaded(m, storetest.PatchPackage(storetest.ReleaseA, 4))
		},
		"an initrd of before": func(m *storetest.Machine) {
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
			m.Until("2025-03-10T09:00:00Z")
			m.Initrds[storetest.ReleaseA] = storetest.ModuleOf(storetest.PatchPackage(storetest.ReleaseA, 2))
			m.Reboot()
		},
		"another kernel": func(m *storetest.Machine) {
			m.Install(storetest.KernelPackage(storetest.KernelB), storetest.PatchPackage(storetest.ReleaseB, 2))
			m.Wait(time.Hour)
			m.Reboot()
		},
		"the journal lost the start of the boot": func(m *storetest.Machine) {
			m.Until("2025-02-25T09:00:00Z")
			m.Rotated = true
		},
		"the journal lost the start of a boot like an earlier one": func(m *storetest.Machine) {
			m.Reboot()
			m.Until("2025-02-25T09:00:00Z")
			m.Rotated = true
			m.Until("2025-03-05T09:00:00Z")
			m.Reboot()
		},
		"only a journal that lost it since shows a load": func(m *storetest.Machine) {
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
			m.Until("2025-02-12T09:00:00Z")
			unreadInitrd(m)
			m.Rotated = true
		},
		"a live patch of an earlier boot, of which nobody could read the package, comes back": func(m *storetest.Machine) {
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
			m.Until("2025-02-10T09:00:00Z")
			unreadInitrd(m)
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 2))
			m.Reboot()
			m.Until("2025-03-05T09:00:00Z")
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
		},
		"fixes that only differences tell": func(m *storetest.Machine) {
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
			m.Until("2025-02-10T09:00:00Z")
			storetest.Unloaded(m, storetest.PatchPackage(storetest.ReleaseA, 4))
			m.Until("2025-03-31T09:00:00Z")
			tellNewest(m, func(ev *record.Event) {
				switch {
				case ev.Begin != nil:
					ev.Begin.Fixes = nil
				case ev.End != nil:
					ev.End.Fixes = nil
				case ev.Observation != nil && ev.Observation.LivePatch != nil:
					ev.Observation.LivePatch.CVEs, ev.Observation.LivePatch.Bugs = nil, nil
				}
			})
		},
		"taken away before anybody saw it active": func(m *storetest.Machine) {
			m.Install(storetest.KernelPackage(storetest.KernelB), storetest.PatchPackage(storetest.ReleaseB, 2))
			m.Until("2025-01-20T09:00:00Z")
			m.Remove(storetest.PatchPackage(storetest.ReleaseB, 2))
		},
		"lost by a boot after one that was seen before the horizon": func(m *storetest.Machine) {
			m.Until("2025-02-19T09:00:00Z")
			m.Recording = false
			m.Initrds[storetest.ReleaseA] = ""
			m.Until("2025-02-22T09:00:00Z")
			m.Reboot()
			m.Pending = nil
			m.Until("2025-02-23T09:00:00Z")
			m.StartRecording()
		},
		"the last look could read little": func(m *storetest.Machine) {
			m.Until("2025-02-20T10:00:00Z")
			m.Observe(record.TriggerManual)
			o := m.Written[len(m.Written)-1].Observation
			o.Installed, o.RPMDB, o.Compared, o.Reboot, o.NextBoot, o.Parts = nil, "", false, nil, nil, nil
		},
		"installed and not loaded": func(m *storetest.Machine) {
			storetest.Unloaded(m, storetest.PatchPackage(storetest.ReleaseA, 3))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.Running(t, 1)
			m.Until("2025-01-10T09:00:00Z")
			m.Install(storetest.PatchPackage(storetest.ReleaseA, 2))
			m.Until("2025-01-15T09:00:00Z")
			story(m)
			m.Until("2025-04-01T12:00:00Z")
			horizon := storetest.When(t, "2025-02-20T11:00:00Z")
			var moments []time.Time
			for at := horizon.Add(40 * time.Hour); at.Before(m.Now); at = at.Add(time.Duration(storetest.Few(185, 37)) * time.Hour) {
				moments = append(moments, at)
			}
			before := answers(t, m.OpenRecord(), horizon, moments)
			pruneUntil(m, horizon)
			if diff := cmp.Diff(before, answers(t, m.OpenRecord(), horizon, moments)); diff != "" {
				t.Errorf("(-before +after): %s", diff)
			}
			if !slices.ContainsFunc(before, func(a string) bool { return strings.Contains(a, "CVE-2025-4221 ") }) {
				t.Error("nothing is compared")
			}
		})
	}
}

// A boot that, by its clock, ran until after the horizon is at odds with the one that runs, as before.
func TestPruneKeepsWhatClocksSay(t *testing.T) {
	l := &storetest.Life{T: t}
	p2, p1 := l.Loads("5 16:01", "p2", "initrd"), l.Loads("6 10:01", "p1", "initrd")
	for _, at := range []string{"5 17:00", "5 18:00", "5 19:00", "5 20:00", "6 14:00"} {
		l.Sees(at, "A", "5 16:00", "p2", l.Row("A", "5 16:00", at, p2))
	}
	l.Sees("6 10:05", "B", "6 10:00", "p1", l.Row("A", "5 16:00", "6 16:00", p2), l.Row("B", "6 10:00", "6 10:05", p1))
	l.Sees("6 20:00", "B", "6 10:00", "p1", l.Row("B", "6 10:00", "6 20:00", p1))
	m, horizon := l.Machine(), storetest.March(t, "6 15:00")
	var moments []time.Time
	for _, at := range []string{"6 15:30", "6 17:00", "6 20:00"} {
		moments = append(moments, storetest.March(t, at))
	}
	before := answers(t, m.OpenRecord(), horizon, moments)
	pruneUntil(m, horizon)
	if diff := cmp.Diff(before, answers(t, m.OpenRecord(), horizon, moments)); diff != "" {
		t.Errorf("(-before +after): %s", diff)
	}
}
