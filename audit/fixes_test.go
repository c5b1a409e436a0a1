package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

func fixNow(t *testing.T, m *storetest.Machine, cve string) Exposure {
	t.Helper()
	return fixAt(t, m.OpenRecord(), record.Always(), cve)
}

func fixAt(t *testing.T, s *store.Store, at time.Time, cve string) Exposure {
	t.Helper()
	for _, e := range exposuresAt(t, s, at) {
		if e.CVE == cve && e.Package != "" {
			return e
		}
	}
	return Exposure{Status: StatusNotInRecord}
}

// A version that is not on record may fix what a higher one does: nothing is lost by it.
func TestVersionsThatAreNotOnRecord(t *testing.T) {
	for _, tt := range []struct{ cve, want string }{{"CVE-2025-4221", "unknown"}, {"CVE-2025-4231", "unknown"}} {
		m := storetest.Running(t, 3)
		m.Initrds[storetest.ReleaseA] = storetest.ModuleOf(storetest.PatchPackage(storetest.ReleaseA, 2)) // an image of before is put back
		m.Reboot()
		m.Observe(record.TriggerTimer)
		if e := fixNow(t, m, tt.cve); string(e.Status) != tt.want || e.LostBy != "" {
			t.Errorf("%s: %s, lost by %q", tt.cve, e.Status, e.LostBy)
		}
	}
}

// What a change brought tells what the version before it fixes, also where nobody saw that
// active, and a version holds what those with lower numbers fix.
func TestVersionsKnownByChanges(t *testing.T) {
	m := storetest.Running(t, 1)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
	m.Wait(time.Hour)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 5))
	m.Wait(time.Hour)
	m.Initrds[storetest.ReleaseA] = storetest.ModuleOf(storetest.PatchPackage(storetest.ReleaseA, 3))
	m.Reboot() // the package of what is active is not installed
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	for cve, want := range map[string]string{"CVE-2025-4221": "fixed ", "CVE-2025-4231": "fixed ", "CVE-2025-4241": "lost boot", "CVE-2025-4251": "lost boot"} {
		if e := fixNow(t, m, cve); string(e.Status)+" "+string(e.LostBy) != want {
			t.Errorf("%s: %s %s, want %s", cve, e.Status, e.LostBy, want)
		}
	}
}

// An upgrade is no loss, whenever its commit came on record.
func TestUpgradeBeforeItsCommit(t *testing.T) {
	m := storetest.Running(t, 2)
	m.Wait(time.Hour)
	m.Load(storetest.ModuleOf(storetest.PatchPackage(storetest.ReleaseA, 3)), "system", "R3") // by hand
	m.Wait(90 * time.Minute)
	at := m.Now
	m.Wait(time.Hour)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	s := m.OpenRecord()
	for cve, want := range map[string]string{"CVE-2025-4221": "fixed ", "CVE-2025-4231": "fixed "} {
		if e := fixAt(t, s, at, cve); string(e.Status)+" "+string(e.LostBy) != want {
			t.Errorf("%s: %s %s, want %s", cve, e.Status, e.LostBy, want)
		}
	}
}

// A version that was never loaded and is gone is not installed any more.
func TestInstalledOnlyWhileItIs(t *testing.T) {
	m := storetest.Running(t, 2)
	storetest.Unloaded(m, storetest.PatchPackage(storetest.ReleaseA, 3))
	m.Wait(time.Hour)
	if e := fixNow(t, m, "CVE-2025-4231"); e.Status != StatusInstalled || !strings.HasSuffix(e.Reason, "does not fix it. It was never active.") {
		t.Errorf("while it is there: %s %s", e.Status, e.Reason)
	}
	storetest.Unloaded(m, storetest.PatchPackage(storetest.ReleaseA, 2))
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	if e := fixNow(t, m, "CVE-2025-4231"); e.Status != StatusLost || e.Active != nil {
		t.Errorf("%s, active %v", e.Status, e.Active)
	}
	if e := fixNow(t, m, "CVE-2025-4221"); e.Status != StatusFixed {
		t.Errorf("what stayed is %s", e.Status)
	}
}

