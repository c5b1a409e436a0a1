package record

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMinus(t *testing.T) {
	one := Fixes{CVEs: []string{"CVE-2024-1", "CVE-2024-2"}, Bugs: []string{"bsc#1"}}
	two := Fixes{CVEs: []string{"CVE-2024-2", "CVE-2024-3"}, Bugs: []string{"bsc#1"}}
	if diff := cmp.Diff(one.Minus(two), Fixes{CVEs: []string{"CVE-2024-1"}}); diff != "" {
		t.Errorf("got -, want +\n%s", diff)
	}
	if diff := cmp.Diff(one.Minus(Fixes{}), one); diff != "" {
		t.Errorf("got -, want +\n%s", diff)
	}
}

func TestSnapshotNumber(t *testing.T) {
	for root, want := range map[string]int64{
		"/@/.snapshots/7/snapshot": 7, "/.snapshots/42/snapshot": 42, "/.snapshots/1/snapshot/.snapshots/9/snapshot": 9,
		"": 0, "/": 0, "/@": 0, "/.snapshots/42": 0, "/.snapshots/42/snapshot/var": 0, "/.snapshots/x/snapshot": 0, "/.snapshots/-1/snapshot": 0,
		"/.snapshots//snapshot": 0, "/.snapshots/99999999999/snapshot": 0, "/snapshot": 0,
	} {
		if got := SnapshotNumber(root); got != want {
			t.Errorf("SnapshotNumber(%q) = %d, want %d", root, got, want)
		}
	}
}

func TestNumberOfStaging(t *testing.T) {
	for want, s := range map[int64]*Staging{7: {Snapshot: "7"}, 0: nil} {
		if got := s.Number(); got != want {
			t.Errorf("%+v: %d, want %d", s, got, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "99999999999"} {
		if n := (&Staging{Snapshot: text}).Number(); n != 0 {
			t.Errorf("%q: %d", text, n)
		}
	}
}
