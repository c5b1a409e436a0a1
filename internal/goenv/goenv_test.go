package goenv

import (
	"slices"
	"testing"
)

func TestClean(t *testing.T) {
	for name, test := range map[string]struct {
		env, kept []string
		foreign   bool
	}{
		"nothing":          {nil, nil, false},
		"others'":          {[]string{"LANG=C", "GO=1", "GOlang=1", "go=1", "G", ""}, []string{"LANG=C", "GO=1", "GOlang=1", "go=1", "G", ""}, false},
		"Go's":             {[]string{"GOGC=1", "LANG=C", "GODEBUG=", "GOX"}, []string{"LANG=C"}, true},
		"its own":          {append(Own(), "LANG=C"), []string{"LANG=C"}, false},
		"its own, changed": {[]string{"GOMAXPROCS=1", "GOMAXPROCS=10000"}, nil, true},
	} {
		clean, foreign := Clean(test.env)
		if want := append(Own(), test.kept...); !slices.Equal(clean, want) || foreign != test.foreign {
			t.Errorf("%s: %q, %v, want %q, %v", name, clean, foreign, want, test.foreign)
		}
	}
}
