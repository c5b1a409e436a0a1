package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/rpm/rpmtest"
	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

const (
	livePatch = "kernel-livepatch-6_4_0-150600_23_42-default"
	mounts    = "1 0 0:1 /@/.snapshots/%d/snapshot / rw,relatime shared:1 - btrfs /dev/vda2 rw\n"
)

// patchFixing builds a live patch whose changelog lists CVEs.
func patchFixing(t *testing.T, version string, cves ...string) string {
	log := "%changelog\n* Tue May 13 2025 a@example.com\n"
	for _, cve := range cves {
		log += "- Fix for " + cve + "\n  KLP: " + cve + "\n"
	}
	return rpmtest.Build(t, livePatch+" "+version+" 150600.2."+version, "", log)
}

// host is a system with a record whose newest snapshot is what is installed.
type host struct {
	*testing.T
	root  string
	store *store.Store
}

func newHost(t *testing.T) *host {
	rpmtest.Need(t)
	h := &host{T: t, root: t.TempDir()}
	h.bootInto(1)
	s, err := store.Open(t.Context(), h.root, "1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		schematest.Record(t, s)
		s.Close()
	})
	h.store = s
	return h
}

func (h *host) bootInto(snapshot int) {
	path := filepath.Join(h.root, mountInfo)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(fmt.Sprintf(mounts, snapshot)), 0o644); err != nil {
		h.Fatal(err)
	}
}

// observed records what is installed, as an observation does.
func (h *host) observed() {
	h.Helper()
	installed, err := Take(h.Context(), h.root)
	if err != nil {
		h.Fatal(err)
	}
	subvolume, err := Subvolume(h.root)
	if err != nil {
		h.Fatal(err)
	}
	ev := &record.Event{Header: store.NewHeader(record.KindObservation, h.root, "1")}
	ev.Observation = &record.Observation{Trigger: record.TriggerBoot, Installed: installed.Packages, RPMDB: string(installed.Stamp), Compared: true, Subvolume: subvolume, Initrd: record.Initrd{Verdict: record.VerdictUnknown}}
	h.append(ev)
}

func (h *host) append(ev *record.Event) {
	h.Helper()
	if err := h.store.Append(h.Context(), ev); err != nil {
		h.Fatal(err)
	}
}