// has is what is installed: a live patch by its number, with when it came.
func has(n int, at time.Time) []record.Package {
	p := storetest.PatchPackage(storetest.ReleaseA, n)
	p.InstallTime = at.Unix()
	return []record.Package{p}
}

// drifts is a drift from one live patch package to another.
func drifts(l *storetest.Life, at, boot, began string, old, fresh []record.Package) *record.Drift {
	p, q := old[0], fresh[0]
	e := l.Event(record.KindDrift, at, boot, began)
	e.Drift = &record.Drift{
		Cause: record.DriftUnrecorded, Compared: 2, Since: l.Evs[0].Time, Installed: fresh, Fixes: map[string]record.Fixes{q.Name + "-" + q.Version + ".x86_64": storetest.FixesOf(q)},
		Changes: []record.Change{{
			Kind: "livepatch", Package: q.Name, Arch: "x86_64", Version: q.Version, Previous: p.Version, Action: "upgrade", Result: record.ResultOK, KernelRelease: storetest.ReleaseA,
			InstallTime: new(record.At(time.Unix(q.InstallTime, 0))), Added: record.Fixes{CVEs: []string{"CVE-2025-4231"}},
		}},
	}
	return e.Drift
}

// What came with another snapshot was installed there before, and here when that was booted.
func TestInstalledInAnotherSnapshot(t *testing.T) {
	l := &storetest.Life{T: t}
	old, fresh := has(2, storetest.March(t, "1 08:00")), has(3, storetest.March(t, "5 12:00"))
	first := l.Sees("4 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "4 10:00", l.Loads("1 09:00:02", "p2", "initrd")))
	d := drifts(l, "6 10:00", "B", "6 09:30", old, fresh)
	second := l.Sees("6 10:00", "B", "6 09:30", "p2", l.Row("A", "1 09:00", "6 09:00", l.Loads("1 09:00:02", "p2", "initrd")), l.Row("B", "6 09:30", "6 10:00", l.Loads("6 09:30:02", "p2", "initrd")))
	d.Cause, d.Previous, d.Subvolume = record.DriftSnapshot, "/@/.snapshots/1/snapshot", "/@/.snapshots/2/snapshot"
	first.Installed, first.Subvolume, first.Compared = old, d.Previous, true
	second.Installed, second.Subvolume, second.Compared = fresh, d.Subvolume, true
	s := l.OpenRecord()
	for at, want := range map[string]ExposureStatus{"5 13:00": StatusNotInRecord, "6 09:45": StatusNotInRecord, "6 10:01": StatusInstalled} {
		if e := fixAt(t, s, storetest.March(t, at), "CVE-2025-4231"); e.Status != want || e.Installed != nil && e.Installed.Before(storetest.March(t, "6 09:30")) {
			t.Errorf("%s: %s, installed %v, want %s", at, e.Status, e.Installed, want)
		}
	}
}

// stages puts a commit on record that was made in a snapshot.
func stages(l *storetest.Life, at, snapshot string, installed []record.Package, c record.Change) {
	begin := l.Event(record.KindCommitBegin, at, "A", "1 09:00")
	fixes := map[string]record.Fixes{installed[0].Name + "-" + installed[0].Version + ".x86_64": storetest.FixesOf(installed[0])}
	begin.Begin = &record.CommitBegin{Installed: installed, Fixes: fixes, Announced: []record.Change{c}, Command: []string{"zypper", "up"}, Staging: &record.Staging{Snapshot: snapshot, Root: "/tmp/x"}}
	l.Event(record.KindCommitEnd, at+":30", "A", "1 09:00").End = &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeStaged, Changes: []record.Change{c}}
}

