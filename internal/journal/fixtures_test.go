package journal

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
	"github.com/klp-audit/klp-audit/record"
)

func boots(t testing.TB, dir string) []Boot {
	t.Helper()
	got, err := Boots(t.Context(), dir, Query{})
	if errors.Is(err, ErrNoLibrary) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	return got
}

// EXPECTED.tsv says for each boot and load in the journals of real boots where the load was. It was
// checked against the list of files of the initrd that was booted.
func TestRealBoots(t *testing.T) {
	b, err := os.ReadFile("testdata/EXPECTED.tsv")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		f := strings.Split(line, "\t")
		want[f[0]] = append(want[f[0]], strings.Join(f[1:], " "))
	}
	if len(want) < 15 {
		t.Fatalf("only %d scenarios", len(want))
	}
	for scenario, rows := range want {
		t.Run(scenario, func(t *testing.T) {
			var got []string
			for _, b := range boots(t, journaltest.Unpack(t, scenario)) {
				start := map[bool]string{true: "y", false: "N"}[b.StartInJournal]
				if len(b.Loads) == 0 {
					got = append(got, fmt.Sprintf("%s %s - -", b.ID, start))
				}
				for _, l := range b.Loads {
					got = append(got, fmt.Sprintf("%s %s %s %s", b.ID, start, l.Patch, l.Phase))
					if l.Result != record.LoadComplete || l.Rule == "" || l.Cursor == "" || l.Time.IsZero() {
						t.Errorf("%+v", l)
					}
				}
				if b.StartInJournal && !strings.HasPrefix(b.KernelRelease, "6.") {
					t.Errorf("kernel %q", b.KernelRelease)
				}
			}
			slices.Sort(got)
			slices.Sort(rows)
			if diff := cmp.Diff(rows, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRealBuilds(t *testing.T) {
	for scenario, want := range map[string]string{
		"A": "", "D": "",
		"E": "modules /boot/initrd-new.img [] livepatch:true success:true",
		"E-verbose": "list /boot/initrd-new.img [livepatch-1-150600_2_36.ko] livepatch:true success:true; " +
			"list /boot/initrd-new2.img [livepatch-1-150600_2_36.ko] livepatch:true success:true",
		"K": "own /boot/initrd-new.img [livepatch-2-150600_2_40.ko] livepatch:true success:true",
	} {
		t.Run(scenario, func(t *testing.T) {
			var got []string
			for _, b := range boots(t, journaltest.Unpack(t, scenario)) {
				for _, build := range b.ImageBuilds {
					var files []string
					for _, m := range build.Packed {
						files = append(files, m.File)
					}
					got = append(got, fmt.Sprintf("%s %s %s livepatch:%t success:%t", build.Source, build.Image, files, build.LivepatchModule, build.Success))
					if build.KernelRelease != "6.1.0-56-amd64" || !build.Start.Before(build.Time.Time) || build.Cursor == "" || len(build.Evidence) == 0 {
						t.Errorf("%+v", build)
					}
				}
			}
			if diff := cmp.Diff(want, strings.Join(slices.Compact(got), "; ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLastBoot(t *testing.T) {
	for _, scenario := range []string{"A", "C", "K", "R", "V"} {
		dir := journaltest.Unpack(t, scenario)
		all := boots(t, dir)
		last, err := Boots(t.Context(), dir, Query{Last: true})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all[len(all)-1:], last); diff != "" {
			t.Errorf("%s (-want +got):\n%s", scenario, diff)
		}
	}
}
