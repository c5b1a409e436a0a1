package observe

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
	"github.com/klp-audit/klp-audit/internal/rpm/rpmtest"
	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

const (
	bootE    = "8823f97b40f24b7cbb472198aad29036" // its initrd loaded patch 2
	kernelE  = "6.1.0-56-amd64"
	patchE   = "livepatch_2_150600_2_40"
	packageE = "kernel-livepatch-6_1_0-56-amd64"

	oldKernel, newKernel = "6.4.0-150600.23.42-default", "6.4.0-150600.23.47-default" // those that the boot loader starts
)

// host makes the file tree of the machine that fixture E comes from, in its second boot, together
// with its real journal.
func host(t *testing.T, more map[string]string) string {
	t.Helper()
	files := map[string]string{
		"proc/sys/kernel/osrelease":                         kernelE + "\n",
		"proc/sys/kernel/version":                           "#1 SMP Fri Nov 1 00:00:00 UTC 2026 (b2a976e/lp)\n",
		"proc/sys/kernel/random/boot_id":                    "8823f97b-40f2-4b7c-bb47-2198aad29036\n",
		"proc/sys/kernel/tainted":                           "32768\n",
		"proc/stat":                                         "cpu 1\nbtime 4102444800\n",
		"proc/1/mountinfo":                                  "1 0 0:1 /@/.snapshots/7/snapshot / rw,relatime shared:1 - btrfs /dev/vda2 rw\n",
		"etc/machine-id":                                    "0123456789abcdef0123456789abcdef\n",
		"etc/os-release":                                    "PRETTY_NAME=\"SUSE Linux Enterprise Server 15 SP6\"\n",
		"etc/zypp/zypp.conf":                                "[main]\n",
		"etc/zypp/repos.d/a.repo":                           "[a]\nenabled=1\n",
		"etc/products.d/lp.prod":                            "<product><name>sle-module-live-patching</name><version>15.6</version></product>",
		"boot/initrd-" + kernelE:                            "the image of the boot before",
		"boot/grub2/grub.cfg":                               "set default=0\nmenuentry SLES {\nlinux /boot/vmlinuz-" + newKernel + "\ninitrd /boot/initrd-" + newKernel + "\n}\n",
		"run/x":                                             "",
		"var/cache/zypp/raw/x":                              "",
		"sys/kernel/livepatch/" + patchE + "/enabled":       "1\n",
		"sys/kernel/livepatch/" + patchE + "/transition":    "0\n",
		"sys/module/" + patchE + "/srcversion":              "0123456789ABCDEF01234567\n",
		"var/lib/lifecycle/data/live-patching-15.lifecycle": packageE + ", *, 2026-12-31\n",
	}
	maps.Copy(files, more)
	root := machine(t, files)
	if err := os.CopyFS(filepath.Join(root, "var/log/journal"), os.DirFS(journaltest.Unpack(t, "E"))); err != nil {
		t.Fatal(err)
	}
	return root
}

func take(t *testing.T, o Options) *record.Observation {
	t.Helper()
	return Take(t.Context(), o).Observation
}

