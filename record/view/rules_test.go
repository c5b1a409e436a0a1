package view_test

import (
	"testing"

	"github.com/klp-audit/klp-audit/record/view"
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
		if got := view.CommandLine(tt.argv); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.argv, got, tt.want)
		}
	}
}
