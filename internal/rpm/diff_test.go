package rpm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/record"
)

// packages reads a list of name version-release arch record.
func packages(t *testing.T, list string) []record.Package {
	t.Helper()
	var all []record.Package
	for line := range strings.SplitSeq(list, ",") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		evr, err := rpmversion.Parse(f[1])
		if err != nil {
			t.Fatal(err)
		}
		p := record.Package{Name: f[0], Version: evr.String(), Arch: f[2]}
		fmt.Sscan(f[3], &p.DBInstance)
		all = append(all, p)
	}
	return all
}

// describe returns one line for each change.
func describe(changes []Change) []string {
	var lines []string
	for _, c := range changes {
		line := string(c.Action)
		if c.Before != nil {
			line += fmt.Sprintf(" %s#%d", c.Before.NEVRA(), c.Before.DBInstance)
		}
		if c.After != nil {
			line += fmt.Sprintf(" > %s#%d", c.After.NEVRA(), c.After.DBInstance)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestDiff(t *testing.T) {
	for name, test := range map[string]struct {
		before, after string
		want          []string
	}{
		"nothing at all": {"", "", nil},
		"no difference":  {"a 1-1 x 1, a 1-1 x 2", "a 1-1 x 2, a 1-1 x 1", nil},
		"install":        {"", "a 1-1 x 1", []string{"install > a-1-1.x#1"}},
		"remove":         {"a 1-1 x 1", "", []string{"remove a-1-1.x#1"}},
		"upgrade":        {"a 1-9 x 1", "a 1-10 x 2", []string{"upgrade a-1-9.x#1 > a-1-10.x#2"}},
		"downgrade":      {"a 1:1-1 x 1", "a 2-1 x 2", []string{"downgrade a-1:1-1.x#1 > a-2-1.x#2"}},
		"reinstall":      {"a 1-1 x 1", "a 1-1 x 2", []string{"reinstall a-1-1.x#1 > a-1-1.x#2"}},
		"kernel next to another": {"kernel 1-1 x 1", "kernel 1-1 x 1, kernel 2-1 x 2",
			[]string{"install > kernel-2-1.x#2"}},
		"kernel instead of another": {"kernel 1-1 x 1, kernel 2-1 x 2", "kernel 2-1 x 2, kernel 3-1 x 3",
			[]string{"remove kernel-1-1.x#1", "install > kernel-3-1.x#3"}},
		"kernel again": {"kernel 1-1 x 1, kernel 2-1 x 2", "kernel 1-1 x 1, kernel 2-1 x 3",
			[]string{"reinstall kernel-2-1.x#2 > kernel-2-1.x#3"}},
		"one of two architectures": {"a 1-1 x 1, a 1-1 y 2", "a 1-1 y 2, a 2-1 x 3",
			[]string{"upgrade a-1-1.x#1 > a-2-1.x#3"}},
		"both architectures": {"a 1-1 x 1, a 1-1 y 2", "a 2-1 y 3, a 2-1 x 4",
			[]string{"upgrade a-1-1.x#1 > a-2-1.x#4", "upgrade a-1-1.y#2 > a-2-1.y#3"}},
		"another architecture": {"a 1-1 x 1", "a 2-1 y 2", []string{"upgrade a-1-1.x#1 > a-2-1.y#2"}},
		"same version in another architecture": {"a 1-1 x 1", "a 1-1 y 2",
			[]string{"reinstall a-1-1.x#1 > a-1-1.y#2"}},
		"one for two": {"a 1-1 x 1, a 2-1 x 2", "a 3-1 x 3",
			[]string{"remove a-1-1.x#1", "upgrade a-2-1.x#2 > a-3-1.x#3"}},
		"duplicate removed":        {"a 1-1 x 1, a 1-1 x 2", "a 1-1 x 2", []string{"remove a-1-1.x#1"}},
		"duplicate of everything":  {"a 1-1 x 1, a 1-1 x 1", "a 1-1 x 1", []string{"remove a-1-1.x#1"}},
		"duplicate made":           {"a 1-1 x 1", "a 1-1 x 1, a 1-1 x 2", []string{"install > a-1-1.x#2"}},
		"duplicates upgraded":      {"a 1-1 x 1, a 1-1 x 2", "a 2-1 x 3", []string{"upgrade a-1-1.x#1 > a-2-1.x#3", "remove a-1-1.x#2"}},
		"obsoleted by another one": {"a 1-1 x 1", "b 1-1 x 2", []string{"remove a-1-1.x#1", "install > b-1-1.x#2"}},
	} {
		t.Run(name, func(t *testing.T) {
			parallel := func(p record.Package) bool { return p.Name == "kernel" }
			before, after := packages(t, test.before), packages(t, test.after)
			got := describe(Diff(before, after, parallel))
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(got, test.want); diff != "" {
				t.Errorf("got -, want +\n%s", diff)
			}
		})
	}
}

func TestDiffIsOrdered(t *testing.T) {
	after := packages(t, "b 1-1 x 1, a 10-1 x 2, a 9-1 x 3, a 1-1 a 4, c 1-1 x 5")
	want := []string{"install > a-1-1.a#4", "install > a-9-1.x#3", "install > a-10-1.x#2", "install > b-1-1.x#1", "install > c-1-1.x#5"}
	if diff := cmp.Diff(describe(Diff(nil, after, nil)), want); diff != "" {
		t.Errorf("got -, want +\n%s", diff)
	}
}

func TestDiffTellsTimes(t *testing.T) {
	before, after := packages(t, "a 1-1 x 1"), packages(t, "a 1-1 x 1")
	after[0].InstallTime = 1
	if diff := cmp.Diff(describe(Diff(before, after, nil)), []string{"reinstall a-1-1.x#1 > a-1-1.x#1"}); diff != "" {
		t.Errorf("got -, want +\n%s", diff)
	}
}