func TestTake(t *testing.T) {
	root := host(t, nil)
	rpmtest.Install(t, root, "kernel-default 6.1.0 50.1")
	rpmtest.Rpm(t, root, "-i", rpmtest.Build(t, packageE+" 2 150600.2.40", "", "%changelog\n* Tue May 13 2025 a@example.com\n- Fix for CVE-2024-2\n  KLP: CVE-2024-2\n"))
	o := take(t, Options{Root: root, Trigger: record.TriggerTimer})
	for _, is := range []struct {
		name      string
		got, want any
	}{
		{"kernel", o.Kernel, record.Kernel{
			Release: kernelE, Version: "#1 SMP Fri Nov 1 00:00:00 UTC 2026 (b2a976e/lp)",
			BootTime: record.At(time.Unix(4102444800, 0).UTC()),
		}},
		{"module", o.LivePatch.Module, patchE}, {"package", *o.LivePatch.Package, packageE}, {"version", *o.LivePatch.Version, "2-150600.2.40"},
		{"number", *o.LivePatch.PatchNumber, 2}, {"initial", *o.LivePatch.Initial, false}, {"CVEs", o.LivePatch.CVEs, []string{"CVE-2024-2"}},
		{"forced", *o.LivePatch.Forced, false}, {"since", o.LivePatch.Since != nil, true},
		{"verdict", []any{o.Initrd.Verdict, o.Initrd.Basis}, []any{record.VerdictContained, record.BasisBoot}},
		{"next boot", *o.NextBoot, record.NextBoot{KernelRelease: newKernel, Image: "/boot/initrd-" + newKernel, Source: "/boot/grub2/grub.cfg"}},
		{"reboot", o.Reboot, nil},
		{"boots", len(o.Boots), 2}, {"installed", len(o.Installed), 2}, {"unknown", slices.Sorted(maps.Keys(o.Unknown)), []string{"reboot"}},
		{"parts", slices.Sorted(maps.Keys(o.Parts)), []string{"activation", "blockers", "clock", "coverage", "files", "gpgcheck",
			"journal_storage", "locks", "repositories", "system", "taint", "warnings"}},
	} {
		if got, want := asJSON(t, is.got), asJSON(t, is.want); got != want {
			t.Errorf("%s: got %s, want %s", is.name, got, want)
		}
	}
}

