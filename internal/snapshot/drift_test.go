package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/klp-audit/klp-audit/internal/rpm/rpmtest"
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
	t.Cleanup(func() { s.Close() })
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
	ev := &store.Event{Header: store.NewHeader(store.KindObservation, h.root, "1")}
	ev.Observation = &store.Observation{Trigger: store.TriggerBoot, Installed: Record(installed), Subvolume: subvolume, Initrd: store.Initrd{Verdict: store.VerdictUnknown}}
	h.append(ev)
}

func (h *host) append(ev *store.Event) {
	h.Helper()
	if err := h.store.Append(h.Context(), ev); err != nil {
		h.Fatal(err)
	}
}

// drift looks for drift and records it.
func (h *host) drift() *store.Drift {
	h.Helper()
	installed, err := Take(h.Context(), h.root)
	if err != nil {
		h.Fatal(err)
	}
	ev, err := Drift(h.Context(), h.store, h.root, "1", installed)
	if err != nil {
		h.Fatal(err)
	}
	if ev == nil {
		return nil
	}
	h.append(ev)
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
	if d == nil || d.Cause != store.DriftUnrecorded || len(d.Changes) != 1 || d.Changes[0].Action != "upgrade" ||
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
	for row, err := range h.store.History(t.Context(), store.HistoryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if got := row.Action + " " + row.TimeSource; row.Source != "drift" || len(want) == 0 || got != want[0] || row.Commit != nil {
			t.Fatalf("got %s by %s, want %q", got, row.Source, want)
		}
		want = want[1:]
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
	if d == nil || d.Cause != store.DriftSnapshot || d.Subvolume != "/@/.snapshots/7/snapshot" || d.Previous != "/@/.snapshots/1/snapshot" {
		t.Errorf("got %+v", d)
	}
}

// What an open commit changes is its own.
func TestNoDriftWhileACommitIsOpen(t *testing.T) {
	h := newHost(t)
	h.observed()
	begin := &store.Event{Header: store.NewHeader(store.KindCommitBegin, h.root, "1"), Begin: &store.CommitBegin{}}
	h.append(begin)
	rpmtest.Install(t, h.root, "kernel-default 6.4.0 150600.23.42.1")
	if d := h.drift(); d != nil {
		t.Errorf("got %+v", d)
	}
	h.append(&store.Event{
		Header: store.NewHeader(store.KindCommitEnd, h.root, "1"),
		End:    &store.CommitEnd{Commit: begin.ID, Outcome: store.OutcomeCompleted},
	})
	if d := h.drift(); d == nil {
		t.Error("the commit has ended, and did not say what is installed")
	}
}
