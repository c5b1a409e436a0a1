package snapshot

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/rpm/rpmtest"
	"github.com/klp-audit/klp-audit/record"
)

func TestInstalledKnowsKinds(t *testing.T) {
	installed := []record.Package{{
		Name: "kernel-livepatch-x", Version: "1:3-150600.13.9.1", Arch: "x86_64", InstallTime: 1, InstallTID: 2, DBInstance: 3, BuildTime: 4,
		Vendor: "v", SignatureKey: "k", SourceRPM: "s",
	}}
	want := slices.Clone(installed)
	want[0].Kind = record.PackageSupport
	if diff := cmp.Diff(want, Installed(installed)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A name that may be a kernel's is a kernel if rpm says that the package provides one.
func TestKindByWhatIsProvided(t *testing.T) {
	rpmtest.Need(t)
	root := t.TempDir()
	for name, header := range map[string]string{
		"kernel-next": "Provides: kernel = 6.4.0-1.1", "kernel-later": "Provides: kernel-uname-r", "kernel-poster": "Provides: kernel-picture",
		"kernel-coco": "", "kernel-default": "", "kernel-macros": "",
	} {
		rpmtest.Rpm(t, root, "-i", rpmtest.Build(t, name+" 6.4.0 1.1", header, ""))
	}
	s, err := Take(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, p := range s.Packages {
		kinds[p.Name] = string(p.Kind)
	}
	want := map[string]string{
		"kernel-next": "kernel", "kernel-later": "kernel", "kernel-poster": "support", "kernel-coco": "kernel", "kernel-default": "kernel", "kernel-macros": "support",
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again := Installed(s.Packages)
	if diff := cmp.Diff(s.Packages, again); diff != "" {
		t.Errorf("there and back (-want +got):\n%s", diff)
	}
	for _, d := range rpm.Diff(again, nil, nil) {
		c := Change(d, nil, nil)
		if string(c.Kind) != want[c.Package] || (c.KernelRelease != "") != (c.Kind == "kernel") {
			t.Errorf("removed: %+v", c)
		}
	}
}

// An incomplete snapshot would look as if the rest had been removed.
func TestWhatIsNotUnderstoodIsUnknown(t *testing.T) {
	if got := Installed([]record.Package{{Name: "a", Version: "1-1"}, {Name: "b", Version: ""}}); got != nil {
		t.Errorf("got %v", got)
	}
	if Installed(nil) != nil || Installed([]record.Package{}) == nil {
		t.Error("none installed and not known are not told apart")
	}
}

// The recorded list of installed packages is valid as long as rpm's database was not written, in
// the same boot, for the same program.
func TestStill(t *testing.T) {
	h := newHost(t)
	boot := func(id string) {
		t.Helper()
		path := filepath.Join(h.root, "proc/sys/kernel/random/boot_id")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(id), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	still := func(version string) bool {
		t.Helper()
		s, ok := Still(t.Context(), h.store, h.root, version)
		if !ok && (s.Packages != nil || s.Stamp != "") {
			t.Errorf("%+v, and it does not hold", s)
		}
		if now, err := Take(t.Context(), h.root); ok && (err != nil || !cmp.Equal(now.Packages, s.Packages) || now.Stamp != s.Stamp) {
			t.Errorf("got %+v, rpm says %+v, %v", s, now, err)
		}
		return ok
	}
	boot("4a7f")
	if still("1") {
		t.Error("there is no snapshot")
	}
	rpmtest.Install(t, h.root, "kernel-default 6.4.0 150600.23.42.1")
	h.observed()
	time.Sleep(50 * time.Millisecond) // the clock that stamps files moves on
	h.observed()
	if now, err := Take(t.Context(), h.root); err != nil || now.Stamp == "" {
		t.Skipf("the rpm database has no stamp: %v", err)
	}
	if !still("1") {
		t.Error("nothing has changed")
	}
	if still("2") {
		t.Error("another version tracks other packages")
	}
	boot("5b80")
	if still("1") {
		t.Error("in another boot")
	}
	boot("4a7f")
	rpmtest.Rpm(t, h.root, "-e", "kernel-default")
	if still("1") {
		t.Error("a package was removed")
	}
	time.Sleep(50 * time.Millisecond)
	if d := h.drift(); d == nil || d.RPMDB == "" || !still("1") {
		t.Errorf("the drift is a snapshot, too: %+v", d)
	}
	boot("")
	h.observed()
	if still("1") {
		t.Error("it is not known which boot this is")
	}
}
