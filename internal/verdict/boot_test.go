package verdict

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/record"
)

// What the caller leaves empty is found in the boot: its kernel, and the patch that was active at
// its end.
func TestJudgeBoot(t *testing.T) {
	first, second := load(0, patch1, record.PhaseInitrd), load(5, patch2, record.PhaseInitrd)
	as := func(l record.Load, change func(*record.Load)) record.Load {
		change(&l)
		return l
	}
	failed := as(second, func(l *record.Load) { l.Result = record.LoadFailed })
	disabled := as(second, func(l *record.Load) { l.Disabled = new(record.At(at(9))) })
	for name, tt := range map[string]struct {
		boot          record.Boot
		unread        []journal.Unread
		kernel, patch string
		want          record.Initrd
	}{
		"the newest load":     {boot: record.Boot{Loads: []record.Load{first, second}}, want: record.Initrd{Patch: patch2, Verdict: record.VerdictContained}},
		"one is named":        {boot: record.Boot{Loads: []record.Load{first, second}}, patch: patch1, want: record.Initrd{Patch: patch1, Verdict: record.VerdictContained}},
		"the newest failed":   {boot: record.Boot{Loads: []record.Load{first, failed}}, want: record.Initrd{Patch: patch1, Verdict: record.VerdictContained}},
		"disabled since":      {boot: record.Boot{StartInJournal: true, Loads: []record.Load{disabled}}, want: record.Initrd{Verdict: record.VerdictUnknown, Reason: record.ReasonNoPatch}},
		"no start":            {want: record.Initrd{Verdict: record.VerdictUnknown, Reason: record.ReasonBootStart}},
		"lost":                {boot: record.Boot{MessagesLost: true}, want: record.Initrd{Verdict: record.VerdictUnknown, Reason: record.ReasonMessagesLost}},
		"unread":              {unread: []journal.Unread{{Err: errors.New("damaged")}}, want: record.Initrd{Verdict: record.VerdictUnknown, Reason: record.ReasonJournalUnread}},
		"of another kernel's": {boot: record.Boot{StartInJournal: true, Loads: []record.Load{first}}, kernel: "6.4.0-1-default", want: record.Initrd{KernelRelease: "6.4.0-1-default", Patch: patch1, Verdict: record.VerdictUnknown, Reason: record.ReasonNoBuild}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.boot.KernelRelease = kernel
			if tt.want.KernelRelease == "" {
				tt.want.KernelRelease = kernel
			}
			got := JudgeBoot(journal.Boot{Boot: tt.boot, Unread: tt.unread}, tt.kernel, tt.patch)
			got.Evidence, got.Basis = nil, ""
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A sight says what was seen, and does not change when it is asked.
func TestSight(t *testing.T) {
	const name = "kernel-livepatch-6_4_0-150600_23_42-default"
	s := Sight{
		Kernel:   kernel,
		Patches:  []record.LoadedPatch{{Module: patch2, Enabled: true, SrcVersion: "S2"}},
		Boots:    []journal.Boot{bootOf([]record.Load{load(5, patch2, record.PhaseSystem)}, nil)},
		Packages: []record.Package{{Name: name, Version: "2-150600.13.6.1", InstallTime: 1}},
		Live:     &Live{Image: "/boot/i", ImageTime: at(-9), BootTime: at(0)},
	}
	s.Boots[0].KernelRelease = ""
	lp, p := s.LivePatch()
	if p == nil || p.Name != name || *lp.PatchNumber != 2 || *lp.Initial || !lp.Since.Time.Equal(at(5)) {
		t.Errorf("live patch %+v of %v", lp, p)
	}
	var read []string
	v := s.Initrd(func(path string) (*initrd.Image, error) {
		read = append(read, path)
		return &initrd.Image{Path: path, ModTime: time.Unix(1, 0), Modules: []initrd.Module{{Name: patch2, KernelRelease: kernel, LivePatch: true, SrcVersion: "S9"}}}, nil
	})
	if v.Verdict != record.VerdictMissing || v.Basis != record.BasisImage || len(read) != 1 || read[0] != "/boot/i" {
		t.Errorf("got %+v, read %q", v, read)
	}
	if s.Live.SrcVersion != "" || s.Boots[0].KernelRelease != "" {
		t.Errorf("the sight changed: %+v, %+v", s.Live, s.Boots)
	}
	s.Patches = nil
	if v := s.Initrd(nil); v.Reason != record.ReasonPatchesUnknown {
		t.Errorf("without patches: %+v", v)
	}
}

// If the next boot may use another snapshot, all its images must agree.
func TestImagesOfSeveralSnapshots(t *testing.T) {
	held := []initrd.Module{{Name: patch2, KernelRelease: kernel, LivePatch: true}}
	q := Question{Kernel: kernel, Patch: patch2, Live: &Live{Image: "/a", Others: []string{"/b"}}}
	for name, tt := range map[string]struct {
		images map[string][]initrd.Module
		want   record.Verdict
		reason record.Reason
	}{
		"both hold it":     {map[string][]initrd.Module{"/a": held, "/b": held}, record.VerdictContained, ""},
		"neither does":     {nil, record.VerdictMissing, ""},
		"they are at odds": {map[string][]initrd.Module{"/a": held}, record.VerdictUnknown, record.ReasonOtherSnapshot},
	} {
		t.Run(name, func(t *testing.T) {
			v := Judge(q)
			if v.Reason != record.ReasonOtherSnapshot {
				t.Fatalf("before: %+v", v)
			}
			v = JudgeImages(v, q, "", func(path string) (*initrd.Image, error) {
				return &initrd.Image{Path: path, Modules: tt.images[path]}, nil
			})
			if v.Verdict != tt.want || v.Reason != tt.reason {
				t.Errorf("got %+v", v)
			}
		})
	}
}