// What only another snapshot had, which was not booted, was never here, and so is not lost: also
// where the one that was booted was made of it.
func TestStagedAndTakenAwayAgain(t *testing.T) {
	l := &storetest.Life{T: t}
	p2 := has(2, storetest.March(t, "1 08:00"))
	update, back := storetest.Change(has(3, storetest.March(t, "5 09:00"))[0]), storetest.Change(p2[0])
	update.Action, update.Previous, update.InstallTime = record.ActionUpgrade, p2[0].Version, new(l.Stamp("5 09:00:10"))
	back.Action, back.Previous, back.InstallTime = record.ActionDowngrade, update.Version, new(l.Stamp("5 10:00:10"))
	loads := l.Loads("1 09:00:02", "p2", "initrd")
	first := l.Sees("4 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "4 10:00", loads))
	first.Installed, first.Subvolume, first.Compared = p2, "/@/.snapshots/1/snapshot", true
	stages(l, "5 09:00", "2", p2, update)
	stages(l, "5 10:00", "3", has(3, storetest.March(t, "5 09:00")), back)
	second := l.Sees("6 10:00", "B", "6 09:30", "p2", l.Row("A", "1 09:00", "6 09:00", loads), l.Row("B", "6 09:30", "6 10:00", l.Loads("6 09:30:02", "p2", "initrd")))
	second.Installed, second.Subvolume, second.Compared = has(2, storetest.March(t, "5 10:00:10")), "/@/.snapshots/3/snapshot", true
	if e := fixAt(t, l.OpenRecord(), record.Always(), "CVE-2025-4231"); e.Status != StatusUnknown {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// What went between two looks, nobody knows when, is not known to be there.
func TestInstalledUntilNobodyKnowsWhen(t *testing.T) {
	l := &storetest.Life{T: t}
	p2 := l.Loads("1 09:00:02", "p2", "initrd")
	old, fresh := has(2, storetest.March(t, "1 08:00")), has(3, storetest.March(t, "4 09:00"))
	l.Sees("3 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "3 10:00", p2)).Installed = old
	drifts(l, "4 10:00", "A", "1 09:00", old, fresh)
	l.Sees("4 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "4 10:00", p2)).Installed = fresh
	l.Sees("6 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "6 10:00", p2)).Installed = fresh
	l.Sees("8 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "8 10:00", p2)).Installed = []record.Package{}
	s := l.OpenRecord()
	for at, want := range map[string]ExposureStatus{"4 10:00": StatusInstalled, "5 10:00": StatusInstalled, "7 10:00": StatusUnknown} {
		if e := fixAt(t, s, storetest.March(t, at), "CVE-2025-4231"); e.Status != want {
			t.Errorf("%s: %s %s, want %s", at, e.Status, e.Reason, want)
		}
	}
}

// That a fix was never active is said only of a time that the record shows.
func TestNeverActiveIsNotClaimed(t *testing.T) {
	m := storetest.Running(t, 2)
	storetest.Unloaded(m, storetest.PatchPackage(storetest.ReleaseA, 3))
	m.Wait(time.Hour)
	m.Initrds[storetest.ReleaseA] = storetest.ModuleOf(storetest.PatchPackage(storetest.ReleaseA, 2))
	storetest.Unrecorded(m, m.Reboot)
	m.Pending = nil // the journal of the boot before is lost
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	if e := fixNow(t, m, "CVE-2025-4231"); e.Status != StatusInstalled || !strings.HasSuffix(e.Reason, "It is not known to have been active.") {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// What was active is not known to be, once the record ends otherwise.
func TestRecordEndsOtherwise(t *testing.T) {
	for name, tt := range map[string]struct {
		end    func(m *storetest.Machine)
		reason string
	}{
		"removed in a boot that nobody saw": {func(m *storetest.Machine) {
			storetest.Unrecorded(m, m.Reboot)
			m.Wait(time.Hour)
			m.Remove(storetest.PatchPackage(storetest.ReleaseA, 2))
			m.Written = m.Written[:len(m.Written)-1] // nobody looks
		}, "Which kernel runs since"},
		"removed": {func(m *storetest.Machine) {
			m.Remove(storetest.PatchPackage(storetest.ReleaseA, 2))
			m.Written = m.Written[:len(m.Written)-1]
		}, "nobody saw which live patch is active since"},
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.Running(t, 2)
			m.Observe(record.TriggerTimer)
			m.Wait(time.Hour)
			tt.end(m)
			if e := fixNow(t, m, "CVE-2025-4221"); e.Status != StatusUnknown || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("%s: %s", e.Status, e.Reason)
			}
		})
	}
}

// A machine that was not looked at for long keeps its fixes.
func TestSilenceTakesNoFixAway(t *testing.T) {
	m := storetest.Running(t, 2)
	m.Observe(record.TriggerTimer)
	m.Wait(90 * 24 * time.Hour)
	if e := fixAt(t, m.OpenRecord(), m.Now, "CVE-2025-4221"); e.Status != StatusFixed {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// A load that is not complete fixes nothing; what it replaces goes on to.
func TestTransitionFixesNothing(t *testing.T) {
	m := storetest.Running(t, 2)
	m.Wait(time.Hour)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	for _, ev := range m.Written {
		if ev.Observation != nil && ev.Observation.LivePatch != nil && *ev.Observation.LivePatch.PatchNumber == 3 {
			ev.Observation.LivePatch.Transition = true
		}
	}
	s := m.OpenRecord()
	tl, err := WholeTimeline(t.Context(), s)
	storetest.Check(t, err)
	last := &tl.Patches[len(tl.Patches)-1]
	last.Transition, last.Replaces = true, new(storetest.ModuleOf(storetest.PatchPackage(storetest.ReleaseA, 2)))
	for cve, want := range map[string]string{"CVE-2025-4221": "fixed: ", "CVE-2025-4231": "installed: The load of livepatch_3_150600_13_9_1 is not complete: some tasks may run without it. It is not known to have been active."} {
		for _, e := range exposuresIn(t, s, tl) {
			if got := fmt.Sprintf("%s: %s", e.Status, e.Reason); e.CVE == cve && got != want {
				t.Errorf("%s: %s, want %s", cve, got, want)
			}
		}
	}
	last.Replaces = new("")
	for _, e := range exposuresIn(t, s, tl) {
		if e.CVE == "CVE-2025-4221" && (e.Status == StatusFixed) {
			t.Errorf("with nothing replaced: %s", e.Status)
		}
	}
}

// Each loss and each return of a fix is kept.
func TestEveryLossIsKept(t *testing.T) {
	m := storetest.Running(t, 2)
	m.Observe(record.TriggerTimer)
	for range 2 {
		m.Wait(24 * time.Hour)
		m.Install(storetest.PatchPackage(storetest.ReleaseA, 1))
		m.Wait(time.Hour)
		m.Install(storetest.PatchPackage(storetest.ReleaseA, 2))
	}
	m.Wait(time.Hour)
	m.Reboot()
	m.Wait(time.Hour)
	m.Initrds[storetest.ReleaseA] = ""
	m.Reboot()
	m.Wait(time.Hour)
	e := fixNow(t, m, "CVE-2025-4221")
	var got []string
	for _, in := range e.Intervals {
		got = append(got, string(in.LostBy))
	}
	if strings.Join(got, " ") != "downgrade downgrade boot" || e.Status != StatusLost || e.LostBy != "boot" || e.Back != nil {
		t.Errorf("lost by %q, %s by %q, back %v", got, e.Status, e.LostBy, e.Back)
	}
	if sum := Summarize([]Exposure{e}); sum.Losses != 3 {
		t.Errorf("the summary counts %d losses", sum.Losses)
	}
}

// Of a moment that the record goes on after, what it does not know is not known; neither is what a
// commit did that nobody looked at since.
func TestMomentsThatAreNotKnown(t *testing.T) {
	m := storetest.Running(t, 2)
	m.Observe(record.TriggerTimer)
	m.Wait(time.Hour)
	m.Halt(0)
	m.Wait(time.Minute)
	off := m.Now
	m.Wait(time.Minute)
	m.Start(storetest.ReleaseA)
	m.Wait(time.Hour)
	m.Install(storetest.PatchPackage(storetest.ReleaseA, 3))
	m.Written = m.Written[:len(m.Written)-1] // nobody looks
	s := m.OpenRecord()
	if e := fixAt(t, s, off, "CVE-2025-4221"); e.Status != StatusUnknown {
		t.Errorf("while it was off: %s", e.Status)
	}
	if e := fixAt(t, s, m.Now, "CVE-2025-4231"); e.Status != StatusUnknown || !strings.Contains(e.Reason, "nobody saw which live patch is active since") {
		t.Errorf("after the commit: %s %s", e.Status, e.Reason)
	}
}

// What is installed is as it was seen last, unless a newer look could not read it.
func TestInstalledWhereRPMCouldNotBeRead(t *testing.T) {
	for _, tt := range []struct {
		after time.Duration
		want  ExposureStatus
	}{{time.Minute, StatusInstalled}, {24 * time.Hour, StatusUnknown}} {
		m := storetest.Running(t, 2) // nothing but its commits says what is installed
		m.Install(storetest.KernelPackage(storetest.KernelB), storetest.PatchPackage(storetest.ReleaseB, 2))
		m.Wait(tt.after)
		m.Observe(record.TriggerTimer)
		m.Last().Installed = nil
		for _, e := range exposuresAt(t, m.OpenRecord(), record.Always()) {
			if e.KernelRelease == storetest.ReleaseB && e.Status != tt.want {
				t.Errorf("after %s: %s: %s", tt.after, e.Status, e.Reason)
			}
		}
	}
}

// While one live patch replaces another some tasks run either: only what both fix is fixed.
func TestFixesOfATransition(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"p2", "p3", "CVE-2025-4221 CVE-2025-4222"}, {"p3", "p2", "CVE-2025-4221 CVE-2025-4222"}, {"p1", "p3", ""}, {"p3", "p1", ""},
	} {
		l := &storetest.Life{T: t}
		from, to := l.Loads("1 09:00:02", tt.from, "initrd"), l.Loads("4 09:00", tt.to, "system")
		l.Sees("3 10:00", "A", "1 09:00", tt.from, l.Row("A", "1 09:00", "3 10:00", from))
		to.Result, to.Completed = "unknown", nil
		o := l.Sees("4 10:00", "A", "1 09:00", tt.to, l.Row("A", "1 09:00", "4 10:00", from, to))
		o.LivePatch.Transition, o.LivePatch.Since = true, &to.Time
		to.Result, to.Completed, from.Replaced = "complete", new(l.Stamp("5 08:00")), tt.to
		l.Sees("6 10:00", "A", "1 09:00", tt.to, l.Row("A", "1 09:00", "6 10:00", from, to))
		s := l.OpenRecord()
		for _, at := range []string{"4 09:30", "4 10:00", "5 07:00"} {
			st, err := NewState(t.Context(), s, storetest.March(t, at))
			storetest.Check(t, err)
			if got := strings.Join(st.CVEs, " "); got != tt.want || st.CVEs == nil {
				t.Errorf("%s to %s, %s: %q, want %q", tt.from, tt.to, at, st.CVEs, tt.want)
			}
		}
	}
}

// What two looks around a moment agree on is not known of a moment at which nothing is known to
// have run: the clock was set between them.
func TestNothingPendsWhereNothingRan(t *testing.T) {
	l := &storetest.Life{T: t}
	for _, at := range []string{"5 10:00", "6 10:00"} {
		began := map[string]string{"5 10:00": "5 09:00", "6 10:00": "5 12:00"}[at]
		l.Sees(at, "A", began, "", l.Row("A", "5 09:00", at)).Reboot = &record.Reboot{Pending: record.PendingNo, NewestKernel: storetest.ReleaseA}
	}
	st, err := NewState(t.Context(), l.OpenRecord(), storetest.March(t, "5 11:00"))
	storetest.Check(t, err)
	if st.KernelRelease != nil || st.PendingReboot != nil {
		t.Errorf("kernel %v, pending reboot %v", st.KernelRelease, st.PendingReboot)
	}
}

// Two looks that agree tell nothing of what was installed between them, where the second boot was
// set back to its memory of before: the machine may have had more until then.
func TestInstalledBeforeAMachineWasSetBack(t *testing.T) {
	l := &storetest.Life{T: t}
	l.Sees("4 10:00", "A", "4 09:00", "", l.Row("A", "4 09:00", "4 10:00"))
	l.Sees("8 10:00", "B", "7 09:00", "", l.Row("A", "4 09:00", "4 11:00"), l.Row("B", "4 11:30", "8 10:00")) // 25 hours of its own
	for at, known := range map[string]bool{"4 10:00": true, "6 10:00": false, "8 10:00": true} {
		st, err := NewState(t.Context(), l.OpenRecord(), storetest.March(t, at))
		storetest.Check(t, err)
		if got := st.Unknown["installed"] == ""; got != known {
			t.Errorf("%s: known %v, want %v", at, got, known)
		}
	}
}

// A clock that was ahead when the machine was started tells the start too late: what was installed
// from then on, by the clock that was set, is not what it was before.
func TestInstalledWhileTheClockWasSetBack(t *testing.T) {
	l := &storetest.Life{T: t}
	p := has(1, storetest.March(t, "5 07:00"))
	l.Sees("4 10:00", "A", "4 09:00", "", l.Row("A", "4 09:00", "4 10:00"))
	l.Sees("5 10:05", "B", "5 10:00", "", l.Row("A", "4 09:00", "4 11:00"), l.Row("B", "5 10:00", "5 10:05")) // it was 6:05
	l.Sees("6 10:00", "B", "5 06:00", "", l.Row("B", "5 10:00", "6 10:00")).Installed = p
	st, err := NewState(t.Context(), l.OpenRecord(), storetest.March(t, "5 09:00"))
	storetest.Check(t, err)
	if st.Installed != nil && len(st.Installed) == 0 {
		t.Errorf("nothing was installed, the record says")
	}
}

// Which kernel runs is not known between a boot and the next one on record.
func TestOtherKernelOnlyWhileItRuns(t *testing.T) {
	l := &storetest.Life{T: t}
	l.Sees("4 10:00", "A", "4 09:00", "p2", l.Row("A", "4 09:00", "4 10:00", l.Loads("4 09:00:02", "p2", "initrd")))
	rowB := l.Row("B", "5 09:00", "5 12:00")
	rowB.KernelRelease = storetest.ReleaseB
	l.Sees("5 10:00", "B", "5 09:00", "", l.Row("A", "4 09:00", "4 12:00", l.Loads("4 09:00:02", "p2", "initrd")), rowB).Kernel.Release = storetest.ReleaseB
	l.Sees("8 10:00", "C", "8 09:00", "p2", rowB, l.Row("C", "8 09:00", "8 10:00", l.Loads("8 09:00:02", "p2", "initrd")))
	s := l.OpenRecord()
	for at, want := range map[string]ExposureStatus{"5 11:00": StatusOtherKernel, "6 10:00": StatusUnknown, "8 10:00": StatusFixed} {
		if e := fixAt(t, s, storetest.March(t, at), "CVE-2025-4221"); e.Status != want {
			t.Errorf("%s: %s %s, want %s", at, e.Status, e.Reason, want)
		}
	}
}

// The newest boot is that of the newest event, also of one that waited; where the clock says that an older boot ran
// later, nothing is known of now.
func TestNewestBoot(t *testing.T) {
	for name, tt := range map[string]struct {
		at     string // of boot B, which was after boot A
		waited bool
		want   ExposureStatus
	}{
		"written at once": {"7 10:00", false, StatusFixed}, "that waited": {"7 10:00", true, StatusFixed}, "with a clock behind": {"5 10:30", false, StatusUnknown},
	} {
		l := &storetest.Life{T: t}
		load := l.Loads("5 09:00:02", "p2", "initrd")
		l.Sees("5 10:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "5 10:00", load))
		l.Sees("5 12:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "5 12:00", load))
		began := storetest.March(t, tt.at).Add(-time.Minute).Format("2 15:04")
		l.Sees(tt.at, "B", began, "p2", l.Row("B", began, tt.at, l.Loads(began+":02", "p2", "initrd")))
		if tt.waited {
			l.Evs[2].Spooled = "record locked"
		}
		for _, e := range exposuresAt(t, l.OpenRecord(), storetest.March(t, "7 12:00")) {
			if e.Status != tt.want {
				t.Errorf("%s: %s: %s", name, e.Status, e.Reason)
			}
		}
	}
}

// A live patch is active as it was seen last, unless a newer look could not read it, and the journal does not tell.
func TestActiveWhereItCouldNotBeRead(t *testing.T) {
	for name, tt := range map[string]struct {
		lost bool // lines of the journal
		want ExposureStatus
	}{"the journal tells": {false, StatusFixed}, "the journal lost lines": {true, StatusUnknown}} {
		l := &storetest.Life{T: t}
		load := l.Loads("5 09:00:02", "p2", "initrd")
		l.Sees("5 10:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "5 10:00", load))
		row := l.Row("A", "5 09:00", "6 10:00", load)
		row.MessagesLost = tt.lost
		o := l.Sees("6 10:00", "A", "5 09:00", "p2", row)
		o.Patches, o.LivePatch = nil, nil
		for _, e := range exposuresAt(t, l.OpenRecord(), record.Always()) {
			if e.Status != tt.want {
				t.Errorf("%s: %s: %s", name, e.Status, e.Reason)
			}
		}
	}
}

// libzypp's history does not say which btrfs snapshot a commit changed: what an import tells of a machine that has
// them may not be of the one that ran.
func TestImportsOfAMachineWithSnapshots(t *testing.T) {
	const cve = "CVE-2025-4221" // of p2
	v2 := storetest.PatchPackage(storetest.ReleaseA, 2)
	imports := func(l *storetest.Life, at string, action record.Action) {
		c := record.ImportedChange{Change: storetest.Change(v2), Time: l.Stamp(at), UTCOffset: "+00:00"}
		if c.Action = action; action == record.ActionRemove {
			c.Removed = storetest.FixesOf(v2)
		} else {
			c.Added = storetest.FixesOf(v2)
		}
		l.Event(record.KindImport, "5 18:00", "A", "5 09:00").Import = &record.Import{
			Commit: "019ca8d5-0000-8000-8000-000000000001", Time: c.Time, Zone: "UTC", Changes: []record.ImportedChange{c},
		}
	}
	sees := func(l *storetest.Life, at, module string, patches ...string) {
		o := l.Sees(at, "A", "5 09:00", module)
		had(l, o, patches...)
		o.Subvolume = "/@/.snapshots/1/snapshot"
	}
	for name, tt := range map[string]struct {
		tell func(l *storetest.Life)
		want ExposureStatus
		here bool // installed since a time
	}{
		"removed, maybe elsewhere": {func(l *storetest.Life) {
			endsCommit(l, "5 09:30", record.OutcomeCompleted, v2)
			sees(l, "5 10:00", "", "p2@5 09:30")
			imports(l, "5 12:00", record.ActionRemove)
		}, StatusUnknown, true},
		"installed, maybe elsewhere": {func(l *storetest.Life) {
			sees(l, "5 10:00", "")
			imports(l, "5 12:00", record.ActionInstall)
		}, StatusUnknown, false},
		"the last look does not know the root": {func(l *storetest.Life) {
			imports(l, "5 09:20", record.ActionInstall)
			sees(l, "5 10:00", "p2", "p2@5 09:20")
			had(l, l.Sees("5 11:00", "A", "5 09:00", "p2"), "p2@5 09:20")
		}, StatusFixed, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := &storetest.Life{T: t}
			tt.tell(l)
			e := fixAt(t, l.OpenRecord(), storetest.March(t, "5 20:00"), cve)
			if e.Status != tt.want || (e.Installed != nil) != tt.here {
				t.Errorf("%s, installed %v: %s", e.Status, e.Installed, e.Reason)
			}
		})
	}
	t.Run("disabled when it was removed somewhere", func(t *testing.T) {
		l := &storetest.Life{T: t}
		loads := l.Loads("5 09:00:02", "p2", "initrd")
		l.Sees("5 10:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "5 10:00", loads)).Subvolume = "/@/.snapshots/1/snapshot"
		imports(l, "5 12:00", record.ActionRemove)
		loads.Disabled = new(l.Stamp("5 12:05"))
		l.Sees("5 19:30", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 19:30", loads)).Subvolume = "/@/.snapshots/1/snapshot"
		e := fixAt(t, l.OpenRecord(), storetest.March(t, "5 20:00"), cve)
		if n := len(e.Intervals); n == 0 || e.Intervals[n-1].LostBy != LostByUnknown {
			t.Errorf("%s, intervals %+v", e.Status, e.Intervals)
		}
	})
	t.Run("active although it was removed somewhere", func(t *testing.T) {
		l := &storetest.Life{T: t}
		sees(l, "5 10:00", "p2", "p2@5 09:20")
		imports(l, "5 12:00", record.ActionRemove)
		sees(l, "5 19:30", "p2", "p2@5 09:20")
		s := l.OpenRecord()
		tl, err := WholeTimeline(t.Context(), s)
		storetest.Check(t, err)
		offers, err := ReadOffers(t.Context(), s, storetest.March(t, "5 20:00"))
		storetest.Check(t, err)
		list, _, err := ExposuresSince(t.Context(), s, tl, []string{v2.Name}, storetest.March(t, "5 18:30"), offers)
		storetest.Check(t, err)
		if !slices.ContainsFunc(list, func(e Exposure) bool { return e.CVE == cve }) {
			t.Errorf("%d fixes, none of %s", len(list), cve)
		}
	})
}

// That the newest build packed the live patch, most likely, is no proof that an initrd holds a fix.
func TestInferredIsNoProofOfAnInitrd(t *testing.T) {
	for basis, proven := range map[record.Basis]bool{record.BasisBuild: true, record.BasisInferred: false} {
		l := &storetest.Life{T: t}
		o := l.Sees("5 10:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "5 10:00", l.Loads("5 09:30", "p2", "system")))
		storetest.HoldsPatch(o)
		o.Initrd.Basis = basis
		if e := fixAt(t, l.OpenRecord(), storetest.March(t, "5 11:00"), "CVE-2025-4221"); (e.InInitrd != nil) != proven {
			t.Errorf("%s: in an initrd since %v", basis, e.InInitrd)
		}
	}
}

// By what a fix was lost is not known where nobody saw when it went, and the package was removed at about that time.
func TestLostByRemovalOnlyAtThatMoment(t *testing.T) {
	v2 := storetest.PatchPackage(storetest.ReleaseA, 2)
	for name, tt := range map[string]struct {
		disabled string // shown by the journal; empty: it lost that
		removed  string // by a commit
		want     LossCause
	}{
		"the journal shows when":    {"5 19:25:10", "5 19:25", LostByRemoval},
		"nobody saw when":           {"", "5 19:25", LostByUnknown},
		"disabled, removed later":   {"5 12:00", "5 19:25", LostByDisabling},
		"disabled, and not removed": {"5 12:00", "", LostByDisabling},
	} {
		t.Run(name, func(t *testing.T) {
			l := &storetest.Life{T: t}
			load := l.Loads("5 09:00:02", "p2", "initrd")
			l.Sees("5 10:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "5 10:00", load))
			if tt.removed != "" {
				removes(l, tt.removed, v2)
			}
			row := l.Row("A", "5 09:00", "5 19:30", load)
			if row.MessagesLost = tt.disabled == ""; !row.MessagesLost {
				row.Loads[0].Disabled = new(l.Stamp(tt.disabled))
			}
			l.Sees("5 19:30", "A", "5 09:00", "", row)
			e := fixAt(t, l.OpenRecord(), storetest.March(t, "5 20:00"), "CVE-2025-4221")
			if n := len(e.Intervals); n == 0 || e.Intervals[n-1].LostBy != tt.want {
				t.Errorf("%s, intervals %+v, want %s", e.Status, e.Intervals, tt.want)
			}
		})
	}
}

// removes puts a commit on record that removed a package.
func removes(l *storetest.Life, at string, p record.Package) {
	c := storetest.Change(p)
	c.Action, c.Added, c.Removed = record.ActionRemove, record.Fixes{}, storetest.FixesOf(p)
	begin := l.Event(record.KindCommitBegin, at, "A", "5 09:00")
	begin.Begin = &record.CommitBegin{Installed: []record.Package{p}, Announced: []record.Change{c}, Command: []string{"zypper", "rm"}}
	l.Event(record.KindCommitEnd, at+":20", "A", "5 09:00").End = &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted, Changes: []record.Change{c}, Installed: []record.Package{}}
}