// drift looks for drift and records it.
func (h *host) drift() *record.Drift {
	h.Helper()
	installed, err := Take(h.Context(), h.root)
	if err != nil {
		h.Fatal(err)
	}
	size, err := h.store.Size(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	if err := Append(h.Context(), h.store, h.root, "1", size, installed, nil); err != nil {
		h.Fatal(err)
	}
	now, err := h.store.Size(h.Context())
	if err != nil || now == size {
		return nil
	}
	ev, err := h.store.Event(h.Context(), now)
	if err != nil {
		h.Fatal(err)
	}
	return ev.Drift
}

func TestDrift(t *testing.T) {
	h := newHost(t)
	rpmtest.Rpm(t, h.root, "-i", patchFixing(t, "2", "CVE-2024-1", "CVE-2024-2"))
	if d := h.drift(); d != nil {
		t.Errorf("there is nothing to compare with: %+v", d)
	}
	h.observed()
	if d := h.drift(); d != nil {
		t.Errorf("nothing changed: %+v", d)
	}

	rpmtest.Rpm(t, h.root, "-U", patchFixing(t, "3", "CVE-2024-1", "CVE-2024-2", "CVE-2024-3"))
	d := h.drift()
	if d == nil || d.Cause != record.DriftUnrecorded || len(d.Changes) != 1 || d.Changes[0].Action != "upgrade" ||
		d.Changes[0].Previous != "2-150600.2.2" || d.Changes[0].Version != "3-150600.2.3" || d.Changes[0].InstallTime == nil {
		t.Fatalf("after rpm -U: %+v", d)
	}
	if len(d.Changes[0].Added.CVEs) != 0 || len(d.Problems) != 1 {
		t.Errorf("the old package's fixes are not on record, so what was added is not known: %+v", d)
	}
	if d := h.drift(); d != nil {
		t.Errorf("it is on record now: %+v", d)
	}

	rpmtest.Rpm(t, h.root, "-U", "--oldpackage", patchFixing(t, "2", "CVE-2024-1", "CVE-2024-2"))
	d = h.drift()
	if d == nil || d.Changes[0].Action != "downgrade" || fmt.Sprint(d.Changes[0].Removed.CVEs) != "[CVE-2024-3]" || len(d.Problems) > 0 {
		t.Errorf("after a downgrade, with the fixes on record: %+v", d)
	}

	rpmtest.Rpm(t, h.root, "-e", livePatch)
	if d = h.drift(); d == nil || d.Changes[0].Action != "remove" || d.Changes[0].InstallTime != nil {
		t.Errorf("after rpm -e: %+v", d)
	}
	want := []string{"remove found", "downgrade rpm", "upgrade rpm"}
	for row, err := range h.store.History(t.Context(), record.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if got := string(row.Action) + " " + row.TimeSource; row.Source != "drift" || len(want) == 0 || got != want[0] || row.Commit != nil {
			t.Fatalf("got %s by %s, want %q", got, row.Source, want)
		}
		want = want[1:]
	}
}

// rpm is asked for the tracked packages: one of each kind, and names that look similar.
func TestReadFindsEachKind(t *testing.T) {
	rpmtest.Need(t)
	root := t.TempDir()
	for _, name := range []string{"kernel-default-base", livePatch, "kgraft-patch-3_12_74-60_64_110-default", "drbd-kmp-rt", "lifecycle-data-sle-module-live-patching",
		"sle-module-live-patching-release", "patterns-sle-lp_sles", "patterns-base-kernel_livepatching", "dracut", "suse-module-tools", "kernel-macros", "kernel-firmware", "glibc"} {
		rpmtest.Install(t, root, name+" 1 1")
	}
	want, err := rpm.DB{Root: root}.Installed(t.Context(), Tracked)
	if err != nil || len(want) != 11 {
		t.Fatalf("%d packages, %v", len(want), err)
	}
	for i, p := range want {
		want[i].Kind = livepatch.KindOf(p.Name)
	}
	got, err := Read(t.Context(), rpm.DB{Root: root})
	if diff := cmp.Diff(want, got.Packages); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// A rebuilt live patch of the same version has its own fixes, even if those of the other build are
// known; an unchanged one is not read again.
func TestFixesOfAPackageBuiltAnew(t *testing.T) {
	h := newHost(t)
	rpmtest.Rpm(t, h.root, "-i", patchFixing(t, "2", "CVE-2024-1"))
	db := rpm.DB{Root: h.root}
	read := func(known Known) map[string]record.Fixes {
		t.Helper()
		installed, err := Read(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		fixes, err := Fixes(t.Context(), db, installed.Packages, known)
		if err != nil {
			t.Fatal(err)
		}
		return fixes
	}
	installed, err := Read(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	nevra := installed.Packages[0].NEVRA()
	mark := Known{rpm.Instance(installed.Packages[0]): {CVEs: []string{"from what is known"}}}
	if got := read(mark)[nevra].CVEs; fmt.Sprint(got) != "[from what is known]" {
		t.Errorf("of a package that is still the same: %q", got)
	}
	rpmtest.Rpm(t, h.root, "-U", "--force", patchFixing(t, "2", "CVE-2024-1", "CVE-2024-2"))
	if got := read(mark)[nevra].CVEs; fmt.Sprint(got) != "[CVE-2024-1 CVE-2024-2]" {
		t.Errorf("of a rebuilt package: %q", got)
	}

	rpmtest.Rpm(t, h.root, "-e", livePatch)
	h.observed()
	rpmtest.Rpm(t, h.root, "-i", patchFixing(t, "2", "CVE-2024-1"))
	h.drift()
	const dated = "%global source_date_epoch_from_changelog 1\n%global use_source_date_epoch_as_buildtime 1"
	anew := rpmtest.Build(t, livePatch+" 2 150600.2.2", dated, "%changelog\n* Tue May 13 2025 a@example.com\n- Fix for CVE-2024-7\n")
	rpmtest.Rpm(t, h.root, "-U", "--force", anew)
	d := h.drift()
	if d == nil || d.Changes[0].Action != "reinstall" || fmt.Sprint(d.Changes[0].Added.CVEs, d.Fixes[nevra].CVEs) != "[CVE-2024-7] [CVE-2024-7]" {
		t.Errorf("drift: %+v", d)
	}
	last, err := h.store.LastFixes(t.Context(), store.AllEvents)
	if err != nil || len(last.Installed) != 1 || fmt.Sprint(last.Fixes[nevra].CVEs) != "[CVE-2024-7]" {
		t.Errorf("on record: %+v, %v", last, err)
	}
}

// The fixes that were removed are on record, however long ago they were added.
func TestFixesThatCameLongAgo(t *testing.T) {
	h := newHost(t)
	h.observed()
	rpmtest.Rpm(t, h.root, "-i", patchFixing(t, "2", "CVE-2024-1"))
	h.drift()
	for range 70 {
		h.observed()
	}
	rpmtest.Rpm(t, h.root, "-U", patchFixing(t, "3", "CVE-2024-1", "CVE-2024-3"))
	if d := h.drift(); d == nil || len(d.Problems) > 0 || fmt.Sprint(d.Changes[0].Added.CVEs) != "[CVE-2024-3]" {
		t.Errorf("got %+v", d)
	}
}

// Another version of the program may have interpreted the changelogs differently.
func TestFixesThatAnotherVersionRead(t *testing.T) {
	h := newHost(t)
	h.observed()
	rpmtest.Rpm(t, h.root, "-i", patchFixing(t, "2", "CVE-2024-1"))
	h.drift()
	for version, want := range map[string]int{"1": 1, "2": 0} {
		if known, err := Remembered(t.Context(), h.store, version); err != nil || len(known) != want {
			t.Errorf("version %s knows %v, %v", version, known, err)
		}
	}
}

// A root file system that was rolled back has other packages, and another subvolume.
func TestDriftByRollback(t *testing.T) {
	h := newHost(t)
	rpmtest.Install(t, h.root, "kernel-default 6.4.0 150600.23.42.1")
	h.observed()
	h.bootInto(7)
	rpmtest.Rpm(t, h.root, "-U", "--oldpackage", rpmtest.Build(t, "kernel-default 6.4.0 150600.23.25.1", "", ""))
	d := h.drift()
	if d == nil || d.Cause != record.DriftSnapshot || d.Subvolume != "/@/.snapshots/7/snapshot" || d.Previous != "/@/.snapshots/1/snapshot" {
		t.Errorf("got %+v", d)
	}
}

// What an open commit changes is not drift.
func TestNoDriftWhileACommitIsOpen(t *testing.T) {
	h := newHost(t)
	h.observed()
	begin := &record.Event{Header: store.NewHeader(record.KindCommitBegin, h.root, "1"), Begin: &record.CommitBegin{}}
	h.append(begin)
	rpmtest.Install(t, h.root, "kernel-default 6.4.0 150600.23.42.1")
	if d := h.drift(); d != nil {
		t.Errorf("got %+v", d)
	}
	h.append(&record.Event{
		Header: store.NewHeader(record.KindCommitEnd, h.root, "1"),
		End:    &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted},
	})
	if d := h.drift(); d == nil {
		t.Error("the commit has ended, and did not say what is installed")
	}
}

// stage records that a commit in a snapshot did what its rpm database, below root, shows.
func (h *host) stage(snapshot int, root string, before []record.Package) {
	h.Helper()
	after, err := Take(h.Context(), root)
	if err != nil {
		h.Fatal(err)
	}
	begin := &record.Event{Header: store.NewHeader(record.KindCommitBegin, h.root, "1"), Begin: &record.CommitBegin{
		Staging: &record.Staging{Snapshot: fmt.Sprint(snapshot), Root: root}, Installed: before,
	}}
	begin.BootID = "another"
	end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, h.root, "1"), End: &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeStaged}}
	for _, d := range rpm.Diff(before, after.Packages, nil) {
		end.End.Changes = append(end.End.Changes, Change(d, nil, nil))
	}
	h.append(begin)
	h.append(end)
}

