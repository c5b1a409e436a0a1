package audit

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// The story says what was so at each of these moments: kernel, number of the active live
// patch (0: none), whether the initrd holds it, number of installed kernels and live
// patches, and how sure that is. A question mark is what the record cannot say.
var moments = []struct{ at, want string }{
	{"2024-12-31T00:00:00Z", "? ? ? ? unknown"},         // nothing is known of that time
	{"2025-01-01T07:59:59.999999Z", "? ? ? ? unknown"},  //
	{"2025-01-01T08:00:00Z", "A 0 - ? proven"},          // the journal begins, the record does not
	{"2025-01-07T09:59:59.999999Z", "A 0 - ? proven"},   //
	{"2025-01-07T10:00:00Z", "A 0 - 1 proven"},          // the recorder is installed
	{"2025-01-10T09:00:00Z", "A 0 - 1 proven"},          // a commit begins
	{"2025-01-10T09:00:00.000001Z", "A 0 - 1 proven"},   // and has not brought the package yet
	{"2025-01-10T09:00:01.999999Z", "A 0 - ? proven"},   //
	{"2025-01-10T09:00:02Z", "A 1 ? ? proven"},          // the initial patch is loaded
	{"2025-01-10T09:00:04.999999Z", "A 1 yes ? proven"}, // its initrd is built
	{"2025-01-10T09:00:05Z", "A 1 yes 2 proven"},        // the commit ends
	{"2025-01-10T09:00:06.999999Z", "A 1 yes 2 proven"}, //
	{"2025-01-10T09:00:07Z", "A 1 yes 2 proven"},        // observed
	{"2025-02-04T09:00:01.999999Z", "A 1 yes ? proven"}, // until the next one is loaded
	{"2025-02-04T09:00:02Z", "A 2 ? ? proven"},          //
	{"2025-03-11T19:59:59.999999Z", "A 3 yes 2 proven"}, //
	{"2025-03-11T20:00:00Z", "A 3 yes 2 proven"},        // the last entry of the journal
	{"2025-03-11T20:00:00.000001Z", "? ? ? 2 unknown"},  // it reboots
	{"2025-03-11T20:01:30Z", "? ? ? 2 unknown"},         //
	{"2025-03-11T20:01:30.000001Z", "A 0 - 2 proven"},   // the kernel starts without a patch
	{"2025-03-11T20:01:32Z", "A 0 - 2 proven"},          //
	{"2025-03-11T20:01:32.000001Z", "A 3 yes 2 proven"}, // the initrd loads it
	{"2025-03-11T20:02:02.000001Z", "A 3 yes 2 proven"}, // and an observation sees it
	{"2025-04-10T12:00:00Z", "A 4 yes 2 proven"},        //
	{"2025-04-20T18:00:00Z", "A 4 ? 2 proven"},          // an image was put back since the last observation
	{"2025-04-21T03:00:00Z", "A 4 no 2 proven"},         // as this one saw
	{"2025-04-22T03:13:00Z", "A 4 no 2 proven"},         // the last that the journal has
	{"2025-04-22T03:15:00Z", "? ? ? 2 unknown"},         // minutes before the crash are lost
	{"2025-04-22T03:22:02.000001Z", "A 3 yes 2 proven"}, // it came up with the older patch
	{"2025-04-23T07:59:59Z", "A 3 yes 2 proven"},        //
	{"2025-04-23T08:00:02Z", "A 4 ? ? proven"},          // installed again
	{"2025-05-13T09:00:01.999999Z", "A 5 yes ? proven"}, //
	{"2025-05-13T09:00:02Z", "A 4 ? ? proven"},          // downgraded
	{"2025-05-15T00:00:00Z", "A 4 yes 2 proven"},        //
	{"2025-05-18T09:00:01.999999Z", "A 4 yes ? proven"}, //
	{"2025-05-18T09:00:02Z", "A 5 ? ? proven"},          // five days later
	{"2025-06-03T09:00:02Z", "A 5 yes 2 proven"},        // a commit that fails changes nothing
	{"2025-06-03T09:00:04Z", "A 5 yes 2 proven"},        //
	{"2025-07-01T09:00:10Z", "A 6 yes 4 proven"},        // another kernel is installed
	{"2025-07-08T20:01:30.000001Z", "B 0 - 4 proven"},   // and runs
	{"2025-07-08T20:02:02.000001Z", "B 1 yes 4 proven"}, //
	{"2025-08-12T09:00:00Z", "B 2 yes ? proven"},        // the recorder is away: the journal goes on
	{"2025-08-14T09:00:02Z", "B 3 ? ? proven"},          // but nothing says what was installed
	{"2025-08-16T00:00:00Z", "B 3 yes 4 proven"},        // as rpm noted, and the boot that loaded it from its initrd
	{"2025-08-19T08:59:59.999999Z", "B 3 yes 4 proven"}, //
	{"2025-08-19T09:00:00Z", "B 3 yes 4 proven"},        // it is back
	{"2025-09-09T09:01:00Z", "B 4 yes 2 proven"},        // the first kernel is gone
	{"2025-09-20T09:00:00Z", "B 4 yes 2 proven"},        // another key changes nothing
	{"2025-10-07T12:00:00Z", "B 4 ? 2 proven"},          // an update is staged: the next boot is of it
	{"2025-10-08T20:00:30Z", "? ? ? ? unknown"},         // it becomes effective by a reboot
	{"2025-10-08T20:01:33.000001Z", "B 5 yes 2 proven"}, //
	{"2025-11-12T20:02:02.000001Z", "C 1 yes 4 proven"}, //
	{"2026-01-13T09:00:07Z", "C 2 yes 4 proven"},        //
	{"2026-06-29T03:00:00Z", "C 2 yes 4 proven"},        // observed last
	{"2026-06-29T03:00:00.000001Z", "C ? ? 4 unknown"},  // after that nothing is known
	{"2026-06-29T09:00:00Z", "C ? ? 4 unknown"},         // but that a commit began in this boot
	{"2026-06-29T09:00:00.000001Z", "? ? ? ? unknown"},  // which has no end
	{"2030-01-01T00:00:00Z", "? ? ? ? unknown"},         //
}

