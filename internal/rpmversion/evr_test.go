package rpmversion

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]EVR{
		"6.4.0-150600.23.42.2": {0, "6.4.0", "150600.23.42.2"},
		"3:1.0~rc1^git2-1":     {3, "1.0~rc1^git2", "1"},
	} {
		if got, err := Parse(s); err != nil || got != want || got.String() != s {
			t.Errorf("Parse(%q) = %#v, %v, want %#v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "1", "1-", "-1", "1-2-3", "x:1-1", "-1:1-1", "1:2:3-1", ":1-1", "1 -1", "1\x00-1", "1-\xff", "99999999999999999999:1-1"} {
		if got, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", s, got)
		}
	}
}

// ordered are versions, each older than the next.
var ordered = []string{
	"1.0~beta-1", "1.0~rc1-1", "1.0~rc1^git1-1", "1.0-1", "1.0-1.1", "1.0-2", "1.0^-1", "1.0^git1~pre-1", "1.0^git1-1", "1.0a-1",
	"1.0.1-1", "1.5-1", "1.10-1", "6.4.0-150600.23.42.2", "6.4.0-150600.23.60.5", "6.4.0-150700.7.3.1", "10-1", "1:0.1-1", "2:0.1-1",
}

// same are pairs that rpm treats as the same version.
var same = [][2]string{{"1.0-1", "1_0-1"}, {"1.05-1", "1.5-1"}, {"1..0-1", "1.0-01"}, {"1.0+-1", "1.0-1"}, {"0:1-1", "1-1"}}

func TestCompare(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := compare(t, a, b), cmp.Compare(i, j); got != want {
				t.Errorf("Compare(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
	for _, pair := range same {
		if got := compare(t, pair[0], pair[1]); got != 0 {
			t.Errorf("Compare(%q, %q) = %d, want 0", pair[0], pair[1], got)
		}
	}
}

// compare parses and compares.
func compare(t *testing.T, a, b string) int {
	t.Helper()
	x, err := Parse(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return x.Compare(y)
}

// TestCompareAsRpm asks rpm itself about the tables above and random pairs.
func TestCompareAsRpm(t *testing.T) {
	program, err := exec.LookPath("rpm")
	if err != nil {
		t.Skip("needs rpm")
	}
	pairs := randomPairs(400)
	for _, a := range ordered {
		for _, b := range ordered {
			pairs = append(pairs, [2]string{a, b})
		}
	}
	pairs = append(pairs, same...)
	var script strings.Builder
	for _, pair := range pairs {
		fmt.Fprintf(&script, "print(rpm.vercmp(%q, %q)..'\\n')", pair[0], pair[1])
	}
	out, err := exec.Command(program, "--eval", "%{lua:"+script.String()+"}").Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.Fields(string(out))
	if len(answers) != len(pairs) {
		t.Fatalf("rpm compared %d of %d pairs", len(answers), len(pairs))
	}
	for i, pair := range pairs {
		if got := fmt.Sprint(compare(t, pair[0], pair[1])); got != answers[i] {
			t.Errorf("Compare(%q, %q) = %s, rpm says %s", pair[0], pair[1], got, answers[i])
		}
	}
}

// randomPairs returns n pairs of versions so similar that more than their first segments matter.
func randomPairs(n int) [][2]string {
	random := rand.New(rand.NewPCG(1, 2))
	part := func() string {
		s := "1"
		for range random.IntN(5) {
			s += []string{"0", "1", "09", "10", "a", "B", ".", "_", "+", "~", "^", "rc1"}[random.IntN(12)]
		}
		return s
	}
	version := func() string {
		return []string{"", "", "1:"}[random.IntN(3)] + part() + "-" + part()
	}
	var pairs [][2]string
	for range n {
		pairs = append(pairs, [2]string{version(), version()})
	}
	return pairs
}

func FuzzEVR(f *testing.F) {
	f.Add("1.0~rc1-1", "1.0-1", "1.0^git1-1")
	f.Add("1:1-1", "6.4.0-150600.23.42.2", "1.05_x-a")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var versions []EVR
		for _, s := range []string{a, b, c} {
			if e, err := Parse(s); err == nil {
				if again, err := Parse(e.String()); err != nil || again != e {
					t.Errorf("Parse(%q) = %#v, %v, want %#v", e, again, err, e)
				}
			}
			versions = append(versions, EVR{Version: s})
		}
		x, y, z := versions[0], versions[1], versions[2]
		if x.Compare(y) != -y.Compare(x) || x.Compare(x) != 0 {
			t.Errorf("%q and %q compare as %d one way and %d the other", a, b, x.Compare(y), y.Compare(x))
		}
		if x.Compare(y) <= 0 && y.Compare(z) <= 0 && x.Compare(z) > 0 {
			t.Errorf("%q <= %q <= %q, but not the first and the last", a, b, c)
		}
	})
}
