package livepatch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree makes files below a new root; a line is "path text".
func tree(t *testing.T, lines ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, line := range lines {
		name, text, _ := strings.Cut(line, " ")
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLoaded(t *testing.T) {
	for name, tt := range map[string]struct {
		lines  []string
		want   []Patch
		active string
		err    string
	}{
		"none": {lines: []string{"sys/kernel/livepatch/gone/.keep"}, want: []Patch{}},
		"one": {
			lines: []string{"sys/kernel/livepatch/livepatch_2_1/enabled 1", "sys/kernel/livepatch/livepatch_2_1/transition 0", "sys/module/livepatch_2_1/srcversion ABC"},
			want:  []Patch{{"livepatch_2_1", true, false, "ABC"}}, active: "livepatch_2_1",
		},
		"one replaces another": {
			lines: []string{
				"sys/kernel/livepatch/livepatch_1_1/enabled 1", "sys/kernel/livepatch/livepatch_1_1/transition 0",
				"sys/kernel/livepatch/livepatch_2_1/enabled 1", "sys/kernel/livepatch/livepatch_2_1/transition 1",
			},
			want:   []Patch{{"livepatch_1_1", true, false, ""}, {"livepatch_2_1", true, true, ""}},
			active: "livepatch_2_1",
		},
		"being disabled": {
			lines: []string{"sys/kernel/livepatch/p/enabled 0", "sys/kernel/livepatch/p/transition 1"},
			want:  []Patch{{"p", false, true, ""}},
		},
		"kgraft":          {lines: []string{"sys/kernel/kgraft/in_progress 1"}, err: "kGraft"},
		"no such kernel":  {err: "no /sys/kernel/livepatch"},
		"not a flag":      {lines: []string{"sys/kernel/livepatch/p/enabled x\x1b"}, err: `"x\x1b\n" is neither 0 nor 1`},
		"no flag, ignore": {lines: []string{"sys/kernel/livepatch/p/other 1"}, want: []Patch{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Loaded(tree(t, tt.lines...))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			active := ""
			if p := Active(got); p != nil {
				active = p.Module
			}
			if active != tt.active {
				t.Errorf("active %q, want %q", active, tt.active)
			}
		})
	}
	if _, err := Loaded(t.TempDir()); !errors.Is(err, ErrNoLivepatch) {
		t.Errorf("got %v", err)
	}
}