// What was staged and then booted is on record: only other changes are drift.
func TestBootOfAStagedSnapshotIsNoDrift(t *testing.T) {
	h := newHost(t)
	old, kept := rpmtest.Build(t, "kernel-default 6.4.0 150600.23.25.1", "", ""), rpmtest.Build(t, "dracut 1 1", "", "")
	rpmtest.Rpm(t, h.root, "-i", old)
	rpmtest.Rpm(t, h.root, "-i", kept)
	h.observed()
	before, err := Take(t.Context(), h.root)
	if err != nil {
		t.Fatal(err)
	}
	// The snapshot's rpm database becomes the system's when it is booted.
	rpmtest.Rpm(t, h.root, "-U", rpmtest.Build(t, "kernel-default 6.4.0 150600.23.42.1", "", ""))
	rpmtest.Rpm(t, h.root, "-e", "dracut")
	h.stage(7, h.root, before.Packages)
	h.bootInto(7)
	if d := h.drift(); d != nil {
		t.Errorf("what was staged is drift: %+v", d.Changes)
	}
	rpmtest.Rpm(t, h.root, "-i", patchFixing(t, "2", "CVE-2024-1"))
	d := h.drift()
	if d == nil || d.Cause != record.DriftSnapshot || len(d.Changes) != 1 || d.Changes[0].Package != livePatch || len(d.Installed) != 2 {
		t.Errorf("what else is there: %+v", d)
	}
	h.observed()
	if d := h.drift(); d != nil {
		t.Errorf("all is on record now: %+v", d)
	}
	rpmtest.Rpm(t, h.root, "-U", "--oldpackage", old)
	if d := h.drift(); d == nil || d.Changes[0].Action != "downgrade" {
		t.Errorf("changed by hand after it: %+v", d)
	}
}

