package store

import "testing"

// The journal is this machine's: it gets the checkpoints of this machine's record only, and only if
// they are wanted.
func TestAnnounces(t *testing.T) {
	for _, test := range []struct {
		name, root string
		wanted     func() bool
		want       bool
	}{
		{"own record", "/", nil, true},
		{"wanted", "/", func() bool { return true }, true},
		{"not wanted", "/", func() bool { return false }, false},
		{"another machine's", t.TempDir(), nil, false},
		{"another machine's, wanted", t.TempDir(), func() bool { return true }, false},
	} {
		s := &Store{root: test.root}
		s.AnnounceIf(test.wanted)
		if got := s.announces(); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}