func TestStateAtEachMomentOfTheStory(t *testing.T) {
	s := storetest.TwoYears(t).OpenRecord()
	for _, tt := range moments {
		st, err := NewState(t.Context(), s, storetest.When(t, tt.at))
		storetest.Check(t, err)
		if got := said(st); got != tt.want {
			t.Errorf("%s: %s, want %s; unknown: %q", tt.at, got, tt.want, st.Unknown)
		}
		for _, part := range []string{"kernel_release", "live_patch", "installed", "cves"} {
			if reason, ok := st.Unknown[part]; ok != isNull(st, part) && part != "live_patch" || ok && reason == "" {
				t.Errorf("%s: %s is null without a reason, or has one: %q", tt.at, part, reason)
			}
		}
	}
}

// said is a state in a few words.
func said(st *State) string {
	words := []string{"?", "?", "?", "?", string(st.Confidence)}
	if st.KernelRelease != nil {
		words[0] = map[string]string{storetest.ReleaseA: "A", storetest.ReleaseB: "B", storetest.ReleaseC: "C"}[*st.KernelRelease]
	}
	switch {
	case st.LivePatch != nil && st.LivePatch.PatchNumber != nil:
		words[1] = fmt.Sprint(*st.LivePatch.PatchNumber)
	case st.LivePatch != nil:
		words[1] = st.LivePatch.Module
	case st.Unknown["live_patch"] == "":
		words[1], words[2] = "0", "-"
	}
	if st.Initrd != nil {
		words[2] = map[record.Verdict]string{record.VerdictContained: "yes", record.VerdictMissing: "no"}[st.Initrd.Verdict]
	}
	if st.Installed != nil {
		words[3] = fmt.Sprint(len(st.Installed))
	}
	return strings.Join(words, " ")
}

func isNull(st *State, part string) bool {
	return map[string]bool{
		"kernel_release": st.KernelRelease == nil, "live_patch": st.LivePatch == nil, "installed": st.Installed == nil, "cves": st.CVEs == nil,
	}[part]
}

// Whatever happens to a machine: what a state says of it was so.
func TestStateIsNeverWrong(t *testing.T) {
	known, asked := 0, 0
	for seed := range uint64(storetest.Few(2, 8)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := storetest.RandomMachine(t, r)
			s := storetest.InMemory(t, m.OpenRecord(), nil)
			whole, err := WholeTimeline(t.Context(), s)
			storetest.Check(t, err)
			checkSpans(t, whole)
			for range 150 {
				at := storetest.RandomMoment(m, r)
				st, err := NewState(t.Context(), s, at)
				storetest.Check(t, err)
				for _, wrong := range wrongIn(m, st, m.At(at)) {
					t.Errorf("%s: %s", at.Format(time.RFC3339Nano), wrong)
				}
				checkAgainstTimeline(t, whole, st)
				if asked++; st.Confidence == Proven && st.Installed != nil {
					known++
				}
			}
		})
	}
	if known*3 < asked {
		t.Errorf("only %d of %d states are known", known, asked)
	}
}

