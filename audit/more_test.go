package audit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// had says what was installed, patch levels with the times that rpm noted.
func had(l *storetest.Life, o *record.Observation, patches ...string) {
	for _, text := range patches {
		var n int
		level, at, _ := strings.Cut(text, "@")
		fmt.Sscanf(level, "p%d", &n)
		p := storetest.PatchPackage(storetest.ReleaseA, n)
		p.InstallTime = storetest.March(l.T, at).Unix()
		o.Installed = append(o.Installed, p)
	}
}

// endsCommit is the end of a commit that brought a package.
func endsCommit(l *storetest.Life, at string, outcome record.Outcome, p record.Package) {
	c := storetest.Change(p)
	c.Action = "install"
	l.Event(record.KindCommitEnd, at, "A", "5 09:00").End = &record.CommitEnd{Commit: fmt.Sprintf("019ca8d5-0000-7000-8000-000000%06d", 900000+len(l.Evs)), Outcome: outcome, Changes: []record.Change{c}}
}

func covers(o *record.Observation, date string) {
	if err := record.SetPart(o, record.Coverage{Date: date}); err != nil {
		panic(err)
	}
}

func boots(o *record.Observation, release string) {
	o.NextBoot = &record.NextBoot{KernelRelease: release}
}

// in says which live patch packages are installed in a state.
func in(st *State) string {
	if st.Installed == nil {
		return "?"
	}
	var list []string
	for _, p := range st.Installed {
		list = append(list, fmt.Sprintf("p%d", storetest.Number(p)))
	}
	return strings.Join(list, " ")
}

func nextOf(st *State) string {
	if st.NextBoot == nil {
		return "?"
	}
	return st.NextBoot.KernelRelease
}

func verdictOf(st *State) string {
	if st.Initrd == nil {
		return "?"
	}
	return string(st.Initrd.Verdict)
}

// differs is a look at packages that finds others than there were.
func differs(l *storetest.Life, at string, patches ...string) {
	var o record.Observation
	had(l, &o, patches...)
	d := &record.Drift{Cause: record.DriftUnrecorded, Compared: 1, Since: l.Evs[0].Time, Installed: o.Installed, Changes: []record.Change{storetest.Change(o.Installed[0])}}
	d.Changes[0].Action = "install"
	l.Event(record.KindDrift, at, "A", "1 09:00").Drift = d
}

// inCommit is one from 10:00 to 10:02 that brings the second live patch in the place of the first one, at 10:00:30.
func inCommit(l *storetest.Life) {
	var o record.Observation
	had(l, &o, "p1@1 10:00")
	begin := l.Event(record.KindCommitBegin, "5 10:00", "A", "1 09:00")
	c := storetest.Change(storetest.PatchPackage(storetest.ReleaseA, 2))
	c.Action, c.Previous = "upgrade", o.Installed[0].Version
	begin.Begin = &record.CommitBegin{Installed: o.Installed, Announced: []record.Change{c}, Command: []string{"zypper", "up"}}
	c.InstallTime = new(l.Stamp("5 10:00:30"))
	l.Event(record.KindCommitEnd, "5 10:02", "A", "1 09:00").End = &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted, Changes: []record.Change{c}}
}