// read returns a part that the observation must have.
func read[T record.PartType](t *testing.T, o *record.Observation) T {
	t.Helper()
	v, known, err := record.ReadPart[T](o)
	if name := record.PartNameOf[T](); err != nil || !known {
		t.Fatalf("%s: known %t, %v, %q", name, known, err, o.Unknown[string(name)])
	}
	return v
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// If the image that the next boot uses cannot be dated, this boot proves nothing about it.
func TestImageThatIsNotThere(t *testing.T) {
	root := host(t, nil)
	if err := os.Remove(filepath.Join(root, "boot/initrd-"+kernelE)); err != nil {
		t.Fatal(err)
	}
	if v := take(t, Options{Root: root}).Initrd; v.Verdict != record.VerdictUnknown || v.Reason != record.ReasonUnreadable {
		t.Errorf("got %+v", v)
	}
}

// A copy may keep the time of its original; then the image is read.
func TestImageWithAnOldTime(t *testing.T) {
	root := host(t, map[string]string{"proc/stat": "btime 1000000000\n"})
	old := time.Unix(900000000, 0)
	if err := os.Chtimes(filepath.Join(root, "boot/initrd-"+kernelE), old, old); err != nil {
		t.Fatal(err)
	}
	if v := take(t, Options{Root: root}).Initrd; v.Verdict != record.VerdictUnknown {
		t.Errorf("got %+v", v)
	}
}

// If it is not known which boot this is, no boot of the journal is mistaken for it.
func TestBootThatIsNotKnown(t *testing.T) {
	root := host(t, map[string]string{"proc/sys/kernel/random/boot_id": ""})
	v, err := JudgeMachine(t.Context(), root, MachineQuestion{})
	if err != nil || v.Basis == record.BasisBoot || len(v.Evidence) == 0 || !strings.Contains(v.Evidence[0].Says, "the id of this boot is not known") {
		t.Errorf("got %+v, %v", v, err)
	}
}

// What a boot's initrd loaded says nothing about the initrd of another kernel.
func TestInitrdOfAnotherKernel(t *testing.T) {
	root := host(t, nil)
	v, err := JudgeJournal(t.Context(), JournalQuestion{Dir: filepath.Join(root, "var/log/journal"), Kernel: "9.9.9-1-default", Patch: patchE})
	if err != nil || v.Verdict != record.VerdictUnknown {
		t.Errorf("got %+v, %v", v, err)
	}
}

// A patch that is being disabled is neither active nor absent.
func TestPatchBeingDisabled(t *testing.T) {
	root := host(t, map[string]string{
		"sys/kernel/livepatch/" + patchE + "/enabled": "0\n", "sys/kernel/livepatch/" + patchE + "/transition": "1\n",
		"proc/7/task/7/patch_state": "1\n", "proc/7/task/7/comm": "sleeper\n",
	})
	o := take(t, Options{Root: root})
	if o.LivePatch != nil || !record.InTransition(o.Patches) || read[record.Blockers](t, o)[0].Comm != "sleeper" {
		t.Errorf("got %+v, blockers %s", o.Patches, o.Parts[record.PartBlockers])
	}
}

// What is on record is not read again, but this boot goes on.
func TestOnlyNewBootsAreRecorded(t *testing.T) {
	root := host(t, nil)
	all := take(t, Options{Root: root, Trigger: record.TriggerBoot}).Boots
	known := map[string]time.Time{}
	for _, b := range all {
		known[b.ID] = b.Last.Time
	}
	got := take(t, Options{Root: root, Trigger: record.TriggerBoot, Known: known}).Boots
	if len(all) != 2 || len(got) != 1 || got[0].ID != bootE {
		t.Errorf("first %d boots, then %+v", len(all), got)
	}
	known[all[0].ID] = all[0].Last.Add(-time.Second) // it went on after it was recorded
	if got := take(t, Options{Root: root, Trigger: record.TriggerBoot, Known: known}).Boots; len(got) != 2 {
		t.Errorf("got %+v", got)
	}
	if got := take(t, Options{Root: root, Trigger: record.TriggerCommit}).Boots; len(got) != 1 {
		t.Errorf("of a commit: %+v", got)
	}
}

// Each part that cannot be read is unknown, with a reason; nothing is made up.
func TestWhatCannotBeReadIsUnknown(t *testing.T) {
	o := take(t, Options{Root: t.TempDir(), Trigger: record.TriggerManual})
	for _, part := range []string{"kernel", "patches", "journal", "next_boot", "taint", "coverage", "gpgcheck", "locks", "activation",
		"reboot", "journal_storage", "system", "warnings", "repositories"} {
		if o.Unknown[part] == "" {
			t.Errorf("%s is not unknown", part)
		}
	}
	if o.Initrd.Verdict != record.VerdictUnknown || o.Initrd.Reason != record.ReasonPatchesUnknown || o.LivePatch != nil || o.Patches != nil ||
		o.NextBoot != nil || o.Reboot != nil || o.Boots != nil {
		t.Errorf("got %+v", o)
	}
}

// A kernel without live patching has no live patch; one whose patches cannot be read may have some.
func TestKernelWithoutLivePatching(t *testing.T) {
	root := machine(t, map[string]string{"sys/kernel/x": ""})
	if o := take(t, Options{Root: root}); o.Patches == nil || len(o.Patches) > 0 || o.Initrd.Reason != record.ReasonNoPatch {
		t.Errorf("got %+v", o)
	}
	root = machine(t, map[string]string{"sys/kernel/livepatch/p/enabled": "x"})
	if o := take(t, Options{Root: root}); o.Patches != nil || o.Initrd.Reason != record.ReasonPatchesUnknown {
		t.Errorf("got %+v", o)
	}
}

func TestReboot(t *testing.T) {
	root := host(t, map[string]string{
		"proc/sys/kernel/osrelease": "6.4.0-150600.23.42-default", "sys/kernel/livepatch/livepatch_2_1/enabled": "0",
		"sys/kernel/livepatch/livepatch_2_1/transition": "0",
	})
	pending := func() record.Reboot {
		t.Helper()
		o := take(t, Options{Root: root, Trigger: record.TriggerCommit})
		if o.Reboot == nil {
			t.Fatal(o.Unknown["reboot"])
		}
		return *o.Reboot
	}
	rpmtest.Install(t, root, "kernel-default 6.4.0 150600.23.42.1", "kernel-rt 6.4.0 150600.99.1.1")
	if got := pending(); got != (record.Reboot{Pending: record.PendingNo, NewestKernel: "6.4.0-150600.23.42-default"}) {
		t.Errorf("the newest kernel runs: %+v", got)
	}
	rpmtest.Install(t, root, "kernel-default 6.4.0 150600.23.100.1")
	if got := pending(); got != (record.Reboot{Pending: record.PendingLivePatched, NewestKernel: "6.4.0-150600.23.100-default"}) {
		t.Errorf("another kernel is newer, and the package of the live patch is gone: %+v", got)
	}
	rpmtest.Install(t, root, "kernel-livepatch-6_4_0-150600_23_42-default 2 150600.2.40")
	if got := pending(); got.Pending != record.PendingLivePatched {
		t.Errorf("live patched: %+v", got)
	}
}

// A live patch makes a reboot unnecessary if it is not the initial one, and no newer one is
// installed.
func TestLivePatchInPlaceOfAReboot(t *testing.T) {
	kernels := []string{"kernel-default 6.4.0 150600.23.42.1", "kernel-default 6.4.0 150600.23.100.1"}
	const pkg = "kernel-livepatch-6_4_0-150600_23_42-default"
	for _, tt := range []struct {
		name, module string
		installed    []string
		want         record.Pending
	}{
		{"the initial one", "livepatch_1_150600_1_1", []string{pkg + " 1 150600.1.1"}, record.PendingYes},
		{"the initial one, its package is gone", "livepatch_1_150600_1_1", nil, record.PendingYes},
		{"its package is gone", "livepatch_3_150600_3_1", nil, record.PendingLivePatched},
		{"an older one is installed", "livepatch_3_150600_3_1", []string{pkg + " 2 150600.2.1"}, record.PendingLivePatched},
		{"a newer one is installed", "livepatch_3_150600_3_1", []string{pkg + " 4 150600.4.1"}, record.PendingYes},
		{"one that is not SUSE's", "klp_by_hand", nil, record.PendingYes},
		{"one of a newer kernel is installed", "livepatch_3_150600_3_1", []string{"kernel-livepatch-6_4_0-150600_23_100-default 4 150600.4.1"}, record.PendingLivePatched},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := host(t, map[string]string{
				"proc/sys/kernel/osrelease":                         "6.4.0-150600.23.42-default",
				"sys/kernel/livepatch/" + tt.module + "/enabled":    "1",
				"sys/kernel/livepatch/" + tt.module + "/transition": "0",
			})
			rpmtest.Install(t, root, append(kernels, tt.installed...)...)
			o := take(t, Options{Root: root, Trigger: record.TriggerCommit})
			if o.Reboot == nil || o.Reboot.Pending != tt.want {
				t.Errorf("%+v, want %s", o.Reboot, tt.want)
			}
		})
	}
}

