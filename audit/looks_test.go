package audit

import (
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// What a look at a boot showed of a load stays, where another one does not show it: one that left
// files out, or an older one that waited in the spool.
func TestLoadStaysAsItWasShown(t *testing.T) {
	for name, less := range map[string]func(b *record.Boot){
		"files left out":  func(b *record.Boot) { b.Incomplete = true },
		"messages lost":   func(b *record.Boot) { b.MessagesLost = true },
		"an older look":   func(b *record.Boot) { b.Last.Time = b.Loads[0].Time.Time },
		"without results": func(b *record.Boot) { b.Incomplete = true; b.Loads[0].Result, b.Loads[0].Completed = "unknown", nil },
	} {
		t.Run(name, func(t *testing.T) {
			l := &storetest.Life{T: t}
			load := l.Loads("5 08:01", "l2", "initrd")
			gone := load
			gone.Disabled = new(l.Stamp("5 12:00"))
			l.Sees("5 15:00", "a", "5 08:00", "?", l.Row("a", "5 08:00", "5 15:00", gone))
			row := l.Row("a", "5 08:00", "5 16:00", load)
			less(&row)
			l.Sees("5 16:00", "a", "5 08:00", "?", row)
			s := l.OpenRecord()
			for at, want := range map[string]string{"5 10:00": "a proven, l2 proven contained", "5 14:00": "a proven, none proven"} {
				if got := told(t, s, at); got != want {
					t.Errorf("%s: got %q, want %q", at, got, want)
				}
			}
		})
	}
}

// A load of before the clock was set counts in the run after that, too, also when the clock is set again: which live
// patch is active from its start on is not known.
func TestLoadOfBeforeTheClockWasSet(t *testing.T) {
	for name, tt := range map[string]struct{ first, loaded, began, seen, asked string }{
		"ahead, with the boot": {"5 10:00", "5 10:00:03", "5 15:00", "6 10:00", "5 16:00"},
		"ahead, later":         {"5 10:00", "5 14:30", "5 15:00", "6 10:00", "5 16:00"},
		"back, with the boot":  {"5 15:00", "5 15:00:03", "5 10:00", "5 12:00", "5 10:30"},
		"back, later":          {"5 15:00", "5 15:30", "5 10:00", "5 12:00", "5 10:30"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &storetest.Life{T: t}
			load := l.Loads(tt.loaded, "l2", "initrd")
			// The clock was set before anything was recorded, and then once more.
			l.Sees(tt.seen, "a", tt.began, "?", l.Row("a", tt.first, tt.seen, load))
			l.Sees("7 10:00", "a", "5 11:00", "?", l.Row("a", tt.first, "7 10:00", load))
			s := l.OpenRecord()
			for _, at := range []string{tt.began + ":02", tt.asked} {
				if got := told(t, s, at); strings.Contains(got, "none") {
					t.Errorf("%s: got %q", at, got)
				}
			}
		})
	}
}

// The journal has a live patch disabled before it was loaded: the clock was set back, and nobody knows when it went.
func TestDisabledBeforeItWasLoaded(t *testing.T) {
	seen := &storetest.Life{T: t}
	shown := seen.Loads("5 10:00:03", "l2", "initrd")
	seen.Sees("5 10:01", "a", "5 10:00", "l2", seen.Row("a", "5 10:00", "5 10:01", shown)).LivePatch.Since = &shown.Time
	gone := shown
	gone.Disabled = new(seen.Stamp("5 09:30"))
	seen.Sees("6 10:00", "b", "6 09:59", "", seen.Row("a", "5 10:00", "5 12:00", gone), seen.Row("b", "6 09:59", "6 10:00"))
	if got := told(t, seen.OpenRecord(), "5 11:00"); strings.Contains(got, "l2") || strings.Contains(got, "none") {
		t.Errorf("after it was seen: got %q", got)
	}

	l := &storetest.Life{T: t}
	load := l.Loads("5 10:00:03", "l2", "initrd")
	l.Sees("5 10:01", "a", "5 10:00", "?", l.Row("a", "5 10:00", "5 10:01", load)).Patches = nil
	load.Disabled = new(l.Stamp("5 09:30"))
	l.Sees("6 10:00", "b", "6 09:59", "", l.Row("a", "5 10:00", "5 12:00", load), l.Row("b", "6 09:59", "6 10:00"))
	s := l.OpenRecord()
	for _, at := range []string{"5 10:00:30", "5 11:00"} {
		if got := told(t, s, at); strings.Contains(got, "l2") || strings.Contains(got, "none") {
			t.Errorf("%s: got %q", at, got)
		}
	}
}