// What the events decide is said, although the machine was not observed on both sides, or not in full.
func TestStateSaysWhatFollows(t *testing.T) {
	for name, tt := range map[string]struct {
		tell func(l *storetest.Life)
		at   string
		say  func(*State) string
		want string
	}{
		"a package that came before the moment": {
			func(l *storetest.Life) {
				had(l, l.Sees("5 10:00", "A", "1 09:00", "p1"), "p1@1 10:00")
				had(l, l.Sees("6 10:00", "A", "1 09:00", "p1"), "p2@5 12:00")
			}, "5 20:00", in, "p2",
		},
		"a package that came after the moment, maybe not alone": {
			func(l *storetest.Life) {
				had(l, l.Sees("5 10:00", "A", "1 09:00", "p1"), "p1@1 10:00")
				had(l, l.Sees("6 10:00", "A", "1 09:00", "p1"), "p3@5 12:00")
			}, "5 11:00", in, "?",
		},
		"the first package, which came after the moment": {
			func(l *storetest.Life) {
				had(l, l.Sees("5 10:00", "A", "1 09:00", ""))
				had(l, l.Sees("6 10:00", "A", "1 09:00", "p1"), "p1@5 12:00")
			}, "5 11:00", in, "",
		},
		"the first package that was seen, which came after the moment, and earlier versions perhaps before": {
			func(l *storetest.Life) {
				had(l, l.Sees("5 10:00", "A", "1 09:00", ""))
				had(l, l.Sees("6 10:00", "A", "1 09:00", "p2"), "p2@5 12:00")
			}, "5 11:00", in, "?",
		},
		"a package that was being installed": {
			func(l *storetest.Life) {
				had(l, l.Sees("5 10:00", "A", "1 09:00", "p1"), "p1@1 10:00")
				had(l, l.Sees("6 10:00", "A", "1 09:00", "p1"), "p2@5 12:00")
			}, "5 12:00:00", in, "?",
		},
		"a package that went, nobody knows when": {
			func(l *storetest.Life) {
				had(l, l.Sees("5 10:00", "A", "1 09:00", "p1"), "p1@1 10:00")
				had(l, l.Sees("6 10:00", "A", "1 09:00", "p1"))
			}, "5 20:00", in, "?",
		},
		"one that could not read rpm": {
			func(l *storetest.Life) {
				had(l, l.Sees("5 10:00", "A", "1 09:00", "p1"), "p1@1 10:00")
				l.Sees("5 15:00", "A", "1 09:00", "p1").Installed = nil
				had(l, l.Sees("6 10:00", "A", "1 09:00", "p1"), "p1@1 10:00")
			}, "5 12:00", in, "p1",
		},
		"many that could not read rpm": {
			func(l *storetest.Life) {
				had(l, l.Sees("5 10:00", "A", "1 09:00", "p1"), "p1@1 10:00")
				for hour := range 6 {
					l.Sees(fmt.Sprintf("5 1%d:30", hour), "A", "1 09:00", "p1").Installed = nil
				}
				had(l, l.Sees("6 10:00", "A", "1 09:00", "p1"), "p1@1 10:00")
			}, "5 12:00", in, "p1",
		},
		"a look of the system plugin": {
			func(l *storetest.Life) {
				had(l, l.Sees("5 10:00", "A", "1 09:00", "p1"), "p1@1 10:00")
				differs(l, "5 12:00", "p2@5 11:00")
				had(l, l.Sees("6 10:00", "A", "1 09:00", "p1"), "p3@6 08:00")
			}, "5 12:00", in, "p2",
		},
		"what a commit was about to replace": {inCommit, "5 10:00:20", in, "p1"},
		"what a commit was replacing":        {inCommit, "5 10:00:40", in, "?"},
		"what a commit has replaced":         {inCommit, "5 10:01:40", in, "p2"},
		"a machine that was set back in between": {
			func(l *storetest.Life) {
				had(l, l.Sees("5 10:00", "A", "5 09:00", "p1"), "p1@1 10:00")
				had(l, l.Sees("8 14:00", "A", "8 09:00", "p1"), "p1@1 10:00")
			}, "6 12:00", in, "?",
		},
		"covered, by the kernel alone": {
			func(l *storetest.Life) {
				covers(l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00")), "2026-12-31")
				l.Sees("7 10:00", "B", "7 09:00", "", l.Row("A", "5 09:00", "5 20:00"))
			}, "5 19:00", func(st *State) string { return record.OrEmpty(st.CoveredUntil) }, "2026-12-31",
		},
		"covered, and the date was another one later": {
			func(l *storetest.Life) {
				covers(l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00")), "2026-12-31")
				covers(l.Sees("7 10:00", "B", "7 09:00", "", l.Row("A", "5 09:00", "5 20:00")), "2027-12-31")
			}, "5 19:00", func(st *State) string { return record.OrEmpty(st.CoveredUntil) }, "",
		},
		"the next boot, by the one that came": {
			func(l *storetest.Life) {
				boots(l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00")), storetest.ReleaseA)
				boots(l.Sees("7 10:00", "B", "7 09:00", "", l.Row("A", "5 09:00", "5 20:00"), l.Row("B", "7 09:00", "7 10:00")), storetest.ReleaseA)
			}, "5 19:00", nextOf, storetest.ReleaseA,
		},
		"the next boot, right after one": {
			func(l *storetest.Life) {
				boots(l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00")), storetest.ReleaseA)
				boots(l.Sees("7 10:00", "B", "7 09:00", "", l.Row("A", "5 09:00", "5 20:00"), l.Row("B", "7 09:00", "7 10:00")), storetest.ReleaseA)
			}, "7 09:30", nextOf, storetest.ReleaseA,
		},
		"the next boot of another snapshot with another kernel": {
			func(l *storetest.Life) {
				boots(l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00")), storetest.ReleaseA)
				endsCommit(l, "5 11:00", record.OutcomeStaged, storetest.KernelPackage("6.4.0-150600.23.47.2"))
				boots(l.Sees("5 12:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 12:00")), storetest.ReleaseA)
			}, "5 12:00", nextOf, "?",
		},
		"the next boot of another snapshot with the same kernels": {
			func(l *storetest.Life) {
				boots(l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00")), storetest.ReleaseA)
				endsCommit(l, "5 11:00", record.OutcomeStaged, storetest.PatchPackage(storetest.ReleaseA, 2))
				boots(l.Sees("5 12:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 12:00")), storetest.ReleaseA)
			}, "5 12:00", nextOf, storetest.ReleaseA,
		},
		"the next boot, with a live patch that came in between": {
			func(l *storetest.Life) {
				boots(l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00")), storetest.ReleaseA)
				endsCommit(l, "5 11:00", record.OutcomeCompleted, storetest.PatchPackage(storetest.ReleaseA, 2))
				boots(l.Sees("7 10:00", "B", "7 09:00", "", l.Row("A", "5 09:00", "5 20:00"), l.Row("B", "7 09:00", "7 10:00")), storetest.ReleaseA)
			}, "5 19:00", nextOf, storetest.ReleaseA,
		},
		"the next boot, with kernels that came before and after": {
			func(l *storetest.Life) {
				boots(l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00")), storetest.ReleaseA)
				endsCommit(l, "5 18:00", record.OutcomeCompleted, storetest.KernelPackage("6.4.0-150600.23.53.1"))
				endsCommit(l, "5 21:00", record.OutcomeCompleted, storetest.KernelPackage("6.4.0-150600.23.47.2"))
				boots(l.Sees("7 10:00", "B", "7 09:00", "", l.Row("A", "5 09:00", "5 22:00"), l.Row("B", "7 09:00", "7 10:00")), storetest.ReleaseA)
			}, "5 19:00", nextOf, "?",
		},
		"the next boot, by the kernel that runs and is to run again": {
			func(l *storetest.Life) {
				boots(l.Sees("5 15:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 15:00")), storetest.ReleaseA)
			}, "5 12:00", nextOf, storetest.ReleaseA,
		},
		"the next boot, of another kernel than the one that runs": {
			func(l *storetest.Life) {
				boots(l.Sees("5 15:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 15:00")), storetest.ReleaseB)
			}, "5 12:00", nextOf, "?",
		},
		"the next boot, in one that nobody looked at": {
			func(l *storetest.Life) {
				boots(l.Sees("7 10:00", "B", "7 09:00", "", l.Row("A", "5 09:00", "5 20:00"), l.Row("B", "7 09:00", "7 10:00")), storetest.ReleaseA)
			}, "5 19:00", nextOf, storetest.ReleaseA,
		},
		"right after a boot, the image that it came from": {
			func(l *storetest.Life) {
				storetest.HoldsPatch(l.Sees("5 09:01", "A", "5 09:00", "p1", l.Row("A", "5 09:00", "5 09:01", l.Loads("5 09:00:02", "p1", "initrd"))))
			}, "5 09:00:30", verdictOf, "contained",
		},
		"hours after a boot, the image that it came from": {
			func(l *storetest.Life) {
				storetest.HoldsPatch(l.Sees("5 20:00", "A", "5 09:00", "p1", l.Row("A", "5 09:00", "5 20:00", l.Loads("5 09:00:02", "p1", "initrd"))))
			}, "5 12:00", verdictOf, "contained",
		},
		"hours after a boot, with looks that could not read what the kernel runs": {
			func(l *storetest.Life) {
				load := l.Loads("5 09:00:02", "p1", "initrd")
				l.Sees("5 20:00", "A", "5 09:00", "?", l.Row("A", "5 09:00", "5 20:00", load)).Initrd.Reason = record.ReasonPatchesUnknown
				b := l.Row("A", "5 09:00", "5 22:00", load)
				b.Builds = []record.Build{{KernelRelease: storetest.ReleaseA, Success: true, Time: l.Stamp("5 21:00"), Cursor: "b"}}
				l.Sees("5 22:00", "A", "5 09:00", "?", b).Initrd.Reason = record.ReasonPatchesUnknown
			}, "5 12:00", verdictOf, "contained",
		},
		"between looks that could not read the image": {
			func(l *storetest.Life) {
				for _, at := range []string{"5 10:00", "5 15:00", "5 20:00", "6 08:00"} {
					o := l.Sees(at, "A", "5 09:00", "p1", l.Row("A", "5 09:00", at, l.Loads("5 09:30", "p1", "system")))
					o.Initrd.Verdict, o.Initrd.Basis, o.Initrd.Reason = record.VerdictMissing, record.BasisImage, ""
					if at == "5 15:00" || at == "5 20:00" {
						o.Initrd.Verdict, o.Initrd.Basis, o.Initrd.Reason = record.VerdictUnknown, "", record.ReasonUnreadable
					}
				}
			}, "5 17:00", verdictOf, "missing",
		},
		"before a build, and while it may have written its image": {
			func(l *storetest.Life) {
				load := l.Loads("5 09:00:02", "p1", "initrd")
				storetest.HoldsPatch(l.Sees("5 10:00", "A", "5 09:00", "p1", l.Row("A", "5 09:00", "5 10:00", load)))
				b := l.Row("A", "5 09:00", "5 12:00", load)
				b.Builds = []record.Build{{KernelRelease: storetest.ReleaseA, Success: true, Time: l.Stamp("5 11:00"), Cursor: "b"}}
				l.Sees("5 12:00", "A", "5 09:00", "p1", b).Initrd.Reason = record.ReasonNoModuleLine
			}, "5 10:59:58", verdictOf, "?",
		},
		"since a build that the look after it did not judge": {
			func(l *storetest.Life) {
				for _, at := range []string{"5 10:20", "5 10:40"} {
					b := l.Row("A", "5 09:00", at, l.Loads("5 09:30", "p1", "system"))
					b.Builds = []record.Build{{KernelRelease: storetest.ReleaseA, Success: true, Time: l.Stamp("5 10:10"), Cursor: "b"}}
					o := l.Sees(at, "A", "5 09:00", "p1", b)
					if o.Initrd.Reason = record.ReasonUnreadable; at == "5 10:40" {
						storetest.HoldsPatch(o)
					}
				}
			}, "5 10:15", verdictOf, "contained",
		},
		"after a build that nobody knows of": {
			func(l *storetest.Life) {
				o := l.Sees("5 20:00", "A", "5 09:00", "p1", l.Row("A", "5 09:00", "5 20:00", l.Loads("5 09:00:02", "p1", "initrd")))
				o.Initrd.Verdict, o.Initrd.Basis, o.Initrd.Reason = record.VerdictMissing, record.BasisImage, ""
			}, "5 12:00", verdictOf, "?",
		},
		"while an update waited in another snapshot, which was booted later": {
			func(l *storetest.Life) {
				begin := l.Event(record.KindCommitBegin, "5 10:59", "A", "5 09:00")
				c := storetest.Change(storetest.PatchPackage(storetest.ReleaseA, 2))
				c.Action, c.InstallTime = "install", new(l.Stamp("5 10:59:30"))
				begin.Begin = &record.CommitBegin{Installed: []record.Package{}, Announced: []record.Change{c}, Command: []string{"zypper", "up"}, Staging: &record.Staging{Snapshot: "45", Root: "/tmp/x"}}
				l.Event(record.KindCommitEnd, "5 11:00", "A", "5 09:00").End = &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeStaged, Changes: []record.Change{c}}
				storetest.HoldsPatch(l.Sees("5 12:00", "A", "5 09:00", "p1", l.Row("A", "5 09:00", "5 12:00", l.Loads("5 09:00:02", "p1", "initrd"))))
				o := l.Sees("7 10:00", "B", "7 09:00", "p2", l.Row("B", "7 09:00", "7 10:00", l.Loads("7 09:00:02", "p2", "initrd")))
				had(l, o, "p2@5 10:59:30")
				o.Subvolume = "/@/.snapshots/45/snapshot"
			}, "5 12:00", verdictOf, "?",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := &storetest.Life{T: t}
			tt.tell(l)
			st, err := NewState(t.Context(), l.OpenRecord(), storetest.March(t, tt.at))
			storetest.Check(t, err)
			if got := tt.say(st); got != tt.want {
				t.Errorf("got %q, want %q; unknown: %q", got, tt.want, st.Unknown)
			}
		})
	}
}
