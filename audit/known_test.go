package audit

import (
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// What came later tells of a moment before it, and since when that is known.
func TestKnownSince(t *testing.T) {
	m := storetest.Patched(t, 2)
	m.Flush()
	m.Wait(time.Hour)
	at := m.Now
	m.Wait(2 * time.Hour)
	m.Observe(record.TriggerTimer)
	seen := m.Now
	s := m.OpenRecord()
	st, err := NewState(t.Context(), s, at)
	storetest.Check(t, err)
	if st.Confidence != Proven || st.KnownSince == nil || !st.KnownSince.Equal(seen) {
		t.Errorf("%s, known since %v, want %s", st.Confidence, st.KnownSince, seen)
	}
	part, err := s.KnownAt(t.Context(), at)
	storetest.Check(t, err)
	defer part.Close()
	if st, err = NewState(t.Context(), part, at); err != nil || st.Confidence != Unknown {
		t.Errorf("by what was known then it is %s, %v", st.Confidence, err)
	}
	e := fixAt(t, s, at, "CVE-2025-4221")
	if e.Status != StatusFixed || e.KnownSince == nil || !e.KnownSince.Equal(seen) {
		t.Errorf("%s, known since %v", e.Status, e.KnownSince)
	}
}

// What one observation could not read is known since another one told of it.
func TestKnownSinceSomebodyCouldRead(t *testing.T) {
	m := storetest.Patched(t, 2)
	o := m.Last()
	lp := o.LivePatch
	lp.Package, lp.Version, lp.PatchNumber, lp.Initial, lp.CVEs, lp.Bugs = nil, nil, nil, nil, nil, nil
	o.Reboot, o.Installed, o.Compared = nil, nil, false
	m.Flush()
	at := m.Now
	m.Wait(time.Hour)
	m.Observe(record.TriggerManual)
	m.Last().Reboot, m.Last().LivePatch = nil, lp
	m.Wait(time.Hour)
	m.Observe(record.TriggerManual)
	told := m.Now
	m.Wait(time.Hour)
	m.Observe(record.TriggerManual)
	s := m.OpenRecord()
	for _, at := range []time.Time{at, at.Add(time.Minute)} {
		st, err := NewState(t.Context(), s, at)
		storetest.Check(t, err)
		if st.LivePatch.Version == nil || st.PendingReboot == nil || st.CVEs == nil {
			t.Errorf("at %s: %v, %v, %v: %v", at, st.LivePatch.Version, st.PendingReboot, st.CVEs, st.Unknown)
		}
		if st.KnownSince == nil || !st.KnownSince.Equal(told) {
			t.Errorf("at %s it is known since %v, want %s", at, st.KnownSince, told)
		}
	}
}

// A boot tells what was to be booted before it: known since an event that names its kernel, not since its first one.
func TestKnownSinceTheNextBootIsNamed(t *testing.T) {
	l := &storetest.Life{T: t}
	boots(l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00")), storetest.ReleaseA)
	l.Sees("5 20:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 20:00")) // it could not tell
	endsCommit(l, "7 09:30", record.OutcomeCompleted, storetest.PatchPackage(storetest.ReleaseA, 2))
	l.Evs[2].BootID, l.Evs[2].BoottimeUS = "00000000000000000000000000000042", (30 * time.Minute).Microseconds()
	l.Sees("7 10:00", "B", "7 09:00", "", l.Row("A", "5 09:00", "5 20:00"), l.Row("B", "7 09:00", "7 10:00"))
	st, err := NewState(t.Context(), l.OpenRecord(), storetest.March(t, "5 15:00"))
	storetest.Check(t, err)
	if nextOf(st) != storetest.ReleaseA || st.KnownSince == nil || !st.KnownSince.Equal(storetest.March(t, "7 10:00")) {
		t.Errorf("the next boot is %s, known since %v", nextOf(st), st.KnownSince)
	}
}

// A load was turned back: the live patch that it was to replace is active since that one's own load, also where
// nobody saw it.
func TestSinceItsOwnLoadAfterAnotherWasTurnedBack(t *testing.T) {
	l := &storetest.Life{T: t}
	back := l.Loads("5 12:00", "p3", "system")
	back.Result, back.Completed, back.Reverted = record.LoadReverted, nil, new(l.Stamp("5 12:30"))
	l.Sees("6 10:00", "A", "5 09:00", "?", l.Row("A", "5 09:00", "6 10:00", l.Loads("5 09:00:02", "p2", "initrd"), back))
	st, err := NewState(t.Context(), l.OpenRecord(), storetest.March(t, "5 20:00"))
	storetest.Check(t, err)
	if p := st.LivePatch; p == nil || p.Module != "p2" || p.Since == nil || !p.Since.Equal(storetest.March(t, "5 09:00:02")) {
		t.Errorf("live patch %+v", st.LivePatch)
	}
}

// That no live patch is active is known at once where somebody saw it, whatever later looks read of the journal.
func TestKnownSinceNoneWasSeen(t *testing.T) {
	l := &storetest.Life{T: t}
	l.Sees("5 10:00", "A", "5 09:00", "")
	l.Sees("7 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "7 10:00"))
	at := storetest.March(t, "5 10:00")
	st, err := NewState(t.Context(), l.OpenRecord(), at)
	storetest.Check(t, err)
	if st.Unknown["live_patch"] != "" || st.KnownSince == nil || !st.KnownSince.Equal(at) {
		t.Errorf("live patch %+v, known since %v", st.LivePatch, st.KnownSince)
	}
}

// A look lost messages, and saw a live patch complete. When it was loaded, by which moment that was under way, is known
// since another look had it all.
func TestKnownSinceAWholeJournalShowedIt(t *testing.T) {
	l := &storetest.Life{T: t}
	first, next := l.Loads("5 09:00:02", "p2", "initrd"), l.Loads("5 12:00", "p3", "system")
	next.Completed = new(l.Stamp("5 13:00"))
	l.Sees("5 10:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "5 10:00", first)).NextBoot = &record.NextBoot{KernelRelease: storetest.ReleaseA}
	lost := l.Row("A", "5 09:00", "5 15:00", first, next)
	lost.MessagesLost = true
	l.Sees("5 15:00", "A", "5 09:00", "p3", lost).NextBoot = &record.NextBoot{KernelRelease: storetest.ReleaseA}
	l.Sees("7 10:00", "B", "7 09:59", "", storetest.StartLost(l.Row("A", "5 11:00", "6 20:00", next)), l.Row("B", "7 09:59", "7 10:00"))
	st, err := NewState(t.Context(), l.OpenRecord(), storetest.March(t, "5 12:30"))
	storetest.Check(t, err)
	if p := st.LivePatch; p == nil || !p.Transition || st.KnownSince == nil || st.KnownSince.Before(storetest.March(t, "7 10:00")) {
		t.Errorf("live patch %+v, known since %v by %v", p, st.KnownSince, st.Events)
	}
}
