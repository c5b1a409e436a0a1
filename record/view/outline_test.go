package view

import (
	"maps"
	"slices"
	"testing"

	"github.com/klp-audit/klp-audit/record"
)

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		argv []string
		want string
	}{
		{nil, ""},
		{[]string{"zypper", "up"}, "zypper up"},
		{[]string{"zypper", "", "a b", "it's", "$x", "k>=5", "tab\t"}, `zypper '' 'a b' 'it'\''s' '$x' 'k>=5' ` + "'tab\t'"},
	} {
		if got := commandLine(tt.argv); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.argv, got, tt.want)
		}
	}
}

func TestEveryKindHasAnOutline(t *testing.T) {
	want := slices.Sorted(slices.Values(record.EventKinds()))
	if got := slices.Sorted(maps.Keys(outliners)); !slices.Equal(got, want) {
		t.Errorf("outlines know %q, want %q", got, want)
	}
}
