package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
	"github.com/klp-audit/klp-audit/record"
)

// fixtureFile returns the journal file of a scenario.
func fixtureFile(t testing.TB, scenario string) []byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(journaltest.Unpack(t, scenario), "*", "system.journal"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%q, %v", paths, err)
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

// damaged returns a file that was cut off somewhere, or has bits flipped where it has content.
func damaged(file []byte, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	d := slices.Clone(file)
	if seed%4 == 0 {
		return d[:r.IntN(len(d))]
	}
	end := len(strings.TrimRight(string(d), "\x00"))
	for range 1 << r.IntN(8) {
		d[r.IntN(end)] ^= 1 << r.IntN(8)
	}
	return d
}

// loadsIn lists the boots and patches that were loaded in a phase.
func loadsIn(list []Boot, phase record.Phase) (loads []string) {
	for _, b := range list {
		for _, l := range b.Loads {
			if l.Phase == phase {
				loads = append(loads, b.ID+" "+l.Patch)
			}
		}
	}
	return loads
}

// Whatever is damaged, reading ends, and no patch appears in an initrd that did not contain it; an
// intact file in the same folder is read as usual.
func TestDamagedFiles(t *testing.T) {
	variants := uint64(120)
	if testing.Short() {
		variants = 20
	}
	sound := fixtureFile(t, "C")
	want := loadsIn(boots(t, journaltest.Unpack(t, "C")), record.PhaseInitrd)
	for _, scenario := range []string{"B", "E", "K"} {
		file := fixtureFile(t, scenario)
		real := loadsIn(boots(t, journaltest.Unpack(t, scenario)), record.PhaseInitrd)
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "sound.journal"), sound)
		noticed := 0
		for seed := range variants {
			path := writeFile(t, filepath.Join(dir, "damaged.journal"), damaged(file, seed))
			j, err := Read(t.Context(), dir, Query{})
			if err != nil {
				t.Fatalf("%s %d: %v", scenario, seed, err)
			}
			got := loadsIn(j.Boots, record.PhaseInitrd)
			for _, l := range want {
				if !slices.Contains(got, l) {
					t.Errorf("%s %d: %s is lost", scenario, seed, l)
				}
			}
			for _, l := range got {
				if !slices.Contains(want, l) && !slices.Contains(real, l) {
					t.Errorf("%s %d: %s is invented", scenario, seed, l)
				}
			}
			for _, u := range j.Unread {
				noticed++
				if u.Path != path || u.Err != errDamaged && u.Err != errNewer {
					t.Errorf("%s %d: %+v", scenario, seed, u)
				}
			}
		}
		if noticed < int(variants)/4 { // at least every file that is cut off
			t.Errorf("%s: %d of %d noticed", scenario, noticed, variants)
		}
	}
}

// A file that cannot be read is named, together with the boots that it may hold more of.
func TestUnreadFiles(t *testing.T) {
	file := fixtureFile(t, "C")
	newer := slices.Clone(file)
	newer[12] |= 0x80 // incompatible flags
	for name, tt := range map[string]struct {
		name string
		data []byte
		want error
	}{
		"not a journal":            {"system@1.journal", []byte(strings.Repeat("garbage ", 1000)), errDamaged},
		"header only half written": {"system@1.journal~", file[:100], errDamaged},
		"of a newer systemd":       {"system@1.journal", newer, errNewer},
		"just made":                {"system@1.journal", nil, nil},
		"a user's":                 {"user-1000.journal", []byte("garbage"), nil},
		"no journal by its name":   {"system.journal.header.txt", []byte("garbage"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "system.journal"), file)
			path := writeFile(t, filepath.Join(dir, strings.Repeat("a", 32), tt.name), tt.data)
			j, err := Read(t.Context(), dir, Query{})
			if errors.Is(err, ErrNoLibrary) {
				t.Skip(err)
			}
			if err != nil || len(j.Boots) != 2 {
				t.Fatalf("%+v, %v", j, err)
			}
			if tt.want == nil {
				if len(j.Unread)+len(j.Boots[0].Unread) > 0 {
					t.Errorf("got %+v", j.Unread)
				}
				return
			}
			if len(j.Unread) != 1 || j.Unread[0].Path != path || j.Unread[0].Err != tt.want {
				t.Fatalf("got %+v", j.Unread)
			}
			if got := []int{len(j.Boots[0].Unread), len(j.Boots[1].Unread)}; !slices.Equal(got, []int{1, 1}) {
				t.Errorf("just written: %v", got)
			}
		})
	}
}