// Where the journal's times of loads cannot be in the order that they have, the clock was set meanwhile: no live patch
// is said to be active by them.
func TestLoadsThatContradictThemselves(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(l *storetest.Life, first, second *record.Load)
		unsure string // a moment of which nothing is known
	}{
		"disabled before it was complete": {func(l *storetest.Life, first, _ *record.Load) {
			first.Completed, first.Disabled = new(l.Stamp("5 11:20")), new(l.Stamp("5 10:40"))
		}, "5 11:30"},
		"complete after the next one was begun": {func(l *storetest.Life, first, _ *record.Load) {
			first.Completed = new(l.Stamp("5 13:30"))
		}, "5 11:30"},
		"turned back after the next one was begun": {func(l *storetest.Life, first, _ *record.Load) {
			first.Result, first.Completed, first.Reverted = record.LoadReverted, nil, new(l.Stamp("5 13:30"))
		}, "5 11:30"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &storetest.Life{T: t}
			first, second := l.Loads("5 10:00", "l2", "system"), l.Loads("5 13:00", "l3", "system")
			tt.change(l, &first, &second)
			l.Sees("5 09:30", "a", "5 09:00", "", l.Row("a", "5 09:00", "5 09:30"))
			l.Sees("6 10:00", "b", "6 09:59", "", l.Row("a", "5 09:00", "5 15:00", first, second), l.Row("b", "6 09:59", "6 10:00"))
			s := l.OpenRecord()
			if got := told(t, s, tt.unsure); strings.Contains(got, "l2") || strings.Contains(got, "none") {
				t.Errorf("%s: got %q", tt.unsure, got)
			}
			if got := told(t, s, "5 14:30"); strings.Contains(got, "l2") {
				t.Errorf("5 14:30: got %q", got)
			}
		})
	}
}

// What a load replaces is not known by an earlier load of a live patch that went unseen, though another load of that
// one failed meanwhile.
func TestReplacesWhatWasThere(t *testing.T) {
	l := &storetest.Life{T: t}
	l.Sees("5 10:00", "a", "1 09:00", "l2", l.Row("a", "1 09:00", "5 10:00", l.Loads("1 09:00:02", "l2", "initrd")))
	failed, next := l.Loads("7 12:00", "l2", "system"), l.Loads("8 12:00", "l3", "system")
	failed.Result, failed.Completed, next.Completed = record.LoadFailed, nil, new(l.Stamp("8 13:00"))
	l.Sees("9 10:00", "a", "1 09:00", "l3", storetest.StartLost(l.Row("a", "4 10:00", "9 10:00", failed, next)))
	if got := told(t, l.OpenRecord(), "8 12:30"); got != "a proven, l3 from ? proven" {
		t.Errorf("got %q", got)
	}
}

// What an observation saw is so at its moment, also where the journal begins with it.
func TestWhatIsSeenAtTheJournalsFirstLine(t *testing.T) {
	m := storetest.Patched(t, 2)
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	m.Apply([]record.Package{patch3}, nil)
	m.Settled()
	m.Rotated = true
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	m.Last().LivePatch.Since = nil
	timeline, err := WholeTimeline(t.Context(), m.OpenRecord())
	if err != nil {
		t.Fatal(err)
	}
	last := timeline.Patches[len(timeline.Patches)-1]
	if last.Module != storetest.ModuleOf(patch3) || last.Confidence != Proven || !last.To.Equal(timeline.To.Time) {
		t.Errorf("%+v", last)
	}
}

// An older live patch that runs later does not tell what took a fix away: the newer one may have been disabled before.
func TestWhatTookAFixAwayWhileNobodyLooked(t *testing.T) {
	m := storetest.Patched(t, 3)
	fixes := storetest.FixesOf(storetest.PatchPackage(storetest.ReleaseA, 3)).CVEs
	lost := fixes[len(fixes)-1]
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	m.Disable()
	m.Wait(time.Hour)
	m.Apply([]record.Package{storetest.PatchPackage(storetest.ReleaseA, 2)}, nil)
	m.Settled()
	m.Rotated = true
	m.Wait(time.Hour)
	m.Observe(record.TriggerTimer)
	for _, e := range exposures(t, m.OpenRecord(), lost) {
		if e.Status != StatusLost || e.LostBy != LostByUnknown {
			t.Errorf("%s, lost by %q", e.Status, e.LostBy)
		}
	}
}
