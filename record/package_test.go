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