// A file that was written before a boot began holds nothing of it.
func TestDoubt(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC) }
	for name, tt := range map[string]struct {
		written int // hour
		starts  []bool
		want    []int
	}{
		"before all":                           {1, []bool{true, true}, []int{0, 0}},
		"before all, the start of one missing": {1, []bool{false, true}, []int{1, 0}},
		"in the first":                         {3, []bool{true, true}, []int{1, 0}},
		"between them":                         {5, []bool{true, true}, []int{1, 0}},
		"between them, the start missing":      {5, []bool{true, false}, []int{1, 1}},
		"in the first, the second's missing":   {3, []bool{true, false}, []int{1, 0}},
		"in the last":                          {7, []bool{true, true}, []int{1, 1}},
	} {
		f := files{unread: []Unread{{Path: "x", Err: errDamaged, Modified: at(tt.written)}}}
		boots := []Boot{
			{Boot: record.Boot{First: record.At(at(2)), Last: record.At(at(4)), StartInJournal: tt.starts[0]}},
			{Boot: record.Boot{First: record.At(at(6)), Last: record.At(at(8)), StartInJournal: tt.starts[1]}},
		}
		f.doubt(boots)
		if got := []int{len(boots[0].Unread), len(boots[1].Unread)}; !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

// Without permission the error is clear; with permission for some files only, the others are named.
func TestWithoutPermission(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become nobody")
	}
	dir, err := os.MkdirTemp("/tmp", "journal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	closed := writeFile(t, filepath.Join(dir, strings.Repeat("a", 32), "system.journal"), fixtureFile(t, "C"))
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(closed, 0o640)); err != nil {
		t.Fatal(err)
	}
	if text := asNobody(t, dir); !strings.Contains(text, "no permission to read it: as a rule only root and the group systemd-journal may") || !strings.Contains(text, dir) {
		t.Error(text)
	}
	writeFile(t, filepath.Join(dir, "other.journal"), fixtureFile(t, "B"))
	if text := asNobody(t, dir); !strings.Contains(text, fmt.Sprintf("unread %q: permission denied", closed)) {
		t.Error(text)
	}
	if err := os.Chmod(filepath.Dir(closed), 0o700); err != nil {
		t.Fatal(err)
	}
	if text := asNobody(t, dir); !strings.Contains(text, fmt.Sprintf("unread %q: permission denied", filepath.Dir(closed))) {
		t.Error(text)
	}
}

// asNobody reads a journal as the user nobody, in a copy of this program that nobody may execute.
func asNobody(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "test")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(program)
	cmd := exec.Command(program, "-test.run", "^TestReadForOther$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "KLP_AUDIT_TEST_JOURNAL="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestReadForOther is what asNobody runs.
func TestReadForOther(t *testing.T) {
	dir := os.Getenv("KLP_AUDIT_TEST_JOURNAL")
	if dir == "" {
		t.Skip("runs for TestWithoutPermission")
	}
	j, err := Read(t.Context(), dir, Query{})
	if err != nil {
		fmt.Println(err, errors.Is(err, ErrNoAccess))
	}
	for _, u := range j.Unread {
		fmt.Printf("unread %q: %v %t\n", u.Path, u.Err, errors.Is(u.Err, fs.ErrPermission))
	}
}
