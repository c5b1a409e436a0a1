package view_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// wild makes up events with few moments, boots, commits, packages and live patches, so that
// everything meets everything: combinations that the tables accept, even if no host writes them.
type wild struct {
	*rand.Rand
	seq     int
	open    []string // commits that began
	added   []string // exceptions
	staging bool     // mostly staged commits of two packages, and boots of their snapshots
}

func pick[T any](w *wild, list ...T) T { return list[w.IntN(len(list))] }

func maybe[T any](w *wild, v T) *T {
	if w.IntN(2) == 0 {
		return nil
	}
	return &v
}

var wildEpoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// moment is one of a few; in payloads also between two microseconds.
func (w *wild) moment() record.Timestamp {
	return record.At(wildEpoch.Add(time.Duration(w.IntN(40)) * time.Second))
}

func (w *wild) finer() record.Timestamp {
	return record.At(w.moment().Add(pick(w, 0, 0, 700*time.Nanosecond, -300*time.Nanosecond)))
}

func (w *wild) number() int { return 1 + w.IntN(3) }

func (w *wild) boot() string { return fmt.Sprintf("%032d", w.number()) }

func (w *wild) header(kind record.EventKind) record.Header {
	h := record.Header{
		V: record.EventVersion, Kind: kind, ID: eventID(w.seq), Time: w.moment(), UTCOffset: "+01:00",
		BoottimeUS: w.Int64N(60e6), Host: record.Host{MachineID: "m1", Hostname: pick(w, "a", "b")}, BootID: pick(w, w.boot(), w.boot(), w.boot(), ""),
		Recorder: record.Program{Program: "klp-audit", Version: pick(w, "1", "2")},
	}
	if w.IntN(4) == 0 {
		h.Spooled, h.TakenIn = "held", maybe(w, w.moment())
	}
	return h
}

func (w *wild) pkg() record.Package {
	p := storetest.PatchPackage(pick(w, storetest.ReleaseA, storetest.ReleaseB), w.number())
	if w.IntN(4) == 0 {
		p = storetest.KernelPackage(storetest.KernelA)
	}
	if w.staging {
		p = storetest.PatchPackage(storetest.ReleaseA, 1+w.IntN(2))
	}
	p.InstallTime = wildEpoch.Unix() + w.Int64N(2)
	return p
}

func (w *wild) pkgs() (list []record.Package) {
	for range w.IntN(6) {
		list = append(list, w.pkg())
	}
	if w.IntN(4) > 0 && list == nil {
		list = []record.Package{}
	}
	return list
}

func (w *wild) changes() []record.Change {
	list := []record.Change{}
	for range w.IntN(4) {
		p := w.pkg()
		c := storetest.Change(p)
		c.Action, c.Result = pick(w, record.Actions()...), pick(w, append(record.Results(), record.ResultOK, record.ResultOK)...)
		c.Previous, c.Kind, c.PatchNumber = pick(w, "", "1"), pick(w, c.Kind, c.Kind, record.PackageSupport), w.IntN(3)
		c.Repo, c.Checksum, c.SignatureKey, c.KernelRelease = pick(w, "", "r"), pick(w, "", "c"), pick(w, "", "k"), pick(w, "", storetest.ReleaseA)
		c.InstallTime = maybe(w, record.At(time.Unix(p.InstallTime, 0).Add(pick(w, 0, 0, 500*time.Millisecond))))
		c.Added, c.Removed = pick(w, record.Fixes{}, storetest.FixesOf(p)), pick(w, record.Fixes{}, storetest.FixesOf(p))
		c.Scripts = pick(w, nil, []record.Script{}, []record.Script{{Script: "post", Status: "exit status 1", Output: "<ü>"}})
		list = append(list, c)
	}
	return list
}

func (w *wild) actor() record.Actor {
	name := func() string { return pick(w, "", "unset", "tux", "root") }
	return record.Actor{Login: name(), SudoUser: name(), Automation: pick(w, "", "", "unset", "yast"), TTY: pick(w, "", "pts/0"), Session: "1", Exe: "/usr/bin/zypper"}
}

func (w *wild) advisories() []record.Advisory {
	return []record.Advisory{{ID: pick(w, "S1", "S2"), NewState: pick(w, "applied", "needed")}, {ID: "S3", NewState: pick(w, "applied", "needed")}}
}

// commit is the id of a commit that began, or will begin.
func (w *wild) commit() string {
	if len(w.open) > 0 && w.IntN(4) > 0 {
		return pick(w, w.open...)
	}
	return eventID(pick(w, 1+w.IntN(w.seq+3), w.seq+1+w.IntN(3)))
}

