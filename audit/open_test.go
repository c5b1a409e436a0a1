package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// vendor is what a vendor releases for a machine with kernel A and live patch 2, which was refreshed.
type vendor struct {
	*storetest.Machine
	issued *record.Timestamp
}

func newVendor(t *testing.T) *vendor {
	m := storetest.Patched(t, 2)
	return &vendor{m, new(record.At(m.Now.AddDate(0, 0, -1)))}
}

// offers writes a release event.
func (v *vendor) offers(id, status string, packages []string, cves ...string) {
	v.Releases(record.Released{Repo: "updates", ID: id, Type: "security", Severity: "important", Status: status, Title: "Security update " + id, Issued: v.issued}, packages, cves)
}

// looks observes, with the repositories as they are.
func (v *vendor) looks(repos ...record.Repository) {
	storetest.Says(v.Machine, record.Repositories(repos))
	v.Wait(time.Hour)
	v.Observe(record.TriggerTimer)
}

func (v *vendor) fresh() record.Repository {
	return record.Repository{Alias: "updates", Offers: true, Refreshed: new(record.At(v.Now)), Newest: v.Now.Format(time.DateOnly)}
}

func text(p record.Package) string { return p.Name + " " + p.Version }

// answer is what is said of a number: status, package and reason.
func (v *vendor) answer(t *testing.T, cve string) string {
	t.Helper()
	var said []string
	for _, e := range exposures(t, v.OpenRecord(), cve) {
		line := string(e.Status)
		if e.Package != "" {
			line += " " + e.Package[:len("kernel-livep")] + " " + e.Version
		}
		if e.Inferred {
			line += " inferred"
		}
		if e.OpenSince != nil {
			line += " since " + e.OpenSince.Format(time.DateOnly)
		}
		said = append(said, strings.TrimSpace(line+": "+e.Reason))
	}
	return strings.Join(said, "\n")
}

const onOffer = "It is on offer: install it with `zypper patch`."