// If live patches cannot be read, the lack of one is no reason for a reboot, and it is not claimed
// that no task blocks a transition.
func TestRebootWhereLivePatchesCannotBeRead(t *testing.T) {
	root := host(t, map[string]string{
		"proc/sys/kernel/osrelease": "6.4.0-150600.23.42-default", "sys/kernel/livepatch/livepatch_2_1/enabled": "x",
	})
	rpmtest.Install(t, root, "kernel-default 6.4.0 150600.23.42.1", "kernel-default 6.4.0 150600.23.100.1")
	if o := take(t, Options{Root: root, Trigger: record.TriggerCommit}); o.Reboot == nil || o.Reboot.Pending != record.PendingUnknown {
		t.Errorf("without the package of a live patch, which may be gone: %+v", o.Reboot)
	}
	rpmtest.Install(t, root, "kernel-livepatch-6_4_0-150600_23_42-default 2 150600.2.40")
	o := take(t, Options{Root: root, Trigger: record.TriggerCommit})
	if o.Reboot == nil || o.Reboot.Pending != record.PendingUnknown || o.Reboot.NewestKernel != "6.4.0-150600.23.100-default" {
		t.Errorf("%+v, %s", o.Reboot, o.Unknown["reboot"])
	}
	if o.Parts[record.PartBlockers] != nil || o.Unknown["blockers"] == "" {
		t.Errorf("blockers %s, %q", o.Parts[record.PartBlockers], o.Unknown["blockers"])
	}
}