// commit records a commit that installed a package that is there now.
func (h *host) commit(compared bool, name, version string) {
	h.Helper()
	installed, err := Take(h.Context(), h.root)
	if err != nil {
		h.Fatal(err)
	}
	begin := &record.Event{Header: store.NewHeader(record.KindCommitBegin, h.root, "1"), Begin: &record.CommitBegin{Compared: compared}}
	h.append(begin)
	end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, h.root, "1")}
	end.End = &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted, Compared: compared, Installed: installed.Packages, Changes: []record.Change{
		{Kind: "kernel", Action: "install", Package: name, Version: version, Arch: "noarch", Result: record.ResultOK},
	}}
	for _, p := range installed.Packages {
		if p.Name == name {
			end.End.Changes[0].InstallTime = moment(p.InstallTime)
		}
	}
	h.append(end)
}

// A commit that ends while something else looks at the packages is neither undone nor counted
// twice.
func TestAppendAfterSomethingWasRecordedMeanwhile(t *testing.T) {
	h := newHost(t)
	h.observed()
	size, err := h.store.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stale, err := Take(t.Context(), h.root)
	if err != nil {
		t.Fatal(err)
	}
	rpmtest.Install(t, h.root, "kernel-rt 6.4.0 1.1")
	h.commit(true, "kernel-rt", "6.4.0-1.1")
	ev := &record.Event{Header: store.NewHeader(record.KindObservation, h.root, "1")}
	ev.Observation = &record.Observation{Trigger: record.TriggerTimer, Installed: stale.Packages, Unknown: map[string]string{}, Initrd: record.Initrd{Verdict: record.VerdictUnknown}}
	if err := Append(t.Context(), h.store, h.root, "1", size, stale, ev); err != nil {
		t.Fatal(err)
	}
	if len(ev.Observation.Installed) != 1 || !ev.Observation.Compared {
		t.Errorf("recorded %+v", ev.Observation)
	}
	if rows := h.sources(); fmt.Sprint(rows) != "[plugin]" {
		t.Errorf("changes by %s", rows)
	}
	if d := h.drift(); d != nil {
		t.Errorf("drift %+v", d)
	}
}

// sources are the sources of the changes on record.
func (h *host) sources() (sources []string) {
	h.Helper()
	for row, err := range h.store.History(h.Context(), record.HistoryFilter{}) {
		if err != nil {
			h.Fatal(err)
		}
		sources = append(sources, string(row.Source))
	}
	return sources
}

// What a commit did is on record even if it could not be compared when it began; other changes are
// drift.
func TestDriftAroundACommitThatWasNotCompared(t *testing.T) {
	h := newHost(t)
	h.observed()
	rpmtest.Install(t, h.root, "kernel-default 6.4.0 1.1", "kernel-rt 6.4.0 1.1")
	h.commit(false, "kernel-rt", "6.4.0-1.1")
	d := h.drift()
	if d == nil || len(d.Changes) != 1 || d.Changes[0].Package != "kernel-default" {
		t.Fatalf("got %+v", d)
	}
	if d := h.drift(); d != nil {
		t.Errorf("again: %+v", d)
	}
}

// An observation without a comparison hides nothing.
func TestObservationThatWasNotComparedIsNoBaseline(t *testing.T) {
	h := newHost(t)
	h.observed()
	rpmtest.Install(t, h.root, "kernel-default 6.4.0 1.1")
	ev := &record.Event{Header: store.NewHeader(record.KindObservation, h.root, "1")}
	ev.Observation = &record.Observation{Trigger: record.TriggerTimer, Installed: []record.Package{{Name: "kernel-default", Version: "6.4.0-1.1", Arch: "noarch"}}, Initrd: record.Initrd{Verdict: record.VerdictUnknown}}
	h.append(ev)
	if d := h.drift(); d == nil {
		t.Error("the installation by hand is lost")
	}
}

// An event in the spool may explain a difference: until it is taken in, nothing is called drift.
func TestNoDriftWhileAnEventWaits(t *testing.T) {
	h := newHost(t)
	h.observed()
	rpmtest.Rpm(t, h.root, "-i", patchFixing(t, "2", "CVE-2024-1"))
	waiting := &record.Event{Header: store.NewHeader(record.KindCommitBegin, h.root, "1"), Begin: &record.CommitBegin{}}
	if err := store.Spool(h.root, waiting, errors.New("held"), false); err != nil {
		t.Fatal(err)
	}
	if d := h.drift(); d != nil {
		t.Errorf("drift %+v", d)
	}
	if err := h.store.TakeIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, h.root, "1"), End: &record.CommitEnd{Commit: waiting.ID, Outcome: record.OutcomeCompleted}}
	h.append(end)
	if d := h.drift(); d == nil || len(d.Changes) != 1 {
		t.Errorf("drift %+v, want what no commit explains", d)
	}
}