// wrongIn compares what a state claims with the truth.
func wrongIn(m *storetest.Machine, st *State, tr storetest.Truth) (wrong []string) {
	claim := func(part string, got, want any) {
		if diff := cmp.Diff(want, got); diff != "" {
			wrong = append(wrong, fmt.Sprintf("%s (-truth +claimed): %s", part, diff))
		}
	}
	if st.KernelRelease != nil {
		claim("kernel", *st.KernelRelease, tr.Kernel)
		claim("boot", *st.BootID, tr.Boot)
	}
	if lp := st.LivePatch; lp != nil {
		claim("live patch", lp.Module, tr.Module)
		if st.CVEs != nil {
			claim("fixes", st.CVEs, append([]string{}, storetest.FixesOf(record.Package{Name: *lp.Package, Version: *lp.Version}).CVEs...))
		}
	} else if st.Unknown["live_patch"] == "" {
		claim("live patch", "", tr.Module)
	}
	if st.Installed != nil {
		var names []string
		for _, p := range st.Installed {
			names = append(names, p.Name+"-"+p.Version)
		}
		slices.Sort(names)
		claim("installed", names, tr.Installed)
	}
	if v := st.Initrd; v != nil && v.Verdict != record.VerdictUnknown {
		claim("in initrd", v.Verdict == record.VerdictContained, tr.InInitrd == tr.Module)
	}
	if st.NextBoot != nil {
		claim("next boot", st.NextBoot.KernelRelease, tr.Next)
	}
	return wrong
}

// checkSpans: spans follow each other without hole and overlap.
func checkSpans(t *testing.T, tl *Timeline) {
	t.Helper()
	follow(t, "kernels", tl, tl.Kernels)
	follow(t, "patches", tl, tl.Patches)
	follow(t, "initrds", tl, tl.Initrds)
}

func follow[T any, P spanned[T]](t *testing.T, name string, tl *Timeline, spans []T) {
	t.Helper()
	at := tl.From
	for i := range spans {
		s := P(&spans[i]).span()
		if !s.From.Equal(at.Time) || !s.From.Before(s.To.Time) || s.Confidence == "" || s.Events == nil {
			t.Errorf("%s: span %d is %+v, want it from %s on", name, i, s, at)
		}
		at = s.To
	}
	if !at.Equal(tl.To.Time) {
		t.Errorf("%s end at %s, want %s", name, at, tl.To)
	}
}

// checkAgainstTimeline: a state says what the timeline of the whole record says.
func checkAgainstTimeline(t *testing.T, tl *Timeline, st *State) {
	t.Helper()
	i := slices.IndexFunc(tl.Patches, func(p PatchSpan) bool { return !st.At.Before(p.From.Time) && st.At.Before(p.To.Time) })
	module, c := "", Unknown
	if i >= 0 {
		module, c = tl.Patches[i].Module, tl.Patches[i].Confidence
	}
	got := ""
	if st.LivePatch != nil {
		got = st.LivePatch.Module
	}
	if got != module || (c == Unknown) != (st.Unknown["live_patch"] != "") {
		t.Errorf("%s: state says %q, the timeline %q, %s", st.At, got, module, c)
	}
}

// What comes later does not change what is known of a moment between two observations.
func TestStateDoesNotChangeLater(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	m := storetest.RandomMachine(t, r)
	s := m.OpenRecord()
	for range 15 {
		at := storetest.RandomMoment(m, r)
		after := slices.IndexFunc(m.All, func(ev *record.Event) bool { return ev.Observation != nil && !ev.Time.Before(at) })
		if after < 0 {
			continue
		}
		then := recordOf(m, m.All[:after+1])
		if diff := cmp.Diff(stateText(t, then, at), stateText(t, s, at)); diff != "" {
			t.Errorf("%s (-then +later): %s", at, diff)
		}
	}
}

func stateText(t *testing.T, s *store.Store, at time.Time) string {
	t.Helper()
	st, err := NewState(t.Context(), s, at)
	storetest.Check(t, err)
	b, err := json.MarshalIndent(st, "", " ")
	storetest.Check(t, err)
	return string(b)
}