// A kernel whose package does not tell its release may be the newest one, and is never ignored.
func TestNewestKernelAmongThoseThatCannotBeTold(t *testing.T) {
	for name, tt := range map[string]struct {
		running   string
		installed []string
		newest    string // empty: not known
		untold    string
	}{
		"a release candidate runs":        {"5.13.0-rc7-17-default", []string{"kernel-default 5.13~rc7 17.1", "kernel-default 5.12.9 1.1"}, "", "kernel-default-5.13~rc7-17.1"},
		"an older release candidate":      {"5.13.1-1-default", []string{"kernel-default 5.13~rc7 17.1", "kernel-default 5.13.1 1.1"}, "5.13.1-1-default", ""},
		"a base kernel may be newer":      {"5.3.18-24.52-default", []string{"kernel-default-base 5.3.18 24.64.1.9.28.1", "kernel-default 5.3.18 24.52.1"}, "", "kernel-default-base-5.3.18-24.64.1.9.28.1"},
		"a base kernel is older":          {"5.3.18-24.64-default", []string{"kernel-default-base 5.3.18 24.52.1.9.24.1", "kernel-default 5.3.18 24.64.1"}, "5.3.18-24.64-default", ""},
		"of another flavour":              {"6.4.0-1-default", []string{"kernel-default 6.4.0 1.1", "kernel-rt 6.5~rc1 1.1"}, "6.4.0-1-default", ""},
		"nothing but one of them":         {"5.3.18-24.52-default", []string{"kernel-default-base 5.3.18 24.52.1.9.24.1"}, "", "kernel-default-base-5.3.18-24.52.1.9.24.1"},
		"a flavour that nobody knows yet": {"6.4.0-1-next", []string{"kernel-next 6.4.0 1.1", "kernel-next 6.4.0 2.1"}, "6.4.0-2-next", ""},
		"a flavour with a dash in it":     {"6.4.0-15061.18.coco15sp6-coco_debug", []string{"kernel-coco_debug 6.4.0 15061.18.coco15sp6.1", "kernel-coco 6.4.0 15061.19.coco15sp6.1"}, "6.4.0-15061.18.coco15sp6-coco_debug", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var pkgs []record.Package
			for _, p := range tt.installed {
				f := strings.Fields(p)
				pkgs = append(pkgs, record.Package{Name: f[0], Version: f[1] + "-" + f[2], Arch: "x86_64"})
			}
			newest, untold := newestKernel(pkgs, record.Kernel{Release: tt.running})
			if untold == "" != (tt.untold == "") || !strings.Contains(untold, tt.untold) || untold == "" && newest != tt.newest {
				t.Errorf("got %q, %q", newest, untold)
			}
		})
	}
}

