package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/store"
)

func TestThereAndBack(t *testing.T) {
	evr, err := rpm.ParseEVR("1:3-150600.13.9.1")
	if err != nil {
		t.Fatal(err)
	}
	installed := []rpm.Package{{
		Name: "kernel-livepatch-x", EVR: evr, Arch: "x86_64", InstallTime: 1, InstallTID: 2, DBInstance: 3, BuildTime: 4,
		Vendor: "v", SigningKey: "k", SourceRPM: "s",
	}}
	if diff := cmp.Diff(installed, Installed(Record(installed))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Half a snapshot would look as if the rest had been removed.
func TestWhatIsNotUnderstoodIsUnknown(t *testing.T) {
	if got := Installed([]store.Package{{Name: "a", Version: "1-1"}, {Name: "b", Version: ""}}); got != nil {
		t.Errorf("got %v", got)
	}
	if Installed(nil) != nil || Installed([]store.Package{}) == nil {
		t.Error("none installed and not known are not told apart")
	}
}