func eventID(seq int) string { return fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", seq) }

func (w *wild) begin(ev *record.Event) {
	w.open = append(w.open, ev.ID)
	ev.Begin = &record.CommitBegin{
		Libzypp: record.Process{PID: 1, StartTicks: 2}, Actor: w.actor(), Command: pick(w, nil, []string{"zypper", "in", "a b"}), UserData: pick(w, "", "CHG-1"),
		Announced: w.changes(), Installed: w.pkgs(),
	}
	for i := range ev.Begin.Announced {
		ev.Begin.Announced[i].Result = pick(w, record.ResultUnknown, record.ResultUnknown, record.ResultOK)
	}
	if w.IntN(3) > 0 {
		ev.Begin.Staging = &record.Staging{Snapshot: pick(w, "", "x", "1", "2", "3")}
	}
}

func (w *wild) end(ev *record.Event) {
	ev.End = &record.CommitEnd{
		Commit: w.commit(), Outcome: pick(w, append(record.Outcomes(), record.OutcomeStaged, record.OutcomeStaged, record.OutcomeStaged)...),
		Late: w.IntN(3) == 0, Begun: maybe(w, w.finer()), Changes: w.changes(), Advisories: w.advisories(), Installed: w.pkgs(), Compared: w.IntN(2) == 0,
	}
}

func (w *wild) load() record.Load {
	return record.Load{
		Patch: storetest.ModuleOf(storetest.PatchPackage(storetest.ReleaseA, 1+w.IntN(2))), Phase: pick[record.Phase](w, "initrd", "system", "unknown"), Rule: pick(w, "R1", "R2"),
		Result: pick[record.LoadResult](w, "complete", "failed", "reverted", "unknown"), Forced: w.IntN(3) == 0, Time: record.At(wildEpoch.Add(time.Duration(w.IntN(2)) * time.Second)),
		Completed: maybe(w, w.finer()), Reverted: maybe(w, w.finer()), Disabled: maybe(w, w.finer()), Replaced: pick(w, "", "m1", "m2"), Cursor: pick(w, "c1", "c2"),
	}
}

// look is a look at a boot.
func (w *wild) look(n int) record.Boot {
	b := record.Boot{
		ID: fmt.Sprintf("%032d", n), KernelRelease: pick(w, "", storetest.ReleaseA, storetest.ReleaseB), First: w.finer(), Last: w.finer(),
		StartInJournal: w.IntN(2) == 0, MessagesLost: w.IntN(4) == 0, Incomplete: w.IntN(4) == 0, Loads: []record.Load{}, Builds: []record.Build{},
	}
	for range w.IntN(4) {
		b.Loads = append(b.Loads, w.load())
		b.Builds = append(b.Builds, record.Build{KernelRelease: pick(w, "", storetest.ReleaseA), Image: pick(w, "", "/boot/initrd"), Modules: []string{"m"},
			Success: w.IntN(2) == 0, Time: record.At(wildEpoch.Add(time.Duration(w.IntN(3)) * time.Second)), Cursor: pick(w, "c1", "c2")})
	}
	return b
}

func (w *wild) observation(ev *record.Event) {
	o := &record.Observation{
		Trigger: record.TriggerTimer, Kernel: record.Kernel{Release: pick(w, storetest.ReleaseA, storetest.ReleaseB), BootTime: w.finer()}, Installed: w.pkgs(),
		Compared: w.IntN(2) == 0, Subvolume: pick(w, "", "@", "@/.snapshots/1/snapshot", "@/.snapshots/2/snapshot", "@/.snapshots/3/snapshot", "/.snapshots/x/snapshot"),
		Patches: pick(w, nil, []record.LoadedPatch{}), Initrd: record.Initrd{Verdict: pick(w, record.VerdictUnknown, record.VerdictContained)},
		NextBoot: maybe(w, record.NextBoot{KernelRelease: pick(w, "", storetest.ReleaseA)}), Parts: map[record.PartName]json.RawMessage{},
	}
	if o.Initrd.Verdict == record.VerdictContained {
		o.Initrd.Basis = record.BasisBoot
	} else {
		o.Initrd.Reason = record.ReasonNoBuild
	}
	if w.IntN(3) > 0 {
		p := w.pkg()
		o.LivePatch = &record.LivePatch{Module: storetest.ModuleOf(storetest.PatchPackage(storetest.ReleaseA, w.number())), Package: maybe(w, p.Name),
			Version: pick(w, nil, new(""), &p.Version), Transition: w.IntN(2) == 0, Since: maybe(w, w.finer())}
	}
	for name, text := range map[record.PartName]string{record.PartCoverage: pick(w, `{"date":"2026-03-31"}`, `null`, `{ "date" : "" }`, `[1]`), record.PartTaint: `{"value":1,"flags":[]}`} {
		if w.IntN(2) == 0 {
			o.Parts[name] = json.RawMessage(text)
		}
	}
	for n := range 3 {
		if w.IntN(2) == 0 {
			o.Boots = append(o.Boots, w.look(n+1))
		}
		if w.IntN(8) == 0 { // no journal shows a line twice
			again := w.look(n + 1)
			again.Loads, again.Builds = nil, nil
			o.Boots = append(o.Boots, again)
		}
	}
	ev.Observation = o
}

func (w *wild) drift(ev *record.Event) {
	ev.Drift = &record.Drift{Cause: pick(w, record.DriftUnrecorded, record.DriftSnapshot), Since: pick(w, w.finer(), record.At(wildEpoch)), Changes: w.changes(), Installed: w.pkgs()}
}

func (w *wild) imported(ev *record.Event) {
	im := &record.Import{Commit: pick(w, "00000000-0000-8000-8000-000000000001", "00000000-0000-8000-8000-000000000002", w.commit()), Time: w.finer(), Command: pick(w, "", "zypper up"),
		UserData: pick(w, "", "CHG-2"), Outcome: pick(w, "", record.OutcomeFailed, record.OutcomeAborted), Advisories: w.advisories(), Sole: w.IntN(2) == 0}
	for _, c := range w.changes() {
		im.Changes = append(im.Changes, record.ImportedChange{Change: c, Time: w.moment(), NotBefore: maybe(w, w.finer()), UTCOffset: "+02:00"})
	}
	ev.Import = im
}

func (w *wild) exception(ev *record.Event) {
	ev.Exception = &record.ExceptionChange{Action: pick(w, record.ExceptionAdd, record.ExceptionEnd), Actor: w.actor(), Check: pick(w, "", "c"), CVE: pick(w, "", "CVE-2025-1"), Advisory: pick(w, "", "A-1"), Reason: "r", Until: maybe(w, w.finer()), Exception: w.commit()}
	if len(w.added) > 0 {
		ev.Exception.Exception = pick(w, w.added...)
	}
	w.added = append(w.added, ev.ID)
}

// stage sends commits to btrfs snapshots, and boots one now and then.
func (w *wild) stage(ev *record.Event) {
	number := fmt.Sprint(w.number())
	switch {
	case ev.Begin != nil:
		ev.Begin.Staging = &record.Staging{Snapshot: number}
	case ev.End != nil && len(w.open) > 0 && w.IntN(8) > 0:
		ev.End.Commit, ev.End.Outcome = w.open[len(w.open)-1], pick(w, record.OutcomeStaged, record.OutcomeStaged, record.OutcomeDiscarded)
	case ev.Observation != nil:
		ev.Observation.Subvolume = "@/.snapshots/" + number + "/snapshot"
		ev.Observation.Installed = ev.Observation.Installed[:min(len(ev.Observation.Installed), w.IntN(3))]
	}
}

// event is the next one of a log.
func (w *wild) event() *record.Event {
	w.seq++
	kinds := map[record.EventKind]func(*record.Event){
		record.KindCommitBegin: w.begin, record.KindCommitEnd: w.end, record.KindObservation: w.observation, record.KindDrift: w.drift,
		record.KindImport: w.imported, record.KindException: w.exception, "newer": func(*record.Event) {},
		record.KindRecorder: func(ev *record.Event) {
			ev.Identity = &record.Identity{Cause: record.CauseUpgraded, Key: pick(w, "k1", "k2")}
		},
		record.KindPrune: func(ev *record.Event) {
			ev.Prune = &record.Prune{Horizon: record.At(wildEpoch.Add(-time.Hour)), Through: w.Int64N(int64(w.seq)), Kept: []int64{}}
		},
	}
	often := []record.EventKind{record.KindCommitBegin, record.KindCommitEnd, record.KindCommitEnd, record.KindObservation, record.KindObservation, record.KindImport, record.KindDrift, record.KindException}
	if w.staging {
		often = []record.EventKind{record.KindCommitBegin, record.KindCommitEnd, record.KindCommitEnd, record.KindObservation}
	}
	ev := &record.Event{Header: w.header(pick(w, often...))}
	if w.IntN(12) == 0 {
		ev.Kind = pick(w, record.KindRecorder, record.KindPrune, "newer")
	}
	kinds[ev.Kind](ev)
	if w.staging {
		w.stage(ev)
	}
	return ev
}

// onRecord is a record of wild events; some have no body. It inserts events directly, as the
// recorder would refuse some.
func (w *wild) onRecord(t *testing.T, n int) *store.Store {
	t.Helper()
	root := t.TempDir()
	s, err := store.Open(t.Context(), root, "1.0.0")
	storetest.Check(t, err)
	defer s.Close()
	w.seq = 1 // is the recorder's
	db, err := sql.Open("sqlite3", store.Path(root)+"?_synchronous=OFF&_journal_mode=MEMORY")
	storetest.Check(t, err)
	defer db.Close()
	for range n {
		ev := w.event()
		body, err := record.Encode(ev)
		storetest.Check(t, err)
		if _, err := record.DecodeAt(int64(w.seq), body); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if w.IntN(20) > 0 {
			_, err = db.Exec(`INSERT INTO events (seq, body) VALUES (?, ?)`, w.seq, string(body))
			storetest.Check(t, err)
		}
	}
	storetest.Check(t, s.Rebuild(t.Context()))
	r, err := store.OpenReadOnly(t.Context(), store.Path(root))
	storetest.Check(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// Whatever events meet in a log, in whatever order, both records give the same answers.
func TestAnswersAboutWildEvents(t *testing.T) {
	for seed := range uint64(storetest.Few(4, 12)) {
		w := &wild{Rand: storetest.NewRand(seed), staging: seed%2 == 1}
		s := w.onRecord(t, 100)
		_, evs := storetest.EventsOf(t, s)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { sameAnswers(t, s, storetest.InMemory(t, s, nil), about(evs, 60)) })
	}
}