// If the newest kernel is not known, a pending reboot is not known either, unless it is asked for,
// or a kernel that is certainly newer waits.
func TestRebootWithoutKnowingTheNewestKernel(t *testing.T) {
	root := host(t, map[string]string{"proc/sys/kernel/osrelease": "5.12.9-1-default"})
	look := func() *record.Observation { return take(t, Options{Root: root, Trigger: record.TriggerCommit}) }
	rpmtest.Install(t, root, "kernel-default 5.12.9 1.1", "kernel-default 5.13~rc7 17.1")
	if o := look(); o.Reboot != nil || !strings.Contains(o.Unknown["reboot"], "kernel-default-5.13~rc7-17.1") {
		t.Errorf("%+v, %q", o.Reboot, o.Unknown["reboot"])
	}
	asks := filepath.Join(root, "run/reboot-needed")
	if err := os.WriteFile(asks, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := look().Reboot; r == nil || r.Pending != record.PendingLivePatched || r.NewestKernel != "" || r.NewestUnknown == "" {
		t.Errorf("asked for: %+v", r)
	}
	root = host(t, map[string]string{"proc/sys/kernel/osrelease": "5.12.9-1-default"})
	rpmtest.Install(t, root, "kernel-default 5.12.9 1.1", "kernel-default 5.12.10 1.1", "kernel-default 5.13~rc7 17.1")
	if r := look().Reboot; r == nil || r.Pending != record.PendingLivePatched || r.NewestKernel != "" || r.NewestUnknown == "" {
		t.Errorf("a newer one waits: %+v", r)
	}
}

// A kernel that was rebuilt keeps its release: once installed, it is not the build that runs.
func TestRebuiltKernelOfTheSameRelease(t *testing.T) {
	boot := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	k := record.Package{Name: "kernel-default", Version: "5.11.4-1.3", Arch: "x86_64", InstallTime: boot.Unix() - 60}
	running := record.Kernel{Release: "5.11.4-1-default", BootTime: record.At(boot)}
	if newest, untold := newestKernel([]record.Package{k}, running); newest != running.Release || untold != "" {
		t.Errorf("installed before the boot: %q, %q", newest, untold)
	}
	k.InstallTime = boot.Unix() + 60
	if newest, untold := newestKernel([]record.Package{k}, running); !strings.Contains(untold, "kernel-default-5.11.4-1.3") || !strings.Contains(untold, "since the boot") {
		t.Errorf("installed since the boot: %q, %q", newest, untold)
	}
	older := k
	older.Version, older.InstallTime = "5.11.4-1.2", boot.Unix()-60
	if _, untold := newestKernel([]record.Package{older, k}, running); untold == "" {
		t.Error("next to the build that runs: known")
	}
}

// An observation goes into the record, or into the spool if that is not possible.
func TestRecord(t *testing.T) {
	root := host(t, nil)
	if _, err := Record(t.Context(), Options{Root: root, Version: "1", Trigger: record.TriggerBoot}); err != nil {
		t.Fatal(err)
	}
	obs, err := Record(t.Context(), Options{Root: root, Version: "1", Trigger: record.TriggerTimer})
	if err != nil || len(obs.Boots) != 1 || read[record.Verified](t, obs).Result != string(proof.Intact) {
		t.Errorf("%d boots, verify %s, %v", len(obs.Boots), obs.Parts[record.PartVerify], err)
	}
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	schematest.Record(t, s)
	if known, err := s.KnownBoots(t.Context()); err != nil || len(known) != 2 {
		t.Errorf("known boots %v, %v", known, err)
	}
	if err := os.WriteFile(store.Path(root), []byte(strings.Repeat("this is no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Record(t.Context(), Options{Root: root, Version: "1", Trigger: record.TriggerTimer}); err != nil || store.Waiting(root) != 1 {
		t.Errorf("%v, %d events wait", err, store.Waiting(root))
	}
}

// After a commit, the record says what is installed as long as the rpm database is unchanged;
// otherwise rpm is asked. Slow parts are left to other observations.
func TestRecordBehindACommit(t *testing.T) {
	root := host(t, map[string]string{"usr/bin/klp-audit": "program"})
	rpmtest.Install(t, root, "kernel-default 6.1.0 50.1")
	time.Sleep(50 * time.Millisecond) // the clock that stamps files moves on
	now, err := snapshot.Take(t.Context(), root)
	if err != nil || now.Stamp == "" {
		t.Skipf("the rpm database has no stamp: %v", err)
	}
	s, err := store.Open(t.Context(), root, "1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ev := &record.Event{Header: store.NewHeader(record.KindObservation, root, "1")}
	ev.Observation = &record.Observation{Trigger: record.TriggerBoot, Compared: true, RPMDB: string(now.Stamp), Initrd: record.Initrd{Verdict: record.VerdictUnknown},
		Installed: append(now.Packages, record.Package{Name: "kernel-rt", Version: "1-1", Arch: "noarch"})}
	if err := s.Append(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		trigger record.Trigger
		want    int // packages
	}{{record.TriggerCommit, 2}, {record.TriggerManual, 1}} {
		obs, err := Record(t.Context(), Options{Root: root, Version: "1", Trigger: tt.trigger})
		if err != nil || len(obs.Installed) != tt.want || obs.RPMDB != string(now.Stamp) {
			t.Errorf("%s: %d packages, %q, %v", tt.trigger, len(obs.Installed), obs.RPMDB, err)
		}
		if has := slices.ContainsFunc(read[record.OwnFiles](t, obs), func(f record.OwnFile) bool { return f.SHA256 != "" }); has == (tt.trigger == record.TriggerCommit) {
			t.Errorf("%s: digests %v", tt.trigger, has)
		}
	}
}

// What libzypp did while nobody recorded it shows in its history, unless it is found as drift.
func TestHistoryIsCompared(t *testing.T) {
	root := host(t, nil)
	rpmtest.Install(t, root, "kernel-default 6.1.0 50.1")
	if _, err := Record(t.Context(), Options{Root: root, Version: "1", Trigger: record.TriggerBoot}); err != nil {
		t.Fatal(err)
	}
	rpmtest.Install(t, root, "kernel-default 6.1.0 50.2")
	now := time.Now().UTC().Add(time.Second).Format(time.DateTime)
	history := now + "|command|root@vm|'zypper' 'up'|\n" + now + "|install|kernel-default|6.1.0-50.2|noarch||repo|abc|\n" +
		now + "|install|dracut|1-1|x86_64||repo|abc|\n" + now + "|remove |dracut|1-1|x86_64||\n"
	if err := os.MkdirAll(filepath.Join(root, "var/log/zypp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "var/log/zypp/history"), []byte(history), 0o644); err != nil {
		t.Fatal(err)
	}
	obs, err := Record(t.Context(), Options{Root: root, Version: "1", Trigger: record.TriggerTimer})
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	for _, m := range read[record.HistoryComparison](t, obs).Missing {
		missing = append(missing, m.Action+" "+m.Package)
	}
	if diff := cmp.Diff([]string{"install dracut", "remove dracut"}, missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	if obs, err = Record(t.Context(), Options{Root: root, Version: "1", Trigger: record.TriggerCommit}); err != nil || obs.Parts[record.PartZyppHistory] != nil {
		t.Errorf("after a commit: %s, %v", obs.Parts[record.PartZyppHistory], err)
	}
}

// The daily verification uses the checkpoints in the journal: they reveal that an older copy of the
// record was put back, which looks intact by itself.
func TestDailyVerificationKnowsTheJournal(t *testing.T) {
	root := host(t, nil)
	daily := func() record.Verified {
		t.Helper()
		obs, err := Record(t.Context(), Options{Root: root, Version: "1", Trigger: record.TriggerTimer})
		if err != nil {
			t.Fatal(err)
		}
		return read[record.Verified](t, obs)
	}
	daily()
	older, err := os.ReadFile(store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	daily()
	journaltest.Checkpoints(t, filepath.Join(root, "var/log/journal"), store.CheckpointMessageID, daily().Checkpoint, "1\nno checkpoint\n")
	if v := daily(); v.Result != string(proof.Intact) || v.Checkpoints != 1 || v.Unread != "" {
		t.Errorf("as it is: %+v", v)
	}
	if err := os.WriteFile(store.Path(root), older, 0o640); err != nil {
		t.Fatal(err)
	}
	if v := daily(); v.Result != string(proof.Truncated) || !strings.Contains(strings.Join(v.Problems, "\n"), "rolled back or replaced") {
		t.Errorf("put back: %+v", v)
	}
	dir := filepath.Join(root, "var/log/journal")
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "system.journal"), []byte("garbage"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if v := daily(); v.Unread == "" || v.Checkpoints != 0 {
		t.Errorf("a journal that cannot be read: %+v", v)
	}
}