// What the vendor has released, and the machine has not, has the answer of the first rule that applies.
func TestWhatIsOpen(t *testing.T) {
	patch3, patch1B := storetest.PatchPackage(storetest.ReleaseA, 3), storetest.PatchPackage(storetest.ReleaseB, 1)
	kernelA, kernelB := storetest.KernelPackage(storetest.KernelA), storetest.KernelPackage(storetest.KernelB)
	const cve = "CVE-2025-9999"
	for name, tt := range map[string]struct {
		does func(v *vendor)
		want string
	}{
		"nothing on record": {func(v *vendor) {}, "not-in-record:"},
		"silent":            {func(v *vendor) { v.offers("A", "", []string{text(patch3)}, "CVE-2025-1"); v.looks(v.fresh()) }, "not-in-record:"},
		"a live patch": {func(v *vendor) { v.offers("A", "stable", []string{text(patch3)}, cve); v.looks(v.fresh()) },
			"available kernel-livep " + patch3.Version + " since DAY: " + onOffer},
		"a live patch for several kernels": {func(v *vendor) {
			v.offers("A", "", []string{"kernel-livepatch-6_4_0-150600_99-default 3-1", text(patch3)}, cve)
			v.looks(v.fresh())
		}, "available kernel-livep " + patch3.Version + " inferred since DAY: " + onOffer},
		"a live patch that is older": {func(v *vendor) {
			v.offers("A", "", []string{text(storetest.PatchPackage(storetest.ReleaseA, 2))}, cve)
			v.looks(v.fresh())
		}, "unknown: Its advisory brings a live patch that is not newer than the installed one; what that fixes is not on record."},
		"a kernel of another flavour": {func(v *vendor) { v.offers("A", "", []string{"kernel-rt 6.4.0-150600.99.1"}, cve); v.looks(v.fresh()) },
			"unknown: other-flavour: only advisories for other kernels name it."},
		"a newer kernel, with its initial live patch": {func(v *vendor) { v.offers("A", "", []string{text(kernelB), text(patch1B)}, cve); v.looks(v.fresh()) },
			"needs-kernel kernel-defau " + kernelB.Version + " inferred since DAY: No live patch for the running kernel brings it: install kernel-default " + kernelB.Version + ", and reboot into it."},
		"a newer kernel, and a live patch": {func(v *vendor) {
			v.offers("A", "", []string{text(kernelB), text(patch1B)}, cve)
			v.offers("B", "", []string{text(patch3)}, cve)
			v.looks(v.fresh())
		}, "available kernel-livep " + patch3.Version + " since DAY: " + onOffer},
		"a newer kernel that is installed": {func(v *vendor) {
			v.offers("A", "", []string{text(kernelB), text(patch1B)}, cve)
			v.Install(kernelB)
			v.looks(v.fresh())
		}, "installed kernel-defau " + kernelB.Version + " inferred since DAY: kernel-default " + kernelB.Version + " is installed, and does not run: reboot into it."},
		"the running kernel": {func(v *vendor) { v.offers("A", "", []string{text(kernelA)}, cve); v.looks(v.fresh()) },
			"fixed kernel-defau " + kernelA.Version + ": The kernel itself fixes it."},
		"the running kernel, with its initial live patch": {func(v *vendor) {
			v.offers("A", "", []string{text(kernelA), text(storetest.PatchPackage(storetest.ReleaseA, 1))}, cve)
			v.looks(v.fresh())
		}, "fixed kernel-defau " + kernelA.Version + ": The kernel itself fixes it."},
		"an initial live patch alone": {func(v *vendor) {
			v.offers("A", "", []string{text(storetest.PatchPackage(storetest.ReleaseA, 1))}, cve)
			v.looks(v.fresh())
		}, "unknown: Its advisory brings a live patch that is not newer than the installed one; what that fixes is not on record."},
		"its changelog, beside a newer kernel": {func(v *vendor) {
			list := []string{cve}
			v.Write(&record.Event{Header: v.Header(record.KindRelease), Release: &record.Release{
				Kernels: []record.KernelFixes{{Package: kernelA.NEVRA(), Release: storetest.ReleaseA, CVEs: record.ListDigest(list)}},
				Lists:   map[string]record.List{record.ListDigest(list): {Add: list}},
			}})
			v.offers("A", "", []string{text(kernelB)}, cve)
			v.looks(v.fresh())
		}, "fixed kernel-defau " + kernelA.Version + ": The kernel itself fixes it."},
		"two live patches": {func(v *vendor) {
			later := *v.issued
			v.offers("B", "", []string{text(patch3)}, cve)
			v.issued = new(record.At(later.Add(12 * time.Hour)))
			v.offers("A", "", []string{text(storetest.PatchPackage(storetest.ReleaseA, 4))}, cve)
			v.looks(v.fresh())
		}, "available kernel-livep " + patch3.Version + " since DAY: " + onOffer},
		"a kernel whose package is gone": {func(v *vendor) {
			v.offers("A", "", []string{text(patch3)}, cve)
			v.Install(kernelB)
			v.looks(v.fresh())
			v.Remove(kernelA)
			v.looks(v.fresh())
		}, "available kernel-livep " + patch3.Version + " since DAY: " + onOffer},
		"frozen": {func(v *vendor) {
			v.offers("A", "", []string{text(patch3)}, "CVE-2025-1")
			r := v.fresh()
			r.Newest = "2024-06-01"
			v.looks(r)
		}, "unknown: stale: The newest advisory of repository updates is of 2024-06-01."},
		"retracted": {func(v *vendor) { v.offers("A", "retracted", []string{text(patch3)}, cve); v.looks(v.fresh()) },
			"unknown kernel-livep " + patch3.Version + ": retracted: the vendor took its advisory back."},
		"retracted later": {func(v *vendor) {
			v.offers("A", "stable", []string{text(patch3)}, cve)
			v.looks(v.fresh())
			v.offers("A", "retracted", []string{text(patch3)}, cve)
			v.looks(v.fresh())
		}, "unknown kernel-livep " + patch3.Version + ": retracted: the vendor took its advisory back."},
		"of a repository that is off": {func(v *vendor) { v.offers("A", "", []string{text(patch3)}, cve); v.looks() },
			"unknown kernel-livep " + patch3.Version + ": repository-off: repository updates, which has its advisory, is not enabled, or gone."},
		"withdrawn": {func(v *vendor) {
			v.offers("A", "", []string{text(patch3)}, cve)
			v.Write(&record.Event{Header: v.Header(record.KindRelease), Release: &record.Release{Withdrawn: []record.AdvisoryKey{{Repo: "updates", ID: "A"}}}})
			v.looks(v.fresh())
		}, "unknown kernel-livep " + patch3.Version + ": withdrawn: its repository does not have its advisory any more."},
		"stale": {func(v *vendor) {
			v.offers("A", "", []string{text(patch3)}, "CVE-2025-1")
			v.looks(record.Repository{Alias: "updates", Refreshed: new(record.At(v.Now.AddDate(0, 0, -30)))})
		}, "unknown: stale: Repository updates was refreshed last on STALE."},
		"never refreshed": {func(v *vendor) {
			v.offers("A", "", []string{text(patch3)}, "CVE-2025-1")
			v.looks(record.Repository{Alias: "new"})
		},
			"unknown: stale: Repository new was never refreshed."},
		"stale, and on offer": {func(v *vendor) {
			v.offers("A", "", []string{text(patch3)}, cve)
			v.looks(record.Repository{Alias: "updates", Refreshed: new(record.At(v.Now.AddDate(0, 0, -30)))})
		}, "available kernel-livep " + patch3.Version + " since DAY: " + onOffer},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			began := v.Truth[0].From
			tt.does(v)
			got := v.answer(t, cve)
			want := strings.NewReplacer("DAY", began.Format(time.DateOnly), "STALE", v.Now.Add(-time.Hour).AddDate(0, 0, -30).Format(time.DateOnly)).Replace(tt.want)
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// What a live patch of an earlier kernel fixed, and the running one has by itself, is fixed, also where nobody asks for it.
func TestFixedByTheNextKernel(t *testing.T) {
	v := newVendor(t)
	const byPatch2 = "CVE-2025-4221"
	kernelB := storetest.KernelPackage(storetest.KernelB)
	v.offers("B", "", []string{text(kernelB)}, byPatch2, "CVE-2025-9999")
	v.Install(kernelB)
	v.looks(v.fresh())
	v.Reboot()
	v.looks(v.fresh())
	var got []string
	for _, e := range exposures(t, v.OpenRecord()) {
		if e.CVE == byPatch2 || e.Version == kernelB.Version {
			got = append(got, fmt.Sprint(e.CVE, " ", e.KernelRelease, " ", e.Status, " ", e.Reason))
		}
	}
	want := []string{byPatch2 + " " + storetest.ReleaseA + " other-kernel ", byPatch2 + " " + storetest.ReleaseB + " fixed The kernel itself fixes it."}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// at is the row of a number in the running kernel, as it was at a moment.
func (v *vendor) at(t *testing.T, at time.Time, cve string) Exposure {
	t.Helper()
	s := v.OpenRecord()
	timeline, err := TimelineUntil(t.Context(), s, at)
	storetest.Check(t, err)
	list, err := NewExposures(t.Context(), s, timeline, at, []string{cve})
	storetest.Check(t, err)
	if len(list) != 1 {
		t.Fatalf("got %+v", list)
	}
	return list[0]
}

// A fix that a live patch brought which was never installed is open since that was released, not since a later one was that
// has it too.
func TestOpenSinceTheFirst(t *testing.T) {
	v := newVendor(t)
	patch3, patch4 := storetest.PatchPackage(storetest.ReleaseA, 3), storetest.PatchPackage(storetest.ReleaseA, 4)
	cve := storetest.FixesOf(patch3).CVEs[2]
	first := record.At(v.Now.Add(10 * time.Hour))
	v.issued = &first
	v.Wait(24 * time.Hour)
	v.offers("A", "", []string{text(patch3)}, cve)
	v.looks(v.fresh())
	v.issued = new(record.At(v.Now))
	v.offers("B", "", []string{text(patch4)}, storetest.FixesOf(patch4).CVEs[3:]...)
	v.looks(v.fresh())
	v.Commit(record.OutcomeStaged, []record.Package{patch4}, nil)
	v.looks(v.fresh())
	if e := v.at(t, v.Now, cve); e.Version != patch4.Version || e.OnOffer == nil || !e.OpenSince.Equal(first.Time) || *e.Advisory != "A" {
		t.Errorf("%s %s, open since %v, want %v, by %s", e.Status, e.Reason, e.OpenSince, first, *e.Advisory)
	}
}

// Since when a fix is open that was active, and of which nobody knows whether it still is, nobody knows.
func TestOpenSinceNobodyKnows(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	cve := storetest.FixesOf(patch3).CVEs[2]
	v.offers("A", "", []string{text(patch3)}, cve)
	v.Install(patch3)
	v.looks(v.fresh())
	v.Remove(patch3)
	v.looks(v.fresh())
	v.Reboot() // without it
	v.Wait(time.Hour)
	v.Reboot()
	o := v.Last()
	o.Patches, o.LivePatch, o.Boots = nil, nil, []record.Boot{}
	before := v.Now
	for range 40 {
		v.Wait(24 * time.Hour)
		v.Observe(record.TriggerTimer)
		o := v.Last()
		o.Patches, o.LivePatch, o.Boots = nil, nil, []record.Boot{}
	}
	for _, pruned := range []bool{false, true} {
		if pruned {
			pruneUntil(v.Machine, before.Add(time.Hour))
		}
		if e := v.at(t, v.Now, cve); e.Status != StatusUnknown || e.OnOffer == nil || e.OpenSince != nil {
			t.Errorf("%s %s, on offer %v, open since %v", e.Status, e.Reason, e.OnOffer, e.OpenSince)
		}
	}
}

// What is named by advisories of kernels is not one of another flavour where nobody knows of which package the running one is.
func TestOpenWhereNobodyKnowsTheKernelsPackage(t *testing.T) {
	v := newVendor(t)
	v.offers("A", "", []string{text(storetest.KernelPackage(storetest.KernelA))}, "CVE-2025-8000")
	v.looks(v.fresh())
	v.Apply([]record.Package{storetest.KernelPackage(storetest.KernelB)}, nil)
	v.Settled()
	v.Reboot()
	v.Last().Installed, v.Last().Compared = nil, false
	if e := v.at(t, v.Now.Add(time.Second), "CVE-2025-8000"); e.Reason != "The package of the running kernel is not known." {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// A live patch that is on offer is so also where a newer kernel waits that has the fix.
func TestOnOfferBesideAWaitingKernel(t *testing.T) {
	v := newVendor(t)
	patch3, kernelB := storetest.PatchPackage(storetest.ReleaseA, 3), storetest.KernelPackage(storetest.KernelB)
	const cve = "CVE-2025-9999"
	v.offers("A", "", []string{text(kernelB)}, cve)
	v.offers("B", "", []string{text(patch3)}, cve)
	v.Install(kernelB)
	v.looks(v.fresh())
	if e := v.at(t, v.Now, cve); e.Status != StatusInstalled || record.OrEmpty(e.OnOffer) != patch3.Version {
		t.Errorf("%s %s, on offer %v", e.Status, e.Reason, e.OnOffer)
	}
}

// The package of a kernel that runs, and was seen later only, is known all the same.
func TestOpenInAKernelThatWasSeenLater(t *testing.T) {
	v := newVendor(t)
	kernelB := storetest.KernelPackage(storetest.KernelB)
	v.offers("A", "", []string{text(storetest.KernelPackage(storetest.KernelA))}, "CVE-2025-8000")
	v.offers("B", "", []string{text(kernelB)}, "CVE-2025-8001")
	v.looks(v.fresh())
	v.Apply([]record.Package{kernelB}, nil)
	v.Settled()
	v.Wait(time.Minute)
	v.Reboot()
	at := v.Now.Add(-20 * time.Second) // it was observed half a minute after its start
	v.looks(v.fresh())
	if e := v.at(t, at, "CVE-2025-8000"); !strings.HasPrefix(e.Reason, "Only an advisory of an older kernel") {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
	if e := v.at(t, at, "CVE-2025-8001"); e.Status != StatusFixed {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// Of a boot whose kernel is not known nobody knows that it had a fix.
func TestAnUnknownKernelFixesNothing(t *testing.T) {
	v := newVendor(t)
	const cve = "CVE-2025-9999"
	v.offers("A", "", []string{text(storetest.PatchPackage(storetest.ReleaseA, 3))}, cve)
	v.looks(v.fresh())
	o, err := ReadOffers(t.Context(), v.OpenRecord(), v.Now)
	storetest.Check(t, err)
	if o.hasItself("", cve) {
		t.Error("it does")
	}
}

// A system that was booted later is not the one that ran: what it has is not installed before.
func TestWhatALaterSnapshotHasIsOpenBefore(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	v.offers("A", "", []string{text(patch3)}, "CVE-2025-3")
	v.looks(v.fresh())
	v.Last().Subvolume = "/@/.snapshots/1/snapshot"
	at := v.Now.Add(time.Second)
	v.Wait(time.Hour)
	v.Halt(0)
	v.Apply([]record.Package{patch3}, nil)
	v.Settled()
	v.Start(storetest.ReleaseA)
	v.Last().Subvolume = "/@/.snapshots/2/snapshot"
	if e := v.at(t, at, "CVE-2025-3"); e.Status != StatusAvailable {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// appliesBetweenLooks installs and loads a live patch that the next look is the first to see; at is before that look.
func (v *vendor) appliesBetweenLooks() (patch3 record.Package, at time.Time) {
	v.looks(v.fresh())
	v.Wait(time.Hour)
	patch3 = storetest.PatchPackage(storetest.ReleaseA, 3)
	v.Apply([]record.Package{patch3}, nil)
	v.Settled()
	v.Wait(time.Minute)
	at = v.Now
	v.looks(v.fresh())
	return patch3, at
}

// What a live patch fixes that is active, and was seen with its package only later, is not known: nothing says that it does not
// fix a number.
func TestAnActivePatchThatWasSeenLater(t *testing.T) {
	m := storetest.NewMachine(t, "2025-01-01T08:00:00Z")
	m.Installed, m.Next = []record.Package{storetest.KernelPackage(storetest.KernelA)}, storetest.ReleaseA
	m.StartRecording()
	m.Start(storetest.ReleaseA)
	v := &vendor{m, nil}
	patch3, at := v.appliesBetweenLooks()
	if e := v.at(t, at, storetest.FixesOf(patch3).CVEs[0]); e.Status == StatusNotInRecord {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// A live patch that the journal shows active before its package was seen fixes what that fixes.
func TestAnActivePatchWhosePackageWasSeenLater(t *testing.T) {
	v := newVendor(t)
	patch3, at := v.appliesBetweenLooks()
	if e := v.at(t, at, storetest.FixesOf(patch3).CVEs[2]); e.Status != StatusFixed {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// What a snapshot has that was booted before the next look may be there.
func TestWhatAnUnseenBootHasIsNotOpen(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	v.offers("A", "", []string{text(patch3)}, "CVE-2025-3")
	v.looks(v.fresh())
	v.Last().Subvolume = "/@/.snapshots/1/snapshot"
	v.Wait(time.Hour)
	v.Halt(0)
	v.Apply([]record.Package{patch3}, nil)
	v.Settled()
	v.Recording = false
	v.Start(storetest.ReleaseA)
	at := v.Now
	v.Wait(time.Hour)
	v.Halt(0)
	v.Recording = true
	v.Start(storetest.ReleaseA)
	v.Last().Subvolume = "/@/.snapshots/2/snapshot"
	if e := v.at(t, at, "CVE-2025-3"); e.Status != StatusUnknown {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// What is installed may be told by an observation long after, if those between could not.
func TestWhatIsInstalledIsToldMuchLater(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	v.offers("A", "", []string{text(patch3)}, "CVE-2025-3")
	v.looks(v.fresh())
	at := v.Now.Add(90 * time.Minute)
	v.Wait(time.Hour)
	v.Apply([]record.Package{patch3}, nil)
	v.Settled()
	for i := range v.Installed { // which does not say when
		v.Installed[i].InstallTime = 1
	}
	for range 3 {
		v.looks(v.fresh())
		v.Last().Installed, v.Last().Compared = nil, false
	}
	v.looks(v.fresh())
	if e := v.at(t, at, "CVE-2025-3"); e.Status != StatusUnknown {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// A live patch that was active, and of which nobody saw the package, had the fixes of its number: since when they are open
// again nobody knows.
func TestOpenSinceAfterAnUnseenLivePatch(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	const cve = "CVE-2025-9999"
	v.offers("A", "", []string{text(patch3)}, cve)
	v.looks(v.fresh())
	if e := v.at(t, v.Now, cve); e.Status != StatusAvailable || e.OpenSince == nil {
		t.Fatalf("%s since %v", e.Status, e.OpenSince)
	}
	unread := func() { v.Last().Installed, v.Last().Compared = nil, false }
	before, module := slices.Clone(v.Installed), v.Initrds[storetest.ReleaseA]
	v.Apply([]record.Package{patch3}, nil)
	v.Settled()
	v.Module, v.Initrds[storetest.ReleaseA] = storetest.ModuleOf(patch3), storetest.ModuleOf(patch3)
	v.Reboot()
	unread()
	v.Last().LivePatch.Package, v.Last().LivePatch.Version, v.Last().LivePatch.CVEs = nil, nil, nil
	v.Installed, v.Initrds[storetest.ReleaseA] = before, module
	v.Settled()
	v.Wait(time.Hour)
	v.Reboot()
	v.looks(v.fresh())
	if e := v.at(t, v.Now, cve); e.Status != StatusAvailable || e.OpenSince != nil {
		t.Errorf("%s: %s; since %v", e.Status, e.Reason, e.OpenSince)
	}
}

// A live patch whose package nobody saw, and that was active when that was known last, may still be active: what it fixes is
// not only on offer.
func TestWhatMayStillBeActiveIsNotOnOffer(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	const cve = "CVE-2025-9999"
	v.offers("A", "", []string{text(patch3)}, cve)
	v.looks(v.fresh())
	before := slices.Clone(v.Installed)
	v.Apply([]record.Package{patch3}, nil)
	v.Settled()
	v.Module, v.Initrds[storetest.ReleaseA] = storetest.ModuleOf(patch3), storetest.ModuleOf(patch3)
	v.Reboot()
	v.Last().Installed, v.Last().Compared = nil, false
	v.Last().LivePatch.Package, v.Last().LivePatch.Version, v.Last().LivePatch.CVEs = nil, nil, nil
	v.Installed = before
	for range 2 {
		v.Wait(time.Hour)
		v.looks(v.fresh())
		o := v.Last()
		o.Patches, o.LivePatch, o.Unknown["patches"] = nil, nil, "no sysfs"
		o.Boots[len(o.Boots)-1].MessagesLost = true
	}
	if e := v.at(t, v.Now, cve); e.Status == StatusAvailable {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// A live patch that was loaded after the last look at what is installed may be installed again.
func TestWhatWasLoadedAgainIsNotOnOffer(t *testing.T) {
	v := newVendor(t)
	patch2, patch3 := storetest.PatchPackage(storetest.ReleaseA, 2), storetest.PatchPackage(storetest.ReleaseA, 3)
	const cve = "CVE-2025-9999" // its changelog does not name it
	v.offers("A", "", []string{text(patch3)}, cve)
	for _, p := range []record.Package{patch3, patch2} {
		v.Apply([]record.Package{p}, nil)
		v.Settled()
		v.looks(v.fresh())
	}
	if e := v.at(t, v.Now, cve); e.Status != StatusAvailable {
		t.Fatalf("%s: %s", e.Status, e.Reason)
	}
	v.Wait(time.Hour)
	v.Apply([]record.Package{patch3}, nil)
	v.Settled()
	v.looks(v.fresh())
	v.Last().Installed, v.Last().Compared = nil, false
	v.Last().LivePatch.Package, v.Last().LivePatch.Version, v.Last().LivePatch.CVEs = nil, nil, nil
	if e := v.at(t, v.Now, cve); e.Status == StatusAvailable {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// A live patch that is active, and whose package is gone, may fix what is on offer, as long as nobody saw what it fixes.
func TestWhatAnActivePatchMayFixIsNotOnOffer(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	const cve = "CVE-2025-9999"
	v.offers("A", "", []string{text(patch3)}, cve)
	v.looks(v.fresh())
	before := slices.Clone(v.Installed)
	v.Apply([]record.Package{patch3}, nil)
	v.Installed = before
	v.Settled()
	for range 2 {
		v.looks(v.fresh())
		v.Last().LivePatch.Package, v.Last().LivePatch.Version, v.Last().LivePatch.CVEs = &patch3.Name, &patch3.Version, nil
	}
	if e := v.at(t, v.Now, cve); e.Status == StatusAvailable {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// What the kernel before had is open since its live patch was disabled, not only since the boot of a kernel without it.
func TestOpenSinceADisabledLivePatchOfAnotherKernel(t *testing.T) {
	v := newVendor(t)
	patch2, other := storetest.PatchPackage(storetest.ReleaseA, 2), storetest.PatchPackage(storetest.ReleaseB, 2)
	cve := storetest.FixesOf(patch2).CVEs[0]
	v.offers("A", "", []string{text(patch2)}, cve)
	v.Install(patch2)
	v.offers("B", "", []string{text(other)}, cve)
	v.looks(v.fresh())
	v.Wait(time.Hour)
	disabled := v.Now
	v.Disable()
	v.Wait(time.Minute)
	v.looks(v.fresh())
	v.Wait(3 * time.Hour)
	v.Halt(0)
	v.Wait(time.Minute)
	v.Start(storetest.ReleaseB)
	v.looks(v.fresh())
	s := v.OpenRecord()
	timeline, err := TimelineUntil(t.Context(), s, v.Now)
	storetest.Check(t, err)
	list, err := NewExposures(t.Context(), s, timeline, v.Now, []string{cve})
	storetest.Check(t, err)
	for _, e := range list {
		if e.KernelRelease == storetest.ReleaseB && (e.Status != StatusAvailable || e.OpenSince == nil || !e.OpenSince.Equal(disabled)) {
			t.Errorf("%s since %v, want %v", e.Status, e.OpenSince, disabled)
		}
	}
	if len(list) != 2 {
		t.Errorf("%+v", list)
	}
}

// Nor does anybody know since when what a live patch fixed is open that was installed, and may have been active.
func TestOpenSinceAfterALivePatchThatMayHaveBeenActive(t *testing.T) {
	v := newVendor(t)
	patch2, patch3 := storetest.PatchPackage(storetest.ReleaseA, 2), storetest.PatchPackage(storetest.ReleaseA, 3)
	const cve = "CVE-2025-4231"
	v.offers("A", "", []string{text(patch3)}, cve)
	v.looks(v.fresh())
	v.Install(patch3)
	blind := func() {
		o := v.Last()
		o.Patches, o.LivePatch, o.Boots = nil, nil, o.Boots[len(o.Boots)-1:]
		o.Boots[0].Loads, o.Boots[0].MessagesLost, o.Unknown["patches"] = []record.Load{}, true, "no sysfs"
	}
	blind()
	v.Wait(3 * time.Hour)
	v.Install(patch2)
	blind()
	v.Wait(time.Hour)
	v.Reboot()
	v.Last().Boots = v.Last().Boots[len(v.Last().Boots)-1:]
	v.looks(v.fresh())
	v.Last().Boots = v.Last().Boots[len(v.Last().Boots)-1:]
	if e := v.at(t, v.Now, cve); e.Status != StatusAvailable || e.OpenSince != nil || e.Active != nil {
		t.Errorf("%s: %s; since %v, active %v", e.Status, e.Reason, e.OpenSince, e.Active)
	}
}

// What a snapshot has whose packages nobody could read is not told by the one before.
func TestASnapshotThatCouldNotBeRead(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	v.offers("A", "", []string{text(patch3)}, "CVE-2025-3")
	v.looks(v.fresh())
	v.Last().Subvolume = "/@/.snapshots/1/snapshot"
	v.Reboot()
	o := v.Last()
	o.Subvolume, o.Installed, o.Compared = "/@/.snapshots/2/snapshot", nil, false
	if e := v.at(t, v.Now.Add(time.Second), "CVE-2025-3"); e.Status != StatusUnknown || e.Reason != WhetherInstalled {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// Where nobody saw which live patch was installed at a moment, what may have been is not called missing; a newer one is.
func TestWhatMayBeInstalledIsNotOpen(t *testing.T) {
	v := newVendor(t)
	patch3, patch4 := storetest.PatchPackage(storetest.ReleaseA, 3), storetest.PatchPackage(storetest.ReleaseA, 4)
	v.offers("A", "", []string{text(patch3)}, "CVE-2025-3")
	v.offers("B", "", []string{text(patch4)}, "CVE-2025-4")
	v.looks(v.fresh())
	at := v.Now.Add(time.Second)
	v.Wait(time.Hour)
	v.Apply([]record.Package{patch3}, nil)
	v.Settled()
	for i := range v.Installed { // which does not say when
		v.Installed[i].InstallTime = 1
	}
	v.looks(v.fresh())
	s := v.OpenRecord()
	timeline, err := TimelineUntil(t.Context(), s, at)
	storetest.Check(t, err)
	list, err := NewExposures(t.Context(), s, timeline, at, []string{"CVE-2025-3", "CVE-2025-4"})
	storetest.Check(t, err)
	for i, want := range []ExposureStatus{StatusUnknown, StatusAvailable} {
		if e := list[i]; e.Status != want || (e.OnOffer != nil) != (want == StatusAvailable) {
			t.Errorf("got %+v, want %s", e, want)
		}
	}
}

// Of an advisory of which only the day is known it is certain at the end of the day that it had been issued, or once it was
// seen: nothing is open since later than now.
func TestOpenSinceADay(t *testing.T) {
	v := newVendor(t)
	patch3, cves := storetest.PatchPackage(storetest.ReleaseA, 3), []string{"CVE-2025-4231"}
	v.looks(v.fresh())
	day := record.At(v.Now.Truncate(24 * time.Hour))
	v.Wait(time.Minute)
	v.Releases(record.Released{Repo: "updates", ID: "A", Issued: &day, DayOnly: true}, []string{text(patch3)}, cves)
	seen := v.Now
	v.looks(v.fresh())
	v.Install(patch3)
	v.Observe(record.TriggerTimer)
	v.Wait(48 * time.Hour)
	v.looks(v.fresh())
	s := v.OpenRecord()
	for _, at := range []time.Time{seen.Add(time.Second), seen.Add(30 * time.Minute)} {
		timeline, err := TimelineUntil(t.Context(), s, at)
		storetest.Check(t, err)
		list, err := NewExposures(t.Context(), s, timeline, at, cves)
		storetest.Check(t, err)
		if e := list[0]; e.Status != StatusAvailable || !e.OpenSince.Equal(seen) {
			t.Errorf("at %v: %s, open since %v, want %v", at, e.Status, e.OpenSince, seen)
		}
	}
}

// A fix is on offer from when its advisory was issued, whenever that came on record; what was known at a moment leaves it
// out, and installing it ends that.
func TestOpenOverTime(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	v.looks(v.fresh())
	before := v.Now
	v.Wait(48 * time.Hour)
	v.issued = new(record.At(before.Add(24 * time.Hour)))
	v.looks(v.fresh())
	v.offers("A", "", []string{text(patch3)}, "CVE-2025-4231")
	asked := v.Now
	v.Wait(time.Hour)
	v.Install(patch3)
	v.looks(v.fresh())
	s := v.OpenRecord()
	for at, want := range map[time.Time]string{
		before: "not-in-record", before.Add(25 * time.Hour): "available", asked: "available", v.Now: "fixed",
	} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			timeline, err := TimelineUntil(t.Context(), s, at)
			storetest.Check(t, err)
			list, err := NewExposures(t.Context(), s, timeline, at, []string{"CVE-2025-4231"})
			storetest.Check(t, err)
			if len(list) != 1 || string(list[0].Status) != want {
				t.Fatalf("got %+v, want %s", list, want)
			}
			if want == "available" && !list[0].OpenSince.Equal(v.issued.Time) {
				t.Errorf("open since %v, want %v", list[0].OpenSince, v.issued)
			}
		})
	}
	known, err := s.KnownAt(t.Context(), before.Add(26*time.Hour))
	storetest.Check(t, err)
	defer known.Close()
	timeline, err := TimelineUntil(t.Context(), known, before.Add(25*time.Hour))
	storetest.Check(t, err)
	list, err := NewExposures(t.Context(), known, timeline, before.Add(25*time.Hour), []string{"CVE-2025-4231"})
	storetest.Check(t, err)
	if list[0].Status != StatusNotInRecord {
		t.Errorf("known before: %+v", list[0])
	}
}

// blind takes from the newest observation what it tells of packages.
func (v *vendor) blind() {
	o := v.Last()
	o.Installed, o.Compared = nil, false
	if o.LivePatch != nil {
		o.LivePatch.Package, o.LivePatch.Version, o.LivePatch.PatchNumber, o.LivePatch.CVEs = nil, nil, nil, nil
	}
}

// A live patch that was active, and of which nobody saw a package, may be installed still: then nobody knows whether it is
// missing. A newer one is.
func TestALivePatchThatNobodySawInstalled(t *testing.T) {
	v := newVendor(t)
	patch3, patch4 := storetest.PatchPackage(storetest.ReleaseA, 3), storetest.PatchPackage(storetest.ReleaseA, 4)
	v.offers("A", "", []string{text(patch3)}, "CVE-2025-3")
	v.offers("B", "", []string{text(patch4)}, "CVE-2025-4")
	v.looks(v.fresh())
	storetest.Unrecorded(v.Machine, func() { v.Install(patch3) })
	v.looks(v.fresh())
	v.blind()
	for _, at := range []time.Time{v.Now.Add(time.Second), v.Now.AddDate(0, 0, 5)} {
		if e := v.at(t, at, "CVE-2025-3"); e.Status != StatusUnknown || e.OnOffer != nil || e.Reason != WhetherInstalled {
			t.Errorf("at %v: %s; %s", at, e.Status, e.Reason)
		}
		if e := v.at(t, at, "CVE-2025-4"); e.Status != StatusAvailable {
			t.Errorf("at %v: %s; %s", at, e.Status, e.Reason)
		}
	}
}

// An import says which live patch was installed, and not what it fixes: of a number that nothing else names, nothing is known
// while it is active.
func TestALivePatchWhoseFixesNobodySaw(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	v.looks(v.fresh())
	storetest.Unrecorded(v.Machine, func() { v.Install(patch3) })
	c := record.ImportedChange{Change: storetest.Change(patch3), Time: record.At(v.Now), UTCOffset: "+00:00"}
	c.Action = record.ActionUpgrade
	v.Write(&record.Event{Header: v.Header(record.KindImport), Import: &record.Import{
		Commit: "019ca8d5-0000-8000-8000-000000000001", Time: c.Time, Zone: "UTC", Changes: []record.ImportedChange{c},
	}})
	v.looks(v.fresh())
	v.blind()
	if e := v.at(t, v.Now.Add(time.Second), "CVE-2025-9"); e.Status != StatusUnknown || e.Reason != "What the active live patch fixes is not on record up to then." {
		t.Errorf("%s: %s", e.Status, e.Reason)
	}
}

// A commit of which no later look saw the packages, and that a boot into another snapshot undid, may have been done: then
// nobody knows whether what it installed is missing.
func TestWhatACommitInstalledThatNobodySaw(t *testing.T) {
	v := newVendor(t)
	patch3 := storetest.PatchPackage(storetest.ReleaseA, 3)
	v.offers("A", "", []string{text(patch3)}, "CVE-2025-3")
	v.looks(v.fresh())
	v.Last().Subvolume = "/@/.snapshots/1/snapshot"
	before := slices.Clone(v.Installed)
	v.Install(patch3)
	v.blind()
	v.Last().Subvolume = "/@/.snapshots/1/snapshot"
	v.looks(v.fresh())
	v.blind()
	v.Last().Subvolume, v.Last().Patches, v.Last().LivePatch = "/@/.snapshots/1/snapshot", nil, nil
	v.Last().Unknown["patches"] = "no sysfs"
	at := v.Now.Add(time.Second)
	v.Wait(time.Hour)
	v.Halt(0)
	v.Installed = before
	v.Settled()
	v.Start(storetest.ReleaseA)
	v.looks(v.fresh())
	v.Last().Subvolume = "/@/.snapshots/2/snapshot"
	if e := v.at(t, at, "CVE-2025-3"); e.Status == StatusAvailable || e.OnOffer != nil {
		t.Errorf("%s on offer %v; %s", e.Status, e.OnOffer, e.Reason)
	}
}

// A fix that went between two looks, in which an older live patch was installed, may have been lost to that one.
func TestAnOlderLivePatchMayHaveReplacedIt(t *testing.T) {
	v := newVendor(t)
	patch2, patch3 := storetest.PatchPackage(storetest.ReleaseA, 2), storetest.PatchPackage(storetest.ReleaseA, 3)
	v.Install(patch3)
	v.Wait(time.Hour)
	v.looks(v.fresh())
	lost := v.Last().LivePatch.CVEs[len(v.Last().LivePatch.CVEs)-1]
	v.Wait(time.Hour)
	since := record.At(v.Now)
	v.Apply([]record.Package{patch2}, nil)
	v.Settled()
	v.Disable()
	v.Wait(time.Hour)
	c := storetest.Change(patch2)
	c.Action, c.Previous = record.ActionDowngrade, patch3.Version
	v.Write(&record.Event{Header: v.Header(record.KindDrift), Drift: &record.Drift{Cause: record.DriftUnrecorded, Compared: 1, Since: since, Changes: []record.Change{c}, Installed: v.Installed}})
	v.looks(v.fresh())
	o := v.Last()
	o.Boots = o.Boots[len(o.Boots)-1:]
	o.Boots[0].Loads, o.Boots[0].First, o.Boots[0].StartInJournal = []record.Load{}, record.At(v.Now.Add(-time.Minute)), false
	e := v.at(t, v.Now, lost)
	if e.Status != StatusLost || e.LostBy != LostByUnknown {
		t.Errorf("%s, lost by %q: %s", e.Status, e.LostBy, e.Reason)
	}
}

// A live patch that may be installed is not forgotten because a newer kernel, which has its fix, waits for a reboot.
func TestWhatMayBeInstalledWhileAKernelWaits(t *testing.T) {
	v := newVendor(t)
	patch3, kernel := storetest.PatchPackage(storetest.ReleaseA, 3), storetest.KernelPackage(storetest.KernelB)
	v.offers("A", "", []string{text(patch3)}, "CVE-2025-3")
	v.offers("K", "", []string{text(kernel)}, "CVE-2025-3")
	v.Install(kernel)
	v.looks(v.fresh())
	at := v.Now.Add(time.Second)
	v.Wait(time.Hour)
	v.Apply([]record.Package{patch3}, nil)
	v.Settled()
	for i := range v.Installed { // which does not say when
		v.Installed[i].InstallTime = 1
	}
	v.looks(v.fresh())
	if e := v.at(t, at, "CVE-2025-3"); e.Status != StatusInstalled || !e.MayBeInstalled {
		t.Errorf("%s, may be installed: %v; %s", e.Status, e.MayBeInstalled, e.Reason)
	}
}