// recordOf is a record of these events alone.
func recordOf(m *storetest.Machine, evs []*record.Event) *store.Store {
	m.T.Helper()
	c := &storetest.Machine{T: m.T, Root: m.T.TempDir(), Now: m.All[0].Time.Time, Written: evs}
	storetest.Check(m.T, os.MkdirAll(filepath.Join(c.Root, "etc"), 0o755))
	storetest.Check(m.T, os.WriteFile(filepath.Join(c.Root, "etc/machine-id"), []byte("0123456789abcdef0123456789abcdef\n"), 0o644))
	return c.OpenRecord()
}

// What libzypp's history claims of the time before the recorder is in the history, and
// changes nothing of what the record proves.
func TestImportChangesNoState(t *testing.T) {
	m := storetest.TwoYears(t)
	s := m.OpenRecord()
	before := map[string]string{}
	for _, tt := range moments {
		st, err := NewState(t.Context(), s, storetest.When(t, tt.at))
		storetest.Check(t, err)
		before[tt.at] = said(st)
	}
	p := storetest.PatchPackage(storetest.ReleaseA, 1)
	m.Write(&record.Event{Header: m.Header(record.KindImport), Import: &record.Import{
		Commit: "0198f000-0000-8000-8000-000000000001", Time: record.At(storetest.When(t, "2024-12-20T10:00:00Z")), Zone: "UTC", Command: "zypper in",
		Changes: []record.ImportedChange{{Change: record.Change{
			Kind: "livepatch", Action: "install", Package: p.Name, Arch: p.Arch, Version: p.Version, Result: record.ResultOK,
		}, Time: record.At(storetest.When(t, "2024-12-20T10:00:01Z")), UTCOffset: "+00:00", Line: record.HistoryLine{File: "history", Number: 1, SHA256: strings.Repeat("0", 64)}}},
	}})
	s = m.OpenRecord()
	for _, tt := range moments {
		st, err := NewState(t.Context(), s, storetest.When(t, tt.at))
		storetest.Check(t, err)
		if got := said(st); got != before[tt.at] && !storetest.When(t, tt.at).After(storetest.When(t, "2026-06-29T09:00:00Z")) { // later, that it ran is known
			t.Errorf("%s: %s, before the import %s", tt.at, got, before[tt.at])
		}
	}
	rows := 0
	for row, err := range s.History(t.Context(), record.HistoryFilter{Source: "import"}) {
		storetest.Check(t, err)
		if rows++; row.Package != p.Name || row.TimeSource != "history" {
			t.Errorf("got %+v", row)
		}
	}
	if rows != 1 {
		t.Errorf("%d imported rows", rows)
	}
}

// Whether a live patch makes up for the reboot is not known where none could be read: also where
// an observation said otherwise.
func TestPendingRebootWithoutLivePatches(t *testing.T) {
	for _, said := range []record.Pending{record.PendingYes, record.PendingUnknown} {
		m := storetest.Healthy(t)
		o := m.Last()
		o.Patches, o.LivePatch, o.Unknown["patches"] = nil, nil, "no sysfs"
		o.Reboot = &record.Reboot{Pending: said, NewestKernel: storetest.ReleaseB}
		at := m.All[len(m.All)-1].Time.Time
		st, err := NewState(t.Context(), m.OpenRecord(), at)
		storetest.Check(t, err)
		if st.PendingReboot != nil || !strings.Contains(st.Unknown["pending_reboot"], "no sysfs") {
			t.Errorf("%s: pending %v, %q", said, st.PendingReboot, st.Unknown["pending_reboot"])
		}
	}
}

// An event that cannot be read is an error that names it, wherever it is asked for: what is not known
// is something else.
func TestStateOfABrokenRecord(t *testing.T) {
	for name, lacks := range map[string]func(o *record.Observation){
		"a part":             func(o *record.Observation) { delete(o.Parts, record.PartTaint) },
		"whether to reboot":  func(o *record.Observation) { o.Reboot = nil },
		"installed packages": func(o *record.Observation) { o.Installed, o.Compared = nil, false },
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.Running(t, 1)
			m.Until("2025-01-20T09:00:00Z")
			for _, ev := range m.Written[len(m.Written)-2:] {
				lacks(ev.Observation)
			}
			broken := len(m.All) - 1 // after the event of the recorder, and before these two
			s := m.OpenRecord()
			db, err := sql.Open("sqlite3", store.Path(m.Root))
			storetest.Check(t, err)
			defer db.Close()
			_, err = db.Exec(`DROP TRIGGER events_no_update; UPDATE events SET body = '{}' WHERE seq = ` + fmt.Sprint(broken))
			storetest.Check(t, err)
			if _, err := NewState(t.Context(), s, m.Now); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("event %d", broken)) {
				t.Errorf("event %d: got %v", broken, err)
			}
		})
	}
}
